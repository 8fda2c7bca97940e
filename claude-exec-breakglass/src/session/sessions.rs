//! All sessions of a server.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use claude_exec::store::Store;
use claude_exec::{Error, Result};
use futures::future::join_all;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::core::{Common, Session, Summary, check_name, now};
use super::event::Mode;
use super::limits::Limits;
use super::power::PowerLook;
use super::record::Record;
use crate::agent::Agent;
use crate::audit::Audit;
use crate::log::{EmbeddedLog, LogStore};
use crate::redact::Redactor;

/// How long the server remembers that a session was deleted. A bookmark that is older is none.
const TOMBSTONE: Duration = Duration::from_secs(30 * 24 * 3600);

/// How often what is idle, old or forgotten is looked for.
const TENDING: Duration = Duration::from_secs(30);

/// All sessions of a server. Clones share them.
#[derive(Clone)]
pub struct Sessions {
    shared: Arc<Shared>,
}

struct Shared {
    common: Arc<Common>,
    rooms: Mutex<BTreeMap<String, Room>>,
    /// Held while a session is made, so that the bound holds for two at once.
    making: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
enum Room {
    Taken(Session),
    /// Where a session was, and when it was deleted.
    Tombstone(Record),
}

/// What is there under an id.
#[derive(Debug, Clone)]
pub enum Found {
    /// A session.
    Session(Session),
    /// There was one.
    Deleted,
    /// There never was, as far as is remembered.
    Unknown,
}

/// What sessions are made of.
#[must_use]
pub struct SessionsBuilder {
    store: Arc<dyn Store>,
    logs: Option<Arc<dyn LogStore>>,
    agent: Arc<dyn Agent>,
    power: Option<Arc<dyn PowerLook>>,
    audit: Option<Audit>,
    redactor: Redactor,
    host: String,
    limits: Limits,
}

impl SessionsBuilder {
    /// Keeps the logs elsewhere than in the store.
    pub fn logs(mut self, logs: Arc<dyn LogStore>) -> Self {
        self.logs = Some(logs);
        self
    }

    /// Lets the agent ask for power verbs.
    pub fn power(mut self, power: Arc<dyn PowerLook>) -> Self {
        self.power = Some(power);
        self
    }

    /// Puts prompts, and what runs without a person's leave, on record before it is done.
    pub fn audit(mut self, audit: Audit) -> Self {
        self.audit = Some(audit);
        self
    }

    /// What takes secrets out of all that is shown. Default is one that knows what secrets look like.
    pub fn redactor(mut self, redactor: Redactor) -> Self {
        self.redactor = redactor;
        self
    }

    /// The host, by the name ssh knows it under, whose diagnosis needs no leave. Default is `devvm`.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// Sets the bounds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Opens what is kept. A turn that a server before this one has left open is ended as failed.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn open(self) -> Result<Sessions> {
        let logs = self.logs.unwrap_or_else(|| Arc::new(EmbeddedLog::new(Arc::clone(&self.store))));
        let common = Arc::new(Common {
            turns: Arc::new(Semaphore::new(self.limits.turns.get())),
            store: self.store,
            logs,
            agent: self.agent,
            power: self.power,
            audit: self.audit,
            redactor: self.redactor,
            host: self.host,
            limits: self.limits,
            draining: AtomicBool::new(false),
        });
        let mut rooms = BTreeMap::new();
        for record in Record::all(&*common.store).await? {
            let id = record.id.clone();
            let room = match record.deleted_at {
                Some(_) => Room::Tombstone(record),
                None => Room::Taken(Session::open(Arc::clone(&common), record).await?),
            };
            rooms.insert(id, room);
        }
        let shared = Shared { common, rooms: Mutex::new(rooms), making: tokio::sync::Mutex::default() };
        let sessions = Sessions { shared: Arc::new(shared) };
        tokio::spawn(tend(Arc::downgrade(&sessions.shared)));
        Ok(sessions)
    }
}

