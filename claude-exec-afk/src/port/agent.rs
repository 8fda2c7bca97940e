//! Sessions that do the work.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::error::Result;
use crate::money::Usd;
use crate::names::{IssueKey, RunId};
use crate::run::Session;
use crate::seen::Seen;

/// Starts, feeds, watches and stops the agent's session of a run.
///
/// # Contract
///
/// 1. **A run has at most one session, and is its name.** [`start`](Self::start) makes it or finds it; two
///    starts of one run, at the same time or with a crash between, make one session and one first turn.
/// 2. **A turn has a number.** [`turn`](Self::turn) gives the session turn `number` unless it already has had
///    it; [`Session::turns`] counts them, and `start` is turn 1. A session whose process is gone is resumed,
///    with its conversation and its worktree; a new one is made only when the old one is confirmed dead and
///    cannot be resumed, and still counts as this run's.
/// 3. **The permit is asked last.** After everything slow (fetch, worktree, connection) and right before the
///    first thing that costs, `start` and `turn` ask [`Permit::still`]; when it says no, nothing is started and
///    the answer is [`Accepted::Refused`].
/// 4. **A stop is final.** When [`stop`](Self::stop) returns, nothing of the session lives, descendants that
///    left its process group included, and every later `start` and `turn` of this run is refused, also one
///    that is under way now, also after a restart. The worktree stays.
/// 5. **An interrupt is not.** It ends the running turn in the same confirmed way; the session can go on.
/// 6. The agent never gets a secret of ours, and no text of an issue ever reaches an argument vector.
pub trait Agent: Send + Sync {
    /// Makes the session of a run and gives it its first turn.
    ///
    /// # Errors
    ///
    /// When nothing could be started; whether something was may be unknown, so the same start is sent again.
    fn start<'a>(&'a self, start: &'a Start, permit: Permit) -> BoxFuture<'a, Result<Accepted>>;

    /// Gives the session a further turn.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start).
    fn turn<'a>(&'a self, turn: &'a Turn, permit: Permit) -> BoxFuture<'a, Result<Accepted>>;

    /// Ends the turn of this number, when it is the one that is running, and confirms it.
    ///
    /// # Errors
    ///
    /// When it may still be running.
    fn interrupt<'a>(&'a self, run: &'a RunId, turn: u32) -> BoxFuture<'a, Result<()>>;

    /// Ends the session for good and confirms it; a run that never had one is thereby refused one.
    ///
    /// # Errors
    ///
    /// When something of it may still live.
    fn stop<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<()>>;

    /// Looks at the session. Absent means that there is none for this run, for certain.
    fn look<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Seen<Session>>;
}

/// What a session is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The run; its text serves as the session's name and as the seed of whatever ids a service wants.
    pub run: RunId,
    /// The issue.
    pub issue: IssueKey,
    /// The branch and worktree name: the same for every run of the issue, so that a dead run's work is found.
    pub branch: String,
    /// The most that this turn may cost, for what can enforce it.
    pub budget: Usd,
}

/// The first turn of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// What it is for.
    pub task: Task,
    /// The rules, for the system prompt or, where there is none, before the prompt.
    pub preamble: String,
    /// What to do, with the issue's text in it.
    pub prompt: String,
}

/// A further turn of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// What it is for.
    pub task: Task,
    /// Which turn, from 2.
    pub number: u32,
    /// The rules again, for sessions that do not keep a system prompt.
    pub preamble: String,
    /// What to do.
    pub prompt: String,
}

/// Whether a turn was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a refused turn has begun nothing"]
pub enum Accepted {
    /// It was, now or before.
    Begun,
    /// It was not, and is not to be: halted, stopped, or no longer this run's turn.
    Refused,
}

/// Asks, at the last moment, whether what was decided may still be done: the mode may have changed, and the
/// lock may have gone to someone else.
#[derive(Clone)]
pub struct Permit(Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>);

impl Permit {
    /// A permit that asks `still` each time.
    pub fn new(still: impl Fn() -> BoxFuture<'static, bool> + Send + Sync + 'static) -> Self {
        Self(Arc::new(still))
    }

    /// A permit that always says the same: for tests.
    pub fn fixed(still: bool) -> Self {
        Self::new(move || Box::pin(std::future::ready(still)))
    }

    /// Whether it may still be done. When that cannot be found out, it may not.
    pub async fn still(&self) -> bool {
        (self.0)().await
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
