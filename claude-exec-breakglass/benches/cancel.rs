//! How long a cancel takes: from the call to the end of the turn, on the disk and seen by a reader.
//!
//! ```text
//! cargo bench -p claude-exec-breakglass --bench cancel
//! ```
//!
//! The CLI is scripted and obeys at once, so this is our part alone: telling it, hearing that it has ended, two events
//! made durable, a reader woken. Beside it the end of a turn that nobody cancels, which writes as much.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on may as well stop there")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use claude_exec::executor::{Answer, ScriptedCli};
use claude_exec::store::{Embedded, Store};
use claude_exec_breakglass::agent::{CliAgent, invocation};
use claude_exec_breakglass::attach::{Attach, follow};
use claude_exec_breakglass::session::{Mode, Prompt, Session, Sessions};
use futures::StreamExt;
use futures::stream::BoxStream;

const TURNS: usize = 200;

/// What a person notices.
const LIMIT: Duration = Duration::from_millis(100);

#[tokio::main]
async fn main() {
    let files = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(Embedded::open(files.path().join("log.redb")).await.unwrap());
    let cli = ScriptedCli::new(|said| match said.text.as_str() {
        "wait" => Answer::text("up and running").hang(),
        _ => Answer::text("done"),
    });
    let agent = CliAgent::new(Arc::new(cli), Arc::clone(&store), files.path(), invocation(&[]));
    let sessions = Sessions::builder(store, Arc::new(agent)).open().await.unwrap();
    let session = sessions.create(None, Mode::Ask, None).await.unwrap();
    let resume = session.resume(None).await.unwrap();
    let mut events = follow(&session, resume, Attach::new(0.0)).boxed();
    let (mut cancelled, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        whole.push(turn(&session, &mut events).await);
        cancelled.push(cancel(&session, &mut events).await);
    }
    println!("{:32} {:>10} {:>10}", "", "p50 ms", "p99 ms");
    print("a turn of one word, whole", &mut whole);
    print("a cancel, to the turn's end", &mut cancelled);
    let slow = cancelled.iter().filter(|time| **time > LIMIT).count();
    println!("{slow} of {TURNS} cancels took more than {} ms", LIMIT.as_millis());
}

async fn turn(session: &Session, events: &mut BoxStream<'static, bytes::Bytes>) -> Duration {
    let start = Instant::now();
    session.prompt(Prompt::new("go", "me")).await.unwrap();
    until(events, b"event: turn_end").await;
    start.elapsed()
}

async fn cancel(session: &Session, events: &mut BoxStream<'static, bytes::Bytes>) -> Duration {
    session.prompt(Prompt::new("wait", "me")).await.unwrap();
    until(events, b"event: delta").await;
    let start = Instant::now();
    assert!(session.cancel(None, "me", false));
    until(events, b"event: turn_end").await;
    start.elapsed()
}

async fn until(events: &mut BoxStream<'static, bytes::Bytes>, mark: &[u8]) {
    loop {
        let block = events.next().await.unwrap();
        if block.windows(mark.len()).any(|window| window == mark) {
            return;
        }
    }
}

fn print(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!("{what:32} {:>10.2} {:>10.2}", at(0.50), at(0.99));
}
