//! Sessions over a scripted CLI, and a reader of their streams.
#![allow(dead_code, clippy::unwrap_used)] // each test binary uses a part; a support that fails fails its test

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use claude_exec::executor::{Answer, Said, ScriptedCli};
use claude_exec::store::{Memory, Store};
use claude_exec_breakglass::agent::{CliAgent, invocation};
use claude_exec_breakglass::attach::{Attach, follow};
use claude_exec_breakglass::audit::{Audit, AuditConfig, Record};
use claude_exec_breakglass::log::EventId;
use claude_exec_breakglass::session::{Limits, Mode, Session, Sessions};
use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server's worth of sessions.
pub(crate) struct Site {
    pub(crate) sessions: Sessions,
    pub(crate) cli: ScriptedCli,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) audit: Audit,
    pub(crate) dir: TempDir,
}

impl Site {
    pub(crate) async fn new(answer: impl Fn(&Said) -> Answer + Send + Sync + 'static) -> Self {
        Self::with(Limits::default(), answer).await
    }

    pub(crate) async fn with(
        limits: Limits,
        answer: impl Fn(&Said) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (cli, store) = (ScriptedCli::new(answer), Arc::new(Memory::new()) as Arc<dyn Store>);
        let audit = Audit::open(AuditConfig::new(dir.path().join("audit"))).unwrap();
        let sessions = open(&cli, &store, &audit, dir.path(), limits).await;
        Self { sessions, cli, store, audit, dir }
    }

    /// The server after this one, over the same store, while this one is not told.
    pub(crate) async fn restarted(&self) -> Sessions {
        open(&self.cli, &self.store, &self.audit, self.dir.path(), Limits::default()).await
    }

    pub(crate) async fn session(&self) -> Session {
        self.sessions.create(None, Mode::Ask, None).await.unwrap()
    }
}

async fn open(
    cli: &ScriptedCli,
    store: &Arc<dyn Store>,
    audit: &Audit,
    dir: &Path,
    limits: Limits,
) -> Sessions {
    let agent = CliAgent::new(Arc::new(cli.clone()), Arc::clone(store), dir, invocation(&[]));
    let builder = Sessions::builder(Arc::clone(store), Arc::new(agent)).audit(audit.clone());
    builder.limits(limits).open().await.unwrap()
}

/// The records of an audit, oldest first.
pub(crate) fn records(dir: &Path) -> Vec<Record> {
    let text = std::fs::read_to_string(dir.join("audit/audit-000000000001.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sse {
    pub(crate) id: Option<EventId>,
    pub(crate) event: String,
    pub(crate) data: Value,
}

/// A reader of a session's stream, as a client is one: it parses the bytes.
pub(crate) struct Reader {
    stream: BoxStream<'static, Bytes>,
    buffer: Vec<u8>,
    pub(crate) cursor: Option<EventId>,
}

impl Reader {
    pub(crate) async fn attach(session: &Session, cursor: Option<EventId>) -> Self {
        Self::attach_as(session, cursor, Attach::new(0.5)).await
    }

    pub(crate) async fn attach_as(session: &Session, cursor: Option<EventId>, attach: Attach) -> Self {
        let resume = session.resume(cursor).await.unwrap();
        Self { stream: follow(session, resume, attach).boxed(), buffer: Vec::new(), cursor }
    }

    /// The next event; comments are skipped. `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Sse> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let Some(sse) = parse(std::str::from_utf8(&block).unwrap()) else { continue };
                self.cursor = sse.id.or(self.cursor);
                return Some(sse);
            }
            let bytes = tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("something comes")?;
            self.buffer.extend_from_slice(&bytes);
        }
    }

    /// Reads up to the first event of this name.
    pub(crate) async fn until(&mut self, event: &str) -> Sse {
        self.until_with(event).await.pop().expect("it was found")
    }

    /// All events up to the first of this name.
    pub(crate) async fn until_with(&mut self, event: &str) -> Vec<Sse> {
        let mut seen = Vec::new();
        while let Some(sse) = self.next().await {
            seen.push(sse);
            if seen.last().is_some_and(|sse| sse.event == event) {
                return seen;
            }
        }
        panic!("no {event} in {seen:#?}");
    }
}

fn parse(block: &str) -> Option<Sse> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let data = field("data")?;
    Some(Sse {
        id: field("id").map(|id| id.parse().unwrap()),
        event: field("event").unwrap_or("message").to_owned(),
        data: serde_json::from_str(data).unwrap_or_else(|_| panic!("{data}")),
    })
}

/// The answer's text of these events.
pub(crate) fn text(events: &[Sse]) -> String {
    events.iter().filter(|sse| sse.event == "delta").map(|sse| sse.data["text"].as_str().unwrap()).collect()
}

/// The names of these events, runs of one name as one.
pub(crate) fn names(events: &[Sse]) -> Vec<&str> {
    let mut names: Vec<_> = events.iter().map(|sse| sse.event.as_str()).collect();
    names.dedup();
    names
}

/// A request for leave, as the CLI makes it.
pub(crate) fn asks(command: &str) -> Value {
    serde_json::json!({
        "subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": command}, "tool_use_id": "toolu_1",
    })
}
