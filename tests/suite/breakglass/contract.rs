//! The stream's contract, and the original's routes. Over the fake CLI.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Console;
use crate::support::server::{Site, TOKEN};

async fn scene() -> (Site, Console) {
    let site = Site::fake().breakglass();
    let console = Console::start(&site).await;
    (site, console)
}

#[tokio::test]
async fn the_first_bytes_are_the_contracts() {
    let (_site, console) = scene().await;
    let id = console.session().await;
    let mut socket = TcpStream::connect(console.server.address).await.expect("it listens");
    let request = format!(
        "GET /api/sessions/{id}/events HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n",
        console.host
    );
    socket.write_all(request.as_bytes()).await.expect("it reads");
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|end| end == b"}\n\n\r") {
        let mut some = [0; 1024];
        let read = socket.read(&mut some).await.expect("it answers");
        assert!(read > 0, "{}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&some[..read]);
    }
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let head = head.to_ascii_lowercase();
    for header in [
        "content-type: text/event-stream\r\n",
        "cache-control: no-store, no-transform\r\n",
        "x-accel-buffering: no\r\n",
        "x-content-type-options: nosniff\r\n",
    ] {
        assert!(format!("{head}\r\n").contains(header), "{header} in {head}");
    }
    assert!(!head.contains("content-encoding"), "{head}");
    let hello = "retry: 1000\nevent: hello\ndata: {\"epoch\":0,\"first\":\"0-1\",\"head\":\"0-0\",\"resume\":\"start\",\
                 \"from\":null,\"heartbeat_s\":15,\"turn\":\"idle\",\"build\":\"0.1.0\"}\n\n";
    assert!(body.contains(hello), "{body:?}");
}

