//! A turn: begun by a prompt, run apart from every client, ended once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use claude_exec::protocol::{self, ControlRequest, McpCall, PermissionAsk, Reply};
use claude_exec::{Error, Result};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use serde_json::Value;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit};

use super::cards::{Card, Wanted, allow};
use super::core::{Cancel, Core, Running, Session, closed, now};
use super::event::{
    Approval, Asked, Cancelled, Decision, Ended, Event, Mode, TurnEnd, TurnError, User, Verdict,
};
use super::limits::{MAX_CARDS, MAX_PROMPT_CHARS};
use super::transcript::{Transcript, show_input};
use crate::agent::{Ask, Reins};
use crate::approvals::{POWER_SERVER, POWER_TOOL, PowerAsk, READ_ONLY, is_read_only, rules};
use crate::audit::{self, Actor};
use crate::log::EventId;

/// A prompt to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prompt {
    /// What is asked.
    pub text: String,
    /// The model; the session's when none.
    pub model: Option<String>,
    /// Who asks.
    pub by: String,
    /// Who that is for the audit, and from where.
    pub actor: Option<Actor>,
    /// With the same key, asking twice is asking once.
    pub key: Option<String>,
}

impl Prompt {
    /// Someone's prompt.
    pub fn new(text: impl Into<String>, by: impl Into<String>) -> Self {
        Self { text: text.into(), model: None, by: by.into(), actor: None, key: None }
    }
}

/// A turn that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Begun {
    /// Its number in the session.
    pub turn: u64,
    /// The id of its first event.
    pub id: EventId,
    /// This call has begun it, not one before with the same key.
    pub is_new: bool,
}

impl Session {
    /// Begins a turn: the prompt is on the disk when this returns, and the turn runs on whoever leaves.
    ///
    /// # Errors
    ///
    /// [`is_conflict`](Error::is_conflict) when a turn runs already or the session is closed,
    /// [`is_queue_full`](Error::is_queue_full) when as many turns run as may,
    /// [`is_invalid`](Error::is_invalid) for a prompt that is empty or too long, or a key that came with another
    /// prompt, and when the log cannot be written: then nothing was sent to the model.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the turn begun.
    pub async fn prompt(&self, prompt: Prompt) -> Result<Begun> {
        let length = prompt.text.chars().count();
        if prompt.text.trim().is_empty() || length > MAX_PROMPT_CHARS || prompt.text.contains('\0') {
            return Err(Error::invalid(
                "prompt",
                format!("must be text of 1 to {MAX_PROMPT_CHARS} characters without NUL"),
            ));
        }
        let core = Arc::clone(&self.core);
        // A caller who hangs up has asked all the same.
        tokio::spawn(begin(core, prompt)).await.map_err(|_| Error::stopped())?
    }

    /// Cancels the turn of this number, the one under way when none: its process is told at once. True when this
    /// call, or one before it, ends the turn; false when there was nothing to end.
    pub fn cancel(&self, turn: Option<u64>, by: &str, force: bool) -> bool {
        let cancelled = self.core.change(|state| {
            match state.running.as_mut().filter(|running| turn.is_none_or(|turn| turn == running.turn)) {
                Some(running) if running.ending => Err(state.cancelled == Some(running.turn)),
                Some(running) => {
                    state.cancelled = Some(running.turn);
                    let cancel = running.cancel.get_or_insert_with(|| Cancel { by: by.to_owned(), force });
                    cancel.force |= force;
                    Ok((running.reins.clone(), cancel.force))
                }
                None => Err(turn.is_some() && state.cancelled == turn),
            }
        });
        match cancelled {
            Ok((reins, force)) => {
                if let Some(reins) = reins {
                    pull(&*reins, force);
                }
                self.core.changed.notify_waiters();
                true
            }
            Err(cancelled) => cancelled,
        }
    }
}

fn pull(reins: &dyn Reins, force: bool) {
    if force { reins.stop() } else { reins.interrupt() }
}

