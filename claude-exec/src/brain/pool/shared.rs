//! The processes of a pool, and what is done to them as the policy says.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::claimed::{Granted, Place};
use super::limits::Limits;
use super::policy::{Action, Policy, Slot, Ticket};
use crate::brain::live::{Live, Spare};
use crate::error::{Error, Result};
use crate::executor::{Control, Executor};
use crate::invocation::Invocation;
use crate::protocol::SessionId;

pub(super) struct Shared {
    executor: Box<dyn Executor>,
    runtime: Handle,
    state: Mutex<State>,
    /// Something has happened: the time to wake up may be another.
    pub(super) moved: Notify,
    /// The pool was closed, and its last process is gone.
    pub(super) emptied: Notify,
}

pub(super) struct State {
    pub(super) policy: Policy,
    /// Processes that nobody has.
    pub(super) parked: HashMap<Slot, Parked>,
    pub(super) tickets: HashMap<Ticket, oneshot::Sender<Result<Granted>>>,
    /// Starts under way; dropping the sender gives one up.
    starts: HashMap<Slot, oneshot::Sender<()>>,
    /// Starts whose process has ended already.
    ended: HashSet<Slot>,
    /// The handles of all processes there are.
    pub(super) controls: HashMap<Slot, Arc<dyn Control>>,
}

/// A process that nobody has.
pub(super) enum Parked {
    Spare(Spare),
    Live(Live),
}

impl Parked {
    fn session_id(&self) -> Option<&SessionId> {
        match self {
            Self::Spare(spare) => spare.session_id(),
            Self::Live(live) => live.session_id(),
        }
    }
}

/// What is done once the lock is released, since it may come back to it.
enum Effect {
    Start(Box<Start>),
    /// Dropping it ends it.
    End(#[expect(dead_code, reason = "for its drop")] Box<Parked>),
}

/// A process to start.
struct Start {
    slot: Slot,
    invocation: Invocation,
    /// Opens its session too.
    opens: bool,
    given_up: oneshot::Receiver<()>,
}

impl Shared {
    pub(super) fn new(executor: Box<dyn Executor>, limits: Limits) -> Self {
        let state = State {
            policy: Policy::new(limits),
            parked: HashMap::new(),
            tickets: HashMap::new(),
            starts: HashMap::new(),
            ended: HashSet::new(),
            controls: HashMap::new(),
        };
        Self {
            executor,
            runtime: Handle::current(),
            state: Mutex::new(state),
            moved: Notify::new(),
            emptied: Notify::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the policy what has happened, and does what it says.
    pub(super) fn change<R>(self: &Arc<Self>, what: impl FnOnce(&mut State, Instant) -> R) -> R {
        let result = self.change_unseen(what);
        self.moved.notify_one();
        result
    }

    /// As [`change`](Self::change), by the one who is told of changes.
    pub(super) fn change_unseen<R>(self: &Arc<Self>, what: impl FnOnce(&mut State, Instant) -> R) -> R {
        let mut state = self.lock();
        let now = Instant::now();
        let result = what(&mut state, now);
        let effects = state.act(self, now);
        let is_over = state.policy.is_over();
        drop(state);
        for effect in effects {
            match effect {
                Effect::Start(start) => {
                    let guard = Guard { slot: start.slot, shared: Arc::downgrade(self) };
                    self.runtime.spawn(start.run(Arc::clone(self), guard));
                }
                Effect::End(_) => {}
            }
        }
        if is_over {
            self.emptied.notify_waiters();
        }
        result
    }
}

impl State {
    fn act(&mut self, shared: &Arc<Shared>, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(action) = self.policy.poll_action() {
            match action {
                Action::Start { slot, key, setup } => {
                    let (keep, given_up) = oneshot::channel();
                    self.starts.insert(slot, keep);
                    let opens = setup.is_some();
                    let invocation = setup.as_ref().map_or_else(|| key.spare(), |setup| setup.invocation());
                    let invocation = invocation.clone();
                    let start = Start { slot, invocation, opens, given_up };
                    effects.push(Effect::Start(Box::new(start)));
                }
                Action::Retire { slot } => {
                    effects.extend(self.parked.remove(&slot).map(|parked| Effect::End(Box::new(parked))));
                    if self.starts.remove(&slot).is_some() && self.ended.remove(&slot) {
                        self.policy.gone(now, slot);
                    }
                }
                Action::Grant { ticket, slot, origin } => {
                    // A process that has ended in this very moment has no grant: its claim asks again.
                    let Some(parked) = self.parked.remove(&slot) else { continue };
                    let place = Place::new(Arc::clone(shared), slot);
                    let granted = Granted { place, parked, origin };
                    let sent = match self.tickets.remove(&ticket) {
                        Some(waiting) => waiting.send(Ok(granted)),
                        None => Err(Ok(granted)),
                    };
                    if let Err(Ok(granted)) = sent {
                        let (slot, parked) = granted.undo();
                        self.parked.insert(slot, parked);
                        self.policy.give_back(now, slot);
                    }
                }
                Action::Refuse { ticket } => {
                    if let Some(waiting) = self.tickets.remove(&ticket) {
                        let _left = waiting.send(Err(Error::stopped()));
                    }
                }
            }
        }
        effects
    }
}

impl Start {
    async fn run(mut self, shared: Arc<Shared>, guard: Guard) {
        let started = tokio::select! {
            biased;
            _ = &mut self.given_up => return,
            started = start(&shared, self.slot, &self.invocation, self.opens, guard) => started,
        };
        let slot = self.slot;
        // What is given back here is dropped outside of the lock.
        let _late = shared.change(|state, now| {
            if state.starts.remove(&slot).is_none() {
                return started.ok();
            }
            let has_ended = state.ended.remove(&slot);
            let (late, error) = match started {
                Ok(parked) if !has_ended => {
                    let session = parked.session_id().cloned();
                    state.parked.insert(slot, parked);
                    state.policy.started(now, slot, session);
                    return None;
                }
                Ok(parked) => (Some(parked), Error::failed("starting the CLI", "it ended at once")),
                Err(error) => (None, error),
            };
            match state.policy.failed(now, slot).and_then(|ticket| state.tickets.remove(&ticket)) {
                Some(waiting) => {
                    let _left = waiting.send(Err(error));
                }
                None => tracing::warn!(%error, "a spare process could not be started"),
            }
            if has_ended {
                state.policy.gone(now, slot);
            }
            late
        });
    }
}

async fn start(
    shared: &Arc<Shared>,
    slot: Slot,
    invocation: &Invocation,
    opens: bool,
    guard: Guard,
) -> Result<Parked> {
    let spare = Spare::start(&*shared.executor, invocation, guard).await?;
    let control = Arc::clone(spare.control());
    shared.lock().controls.insert(slot, control);
    if opens {
        return spare.initialize(invocation).await.map(Parked::Live);
    }
    spare.ready(invocation.get_deadlines().first_byte).await?;
    Ok(Parked::Spare(spare))
}

/// Dropped when a process and all its descendants are gone.
struct Guard {
    slot: Slot,
    shared: Weak<Shared>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else { return };
        let _parked = shared.change(|state, now| {
            state.controls.remove(&self.slot);
            if state.starts.contains_key(&self.slot) {
                state.ended.insert(self.slot); // the start will tell
                return None;
            }
            let parked = state.parked.remove(&self.slot);
            state.policy.gone(now, self.slot);
            parked
        });
    }
}
