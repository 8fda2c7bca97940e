//! The original console's faults, by their numbers. Over the fake CLI, which misbehaves on command.

use serde_json::{Value, json};

use super::Console;
use crate::support::process;
use crate::support::server::{Site, TOKEN};

async fn scene() -> (Site, Console, String) {
    let site = Site::fake().breakglass();
    let console = Console::start(&site).await;
    let id = console.session().await;
    (site, console, id)
}

/// A turn's last events: the answer's text, and how it ended.
async fn turn(console: &Console, id: &str, prompt: &str) -> (String, Value) {
    let head =
        console.get(&format!("/api/sessions/{id}")).await.json()["head"].as_str().expect("an id").to_owned();
    let mut stream = console.follow(id, Some(&head)).await;
    console.prompt(id, prompt).await;
    let mut text = String::new();
    loop {
        let event = stream.next().await.expect("it goes on");
        match event.event.as_deref() {
            Some("delta") => text.push_str(event.json()["text"].as_str().expect("text")),
            Some("turn_end") => return (text, event.json()["state"].clone()),
            _ => {}
        }
    }
}

#[tokio::test]
async fn s2_a_flood_of_stderr_stops_nothing() {
    let (_site, console, id) = scene().await;
    let (text, state) = turn(&console, &id, "[[stderr 1000000]][[text fine]]").await;
    assert_eq!((text.as_str(), state), ("fine", json!("done")));
}

#[tokio::test]
async fn s3_a_long_line_is_no_end() {
    let (_site, console, id) = scene().await;
    let (text, state) = turn(&console, &id, "[[long_line 200000]]").await;
    assert_eq!((text.len(), state), (200_000, json!("done")));
}

#[tokio::test]
async fn s4_s5_a_cancel_leaves_no_process_that_holds_the_pipes_or_has_left_the_group() {
    let (site, console, id) = scene().await;
    for child in ["[[grandchild]]", "[[detached]]"] {
        let mut stream = console.follow(&id, None).await;
        let turn = console.prompt(&id, &format!("{child}[[text up and running]][[hang]]")).await;
        while stream.until("delta").await.json()["turn"] != turn {}
        let path = format!("/api/sessions/{id}/turns/{turn}/cancel");
        assert_eq!(console.post(&path, &json!({"force": true})).await.json(), json!({"cancelled": true}));
        while stream.until("turn_end").await.json()["turn"] != turn {}
        assert_eq!(console.post(&path, &json!({})).await.json(), json!({"cancelled": true}), "idempotent");
        process::until("nothing of the turn runs", || site.children().is_empty()).await;
    }
    let (text, state) = self::turn(&console, &id, "[[text again]]").await;
    assert_eq!((text.as_str(), state), ("again", json!("done")));
}

#[tokio::test]
async fn s10_a_signal_ends_it_with_a_reader_attached_and_a_turn_under_way() {
    let site = Site::fake().breakglass().env("SHUTDOWN_GRACE_SECONDS", "0");
    let console = Console::start(&site).await;
    let id = console.session().await;
    let mut stream = console.follow(&id, None).await;
    console.prompt(&id, "[[text up and running]][[silence]]").await;
    stream.until("delta").await;
    let status = console.server.terminate().await;
    assert!(status.success(), "{status:?}: {}", site.log());
    let bye = stream.until("bye").await;
    assert_eq!((bye.data.as_str(), bye.id), (r#"{"reason":"draining"}"#, None));
    assert!(site.children().is_empty());
    let console = Console::start(&site).await;
    let mut stream = console.follow(&id, None).await;
    assert_eq!(stream.until("turn_end").await.json()["state"], "cancelled", "the server said so itself");
}

#[tokio::test]
async fn s13_x1_a_prompt_is_no_argument() {
    let (site, console, id) = scene().await;
    for prompt in ["--version", "--dangerously-skip-permissions", "@/etc/passwd"] {
        let (text, _) = turn(&console, &id, &format!("{prompt} [[report]]")).await;
        let report: Value = serde_json::from_str(&text).expect("a report is JSON");
        assert!(!report["argv"].to_string().contains(prompt), "{}", report["argv"]);
    }
    drop(site);
}

#[tokio::test]
async fn c8_x8_what_goes_into_argv_is_checked() {
    let (_site, console, id) = scene().await;
    for model in ["--settings=x", "", "a b", "x\ny", "sonnet;reboot"] {
        let body = json!({"prompt": "x", "model": model});
        assert_eq!(console.post(&format!("/api/sessions/{id}/turns"), &body).await.status, 422, "{model:?}");
    }
    let body = json!({"prompt": "x", "agent": "root"});
    assert_eq!(console.post(&format!("/api/sessions/{id}/turns"), &body).await.status, 422);
}

#[tokio::test]
async fn c23_the_turns_at_the_same_time_are_bounded() {
    let (_site, console, first) = scene().await;
    let (second, third) = (console.session().await, console.session().await);
    for id in [&first, &second] {
        console.prompt(id, "[[silence]]").await;
    }
    let refused = console.post(&format!("/api/sessions/{third}/turns"), &json!({"prompt": "x"})).await;
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(refused.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn x2_x6_nobody_gets_in_unproved() {
    let (_site, console, id) = scene().await;
    let path = format!("/api/sessions/{id}");
    let host = ("host", console.host.as_str());
    let forged = [("authorization", "none"), host, ("x-authentik-username", "root")];
    assert_eq!(console.server.get_with(&path, &forged).await.status, 401);
    for path in ["/docs", "/openapi.json", "/api/nothing"] {
        assert!([401, 404].contains(&console.server.get_with(path, &forged).await.status), "{path}");
    }
    let elsewhere = [("host", "attacker.example")];
    for path in [path.as_str(), "/", "/health"] {
        assert_eq!(console.server.get_with(path, &elsewhere).await.status, 421, "{path}");
    }
}

#[tokio::test]
async fn x4_children_know_no_secret_of_the_servers() {
    let (_site, console, id) = scene().await;
    let (text, _) = turn(&console, &id, "[[report]]").await;
    assert!(!text.contains(TOKEN) && !text.contains("API_BEARER_TOKEN"), "{text}");
    assert!(!text.contains("BREAKGLASS_POWER_KEY_PATH"), "{text}");
}

#[tokio::test]
async fn x7_a_token_that_is_not_ascii_is_a_401() {
    let (_site, console, id) = scene().await;
    let headers = [("host", console.host.as_str()), ("authorization", "Bearer tökén")];
    assert_eq!(console.server.get_with(&format!("/api/sessions/{id}"), &headers).await.status, 401);
}

#[tokio::test]
async fn the_roles_do_not_mix() {
    let site = Site::fake().breakglass();
    let mut command = crate::support::server::Server::command(&site);
    let output = command.args(["--role", "api"]).output().await.expect("it starts");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--role"), "{output:?}");
}
