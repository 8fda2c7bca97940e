//! A process that somebody has, and the way back.

use std::fmt;
use std::sync::Arc;

use super::key::Setup;
use super::policy::Slot;
use super::shared::{Parked, Shared};
use super::stats::{Eviction, Origin};
use crate::brain::live::Live;
use crate::protocol::SessionId;

/// A session for one turn or several. Dropping it gives it back to the pool, where its conversation finds it again.
#[must_use = "dropping it gives it back"]
pub struct Claimed {
    live: Option<Live>,
    place: Option<Place>,
    origin: Origin,
}

impl Claimed {
    pub(super) fn new(live: Live, place: Place, origin: Origin) -> Self {
        Self { live: Some(live), place: Some(place), origin }
    }

    /// Where its process came from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The session's id, under which to claim it again; `None` for an ephemeral one that has had no turn.
    pub fn session_id(&self) -> Option<&SessionId> {
        self.live.as_ref()?.session_id()
    }

    /// The session, to speak to, and its place in the pool, to give it back to.
    pub fn into_parts(mut self) -> (Live, Place) {
        let parts = self.live.take().zip(self.place.take());
        parts.expect("both are there until it is dropped")
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if let Some((live, place)) = self.live.take().zip(self.place.take()) {
            place.give_back(live);
        }
    }
}

impl fmt::Debug for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claimed")
            .field("live", &self.live)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// The place in the pool that a session in use keeps. Dropping it says that the session will not come back.
#[must_use = "dropping it gives the session up"]
pub struct Place {
    shared: Arc<Shared>,
    slot: Slot,
    is_left: bool,
}

impl Place {
    pub(super) fn new(shared: Arc<Shared>, slot: Slot) -> Self {
        Self { shared, slot, is_left: false }
    }

    /// Gives back the session that it came with, to wait for its next turn. One that can take no further turn is
    /// ended.
    pub fn give_back(mut self, live: Live) {
        if live.retired().is_some() {
            return; // and its process ends with it
        }
        self.is_left = true;
        let slot = self.slot;
        let _late = self.shared.change(|state, now| {
            if !state.policy.is_claimed(slot) {
                return Some(live); // it has ended meanwhile
            }
            let (session, turns) = (live.session_id().cloned(), live.turns());
            state.parked.insert(slot, Parked::Live(live));
            state.policy.release(now, slot, session, turns);
            None
        });
    }

    /// Notes what its session was opened with.
    pub(super) fn opened(&self, setup: &Setup) {
        self.shared.change(|state, _| state.policy.opened(self.slot, setup.clone()));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_left {
            let slot = self.slot;
            self.shared.change(|state, now| state.policy.discard(now, slot, Eviction::Doubt));
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// What a claim waits for.
pub(super) struct Granted {
    pub(super) place: Place,
    pub(super) parked: Parked,
    pub(super) origin: Origin,
}

impl Granted {
    /// As if it had not been granted.
    pub(super) fn undo(mut self) -> (Slot, Parked) {
        self.place.is_left = true;
        (self.place.slot, self.parked)
    }
}
