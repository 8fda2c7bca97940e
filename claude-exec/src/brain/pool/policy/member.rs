//! What is known of one process.

use tokio::time::Instant;

use super::super::demand::Demand;
use super::super::key::{LaunchKey, Setup};
use super::super::limits::Limits;
use super::super::stats::Origin;
use super::{Ticket, Want};
use crate::brain::live::Vitals;
use crate::protocol::SessionId;
use crate::time::after;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) key: LaunchKey,
    /// What its session was opened with, or will be once it has started; a spare may have none yet.
    pub(super) setup: Option<Setup>,
    pub(super) session: Option<SessionId>,
    pub(super) state: State,
    pub(super) vitals: Vitals,
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
            State::Idle => Some(self.vitals.last_used),
            State::Spare => Some(demand.last(&self.key).unwrap_or(self.vitals.started)),
            _ => None,
        }
    }

    /// When it has been there for long enough.
    pub(super) fn ends(&self, limits: &Limits) -> Option<Instant> {
        let old = after(self.vitals.started, limits.each.age);
        match self.state {
            State::Idle => Some(old.min(after(self.vitals.last_used, limits.each.idle))),
            State::Spare => Some(old),
            _ => None,
        }
    }

    /// It is a spare of this key, or is about to be one.
    pub(super) fn is_spare_of(&self, key: &LaunchKey) -> bool {
        (self.state == State::Spare || self.is_coming()) && self.key == *key
    }

    /// What a spare is a spare for.
    pub(super) fn opening(&self) -> (&LaunchKey, Option<&Setup>) {
        (&self.key, self.setup.as_ref())
    }

    /// It is about to be a spare.
    pub(super) fn is_coming(&self) -> bool {
        self.state == State::Starting { ticket: None, origin: Origin::Cold }
    }

    /// A new session of such an invocation can be had from it.
    pub(super) fn suits(&self, want: &Want) -> bool {
        self.key == want.key && self.setup.as_ref().is_none_or(|setup| *setup == want.setup)
    }

    /// It serves an invocation of this key and setup.
    pub(super) fn fits(&self, want: &Want) -> bool {
        self.key == want.key && self.setup.as_ref() == Some(&want.setup)
    }
}
