//! The server, as a run needs it: its threads, its projects, and commands.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::access::Access;
use super::command::Command;
use super::dialect::{Dialect, dialect};
use super::reply::{self, Reply, WHAT};
use super::stamp;
use super::stop::Found;
use super::wire::{Accepted, Descriptor, Detail, Id, Project, Row, Snapshot, Thread};
use crate::adapter::http::{Answer, Call, Client, Scheme, segment};
use crate::error::{Error, Result};

/// One T3 server.
pub(super) struct Server {
    client: Client,
    base: String,
    access: Access,
    /// The newest state that was seen of which environment: what is older is stale.
    newest: Mutex<Option<(String, u64)>>,
}

/// What was read of one thread.
#[derive(Debug)]
pub(super) struct Looked {
    /// The state that it was read from.
    pub(super) sequence: u64,
    pub(super) found: Found,
    /// What a command that answers to it says as its time.
    pub(super) made: String,
}

impl Server {
    pub(super) fn new(base: &str, access: Access) -> Result<Self> {
        let client = Client::new(WHAT, "AFK_T3_URL", base, Some(access.token.clone()), Scheme::Bearer)?;
        Ok(Self { client, base: base.to_owned(), access, newest: Mutex::new(None) })
    }

    /// What the server says of itself. Read every time: it may have been updated in between.
    pub(super) async fn descriptor(&self) -> Result<Descriptor> {
        let answer = self.get("/.well-known/t3/environment").await?;
        reply::decode(reply::json(&of(&answer))?)
    }

    /// Looks at one thread.
    pub(super) async fn find(&self, id: &str) -> Result<Looked> {
        let descriptor = self.descriptor().await?;
        if dialect(&descriptor)? == Dialect::Snapshot {
            let answer = self.snapshot().await?;
            let body = reply::json(&of(&answer))?;
            let snapshot: Snapshot<'_> = reply::decode(body)?;
            self.keep_up(&descriptor, snapshot.snapshot_sequence)?;
            let found = match row(&snapshot.threads, id) {
                Some(raw) => whole(reply::decode(raw.get().as_bytes())?),
                None => Found::Nothing,
            };
            return Ok(looked(snapshot.snapshot_sequence, found, &answer));
        }
        let answer = self.get(&format!("/api/orchestration/threads/{}", segment(id))).await?;
        if let Some(body) = reply::found(&of(&answer))? {
            let detail: Detail = reply::decode(body)?;
            self.keep_up(&descriptor, detail.snapshot_sequence)?;
            return Ok(looked(detail.snapshot_sequence, whole(detail.thread), &answer));
        }
        // Put away, deleted, or never there: the snapshot still has the row of the first two.
        let answer = self.snapshot().await?;
        let body = reply::json(&of(&answer))?;
        let snapshot: Snapshot<'_> = reply::decode(body)?;
        self.keep_up(&descriptor, snapshot.snapshot_sequence)?;
        let found = match row(&snapshot.threads, id) {
            None => Found::Nothing,
            Some(raw) => match reply::decode::<Row>(raw.get().as_bytes())? {
                row if row.deleted_at.is_some() => Found::Deleted,
                row if row.archived_at.is_some() => Found::Archived(row),
                _ => return Err(Error::unavailable(WHAT, "the thread came back while it was read", None)),
            },
        };
        Ok(looked(snapshot.snapshot_sequence, found, &answer))
    }

    /// The projects: those in use, or with the deleted ones.
    pub(super) async fn projects(&self, deleted: bool) -> Result<(u64, Vec<Project>, String)> {
        let descriptor = self.descriptor().await?;
        let answer = match dialect(&descriptor)? {
            Dialect::Threads if !deleted => self.get("/api/orchestration/shell").await?,
            _ => self.snapshot().await?,
        };
        let body = reply::json(&of(&answer))?;
        let snapshot: Snapshot<'_> = reply::decode(body)?;
        self.keep_up(&descriptor, snapshot.snapshot_sequence)?;
        let projects = snapshot.projects.iter().map(|raw| reply::decode(raw.get().as_bytes()));
        let made = stamp::made(answer.header("date"), None, Timestamp::now());
        Ok((snapshot.snapshot_sequence, projects.collect::<Result<_>>()?, made))
    }

    /// Sends a command. Accepted means stored, not done.
    ///
    /// # Errors
    ///
    /// A 500 may be a refusal by rule as well as a failure, and whatever has no answer may have been accepted: look
    /// again before deciding anything.
    pub(super) async fn dispatch(&self, command: &Command<'_>) -> Result<()> {
        let answer = self.client.send(&Call::post("/api/orchestration/dispatch").json(command)?).await?;
        let accepted: Accepted = reply::decode(reply::json(&of(&answer))?)?;
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, sequence)) = newest.as_mut() {
            *sequence = accepted.sequence.max(*sequence);
        }
        Ok(())
    }

    async fn snapshot(&self) -> Result<Answer> {
        self.get("/api/orchestration/snapshot").await
    }

    /// Reads, and once more with a new token where a credential waits to be exchanged for one.
    async fn get(&self, path: &str) -> Result<Answer> {
        match self.client.send(&Call::get(path)).await {
            Err(error)
                if error.is_transient()
                    && !self.is_let_in().await
                    && self.access.renew(&self.base).await? =>
            {
                self.client.send(&Call::get(path)).await
            }
            answer => answer,
        }
    }

    /// Whether the token is there and is known, as far as can be told.
    async fn is_let_in(&self) -> bool {
        if self.access.token.read().is_err() {
            return false;
        }
        let Ok(answer) = self.client.send(&Call::get("/api/auth/session")).await else { return true };
        let session: serde_json::Value = answer.json().unwrap_or_default();
        session["authenticated"] != false
    }

    /// Notes how new a read is, and refuses one that is older than what was seen or accepted before.
    fn keep_up(&self, descriptor: &Descriptor, sequence: u64) -> Result<()> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        match newest.as_mut() {
            Some((environment, seen)) if *environment == descriptor.environment_id => {
                if sequence < *seen {
                    let reason = format!("the answer is of state {sequence}, and {seen} was reached before");
                    return Err(Error::unavailable(WHAT, reason, None));
                }
                *seen = sequence;
            }
            // The first time, or another environment at the same address.
            _ => *newest = Some((descriptor.environment_id.clone(), sequence)),
        }
        Ok(())
    }
}

fn of(answer: &Answer) -> Reply<'_> {
    let content_type = answer.header("content-type").unwrap_or_default();
    Reply { status: answer.status(), content_type, body: answer.bytes() }
}

fn looked(sequence: u64, found: Found, answer: &Answer) -> Looked {
    let newest = match &found {
        Found::Thread(thread) => stamp::newest(thread),
        _ => None,
    };
    Looked { sequence, found, made: stamp::made(answer.header("date"), newest, Timestamp::now()) }
}

fn row<'a>(rows: &[&'a RawValue], id: &str) -> Option<&'a RawValue> {
    rows.iter().find(|raw| serde_json::from_str::<Id>(raw.get()).is_ok_and(|row| row.id == id)).copied()
}

fn whole(thread: Thread) -> Found {
    if thread.deleted_at.is_some() {
        return Found::Deleted;
    }
    if thread.archived_at.is_some() {
        let Thread { id, archived_at, deleted_at, session, .. } = thread;
        return Found::Archived(Row { id, archived_at, deleted_at, session });
    }
    Found::Thread(Box::new(thread))
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("client", &self.client).finish_non_exhaustive()
    }
}
