//! Which process a claim gets, which are started and which go: pure, time is an argument.
//!
//! **Tell it what happened, then do what it says, in order:**
//!
//! 1. a method that takes `now` tells what happened;
//! 2. [`Policy::poll_action`] says what to do, until it says nothing;
//! 3. [`Policy::poll_timeout`] says when to call [`Policy::handle_timeout`], if nothing happens before.
//!
//! A process is *starting*, then a *spare* (whose session nobody has yet; it may be opened already, when all are opened
//! alike), *claimed* (somebody's), *idle* (of a session, between
//! two turns) or *retiring*; it counts against every bound until [`Policy::gone`].
//!
//! One order decides who has to go when there is no room: an idle session counts from its last turn, a spare from
//! when its key was last asked for, and the oldest goes first. A new spare too takes the place only of what is older
//! than the last request for its key.

mod claims;
mod member;
#[cfg(test)]
mod properties;
mod room;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::demand::Demand;
use super::key::{LaunchKey, Setup};
use super::limits::Limits;
use super::stats::{Origin, PoolStats};
use crate::error::Error;
use crate::protocol::SessionId;
use member::{Member, State};

/// What a process is taken to hold before one was measured: a CLI after some turns.
const EXPECTED_MEMORY: u64 = 200_000_000;

/// What a start is taken to last before one was timed.
const EXPECTED_START: Duration = Duration::from_millis(500);

/// One process of the pool. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(u64);

/// One claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ticket(u64);

/// What a claim asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Want {
    pub(super) key: LaunchKey,
    /// What the session is, or was, opened with.
    pub(super) setup: Setup,
    pub(super) session: Session,
}

/// Whose process it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Session {
    /// A new session's.
    New,
    /// A new session's with this id.
    Create(SessionId),
    /// This session's, which goes on.
    Resume(SessionId),
}

impl Session {
    fn id(&self) -> Option<&SessionId> {
        match self {
            Self::New => None,
            Self::Create(id) | Self::Resume(id) => Some(id),
        }
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Give this process to the claim.
    Grant { ticket: Ticket, slot: Slot, origin: Origin },
    /// Tell the claim that there will be no process.
    Refuse { ticket: Ticket },
    /// Start a process as the setup says, and open its session; without one, start a process of this key.
    Start { slot: Slot, key: LaunchKey, setup: Option<Setup> },
    /// End the process, or its start.
    Retire { slot: Slot },
}

/// The state of a pool.
#[derive(Debug)]
pub(super) struct Policy {
    limits: Limits,
    demand: Demand,
    members: BTreeMap<Slot, Member>,
    waiting: VecDeque<(Ticket, Want)>,
    actions: VecDeque<Action>,
    next: u64,
    /// What a process that is not measured yet is taken to hold.
    expected_memory: u64,
    expected_start: Duration,
    /// A claim waits for a place or for a start.
    is_short: bool,
    is_closed: bool,
    stats: PoolStats,
}

impl Policy {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            demand: Demand::default(),
            members: BTreeMap::new(),
            waiting: VecDeque::new(),
            actions: VecDeque::new(),
            next: 0,
            expected_memory: EXPECTED_MEMORY,
            expected_start: EXPECTED_START,
            is_short: false,
            is_closed: false,
            stats: PoolStats::default(),
        }
    }

    /// What to do next.
    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.is_closed {
            return None;
        }
        let ends = self.members.values().filter_map(|member| member.ends(&self.limits));
        ends.chain(self.demand.next_change(now)).min().map(|at| at.max(now))
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.settle(now);
    }

    /// True while somebody has this process.
    pub(super) fn is_claimed(&self, slot: Slot) -> bool {
        self.members.get(&slot).is_some_and(|member| matches!(member.state, State::Claimed { .. }))
    }

    /// It is closed, and nothing is left.
    pub(super) fn is_over(&self) -> bool {
        self.is_closed && self.members.is_empty()
    }

    /// Why a claim was refused.
    pub(super) fn refusal(&self) -> Error {
        if self.is_closed { Error::stopped() } else { Error::queue_full(self.limits.waiting) }
    }

    /// What was counted so far, and what there is now.
    pub(super) fn stats(&self) -> PoolStats {
        let mut stats = self.stats.clone();
        let count = |wanted: fn(&State) -> bool| self.members.values().filter(|m| wanted(&m.state)).count();
        stats.starting = count(|state| matches!(state, State::Starting { .. }));
        stats.spares = count(|state| matches!(state, State::Spare));
        stats.claimed = count(|state| matches!(state, State::Claimed { .. }));
        stats.idle = count(|state| matches!(state, State::Idle));
        stats.retiring = count(|state| matches!(state, State::Retiring));
        stats.waiting = self.waiting.len();
        stats.memory = self.members.values().filter_map(|member| member.vitals.memory).sum();
        stats.keys = self.demand.len();
        stats
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
