//! The agent asks, a person answers. The real CLI over the stand-in of the model, and a real ssh.

use serde_json::{Value, json};

use super::Console;
use crate::support::model_api::ModelApi;
use crate::support::process;
use crate::support::server::{Server, Site, Sse, Streamed};
use crate::support::sshd::{Sshd, keygen};

/// The stand-in's script for one call of the Bash tool, and a word after it.
fn call(command: &str) -> String {
    format!("[[tool Bash {}]][[next]][[text done]]", json!({"command": command, "description": "a test"}))
}

/// The events of a turn up to this one, which has to come.
async fn until(stream: &mut Streamed, name: &str) -> (Vec<Sse>, Value) {
    let mut seen = Vec::new();
    loop {
        let event = stream.next().await.unwrap_or_else(|| panic!("no {name} after {seen:#?}"));
        if event.event.as_deref() == Some(name) {
            let data = event.json();
            seen.push(event);
            return (seen, data);
        }
        assert_ne!(event.event.as_deref(), Some("turn_end"), "no {name} after {seen:#?}");
        seen.push(event);
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_person_approves_refuses_waits_too_long_and_cancels_over_a_real_ssh() {
    let Some(sshd) = Sshd::start() else { return };
    let key = sshd.dir().join("agent_key");
    sshd.authorize(&format!("restrict {}", keygen(&key)));
    let pins = sshd.dir().join("known_hosts");
    std::fs::write(&pins, sshd.known_host()).expect("it is writable");
    let api = ModelApi::start().await;
    let site = Site::real(&api)
        .breakglass()
        .env("BREAKGLASS_DEVVM_HOST", &format!("127.0.0.1:{}", sshd.port))
        .env("BREAKGLASS_DEVVM_USER", &Sshd::user())
        .env("BREAKGLASS_DEVVM_KNOWN_HOSTS", &pins.display().to_string())
        .env("BREAKGLASS_KEY_PATH", &key.display().to_string())
        .env("BREAKGLASS_APPROVAL_TIMEOUT_SECONDS", "8");
    let console = Console::start(&site).await;
    let id = console.session().await;
    let mut stream = console.follow(&id, None).await;
    let file = |name: &str| site.home().work().join(name);
    let touch = |name: &str| format!("ssh devvm touch {}", file(name).display());

    // What only looks runs by itself, over the ssh.
    console.prompt(&id, &call("ssh devvm 'uptime; whoami'")).await;
    let (_, decision) = until(&mut stream, "decision").await;
    assert_eq!((&decision["decision"], &decision["rule"]), (&json!("auto"), &json!("read-only")));
    let (_, result) = until(&mut stream, "tool_result").await;
    assert!(result["text"].as_str().expect("text").contains("load average"), "{result} {}", sshd.log());
    assert_eq!(until(&mut stream, "turn_end").await.1["state"], "done");

    // Approved: it runs over there.
    console.prompt(&id, &call(&touch("approved"))).await;
    let (_, card) = until(&mut stream, "approval").await;
    assert_eq!((&card["command"], &card["kind"]), (&json!(touch("approved")), &json!("tool")));
    assert!(!file("approved").exists(), "not before somebody says so");
    assert_eq!(console.decide(&id, &card, &json!({"decision": "allow_once"})).await.status, 200);
    let again = console.decide(&id, &card, &json!({"decision": "deny"})).await;
    assert_eq!((again.status, &again.json()["decision"]), (409, &json!("allow_once")));
    let (_, result) = until(&mut stream, "tool_result").await;
    assert_eq!(result["is_error"], false, "{result} {}", sshd.log());
    assert_eq!(until(&mut stream, "turn_end").await.1["state"], "done");
    assert!(file("approved").exists(), "{}", sshd.log());

    // Refused: it does not, and the model reads why.
    console.prompt(&id, &call(&touch("refused"))).await;
    let (_, card) = until(&mut stream, "approval").await;
    let refusal = json!({"decision": "deny", "reason": "not on a Friday"});
    assert_eq!(console.decide(&id, &card, &refusal).await.status, 200);
    let (_, result) = until(&mut stream, "tool_result").await;
    assert_eq!(result["is_error"], true);
    assert!(result["text"].as_str().expect("text").contains("not on a Friday"), "{result}");
    assert_eq!(until(&mut stream, "turn_end").await.1["state"], "done");

    // Nobody answers: no.
    console.prompt(&id, &call(&touch("late"))).await;
    let (_, card) = until(&mut stream, "approval").await;
    let (_, decision) = until(&mut stream, "decision").await;
    assert_eq!(decision["decision"], "expired");
    assert_eq!(until(&mut stream, "turn_end").await.1["state"], "done");
    assert_eq!(console.decide(&id, &card, &json!({"decision": "allow_once"})).await.status, 409);

    // For the session: the same again is not asked for.
    for asked in [true, false] {
        console.prompt(&id, &call(&touch("again"))).await;
        if asked {
            let (_, card) = until(&mut stream, "approval").await;
            assert_eq!(console.decide(&id, &card, &json!({"decision": "allow_session"})).await.status, 200);
        }
        let (seen, _) = until(&mut stream, "tool_result").await;
        assert!(asked || !seen.iter().any(|event| event.event.as_deref() == Some("approval")));
        until(&mut stream, "turn_end").await;
    }
    assert!(!file("refused").exists() && !file("late").exists() && file("again").exists());

    // One process for all of that.
    let mains = api.requests().len();
    assert!(mains >= 12, "{mains}");

    // Cancelled in the middle: the ssh is gone.
    let turn = console.prompt(&id, &call("ssh devvm tail -f /dev/null")).await;
    let (_, card) = until(&mut stream, "approval").await;
    assert_eq!(console.decide(&id, &card, &json!({"decision": "allow_once"})).await.status, 200);
    let is_ssh = |process: &process::Process| process.command.contains("tail -f /dev/null");
    process::until("ssh runs", || site.children().iter().any(is_ssh)).await;
    let cancelled = console.post(&format!("/api/sessions/{id}/turns/{turn}/cancel"), &json!({})).await;
    assert_eq!(cancelled.json(), json!({"cancelled": true}));
    let (_, end) = until_end(&mut stream).await;
    assert_eq!(end["state"], "cancelled");
    process::until("its ssh is gone", || !site.children().iter().any(is_ssh)).await;

    // And it goes on.
    console.prompt(&id, "[[text still here]]").await;
    assert_eq!(until(&mut stream, "turn_end").await.1["state"], "done");
    no_key_left(site, console.server).await;
}

async fn until_end(stream: &mut Streamed) -> (Vec<Sse>, Value) {
    let mut seen = Vec::new();
    loop {
        let event = stream.next().await.expect("it goes on");
        let is_end = event.event.as_deref() == Some("turn_end");
        let data = event.json();
        seen.push(event);
        if is_end {
            return (seen, data);
        }
    }
}

/// The ssh-agent with the key ends with the server, however that ends.
async fn no_key_left(site: Site, server: Server) {
    let sessions = site.home().path().join("sessions").display().to_string();
    let agents = || {
        process::with_command(&sessions).into_iter().filter(|process| process.command.contains("ssh-agent"))
    };
    server.kill().await;
    process::until("the ssh-agent is gone", || agents().count() == 0).await;
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn the_agent_asks_for_a_power_verb_and_hears_what_became_of_it() {
    let api = ModelApi::start().await;
    let site = Site::real(&api).breakglass();
    let console = Console::start(&site).await;
    let id = console.session().await;
    let mut stream = console.follow(&id, None).await;
    let arguments = json!({"verb": "cycle", "reason": "QMP is dead"});
    console.prompt(&id, &format!("[[tool mcp__breakglass__power {arguments}]][[next]][[text done]]")).await;
    let (_, card) = until(&mut stream, "approval").await;
    assert_eq!(
        (&card["kind"], &card["verb"], &card["reason"]),
        (&json!("power"), &json!("cycle"), &json!("QMP is dead"))
    );
    // Leave alone does not switch anything: it takes a nonce of a prepared verb.
    assert_eq!(console.decide(&id, &card, &json!({"decision": "allow_once"})).await.status, 409);
    let forged = console.decide(&id, &card, &json!({"decision": "allow_once", "nonce": "made-up"})).await;
    assert!((400..500).contains(&forged.status), "{forged:?}");
    let refused = console.decide(&id, &card, &json!({"decision": "deny", "reason": "look again"})).await;
    assert_eq!(refused.status, 200, "{refused:?}");
    let (_, result) = until(&mut stream, "tool_result").await;
    assert!(result["text"].as_str().expect("text").contains("look again"), "{result}");
    assert_eq!(until(&mut stream, "turn_end").await.1["state"], "done");
}
