//! One session: its log, where it is, and the ways in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use claude_exec::store::Store;
use claude_exec::{Error, Result};
use serde::Serialize;
use tokio::sync::{Notify, Semaphore};

use super::cards::Card;
use super::event::{Closed, Event, Mode, ModeSet, ModelSet, Renamed, TurnEnd, TurnError, Verdict};
use super::limits::{Limits, MAX_NAME_CHARS};
use super::power::PowerLook;
use super::record::Record;
use super::story::Story;
use super::{event, snapshot};
use crate::agent::{Agent, Reins};
use crate::audit::{self, Actor, Audit};
use crate::log::{EventId, Journal, LogStore, Resume, Window};
use crate::redact::Redactor;

/// A session that the server owns. Clones share it.
#[derive(Clone)]
pub struct Session {
    pub(super) core: Arc<Core>,
}

/// What all sessions of a server share.
pub(super) struct Common {
    pub(super) store: Arc<dyn Store>,
    pub(super) logs: Arc<dyn LogStore>,
    pub(super) agent: Arc<dyn Agent>,
    pub(super) power: Option<Arc<dyn PowerLook>>,
    pub(super) redactor: Redactor,
    /// Where prompts, and what runs without a person's leave, are on record.
    pub(super) audit: Option<Audit>,
    /// The only host that the agent's ssh goes to.
    pub(super) host: String,
    pub(super) limits: Limits,
    pub(super) turns: Arc<Semaphore>,
    /// The server ends: readers leave, turns are ended, none begins.
    pub(super) draining: AtomicBool,
}

pub(super) struct Core {
    pub(super) common: Arc<Common>,
    pub(super) id: String,
    pub(super) journal: Journal,
    pub(super) state: Mutex<State>,
    /// Held while a prompt is taken, so that asking twice at once is asking once.
    pub(super) door: tokio::sync::Mutex<()>,
    /// Held by the turn under way.
    pub(super) seat: Arc<tokio::sync::Mutex<()>>,
    /// Told when a turn is to be cancelled, or a card changes.
    pub(super) changed: Notify,
    /// The session is closed or deleted: readers at the tail leave.
    pub(super) finished: AtomicBool,
}

pub(super) struct State {
    pub(super) record: Record,
    pub(super) story: Story,
    pub(super) running: Option<Running>,
    /// Rules for which leave was given.
    pub(super) rules: BTreeSet<String>,
    /// The last turn that was cancelled.
    pub(super) cancelled: Option<u64>,
    /// When the process between turns is to end; none when there is none.
    pub(super) rests_at: Option<u64>,
}

/// A turn under way.
pub(super) struct Running {
    pub(super) turn: u64,
    pub(super) reins: Option<Arc<dyn Reins>>,
    /// Who wants it to end, and whether at once.
    pub(super) cancel: Option<Cancel>,
    pub(super) cards: BTreeMap<String, Card>,
    /// The cards that were answered: what was decided may not be in the log yet.
    pub(super) answered: BTreeSet<String>,
    /// All is said; only its last words are on their way to the disk.
    pub(super) ending: bool,
}

pub(super) struct Cancel {
    pub(super) by: String,
    pub(super) force: bool,
}

/// A session as it is listed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Its id, a UUID.
    pub session_id: String,
    /// Its name.
    pub name: String,
    /// Whether it asks.
    pub mode: Mode,
    /// The model that was asked for.
    pub model: Option<String>,
    /// `open` or `closed`.
    pub state: &'static str,
    /// `idle`, `running`, `needs_input` or `stopping`.
    pub turn: &'static str,
    /// The last turn's number.
    pub turn_n: Option<u64>,
    /// When it was made, in Unix milliseconds.
    pub created_at: u64,
    /// When something last happened in it.
    pub active_at: u64,
    /// The id of its newest event.
    pub head: String,
    /// What it has cost so far, in US dollars.
    pub cost_usd: f64,
    /// How many turns it has had.
    pub turns: u64,
}

impl Session {
    /// Opens a session's log, and ends in it what a server that is gone has left open.
    pub(super) async fn open(common: Arc<Common>, record: Record) -> Result<Self> {
        let journal = Journal::open(Arc::clone(&common.logs), record.id.clone(), common.limits.log).await?;
        let events: Vec<Event> = journal.read(|window| window.entries().filter_map(Event::of).collect());
        let mut story = Story::of(&events);
        story.active_at = story.active_at.max(record.created_at);
        let rules = events.iter().filter_map(|event| match event {
            Event::Decision(decision) if decision.decision == Verdict::AllowSession => decision.rule.clone(),
            _ => None,
        });
        let state =
            State { rules: rules.collect(), story, running: None, cancelled: None, rests_at: None, record };
        let finished = AtomicBool::new(state.record.closed_at.is_some());
        let core = Core {
            common,
            id: state.record.id.clone(),
            journal,
            state: Mutex::new(state),
            door: tokio::sync::Mutex::default(),
            seat: Arc::default(),
            changed: Notify::new(),
            finished,
        };
        let session = Self { core: Arc::new(core) };
        session.recover().await;
        Ok(session)
    }