impl fmt::Debug for SessionsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionsBuilder")
            .field("host", &self.host)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Sessions {
    /// Sessions that are kept in `store` and whose turns `agent` runs.
    pub fn builder(store: Arc<dyn Store>, agent: Arc<dyn Agent>) -> SessionsBuilder {
        SessionsBuilder {
            store,
            logs: None,
            agent,
            power: None,
            audit: None,
            redactor: Redactor::new(),
            host: "devvm".to_owned(),
            limits: Limits::default(),
        }
    }

    /// Makes a session.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) for a name that cannot be one, [`is_queue_full`](Error::is_queue_full)
    /// when there are as many as may be, and when the store cannot be written.
    pub async fn create(&self, name: Option<&str>, mode: Mode, model: Option<String>) -> Result<Session> {
        let at = now();
        let name = match name {
            Some(name) => check_name(name)?,
            None => "new session".to_owned(),
        };
        let _making = self.shared.making.lock().await;
        let most = self.shared.common.limits.sessions;
        if self.all().len() >= most && !self.make_room().await {
            return Err(Error::queue_full(most));
        }
        let id = Uuid::new_v4().to_string();
        let record =
            Record { id: id.clone(), name, mode, model, created_at: at, closed_at: None, deleted_at: None };
        record.save(&*self.shared.common.store).await?;
        let session = Session::open(Arc::clone(&self.shared.common), record).await?;
        self.rooms().insert(id, Room::Taken(session.clone()));
        Ok(session)
    }

    /// Deletes the oldest closed session, when there is one.
    async fn make_room(&self) -> bool {
        let closed = self.all().into_iter().filter(Session::is_closed);
        let Some(oldest) = closed.min_by_key(|session| session.summary().active_at) else { return false };
        self.delete(oldest.id(), "server").await.is_ok()
    }

    /// What is there under an id.
    pub fn find(&self, id: &str) -> Found {
        match self.rooms().get(id) {
            Some(Room::Taken(session)) => Found::Session(session.clone()),
            Some(Room::Tombstone(_)) => Found::Deleted,
            None => Found::Unknown,
        }
    }

    /// All sessions, the last active first.
    pub fn list(&self) -> Vec<Summary> {
        let mut all: Vec<_> = self.all().iter().map(Session::summary).collect();
        all.sort_by_key(|summary| std::cmp::Reverse(summary.active_at));
        all
    }

    /// Deletes a session: its turn is ended, its readers leave, its log goes.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) when there is none, and when the store cannot be written.
    pub async fn delete(&self, id: &str, by: &str) -> Result<()> {
        let Found::Session(session) = self.find(id) else {
            return Err(Error::not_found("a session of this id"));
        };
        let common = &self.shared.common;
        let at = now();
        let mut record = session.core.look(|state| state.record.clone());
        record.closed_at = record.closed_at.or(Some(at));
        record.deleted_at = Some(at);
        record.save(&*common.store).await?;
        session.core.change(|state| state.record = record.clone());
        self.rooms().insert(id.to_owned(), Room::Tombstone(record));
        session.end_turn(by).await;
        session.core.dismiss();
        common.agent.rest(id).await;
        if let Err(error) = common.agent.forget(id).await {
            tracing::warn!(session = id, %error, "what the agent keeps of a session could not be removed");
        }
        common.logs.delete(id).await
    }

    /// Turns that run now.
    pub fn running(&self) -> usize {
        self.shared.common.limits.turns.get() - self.shared.common.turns.available_permits()
    }

    /// Has readers leave, and lets no turn begin: the server drains.
    pub fn drain(&self) {
        self.shared.common.draining.store(true, Ordering::Release);
        self.all().iter().for_each(|session| session.journal().wake());
    }

    /// Ends all turns and all processes, and waits until they are gone.
    pub async fn shutdown(&self) {
        self.drain();
        let all = self.all();
        join_all(all.iter().map(|session| async move {
            session.end_turn("server").await;
            session.core.common.agent.rest(session.id()).await;
        }))
        .await;
    }

    fn all(&self) -> Vec<Session> {
        let rooms = self.rooms();
        rooms
            .values()
            .filter_map(|room| if let Room::Taken(session) = room { Some(session.clone()) } else { None })
            .collect()
    }

    fn rooms(&self) -> MutexGuard<'_, BTreeMap<String, Room>> {
        self.shared.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what is idle, closes what is left, deletes what is old, forgets what was deleted.
    async fn tend(&self, at: u64) {
        let limits = self.shared.common.limits;
        for session in self.all() {
            let summary = session.summary();
            let age = Duration::from_millis(at.saturating_sub(summary.active_at));
            let is_idle = summary.turn == "idle";
            let rests = session.core.change(|state| {
                let due = state.running.is_none() && state.rests_at.is_some_and(|due| due <= at);
                due.then(|| state.rests_at = None).is_some()
            });
            if rests {
                self.shared.common.agent.rest(session.id()).await;
            }
            let done = if summary.state == "closed" && age >= limits.retention {
                self.delete(session.id(), "server").await
            } else if summary.state == "open"
                && is_idle
                && age >= limits.idle
                && session.core.journal.readers() == 0
            {
                session.finish("idle", None).await
            } else {
                Ok(())
            };
            if let Err(error) = done {
                tracing::warn!(session = session.id(), %error, "an old session could not be put away");
            }
        }
        let old: Vec<String> = {
            let rooms = self.rooms();
            let is_old = |record: &Record| {
                record
                    .deleted_at
                    .is_some_and(|then| Duration::from_millis(at.saturating_sub(then)) >= TOMBSTONE)
            };
            let old =
                rooms.iter().filter(|(_, room)| matches!(room, Room::Tombstone(record) if is_old(record)));
            old.map(|(id, _)| id.clone()).collect()
        };
        for id in old {
            if Record::remove(&id, &*self.shared.common.store).await.is_ok() {
                self.rooms().remove(&id);
            }
        }
    }
}

async fn tend(shared: std::sync::Weak<Shared>) {
    loop {
        tokio::time::sleep(TENDING).await;
        let Some(shared) = shared.upgrade() else { return };
        Sessions { shared }.tend(now()).await;
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("sessions", &self.rooms().len()).finish_non_exhaustive()
    }
}
