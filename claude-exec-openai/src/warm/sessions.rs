//! The pool, and what is known of the sessions that wait in it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use claude_exec::brain::live::Live;
use claude_exec::brain::pool::{Claimed, Place, Pool};
use claude_exec::protocol::SessionId;
use tokio::time::Instant;

use super::index::Index;
use super::parking::Parking;
use super::transcript::Transcript;

/// How long a session is looked for: as long as a pool keeps it by default.
const SESSION_TTL: Duration = Duration::from_secs(15 * 60);

/// Sessions remembered: more than any pool holds.
const MAX_SESSIONS: usize = 4096;

/// Keeps the processes of conversations between their turns.
#[derive(Debug)]
pub(crate) struct Sessions {
    pub(crate) pool: Pool,
    /// The turns that wait for their client's tools.
    pub(crate) parking: Arc<Parking>,
    waiting: Mutex<Index<SessionId>>,
    replays: AtomicBool,
}

impl Sessions {
    /// Keeps them in `pool`.
    pub(crate) fn new(pool: Pool, parking: Arc<Parking>) -> Self {
        Self { pool, parking, waiting: Mutex::new(Index::new(MAX_SESSIONS)), replays: AtomicBool::new(false) }
    }

    /// Whether earlier turns may be replayed by the CLI that there is.
    pub(crate) fn replays(&self) -> bool {
        self.replays.load(Ordering::Relaxed)
    }

    /// Says so, once it is known.
    pub(crate) fn set_replays(&self, replays: bool) {
        self.replays.store(replays, Ordering::Relaxed);
    }

    /// Takes the session that has come to this transcript, if it still waits. It is nobody else's then.
    pub(crate) fn take(&self, transcript: &Transcript) -> Option<Claimed> {
        loop {
            let session = self.waiting().take(Instant::now(), transcript)?;
            // Another one may have come to the same, when this one's process has ended.
            if let Some(claimed) = self.pool.take(&session) {
                return Some(claimed);
            }
        }
    }

    /// Gives a session back that has come to this transcript.
    pub(crate) fn give_back(&self, transcript: Transcript, live: Live, place: Place) {
        let Some(session) = live.session_id().cloned() else { return };
        place.give_back(live);
        let _forgotten = self.waiting().insert(Instant::now(), transcript, SESSION_TTL, session);
    }

    fn waiting(&self) -> MutexGuard<'_, Index<SessionId>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