    async fn recover(&self) {
        let Some((turn, began, cards)) = self.core.look(|state| {
            let story = &state.story;
            Some((story.open?, story.active_at, story.cards.clone()))
        }) else {
            return;
        };
        let at = now();
        let mut events: Vec<Event> = cards
            .into_iter()
            .map(|card| super::cards::decided(turn, card, Verdict::Cancelled, "server", at))
            .collect();
        events.push(Event::Error(TurnError {
            at,
            turn,
            error: "the server was stopped in the middle of this turn; what the agent did until then is done"
                .into(),
        }));
        let ms = at.saturating_sub(began);
        events.push(Event::TurnEnd(TurnEnd { at, turn, state: event::Ended::Failed, ms }));
        if let Err(error) = self.core.tell(events).await {
            tracing::warn!(session = %self.core.id, %error, "the end of a turn could not be kept");
            self.core.change(|state| state.story.open = None);
        }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.core.id
    }

    /// The session as it is listed.
    pub fn summary(&self) -> Summary {
        let head = self.core.journal.read(Window::head).to_string();
        self.core.look(|state| Summary {
            session_id: self.core.id.clone(),
            name: state.record.name.clone(),
            mode: state.record.mode,
            model: state.record.model.clone(),
            state: if state.record.closed_at.is_some() { "closed" } else { "open" },
            turn: state.turn(),
            turn_n: (state.story.turns > 0).then_some(state.story.turns),
            created_at: state.record.created_at,
            active_at: state.story.active_at,
            head,
            cost_usd: state.story.cost_usd,
            turns: state.story.turns,
        })
    }

    /// Gives it another name.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) for a name that is no line of 1 to 80 characters,
    /// [`is_conflict`](Error::is_conflict) when it is closed, and when the store cannot be written.
    pub async fn rename(&self, name: &str, by: &str) -> Result<()> {
        let name = check_name(name)?;
        let renamed = Renamed { at: now(), name: name.clone(), by: by.to_owned() };
        self.alter(|record| record.name = name, Event::Renamed(renamed)).await
    }

    /// Sets whether it asks.
    ///
    /// # Errors
    ///
    /// As [`rename`](Self::rename).
    pub async fn set_mode(&self, mode: Mode, by: &str) -> Result<()> {
        self.alter(|record| record.mode = mode, Event::Mode(ModeSet { at: now(), mode, by: by.to_owned() }))
            .await
    }

    /// Sets the model of the turns to come; none is the server's own.
    ///
    /// # Errors
    ///
    /// As [`rename`](Self::rename).
    pub async fn set_model(&self, model: Option<String>, by: &str) -> Result<()> {
        let set = ModelSet { at: now(), model: model.clone(), by: by.to_owned() };
        self.alter(|record| record.model = model, Event::Model(set)).await
    }

