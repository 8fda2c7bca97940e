//! The agent asks, a person answers. The real CLI over the stand-in of the model, and a real ssh.

use claude_exec_breakglass::audit;
use serde_json::{Value, json};

use super::Console;
use crate::support::model_api::ModelApi;
use crate::support::process;
use crate::support::proxmox::Proxmox;
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

    // Cancelled in the middle, by two at once: one end, and its ssh is gone.
    let turn = console.prompt(&id, &call("ssh devvm tail -f /dev/null")).await;
    let (_, card) = until(&mut stream, "approval").await;
    assert_eq!(console.decide(&id, &card, &json!({"decision": "allow_once"})).await.status, 200);
    let is_ssh = |process: &process::Process| process.command.contains("tail -f /dev/null");
    process::until("ssh runs", || site.children().iter().any(is_ssh)).await;
    let path = format!("/api/sessions/{id}/turns/{turn}/cancel");
    let cancel = || async { console.post(&path, &json!({})).await.json() };
    let expected = json!({"cancelled": true});
    let start = std::time::Instant::now();
    assert_eq!(tokio::join!(cancel(), cancel()), (expected.clone(), expected.clone()));
    let (seen, end) = until_end(&mut stream).await;
    println!("cancelled in {:?}", start.elapsed());
    assert_eq!(end["state"], "cancelled");
    let names: Vec<_> = seen.iter().filter_map(|event| event.event.as_deref()).collect();
    assert_eq!(names.last_chunk::<2>(), Some(&["cancelled", "turn_end"]), "{names:?}");
    assert!(!names.contains(&"error"), "{seen:#?}");
    assert_eq!(cancel().await, expected, "and once more");
    // What is left of the session is the CLI and the ssh-agent: nothing that the turn has started.
    let started = |process: &process::Process| {
        let program = process.command.split(' ').next().and_then(|path| path.rsplit('/').next());
        is_ssh(process) || program.is_some_and(|program| ["ssh", "bash"].contains(&program))
    };
    process::until("all it started is gone", || !site.children().iter().any(started)).await;

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

/// Card, commit, the real ssh, the forced command, `qm`, the audit, and back to the model.
#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn the_agent_asks_for_a_power_verb_a_person_commits_it_and_the_model_hears_what_became_of_it() {
    let Some(host) = Proxmox::start() else { return };
    host.power_on();
    let before = host.vm();
    let api = ModelApi::start().await;
    let site = Site::real(&api)
        .breakglass()
        .env("BREAKGLASS_PVE_HOST", &format!("127.0.0.1:{}", host.sshd.port))
        .env("BREAKGLASS_PVE_USER", &Sshd::user())
        .env("BREAKGLASS_PVE_KNOWN_HOSTS", &host.known_hosts().display().to_string())
        .env("BREAKGLASS_POWER_KEY_PATH", &host.key().display().to_string());
    let console = Console::start(&site).await;
    let id = console.session().await;
    let mut stream = console.follow(&id, None).await;
    let ask = |verb: &str| {
        let arguments = json!({"verb": verb, "reason": "QMP is dead"});
        format!("[[tool mcp__breakglass__power {arguments}]][[next]][[text done]]")
    };
    // A look needs nobody's leave.
    console.prompt(&id, &ask("status")).await;
    let (_, result) = until(&mut stream, "tool_result").await;
    assert!(result["text"].as_str().expect("text").contains("\"status\":\"running\""), "{result}");
    assert_eq!(until(&mut stream, "turn_end").await.1["state"], "done");

    // Refused: the model reads why, and the host hears of nothing.
    console.prompt(&id, &ask("cycle")).await;
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
    let calls = host.calls();

    // Committed, as the button is.
    console.prompt(&id, &ask("cycle")).await;
    let (_, card) = until(&mut stream, "approval").await;
    let body = json!({"verb": card["verb"], "reason": card["reason"]});
    let prepared = console.post("/api/pve/prepare", &body).await.json();
    let commit = json!({"decision": "allow_once", "nonce": prepared["nonce"], "phrase": prepared["phrase"]});
    let done = console.decide(&id, &card, &commit).await;
    assert_eq!((done.status, &done.json()["outcome"]), (200, &json!("verified")), "{done:?}");
    let (_, outcome) = until(&mut stream, "power").await;
    assert_eq!((&outcome["verb"], &outcome["outcome"]), (&json!("cycle"), &json!("verified")));
    let (_, result) = until(&mut stream, "tool_result").await;
    assert!(result["text"].as_str().expect("text").contains("Outcome: verified"), "{result}");
    assert_eq!(until(&mut stream, "turn_end").await.1["state"], "done");
    assert_eq!(host.calls()[calls.len()..], ["stop 102", "stopping", "start 102"]);
    assert!(host.vm().is_some() && host.vm() != before, "a new process");
    let last = api.requests().last().expect("there were some").body.to_string();
    assert!(last.contains("Outcome: verified"), "the model was told: {last}");

    // Who, what and what came of it, in the audit's chain.
    console.server.kill().await;
    let directory = site.home().path().join("sessions/audit");
    assert!(audit::verify(&directory).expect("it can be read").is_intact());
    let text = std::fs::read_to_string(directory.join("audit-000000000001.jsonl")).expect("it is there");
    let records: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a record is JSON")).collect();
    let told: Vec<_> = records.iter().filter_map(|record| record["event"]["kind"].as_str()).collect();
    let verb = ["verb_requested", "verb_ended"];
    assert_eq!(told.iter().filter(|kind| verb.contains(kind)).collect::<Vec<_>>(), [&verb[0], &verb[1]]);
}