#[tokio::test]
async fn c26_every_cursor_has_its_answer() {
    let (_site, console) = scene().await;
    let (one, other) = (console.session().await, console.session().await);
    let mut heads = Vec::new();
    for id in [&one, &other] {
        let mut stream = console.follow(id, None).await;
        console.prompt(id, "hello").await;
        heads.push(stream.until("turn_end").await.id.expect("an id"));
    }
    for malformed in ["-3", "1_0", "9999", "x", "07-1", "7-1-1"] {
        assert_eq!(console.follow(&one, Some(malformed)).await.status, 400, "{malformed}");
    }
    assert_eq!(console.follow(&one, Some(&heads[1])).await.status, 400, "another session's");
    let ahead = heads[0].split_once('-').map(|(epoch, _)| format!("{epoch}-9999")).expect("an id");
    for (cursor, resume) in [(heads[0].as_str(), "ok"), (&ahead, "ahead"), ("777-2", "reset"), ("0-0", "ok")]
    {
        let mut stream = console.follow(&one, Some(cursor)).await;
        assert_eq!(stream.next().await.expect("a verdict").json()["resume"], resume, "{cursor}");
        if resume == "ahead" || resume == "reset" {
            let snapshot = stream.until("snapshot").await;
            assert_eq!(snapshot.id.as_deref(), Some(heads[0].as_str()));
        }
    }
    assert_eq!(console.post(&format!("/api/sessions/{one}/close"), &json!({})).await.status, 200);
    let mut stream = console.follow(&one, Some(&heads[0])).await;
    let end = stream.until("end").await;
    assert_eq!((end.id, end.data.as_str()), (None, r#"{"reason":"closed"}"#));
    assert!(stream.next().await.is_none());
    let head =
        console.get(&format!("/api/sessions/{one}")).await.json()["head"].as_str().expect("an id").to_owned();
    assert_eq!(console.follow(&one, Some(&head)).await.status, 204);
    assert_eq!(console.send("DELETE", &format!("/api/sessions/{one}"), "").await.status, 204);
    assert_eq!(console.follow(&one, Some(&head)).await.status, 410);
    assert_eq!(console.get(&format!("/api/sessions/{one}")).await.status, 410);
    assert_eq!(console.follow("nobody", None).await.status, 404);
}

#[tokio::test]
async fn older_events_come_page_by_page() {
    let (_site, console) = scene().await;
    let id = console.session().await;
    let mut stream = console.follow(&id, None).await;
    for _ in 0..3 {
        console.prompt(&id, "[[text a b c]]").await;
        stream.until("turn_end").await;
    }
    let (mut before, mut seen) = (String::new(), Vec::new());
    loop {
        let path = format!("/api/sessions/{id}/log?limit=4{before}");
        let page = console.get(&path).await.json();
        let events = page["events"].as_array().expect("a list").clone();
        let Some(first) = events.first() else { break };
        before = format!("&before={}", first["id"].as_str().expect("an id"));
        seen.splice(0..0, events);
    }
    let names: Vec<_> = seen.iter().map(|event| event["event"].as_str().expect("a name")).collect();
    assert_eq!(names.iter().filter(|name| **name == "turn_end").count(), 3, "{names:?}");
    assert_eq!(names.first(), Some(&"user"));
    assert_eq!(console.get(&format!("/api/sessions/{id}/log?before=x")).await.status, 400);
    assert_eq!(console.get(&format!("/api/sessions/{id}/log?limit=0")).await.status, 400);
}

#[tokio::test]
async fn the_originals_routes_answer_as_they_did() {
    let (_site, console) = scene().await;
    let made = console.send("POST", "/api/session", "").await;
    assert_eq!(made.status, 200);
    let id = made.json()["session_id"].as_str().expect("an id").to_owned();
    let prompt = format!("/api/session/{id}/prompt");
    let mut stream = console.stream_with("GET", &format!("/api/session/{id}/stream"), &[], "").await;
    assert_eq!(stream.next().await.expect("an event").event.as_deref(), Some("caught-up"));
    let started =
        console.post(&prompt, &json!({"prompt": "[[text да и да]][[silence]]", "model": null})).await;
    assert_eq!((started.status, started.text().as_str()), (200, r#"{"status":"started"}"#));
    let busy = console.post(&prompt, &json!({"prompt": "x"})).await;
    assert_eq!((busy.status, busy.text().as_str()), (409, r#"{"detail":"a turn is already running"}"#));
    let missing = console.post(&prompt, &json!({})).await;
    assert_eq!((missing.status, &missing.json()["detail"][0]["loc"]), (422, &json!(["body", "prompt"])));
    let unknown = console.post("/api/session/nobody/prompt", &json!({"prompt": "x"})).await;
    assert_eq!((unknown.status, unknown.text().as_str()), (404, r#"{"detail":"session not found"}"#));
    let cancel = format!("/api/session/{id}/cancel");
    let mut kinds = Vec::new();
    loop {
        let event = stream.next().await.expect("it goes on");
        let data = event.json();
        assert_eq!(event.id.as_deref().map(str::to_owned), Some(data["id"].to_string()));
        assert!(event.data.starts_with("{\"kind\": \"") && event.data.is_ascii(), "{}", event.data);
        kinds.push(data["kind"].as_str().expect("a kind").to_owned());
        match kinds.last().map(String::as_str) {
            Some("text") if kinds.len() == 3 => {
                assert_eq!(console.send("POST", &cancel, "").await.json(), json!({"cancelled": true}));
            }
            Some("turn_end") => break,
            _ => {}
        }
    }
    kinds.dedup();
    assert_eq!(kinds, ["user", "session", "text", "cancelled", "turn_end"]);
    assert_eq!(console.send("POST", &cancel, "").await.json(), json!({"cancelled": false}));
    // Back with the last number that was seen: nothing twice.
    let headers = [("last-event-id", "1")];
    let path = format!("/api/session/{id}/stream");
    let mut again = console.stream_with("GET", &path, &headers, "").await;
    assert_eq!(again.next().await.expect("an event").json()["kind"], "text");
}

#[tokio::test]
async fn sending_twice_is_sending_once() {
    let (_site, console) = scene().await;
    let id = console.session().await;
    let path = format!("/api/sessions/{id}/turns");
    let body = json!({"prompt": "once"}).to_string();
    let send = || console.stream_with("POST", &path, &[("idempotency-key", "k1")], &body);
    let (first, second) = (send().await.whole().await, send().await.whole().await);
    assert_eq!((first.status, second.status), (202, 200));
    assert_eq!(first.json(), second.json());
    let other = json!({"prompt": "other"}).to_string();
    let other = console.stream_with("POST", &path, &[("idempotency-key", "k1")], &other).await;
    assert_eq!(other.status, 422);
}
