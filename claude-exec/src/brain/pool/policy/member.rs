//! What is known of one process.

use std::sync::Arc;

use tokio::time::Instant;

use super::super::LaunchKey;
use super::super::demand::Demand;
use super::super::limits::Limits;
use super::super::stats::Origin;
use super::Ticket;
use crate::protocol::{Initialize, SessionId};
use crate::time::after;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) key: LaunchKey,
    /// What its session was opened with; none yet for a spare.
    pub(super) setup: Option<Arc<Initialize>>,
    pub(super) session: Option<SessionId>,
    pub(super) state: State,
    pub(super) born: Instant,
    /// The end of its last turn.
    pub(super) used: Instant,
    /// Bytes, once measured.
    pub(super) memory: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// For that claim, or to be a spare.
    Starting {
        ticket: Option<Ticket>,
        origin: Origin,
    },
    Spare,
    Claimed {
        origin: Origin,
    },
    Idle,
    Retiring,
}

impl Member {
    /// Since when nobody has wanted it, if it can be done without.
    pub(super) fn unused_since(&self, demand: &Demand) -> Option<Instant> {
        match self.state {
            State::Idle => Some(self.used),
            State::Spare => Some(demand.last(&self.key).unwrap_or(self.born)),
            _ => None,
        }
    }

    /// When it has been there for long enough.
    pub(super) fn ends(&self, limits: &Limits) -> Option<Instant> {
        let old = after(self.born, limits.age);
        match self.state {
            State::Idle => Some(old.min(after(self.used, limits.idle))),
            State::Spare => Some(old),
            _ => None,
        }
    }

    /// It is a spare of this key, or is about to be one.
    pub(super) fn is_spare_of(&self, key: &LaunchKey) -> bool {
        let is_free = matches!(self.state, State::Spare | State::Starting { ticket: None, .. });
        is_free && self.setup.is_none() && self.key == *key
    }

    /// It serves an invocation of this key and setup.
    pub(super) fn fits(&self, key: &LaunchKey, setup: &Initialize) -> bool {
        self.key == *key && self.setup.as_deref() == Some(setup)
    }
}