async fn begin(core: Arc<Core>, prompt: Prompt) -> Result<Begun> {
    let _door = core.door.lock().await;
    // The model reads what was written; the log, like everything that is shown, has no secrets.
    let shown = core.common.redactor.text(&prompt.text).into_owned();
    if let Some(key) = &prompt.key
        && let Some((user, id)) = core.asked(key)
    {
        return if user.text == shown {
            Ok(Begun { turn: user.turn, id, is_new: false })
        } else {
            Err(Error::invalid("Idempotency-Key", "came with another prompt before"))
        };
    }
    let (is_closed, is_ending) = core.look(|state| {
        let ending = state.running.as_ref().is_some_and(|running| running.ending);
        (state.record.closed_at.is_some(), ending)
    });
    if is_closed {
        return Err(closed());
    }
    if core.common.draining.load(Ordering::Acquire) {
        return Err(Error::stopped());
    }
    let seat = match Arc::clone(&core.seat).try_lock_owned() {
        Ok(seat) => seat,
        Err(_) if is_ending => Arc::clone(&core.seat).lock_owned().await,
        Err(_) => return Err(Error::conflict("a turn is already running")),
    };
    let places = core.common.limits.turns.get();
    let permit = Arc::clone(&core.common.turns).try_acquire_owned().map_err(|_| Error::queue_full(places))?;
    let turn = core.change(|state| {
        let turn = state.story.turns + 1;
        state.rests_at = None;
        state.running = Some(Running::new(turn));
        turn
    });
    let running = Place { core: Arc::clone(&core), _seat: seat };
    let actor = prompt.actor.unwrap_or_else(|| Actor::new(&prompt.by, "none", ""));
    core.note(actor, audit::Event::Prompt { session: core.id.clone(), text: prompt.text.clone() }).await;
    let at = now();
    let user = User { at, turn, text: shown, by: prompt.by, key: prompt.key };
    let id = core.tell(vec![Event::User(user)]).await?;
    let model = prompt.model.or_else(|| core.look(|state| state.record.model.clone()));
    let ask = Ask { session: core.id.clone(), prompt: prompt.text, model };
    tokio::spawn(run(running, turn, at, ask, permit));
    Ok(Begun { turn, id, is_new: true })
}

impl Running {
    fn new(turn: u64) -> Self {
        let (cards, answered) = (BTreeMap::new(), BTreeSet::new());
        Self { turn, reins: None, cancel: None, cards, answered, ending: false }
    }
}

/// The turn's place in its session, left when this is dropped.
struct Place {
    core: Arc<Core>,
    _seat: OwnedMutexGuard<()>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let rest = u64::try_from(self.core.common.limits.rest.as_millis()).unwrap_or(u64::MAX);
        self.core.change(|state| {
            state.running = None;
            state.rests_at = Some(now().saturating_add(rest));
        });
    }
}

async fn run(place: Place, turn: u64, began: u64, ask: Ask, permit: OwnedSemaphorePermit) {
    let core = Arc::clone(&place.core);
    let mut drive = Drive { core: &core, turn, failed: None };
    let ended = drive.run(ask).await;
    let failed = drive.failed.take();
    // Nothing of the turn runs any more.
    drop(permit);
    let cards: Vec<String> =
        core.look(|state| state.running.iter().flat_map(|running| running.cards.keys().cloned()).collect());
    for card in cards {
        let _ = core.settle(&card, Verdict::Cancelled, "server", None, true).await;
    }
    let by = core.change(|state| {
        let running = state.running.as_mut()?;
        running.ending = true;
        running.cancel.take().map(|cancel| cancel.by)
    });
    let at = now();
    let mut last = Vec::new();
    let state = match (ended, by) {
        (Ended::Done, _) => Ended::Done,
        (_, Some(by)) => {
            last.push(Event::Cancelled(Cancelled { at, turn, by }));
            Ended::Cancelled
        }
        (ended, None) => ended,
    };
    if let Some(error) = failed {
        last.push(Event::Error(TurnError {
            at,
            turn,
            error: format!("the session's log cannot be written: {error}"),
        }));
    }
    last.push(Event::TurnEnd(TurnEnd { at, turn, state, ms: at.saturating_sub(began) }));
    if let Err(error) = core.tell(last).await {
        tracing::error!(session = %core.id, %error, "the end of a turn could not be kept");
        core.change(|state| state.story.open = None);
    }
    drop(place);
}

struct Drive<'a> {
    core: &'a Core,
    turn: u64,
    /// Why the log takes no more of this turn.
    failed: Option<Error>,
}