    /// Takes no more prompts; the turn under way is cancelled, and the log stays readable.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub async fn close(&self, by: &str) -> Result<()> {
        self.finish("closed", Some(by)).await
    }

    pub(super) async fn finish(&self, reason: &str, by: Option<&str>) -> Result<()> {
        let _door = self.core.door.lock().await;
        if self.is_closed() {
            return Ok(());
        }
        let at = now();
        // From here on no turn begins; the one under way is over before the last word.
        let mut record = self.core.look(|state| state.record.clone());
        record.closed_at = Some(at);
        record.save(&*self.core.common.store).await?;
        self.core.change(|state| state.record.closed_at = Some(at));
        self.end_turn(by.unwrap_or("server")).await;
        let closed = Closed { at, reason: reason.to_owned(), by: by.map(str::to_owned) };
        self.core.tell(vec![Event::Closed(closed)]).await?;
        self.core.dismiss();
        self.core.common.agent.rest(&self.core.id).await;
        Ok(())
    }

    /// Ends the turn under way, and waits until nothing of it runs.
    pub(super) async fn end_turn(&self, by: &str) {
        self.cancel(None, by, false);
        drop(self.core.seat.lock().await);
    }

    /// The tool and the input of a card that waits, for the record.
    pub(crate) fn card(&self, name: &str) -> Option<(String, String)> {
        self.core.look(|state| state.running.as_ref()?.cards.get(name).map(super::cards::Card::shown))
    }

    /// True when it takes no more prompts.
    pub fn is_closed(&self) -> bool {
        self.core.look(|state| state.record.closed_at.is_some())
    }

    /// The verdict on a reader's cursor.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) when it is the cursor of another session.
    pub async fn resume(&self, cursor: Option<EventId>) -> Result<Resume> {
        let verdict = self.core.journal.read(|window| window.resume(cursor));
        if let (Some(cursor), Resume::Gap { .. } | Resume::Reset(_) | Resume::Ahead(_)) = (cursor, verdict)
            && cursor.epoch > 0
        {
            // A store that cannot be read is no reason to refuse a reader.
            let owner = self.core.common.logs.owner(cursor.epoch).await.unwrap_or_default();
            if owner.is_some_and(|owner| owner != self.core.id) {
                return Err(Error::invalid("Last-Event-ID", "is a cursor of another session"));
            }
        }
        Ok(verdict)
    }

    /// Up to `limit` events before `before`, the newest when none, oldest first.
    pub fn page(&self, before: Option<EventId>, limit: usize) -> Vec<crate::log::Entry> {
        self.core.journal.read(|window| {
            let end = before.map_or(u64::MAX, |before| before.seq);
            let mut page: Vec<_> = window
                .entries()
                .rev()
                .skip_while(|entry| entry.id().seq >= end)
                .take(limit)
                .cloned()
                .collect();
            page.reverse();
            page
        })
    }

    /// The log, for readers.
    pub fn journal(&self) -> &Journal {
        &self.core.journal
    }

    /// The session in one event, and the id it stands for.
    pub(crate) fn snapshot(&self) -> (EventId, String) {
        let (id, (entries, trimmed)) =
            self.core.journal.read(|window| (window.head(), snapshot::entries(window)));
        let data = serde_json::json!({
            "id": id.to_string(), "trimmed": trimmed, "session": self.summary(), "entries": entries,
        });
        (id, data.to_string())
    }

    /// Whether readers who have read all leave: it is closed or deleted. A change wakes who waits for the log's head.
    pub(crate) fn is_finished(&self) -> bool {
        self.core.finished.load(Ordering::Acquire)
    }

    /// Whether readers leave because the server ends. A change wakes who waits for the log's head.
    pub(crate) fn is_draining(&self) -> bool {
        self.core.common.draining.load(Ordering::Acquire)
    }

    /// `idle`, `running`, `needs_input` or `stopping`.
    pub(crate) fn turn_state(&self) -> &'static str {
        self.core.look(State::turn)
    }

    async fn alter(&self, change: impl FnOnce(&mut Record), event: Event) -> Result<()> {
        let mut record = self.core.look(|state| state.record.clone());
        if record.closed_at.is_some() {
            return Err(closed());
        }
        change(&mut record);
        record.save(&*self.core.common.store).await?;
        self.core.change(|state| state.record = record);
        self.core.tell(vec![event]).await.map(drop)
    }
}

impl Core {
    fn state(&self) -> MutexGuard<'_, State> {
        // What is done under this lock cannot panic halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has readers leave who have read all.
    pub(super) fn dismiss(&self) {
        self.finished.store(true, Ordering::Release);
        self.journal.wake();
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state())
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state())
    }

    /// Puts something on record. What cannot be recorded is done all the same, and the server's log says so: only a
    /// power verb is refused for that.
    pub(super) async fn note(&self, actor: Actor, event: audit::Event) {
        if let Some(audit) = &self.common.audit
            && let Err(error) = audit.record(actor, event).await
        {
            tracing::error!(session = %self.id, %error, "the audit could not be written");
        }
    }

    /// Adds events to the log; they are on the disk when this returns.
    pub(super) async fn tell(&self, events: Vec<Event>) -> Result<EventId> {
        let id = self.journal.append(events.iter().map(Event::to_draft).collect()).await?;
        self.change(|state| events.iter().for_each(|event| state.story.take(event)));
        Ok(id)
    }
}

impl State {
    fn turn(&self) -> &'static str {
        match &self.running {
            None => "idle",
            Some(running) if running.cancel.is_some() => "stopping",
            Some(running) if !running.cards.is_empty() => "needs_input",
            Some(_) => "running",
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.core.id).finish_non_exhaustive()
    }
}

pub(super) fn closed() -> Error {
    Error::conflict("the session is closed; open a new one")
}

pub(super) fn check_name(name: &str) -> Result<String> {
    let name = name.trim();
    let fits = (1..=MAX_NAME_CHARS).contains(&name.chars().count()) && !name.contains(char::is_control);
    if fits {
        Ok(name.to_owned())
    } else {
        Err(Error::invalid("name", "must be one line of 1 to 80 characters"))
    }
}

/// The time, in Unix milliseconds.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
