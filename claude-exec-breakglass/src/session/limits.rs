//! The bounds of a server's sessions.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::log::Bounds;

/// The longest prompt: a pasted log, not a dump.
pub const MAX_PROMPT_CHARS: usize = 65_536;

/// The longest name: one line of a phone.
pub const MAX_NAME_CHARS: usize = 80;

/// The longest reason for a refusal, which goes to the model and on the screen.
pub const MAX_REASON_CHARS: usize = 500;

/// Cards that may wait in one turn; the CLI asks for one or two at a time.
pub(super) const MAX_CARDS: usize = 32;

/// The bounds, each with its default's reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sessions that are kept, closed ones included. 64: more than a person finds their way in.
    pub sessions: usize,
    /// Turns at the same time, all sessions together. 2, as in the original service.
    pub turns: NonZeroUsize,
    /// What is kept of each session's log.
    pub log: Bounds,
    /// How long a card waits for an answer. 10 minutes: a phone in a pocket.
    pub approval: Duration,
    /// How long a session keeps its process without a turn. 10 minutes: it holds 120 MB and comes back in a second.
    pub rest: Duration,
    /// How long a session stays open without a turn or a reader. A day: tomorrow it is another emergency.
    pub idle: Duration,
    /// How long a closed session can be read. 30 days: as long as its review takes.
    pub retention: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 64,
            turns: NonZeroUsize::MIN.saturating_add(1),
            log: Bounds::default(),
            approval: Duration::from_secs(600),
            rest: Duration::from_secs(600),
            idle: Duration::from_secs(24 * 3600),
            retention: Duration::from_secs(30 * 24 * 3600),
        }
    }
}