impl Drive<'_> {
    async fn run(&mut self, ask: Ask) -> Ended {
        let mut transcript = Transcript::new(self.turn, self.core.common.redactor.clone());
        let saying = tokio::select! {
            said = self.core.common.agent.say(ask) => said,
            () = self.cancelled() => return Ended::Cancelled,
        };
        let mut saying = match saying {
            Ok(saying) => saying,
            Err(error) => {
                self.record(Event::Error(transcript.error(&error, now()))).await;
                return Ended::Failed;
            }
        };
        let reins = Arc::clone(&saying.reins);
        let cancel = self.core.change(|state| {
            let running = state.running.as_mut()?;
            running.reins = Some(Arc::clone(&reins));
            running.cancel.as_ref().map(|cancel| cancel.force)
        });
        if let Some(force) = cancel {
            pull(&*reins, force);
        }
        let mut looks = FuturesUnordered::new();
        loop {
            let core = self.core;
            let changed = core.changed.notified();
            let expiry = self.expiry();
            tokio::select! {
                event = saying.events.next() => match event {
                    None | Some(protocol::Event::TurnEnd) => break,
                    Some(protocol::Event::ControlRequest(request)) => {
                        looks.extend(self.asked(request, &*reins).await);
                    }
                    Some(protocol::Event::ControlCancel(id)) => self.withdrawn(&id).await,
                    Some(event) => {
                        for event in transcript.take(&event, now()) {
                            self.record(event).await;
                        }
                        if self.failed.is_some() {
                            reins.stop();
                        }
                    }
                },
                Some((request_id, reply)) = looks.next(), if !looks.is_empty() => {
                    let _ = reins.reply(&request_id, reply).await;
                }
                () = sleep_until(expiry), if expiry.is_some() => self.expire().await,
                () = changed => {}
            }
        }
        transcript.ended().unwrap_or(Ended::Failed)
    }

    /// Waits until someone wants the turn to end.
    async fn cancelled(&self) {
        loop {
            let changed = self.core.changed.notified();
            if self.core.look(|state| state.running.as_ref().is_none_or(|running| running.cancel.is_some())) {
                return;
            }
            changed.await;
        }
    }

    async fn record(&mut self, event: Event) {
        if self.failed.is_some() {
            return;
        }
        let recorded = match &event {
            Event::Delta(_) | Event::Thinking(_) => self.core.journal.append_soon(event.to_draft()).await,
            // An interrupted result is no failure: that it was cancelled is told after it.
            _ => self.core.tell(vec![event]).await.map(drop),
        };
        self.failed = recorded.err();
    }

    /// Answers what the CLI asks, or lets it wait for a person.
    async fn asked(&mut self, request: ControlRequest, reins: &dyn Reins) -> Option<Look> {
        if let Some(call) = McpCall::read(&request.ask) {
            return self.called(request.request_id, call, reins).await;
        }
        if let protocol::Ask::Permission(permission) = request.ask {
            self.permission(request.request_id, permission, reins).await;
        }
        None
    }

    async fn permission(&mut self, request_id: String, ask: PermissionAsk, reins: &dyn Reins) {
        let input: Value = serde_json::from_str(ask.input.get()).unwrap_or_default();
        let host = &self.core.common.host;
        let mut leave = rules(&ask.tool_name, &input, host);
        let (mode, given) = self.core.look(|state| {
            (state.record.mode, leave.iter().find(|rule| state.rules.contains(*rule)).cloned())
        });
        let auto = match (mode, given) {
            _ if ask.tool_name == POWER_TOOL => Some(POWER_SERVER.to_owned()), // asks for itself
            (Mode::Unattended, _) => Some("unattended".to_owned()),
            (Mode::Ask, _) if is_read_only(&ask.tool_name, &input, host) => Some(READ_ONLY.to_owned()),
            (Mode::Ask, given) => given,
        };
        if let Some(rule) = auto {
            if rule != POWER_SERVER {
                let decision = audit::Decision::Rule;
                self.note(ask.tool_name.clone(), ask.input.get().to_owned(), decision, Some(rule.clone()))
                    .await;
            }
            let decision = Decision {
                at: now(),
                turn: self.turn,
                approval: None,
                tool_id: ask.tool_use_id,
                decision: Verdict::Auto,
                by: "rule".to_owned(),
                reason: None,
                rule: Some(rule),
            };
            self.record(Event::Decision(decision)).await;
            let reply = match &self.failed {
                None => allow(&ask.input),
                Some(_) => deny("The session's log cannot be written, so nothing is run."),
            };
            let _ = reins.reply(&request_id, reply).await;
            return;
        }
        let redactor = &self.core.common.redactor;
        let shown = show_input(ask.input.get(), redactor);
        if shown.truncated {
            let _ = reins
                .reply(&request_id, deny("This is too long to be shown to a person. Ask for less."))
                .await;
            return;
        }
        let what = Asked::Tool {
            tool_id: ask.tool_use_id.clone().unwrap_or_default(),
            tool: ask.tool_name.clone(),
            command: shown.command,
            input: shown.input,
            description: ask.description.map(|text| redactor.text(&text).into_owned()),
            rule: leave.last().cloned(),
        };
        let wanted = Wanted::Tool {
            tool: ask.tool_name,
            tool_id: ask.tool_use_id,
            input: ask.input,
            rule: leave.pop(),
        };
        self.ask_person(request_id, wanted, what, reins).await;
    }

    async fn called(&mut self, request_id: String, call: McpCall, reins: &dyn Reins) -> Option<Look> {
        let Some(power) = self.core.common.power.clone() else {
            let _ = reins.reply(&request_id, call.text("There is no power control here.", true)).await;
            return None;
        };
        let ask = match PowerAsk::read(call.arguments.get(), power.verbs()) {
            Ok(ask) => ask,
            Err(why) => {
                let _ = reins.reply(&request_id, call.text(&why, true)).await;
                return None;
            }
        };
        if power.is_mutating(&ask.verb) {
            let reason = self.core.common.redactor.text(&ask.reason).into_owned();
            let what = Asked::Power { verb: ask.verb.clone(), reason: reason.clone() };
            let wanted = Wanted::Power { call: Box::new(call), verb: ask.verb, reason };
            self.ask_person(request_id, wanted, what, reins).await;
            return None;
        }
        let session = self.core.id.clone();
        Some(
            async move {
                let reply = match power.look(&ask.verb, &ask.reason, &session).await {
                    Ok(text) => call.text(&text, false),
                    Err(error) => call.text(&error.to_string(), true),
                };
                (request_id, reply)
            }
            .boxed(),
        )
    }

    async fn ask_person(&mut self, request_id: String, wanted: Wanted, what: Asked, reins: &dyn Reins) {
        let at = now();
        let limit = u64::try_from(self.core.common.limits.approval.as_millis()).unwrap_or(u64::MAX);
        let expires_at = at.saturating_add(limit);
        let name = self.core.change(|state| {
            let number = state.story.last_card + 1;
            let running = state.running.as_mut().filter(|running| running.cards.len() < MAX_CARDS)?;
            let name = format!("a{number}");
            let card = Card { request_id: request_id.clone(), what: wanted, expires_at, held: false };
            running.cards.insert(name.clone(), card);
            state.story.last_card = number;
            Some(name)
        });
        let Some(name) = name else {
            let _ = reins.reply(&request_id, deny("Too many questions wait already.")).await;
            return;
        };
        self.record(Event::Approval(Approval {
            at,
            turn: self.turn,
            approval: name.clone(),
            expires_at,
            what,
        }))
        .await;
        if self.failed.is_some() {
            // What nobody sees nobody can approve.
            let _ = self.core.settle(&name, Verdict::Cancelled, "server", None, false).await;
        }
    }

    /// Puts on record what is decided without a person.
    async fn note(&self, tool: String, input: String, decision: audit::Decision, reason: Option<String>) {
        let session = self.core.id.clone();
        let event = audit::Event::Approval { session, tool, input, decision, reason };
        self.core.note(Actor::agent(), event).await;
    }

    /// The CLI no longer waits for an answer.
    async fn withdrawn(&self, request_id: &str) {
        let name = self.core.look(|state| {
            let cards = &state.running.as_ref()?.cards;
            cards.iter().find(|(_, card)| card.request_id == request_id).map(|(name, _)| name.clone())
        });
        if let Some(name) = name {
            let _ = self.core.settle(&name, Verdict::Cancelled, "agent", None, true).await;
        }
    }

    fn expiry(&self) -> Option<u64> {
        self.core.look(|state| {
            let cards = state.running.as_ref()?.cards.values();
            cards.filter(|card| !card.held).map(|card| card.expires_at).min()
        })
    }

    async fn expire(&self) {
        let at = now();
        let late: Vec<String> = self.core.look(|state| {
            let cards = state.running.iter().flat_map(|running| &running.cards);
            cards
                .filter(|(_, card)| !card.held && card.expires_at <= at)
                .map(|(name, _)| name.clone())
                .collect()
        });
        for name in late {
            let card = self.core.look(|state| state.running.as_ref()?.cards.get(&name).map(Card::shown));
            if let Some((tool, input)) = card {
                self.note(tool, input, audit::Decision::TimedOut, None).await;
            }
            let _ = self.core.settle(&name, Verdict::Expired, "server", None, false).await;
        }
    }
}

/// A look that is under way: the control request, and what to answer it with.
type Look = futures::future::BoxFuture<'static, (String, Reply)>;

fn deny(message: &str) -> Reply {
    Reply::Deny { message: message.to_owned(), interrupt: false }
}

async fn sleep_until(at: Option<u64>) {
    match at {
        Some(at) => tokio::time::sleep(Duration::from_millis(at.saturating_sub(now()))).await,
        None => std::future::pending().await,
    }
}

impl Core {
    /// The prompt that came with a key, when it is still known.
    fn asked(&self, key: &str) -> Option<(User, EventId)> {
        self.journal.read(|window| {
            window.entries().rev().filter(|entry| entry.name() == "user").find_map(|entry| {
                match Event::of(entry) {
                    Some(Event::User(user)) if user.key.as_deref() == Some(key) => Some((user, entry.id())),
                    _ => None,
                }
            })
        })
    }
}
