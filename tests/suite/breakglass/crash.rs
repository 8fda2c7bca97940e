//! `kill -9` at random points with clients attached. Over the fake CLI, so that fifty of them take seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use claude_exec_breakglass::audit;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Console;
use crate::support::server::{Site, Sse, Streamed};

const KILLS: u64 = 50;
const CLIENTS: usize = 3;

/// What a client has seen: everything under its number, and a cursor.
#[derive(Default)]
struct Client {
    seen: BTreeMap<u64, (String, String)>,
    cursor: Option<String>,
}

impl Client {
    fn take(&mut self, event: Sse) {
        let Some(id) = event.id else { return };
        let seq = id.split_once('-').and_then(|(_, seq)| seq.parse().ok()).expect("an id");
        let told = (event.event.unwrap_or_default(), event.data);
        let before = self.seen.insert(seq, told);
        assert_eq!(before, None, "{id} came twice");
        assert_eq!(self.seen.len() as u64, seq, "{id} came with a hole before it");
        self.cursor = Some(id);
    }
}

/// Reads until the connection breaks.
fn read(mut client: Client, mut stream: Streamed, tell: mpsc::Sender<()>) -> JoinHandle<Client> {
    tokio::spawn(async move {
        let hello = stream.next().await.expect("a verdict").json();
        let expected = if client.cursor.is_some() { "ok" } else { "start" };
        assert_eq!(hello["resume"], expected, "a cursor survives: {hello}");
        while let Some(event) = stream.next().await {
            client.take(event);
            let _ = tell.try_send(());
        }
        client
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_comes_twice_over_fifty_kills() {
    let site = Site::fake().breakglass();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::default()).collect();
    let (mut id, mut acknowledged, mut random) = (String::new(), Vec::new(), 88_172_645_463_325_252u64);
    for kill in 0..KILLS {
        let console = Console::start(&site).await;
        if id.is_empty() {
            id = console.session().await;
        }
        let (tell, mut told) = mpsc::channel(1024);
        let mut readers = Vec::new();
        for client in clients.drain(..) {
            let stream = console.follow(&id, client.cursor.as_deref()).await;
            assert_eq!(stream.status, 200);
            readers.push(read(client, stream, tell.clone()));
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let text = format!("kill {kill} [[words 40 delay_ms=2]]");
        let reply = console.post(&format!("/api/sessions/{id}/turns"), &json!({ "prompt": text })).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        acknowledged.push((reply.json()["id"].as_str().expect("an id").to_owned(), text));
        let name = format!("name {kill}");
        let renamed =
            console.send("PATCH", &format!("/api/sessions/{id}"), &json!({ "name": name }).to_string()).await;
        assert_eq!(renamed.status, 200, "{renamed:?}");
        // Somewhere between the first event and the turn's end.
        for _ in 0..random % 12 {
            let _ = tokio::time::timeout(Duration::from_millis(100), told.recv()).await;
        }
        console.server.kill().await;
        for reader in readers {
            clients.push(reader.await.expect("no fault in what it saw"));
        }
    }
    let console = Console::start(&site).await;
    let whole = whole_log(&console, &id).await;
    for client in &clients {
        for (seq, told) in &client.seen {
            assert_eq!(
                whole.get(seq).map(|(_, event, data)| (event.clone(), data.clone())).as_ref(),
                Some(told)
            );
        }
    }
    for (id, text) in acknowledged {
        let found: Vec<_> =
            whole.values().filter(|(_, event, data)| event == "user" && data.contains(&text)).collect();
        assert_eq!(found.len(), 1, "{text}");
        assert_eq!(found[0].0, id);
    }
    let ended = whole.values().filter(|(_, event, _)| event == "turn_end").count() as u64;
    assert_eq!(ended, KILLS, "every turn has an end");
    let names = whole.values().filter(|(_, event, _)| event == "renamed").count() as u64;
    assert_eq!(names, KILLS);
    assert_eq!(console.get(&format!("/api/sessions/{id}")).await.json()["name"], "name 49");
    drop(console);
    let report = audit::verify(&site.home().path().join("sessions/audit")).expect("the audit can be read");
    assert!(report.is_intact(), "{report:?}");
    assert!(report.records >= 2 * KILLS, "a start and a prompt for each: {report:?}");
}

/// All of a log, by number: id, name, data.
async fn whole_log(console: &Console, id: &str) -> BTreeMap<u64, (String, String, String)> {
    let mut stream = console.follow(id, None).await;
    let head = stream.next().await.expect("a verdict").json()["head"].as_str().expect("an id").to_owned();
    let mut whole = BTreeMap::new();
    loop {
        let event = stream.next().await.expect("all of it");
        let id = event.id.clone().expect("an id");
        let seq: u64 = id.split_once('-').and_then(|(_, seq)| seq.parse().ok()).expect("an id");
        let value: Value = event.json();
        assert!(value.is_object());
        whole.insert(seq, (id.clone(), event.event.unwrap_or_default(), event.data));
        if id == head {
            assert_eq!(whole.len() as u64, seq, "dense");
            return whole;
        }
    }
}
