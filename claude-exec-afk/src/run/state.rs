//! Where a run is, and how it ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a run is. `Closing` is entered once and left only for `Ended`: a verdict is recorded before the first
/// thing that follows from it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum State {
    /// In the ledger; the lock is not yet known to be ours.
    Claimed,
    /// The lock is ours; the session was asked for.
    Starting,
    /// The session exists; nothing has been pushed.
    Working,
    /// A commit was pushed; CI has not decided.
    CiWait,
    /// CI was red, and its failed jobs were asked to run again.
    Rerunning,
    /// CI, or the deployment, is red for certain, and the agent was given a turn to fix it.
    FixForward,
    /// CI is green; the commit is not yet deployed.
    DeployWait,
    /// The commit is deployed and healthy, for not long enough.
    Soaking,
    /// Decided; what follows from it is being done.
    Closing(Outcome),
    /// Over.
    Ended(Outcome),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Outcome {
    /// Green, and deployed where deployment is watched.
    Done,
    /// Green, and what is deployed is a later commit that holds this one.
    Superseded,
    /// Stopped before anything was pushed: a person has to look.
    Escalated(Why),
    /// Stopped after a push, left as it is: a person has to look.
    Frozen(Why),
    /// Given up without a verdict on the work; nobody needs to be called.
    Cancelled(Why),
}

/// Why a run ended otherwise than done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Why {
    /// The session could not be started.
    NoStart,
    /// The agent ended its turn without a push, and has no turn left or made no progress.
    NoPush,
    /// The agent gave no sign of life.
    Stalled,
    /// The agent asked for something that only a person can give.
    Asked,
    /// The money for this run is spent.
    Budget,
    /// The time for this run is over.
    Deadline,
    /// CI never started, or never ended.
    CiStuck,
    /// CI waits for a person's approval.
    CiBlocked,
    /// The turn that should have fixed it pushed nothing new.
    NoFix,
    /// Red again, and every attempt to fix it is used.
    FixAttempts,
    /// Red again, and the time to fix it is over.
    FixTime,
    /// Red again in the same way.
    SameFailure,
    /// The deployment never came, or never settled.
    DeployStuck,
    /// Someone force-pushed, or pushed to this run's branch, or opened a second pull request.
    TakenOver,
    /// The issue was rewritten, after it was trusted, by someone who may not write here.
    Edited,
    /// A person closed the issue.
    ClosedByPerson,
    /// A person took the ready label off.
    Unready,
    /// A person took the in-progress label off twice.
    Unmarked,
    /// A person put the label on that takes an issue from the loop.
    HandedOver,
    /// The loop was halted, or the repository was taken off the list.
    Halted,
    /// Another deployment had the issue first.
    LostRace,
    /// The lock is no longer ours.
    LostLock,
}

impl State {
    /// True while the run holds its repository: everything before `Ended`.
    pub fn is_busy(&self) -> bool {
        !matches!(self, Self::Ended(_))
    }

    /// True while nothing has been decided.
    pub fn is_active(&self) -> bool {
        !matches!(self, Self::Ended(_) | Self::Closing(_))
    }

    /// How the run ended, once that is decided.
    pub fn outcome(&self) -> Option<Outcome> {
        match *self {
            Self::Closing(outcome) | Self::Ended(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// One word, as the status page and the log show it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Starting => "starting",
            Self::Working => "working",
            Self::CiWait => "ci",
            Self::Rerunning => "ci-rerun",
            Self::FixForward => "fixing",
            Self::DeployWait => "deploying",
            Self::Soaking => "soaking",
            Self::Closing(_) => "closing",
            Self::Ended(outcome) => outcome.name(),
        }
    }
}

impl Outcome {
    /// One word; with the run, the key of its bell.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Superseded => "superseded",
            Self::Escalated(_) => "escalated",
            Self::Frozen(_) => "frozen",
            Self::Cancelled(_) => "cancelled",
        }
    }

    /// Why, unless it is done.
    pub fn why(&self) -> Option<Why> {
        match *self {
            Self::Done | Self::Superseded => None,
            Self::Escalated(why) | Self::Frozen(why) | Self::Cancelled(why) => Some(why),
        }
    }

    /// True when the work landed.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done | Self::Superseded)
    }

    /// True when a person has to look.
    pub fn needs_person(&self) -> bool {
        matches!(self, Self::Escalated(_) | Self::Frozen(_))
    }

    /// True when the same labelling may start the issue again: nobody has judged it, the loop itself let go.
    pub fn may_start_again(&self) -> bool {
        matches!(self, Self::Cancelled(Why::Halted | Why::LostRace | Why::LostLock))
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoStart => "the session could not be started",
            Self::NoPush => "the agent stopped without pushing anything",
            Self::Stalled => "the agent gave no sign of life",
            Self::Asked => "the agent asked for something that only a person can give",
            Self::Budget => "the money for this run is spent",
            Self::Deadline => "the time for this run is over",
            Self::CiStuck => "CI did not start, or did not finish, in time",
            Self::CiBlocked => "CI waits for a person's approval",
            Self::NoFix => "the turn to fix it pushed nothing new",
            Self::FixAttempts => "it is still red after every attempt to fix it",
            Self::FixTime => "it is still red, and the time to fix it is over",
            Self::SameFailure => "the fix failed in the same way",
            Self::DeployStuck => "the deployment did not come, or did not settle, in time",
            Self::TakenOver => "someone else changed what this run pushed",
            Self::Edited => "the issue was rewritten by someone who may not write to the repository",
            Self::ClosedByPerson => "a person closed the issue",
            Self::Unready => "a person took the ready label off",
            Self::Unmarked => "a person took the in-progress label off twice",
            Self::HandedOver => "a person took the issue over",
            Self::Halted => "the loop was halted for this repository",
            Self::LostRace => "another deployment took the issue first",
            Self::LostLock => "the lock went to someone else",
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why() {
            None => f.write_str(self.name()),
            Some(why) => write!(f, "{}: {why}", self.name()),
        }
    }
}
