//! What a decision asks the world to do.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Outcome, Row, State};
use crate::names::Sha;

/// One thing to do for a run. The same effect is asked for once, delivered at least once, and harmless when it
/// is repeated.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Effect {
    /// Take the lock.
    Lock,
    /// Start the session: the attempt's number.
    Start(u32),
    /// Give the session its turn of this number.
    Turn(u32, TurnKind),
    /// Run the failed jobs of this commit again, when this is still the newest attempt.
    Rerun(Sha, u32),
    /// Have this commit deployed.
    Deploy(Sha),
    /// End the turn of this number, if it is running; the session can go on later.
    Interrupt(u32),
    /// Put the in-progress label on; labels are no lock.
    Mark,
    /// Stop the session for good, confirm that nothing of it lives, and refuse it any later start.
    Stop,
    /// Bring the one comment up to date.
    Comment,
    /// Tell a person.
    Ring(Ring),
    /// Make the labels say what became of it.
    Label,
    /// Close the issue, when it is still open and this commit is still the one that is green.
    Close(Sha),
    /// Give the lock back.
    Unlock,
}

/// What a turn is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TurnKind {
    /// Go on where the last one stopped.
    Continue,
    /// Fix what this commit broke.
    Fix(Sha),
}

/// Which bell of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ring(
    /// 0 the first, then the reminders.
    pub u32,
);

impl Effect {
    /// Its place among the pending effects of a run: a lower one is acknowledged before a higher one is begun.
    /// A [`Ring`](Self::Ring) is begun in its place, but nothing waits for it: a dead messenger must not keep
    /// a repository locked.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Lock => 0,
            Self::Interrupt(_) => 1,
            Self::Start(_) | Self::Turn(..) | Self::Rerun(..) | Self::Deploy(_) => 2,
            Self::Mark => 3,
            Self::Stop => 4,
            Self::Comment => 5,
            Self::Ring(_) => 6,
            Self::Label => 7,
            Self::Close(_) => 8,
            Self::Unlock => 9,
        }
    }

    /// True when later effects wait until this one is acknowledged.
    pub fn blocks(&self) -> bool {
        !matches!(self, Self::Ring(_))
    }

    /// True when it may cost money, or begins something that does: the mode is asked again right before.
    pub fn spends(&self) -> bool {
        matches!(self, Self::Start(_) | Self::Turn(..))
    }

    /// What it is called in the ledger, and to services that take such keys: with the run, unique for ever.
    pub fn key(&self) -> String {
        match self {
            Self::Lock => "lock".into(),
            Self::Start(attempt) => format!("start-{attempt}"),
            Self::Turn(number, TurnKind::Continue) => format!("turn-{number}"),
            Self::Turn(number, TurnKind::Fix(sha)) => format!("turn-{number}-{sha}"),
            Self::Rerun(sha, attempt) => format!("rerun-{sha}-{attempt}"),
            Self::Deploy(sha) => format!("deploy-{sha}"),
            Self::Interrupt(turn) => format!("interrupt-{turn}"),
            Self::Mark => "mark".into(),
            Self::Stop => "stop".into(),
            Self::Comment => "comment".into(),
            Self::Ring(Ring(number)) => format!("ring-{number}"),
            Self::Label => "label".into(),
            Self::Close(sha) => format!("close-{sha}"),
            Self::Unlock => "unlock".into(),
        }
    }

    /// Whether `row`, as it is now, still asks for this effect. What was decided before the last decision and
    /// not begun is dropped, so that a closing run starts nothing.
    pub fn is_wanted(&self, row: &Row) -> bool {
        let active = row.state.is_active();
        let closing = matches!(row.state, State::Closing(_));
        let tracker = !row.fenced;
        match self {
            Self::Lock => row.state == State::Claimed,
            Self::Start(attempt) => row.state == State::Starting && row.starts == *attempt,
            Self::Turn(number, TurnKind::Continue) => row.state == State::Working && row.turns == *number,
            Self::Turn(number, TurnKind::Fix(sha)) => {
                row.state == State::FixForward && row.turns == *number && row.pushed.as_ref() == Some(sha)
            }
            Self::Rerun(sha, _) => row.state == State::Rerunning && row.pushed.as_ref() == Some(sha),
            Self::Deploy(sha) => row.state == State::DeployWait && row.pushed.as_ref() == Some(sha),
            Self::Interrupt(turn) => active && row.interrupted && row.turns == *turn,
            Self::Mark => active,
            Self::Stop => closing,
            Self::Comment => tracker && (active || closing),
            // Decided before the end, and still owed after it.
            Self::Ring(Ring(number)) => row
                .bell
                .as_ref()
                .is_some_and(|bell| *number < bell.rings && (*number == 0 || !bell.acknowledged)),
            Self::Label => tracker && closing,
            Self::Close(sha) => {
                let done = matches!(row.state, State::Closing(Outcome::Done | Outcome::Superseded));
                tracker && done && row.pushed.as_ref() == Some(sha)
            }
            Self::Unlock => closing,
        }
    }
}

/// As its key.
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key())
    }
}
