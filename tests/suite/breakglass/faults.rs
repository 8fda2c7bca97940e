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
async fn s1_a_turn_that_takes_too_long_is_ended_with_all_it_has_started() {
    let site = Site::fake().breakglass().env("BREAKGLASS_TURN_TIMEOUT_SECONDS", "1");
    let console = Console::start(&site).await;
    let id = console.session().await;
    let (text, state) = turn(&console, &id, "[[grandchild]][[detached]][[text begun]][[hang]]").await;
    assert_eq!((text.as_str(), state), ("begun", json!("failed")));
    process::until("nothing of the turn runs", || site.children().is_empty()).await;
    let (text, state) = turn(&console, &id, "[[text again]]").await;
    assert_eq!((text.as_str(), state), ("again", json!("done")));
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
async fn s12_the_cli_does_not_get_the_servers_stdin_or_anything_it_has_open() {
    let (site, console, id) = scene().await;
    let (text, _) = turn(&console, &id, "[[report]]").await;
    let report: Value = serde_json::from_str(&text).expect("a report is JSON");
    let fds: Vec<&str> = report["fds"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    for number in ["0", "1", "2"] {
        let target = fds.iter().find_map(|fd| fd.strip_prefix(&format!("{number} "))).expect("it is open");
        assert!(target.starts_with("pipe:["), "{number}: {target}");
    }
    let root = site.home().path().display().to_string();
    assert!(!fds.iter().any(|fd| fd.contains("socket:") || fd.contains(&root)), "{fds:?}");
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

/// A line that the original's translation dies of costs nothing, and neither does a byte that is no character.
#[tokio::test]
async fn s14_an_odd_line_or_byte_costs_no_answer() {
    let (_site, console, id) = scene().await;
    for odd in [
        "[[bad_utf8]]",
        "[[not_objects]]",
        "[[null_message]]",
        "[[string_content x]]",
        "[[unknown_types]]",
        "[[raw {{{]]",
        "[[crlf]]",
    ] {
        let (text, state) = turn(&console, &id, &format!("{odd}[[text well]]")).await;
        assert!(text.ends_with("well") && state == "done", "{odd}: {text:?} {state}");
    }
}

/// What is kept of a log has its own test in the crate, with small bounds.
#[tokio::test]
async fn s15_a_flood_does_not_fill_the_memory_and_is_stopped() {
    let (site, console, id) = scene().await;
    let mut stream = console.follow(&id, None).await;
    let turn = console.prompt(&id, "[[flood]]").await;
    for _ in 0..20 {
        stream.until("delta").await;
    }
    let resident = process::resident(console.server.pid());
    assert!(resident < 200 * 1024 * 1024, "{resident} bytes");
    let path = format!("/api/sessions/{id}/turns/{turn}/cancel");
    assert_eq!(console.post(&path, &json!({"force": true})).await.json(), json!({"cancelled": true}));
    assert_eq!(stream.until("turn_end").await.json()["state"], "cancelled");
    process::until("nothing of the turn runs", || site.children().is_empty()).await;
}

/// Two prompts at once are one turn, whichever comes first; the CLI's session is its console session's alone, in a
/// directory of its own, and it goes on after `kill -9` of the server.
#[tokio::test]
async fn c6_a_session_is_one_conversation_whoever_asks_at_once_and_whatever_dies() {
    let (site, console, id) = scene().await;
    let path = format!("/api/sessions/{id}/turns");
    let body = json!({"prompt": "[[report]]"});
    let mut stream = console.follow(&id, None).await;
    let (one, two) = tokio::join!(console.post(&path, &body), console.post(&path, &body));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409], "{one:?} {two:?}");
    let mut text = String::new();
    let before = loop {
        let event = stream.next().await.expect("it goes on");
        match event.event.as_deref() {
            Some("delta") => text.push_str(event.json()["text"].as_str().expect("text")),
            Some("turn_end") => break serde_json::from_str::<Value>(&text).expect("a report is JSON"),
            _ => {}
        }
    };
    let other = console.session().await;
    let (text, _) = turn(&console, &other, "[[report]]").await;
    let elsewhere: Value = serde_json::from_str(&text).expect("a report is JSON");
    assert_ne!(before["cwd"], elsewhere["cwd"]);
    console.server.kill().await;
    let console = Console::start(&site).await;
    let (text, state) = turn(&console, &id, "[[report]]").await;
    assert_eq!(state, "done");
    let after: Value = serde_json::from_str(&text).expect("a report is JSON");
    assert_eq!(before["cwd"], after["cwd"]);
    let flag = |report: &Value, name: &str| {
        let argv = report["argv"].as_array().expect("a list").clone();
        argv.iter().find_map(|arg| arg.as_str()?.strip_prefix(name).map(str::to_owned))
    };
    let (made, resumed) = (flag(&before, "--session-id="), flag(&after, "--resume="));
    assert!(made.is_some() && made == resumed, "{made:?} {resumed:?}");
    for unknown in ["none", "../other", "00000000-0000-4000-8000-000000000000"] {
        let path = format!("/api/sessions/{unknown}/turns");
        assert_eq!(console.post(&path, &body).await.status, 404, "{unknown}");
    }
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

/// The original resets the VM for a form of any other site. Behind a proxy that has signed its user in, on every route
/// that changes something.
#[tokio::test]
async fn x3_no_other_site_presses_a_button() {
    let site = Site::fake().breakglass_demo();
    let secret = "a-secret-of-the-proxy-0123456789abcdef";
    let file = site.home().path().join("proxy_secret");
    std::fs::write(&file, secret).expect("it is writable");
    let site = site
        .env("BREAKGLASS_PROXY_PEERS", "127.0.0.1/32")
        .env("BREAKGLASS_PROXY_SECRET_FILE", &file.display().to_string());
    let console = Console::start(&site).await;
    let id = console.session().await;
    let ours = format!("http://{}", console.host);
    let user = [
        ("host", console.host.as_str()),
        ("authorization", ""),
        ("x-authentik-username", "viktor"),
        ("x-authentik-groups", "breakglass"),
        ("x-breakglass-proxy-secret", secret),
    ];
    let plain = ("content-type", "application/json");
    let (form, custom) = (("content-type", "application/x-www-form-urlencoded"), ("x-breakglass", "1"));
    let (own, other) = (("origin", ours.as_str()), ("origin", "https://evil.test"));
    let crossing = ("sec-fetch-site", "cross-site");
    let routes = [
        ("POST", "/api/pve/reset".to_owned()),
        ("POST", "/api/pve/prepare".to_owned()),
        ("POST", "/api/pve/commit".to_owned()),
        ("POST", "/api/sessions".to_owned()),
        ("POST", format!("/api/sessions/{id}/turns")),
        ("POST", format!("/api/sessions/{id}/approvals/a1")),
        ("POST", format!("/api/session/{id}/prompt")),
        ("PATCH", format!("/api/sessions/{id}")),
        ("DELETE", format!("/api/sessions/{id}")),
    ];
    let table: [(u16, &[(&str, &str)]); 6] = [
        (403, &[other, form]),
        (403, &[other, plain, custom]),
        (403, &[own, plain, custom, crossing]),
        (403, &[plain, custom]),
        (403, &[own, plain]),
        (415, &[own, form, custom]),
    ];
    for (method, path) in &routes {
        for (status, more) in table {
            let headers = [&user[..], more].concat();
            let reply = console.server.open_with(method, path, &headers, "{}").await.whole().await;
            assert_eq!(reply.status, status, "{method} {path} {more:?}: {reply:?}");
        }
    }
    // What they would have done was not done; and the page itself may.
    assert_eq!(console.get("/api/pve/status").await.json()["last"], Value::Null);
    assert_eq!(console.get(&format!("/api/sessions/{id}")).await.json()["turns"], 0);
    let headers = [&user[..], &[own, plain, custom]].concat();
    let body = json!({"verb": "cycle", "reason": "a test"}).to_string();
    let reply = console.server.open_with("POST", "/api/pve/prepare", &headers, &body).await.whole().await;
    assert_eq!(reply.status, 200, "{reply:?}");
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

/// `BREAKGLASS_AGENT`: ours needs no file; another one's has to be there, or nothing runs.
#[tokio::test]
async fn c5_an_agent_of_the_operators_is_known_to_the_cli_or_nothing_runs() {
    let site = Site::fake().breakglass().env("BREAKGLASS_AGENT", "ops");
    let console = Console::start(&site).await;
    let id = console.session().await;
    let (text, state) = turn(&console, &id, "[[text an answer]]").await;
    assert_eq!((text.as_str(), state), ("", json!("failed")));
    let agents = site.home().config().join("agents");
    std::fs::create_dir_all(&agents).expect("it is writable");
    std::fs::write(agents.join("ops.md"), "---\nname: ops\ndescription: x\n---\nRepair.\n")
        .expect("the same");
    let (text, state) = turn(&console, &id, "[[report]]").await;
    let report: Value = serde_json::from_str(&text).expect("a report is JSON");
    let argv = report["argv"].to_string();
    assert!(state == "done" && argv.contains("--agent=ops"), "{argv}");
}

#[tokio::test]
async fn the_roles_do_not_mix() {
    let site = Site::fake().breakglass();
    let mut command = crate::support::server::Server::command(&site);
    let output = command.args(["--role", "api"]).output().await.expect("it starts");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--role"), "{output:?}");
}
