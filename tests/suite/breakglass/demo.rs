//! `--role breakglass --demo`: what it shows is what the real thing does, with an agent from a script and a VM that is
//! not there.

use serde_json::json;

use super::Console;
use crate::support::server::Site;

#[tokio::test]
async fn it_asks_and_does_as_it_is_told() {
    let site = Site::fake().breakglass_demo();
    let console = Console::start(&site).await;
    let id = console.session().await;
    for (decision, answer) in [("allow_once", "active again"), ("deny", "Not restarted")] {
        let head = console.get(&format!("/api/sessions/{id}")).await.json()["head"]
            .as_str()
            .unwrap_or("")
            .to_owned();
        let mut stream =
            console.follow(&id, Some(&head).filter(|head| *head != "0-0").map(String::as_str)).await;
        console.prompt(&id, "Triage").await;
        assert_eq!(stream.until("decision").await.json()["rule"], "read-only");
        let card = stream.until("approval").await.json();
        assert_eq!(card["command"], "ssh devvm sudo systemctl restart postgresql");
        assert_eq!(console.decide(&id, &card, &json!({ "decision": decision })).await.status, 200);
        let mut text = String::new();
        loop {
            let event = stream.next().await.expect("it goes on");
            match event.event.as_deref() {
                Some("delta") => text.push_str(event.json()["text"].as_str().expect("text")),
                Some("turn_end") => break,
                _ => {}
            }
        }
        assert!(text.contains(answer), "{text}");
    }
}

#[tokio::test]
async fn the_agents_power_verb_is_committed_as_the_buttons_is_and_told_to_it() {
    let site = Site::fake().breakglass_demo();
    let console = Console::start(&site).await;
    let id = console.session().await;
    let mut stream = console.follow(&id, None).await;
    console.prompt(&id, "QEMU wedged?").await;
    let card = stream.until("approval").await.json();
    assert_eq!((&card["kind"], &card["verb"]), (&json!("power"), &json!("cycle")));
    let prepared = console.post("/api/pve/prepare", &json!({"verb": "cycle", "reason": "QEMU hangs"})).await;
    assert_eq!(prepared.status, 200, "{prepared:?}");
    let prepared = prepared.json();
    let wrong = json!({"decision": "allow_once", "nonce": "made-up", "phrase": prepared["phrase"]});
    assert!((400..500).contains(&console.decide(&id, &card, &wrong).await.status));
    let commit = json!({"decision": "allow_once", "nonce": prepared["nonce"], "phrase": prepared["phrase"]});
    let done = console.decide(&id, &card, &commit).await;
    assert_eq!((done.status, &done.json()["outcome"]), (200, &json!("verified")), "{done:?}");
    assert_eq!(stream.until("decision").await.json()["decision"], "allow_once");
    assert_eq!(stream.until("power").await.json()["outcome"], "verified");
    let told = stream.until("tool_result").await.json();
    assert!(told["text"].as_str().expect("text").contains("Outcome: verified"), "{told}");
    assert_eq!(stream.until("turn_end").await.json()["state"], "done");
    // Once: the card is answered, and the VM was cycled one time.
    assert_eq!(console.decide(&id, &card, &commit).await.status, 409);
    let overview = console.get("/api/pve/status").await.json();
    assert_eq!(overview["last"]["verb"], "cycle");
}
