//! What can hold an issue back.

use std::fmt;

use crate::issue::Permission;
use crate::names::{IssueKey, RunId};
use crate::run::{Mode, Outcome};
use crate::seen::Reason;

/// The first gate that does not let an issue pass. Its text is what `afk explain` says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Gate {
    /// `AFK_KILL_SWITCH` is on.
    KillSwitch,
    /// The operator allows nothing new.
    Mode(Mode),
    /// Its repository is not on the allowlist.
    NotAllowed,
    /// It was listed twice, with different content.
    Contradiction,
    /// It is closed.
    Closed,
    /// It does not carry the ready label.
    NotReady,
    /// It waits for a person.
    WaitsForPerson,
    /// It has made the loop fail too often.
    Quarantined {
        /// How often in a row.
        failures: u32,
        /// How it failed the last time.
        error: String,
    },
    /// This run has it.
    Running(RunId),
    /// A run of it ended, and nobody has put the ready label on again since.
    Judged(Outcome),
    /// Who put the ready label on could not be found out.
    LabellerUnknown(Reason),
    /// Whoever put the ready label on may not write to the repository.
    Untrusted {
        /// The login.
        actor: String,
        /// What they may do.
        permission: Permission,
    },
    /// What whoever put the ready label on may do could not be found out; that is not "nothing", and refuses
    /// too.
    PermissionUnknown {
        /// The login.
        actor: String,
        /// Why.
        reason: Reason,
    },
    /// Its text could not be read.
    TextUnknown(Reason),
    /// Whether its text is the one that was labelled could not be found out.
    LabelledTextUnknown(Reason),
    /// Its text is not the one that was labelled, and whoever changed it may not write to the repository.
    Edited,
    /// What it is blocked by could not be found out.
    BlockersUnknown(Reason),
    /// Another issue must be closed first.
    BlockedBy(IssueKey),
    /// It is blocked by issues that are blocked by it.
    BlockedInCircle(IssueKey),
    /// The branch that runs push to is red.
    TrunkRed,
    /// Whether the branch that runs push to is red could not be found out.
    TrunkUnknown(Reason),
    /// The budget of its repository is spent for today.
    DayBudget,
    /// The whole budget is spent.
    TotalBudget,
    /// Another issue of its repository is being worked on.
    RepoBusy(RunId),
    /// Another deployment's run holds the repository.
    LockedBy(RunId),
    /// Whether another deployment holds the repository could not be found out.
    LockUnknown(Reason),
    /// A more urgent issue of its repository goes first.
    Behind(IssueKey),
    /// As many runs as are allowed are going on.
    Full(u32),
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillSwitch => f.write_str("AFK_KILL_SWITCH is on: nothing is started anywhere"),
            Self::Mode(mode) => write!(f, "the loop is in mode `{}`; `afk resume` ends that", mode.name()),
            Self::NotAllowed => f.write_str("its repository is not in AFK_ALLOWLIST"),
            Self::Contradiction => f.write_str("the tracker listed it twice with different content; the next tick reads it again"),
            Self::Closed => f.write_str("it is closed"),
            Self::NotReady => f.write_str("it does not carry the ready label"),
            Self::WaitsForPerson => f.write_str("it carries the label that keeps it for a person; take that off and put the ready label on again"),
            Self::Quarantined { failures, error } => {
                write!(f, "it made the loop fail {failures} times in a row ({error}); `afk resume` with its name tries again")
            }
            Self::Running(run) => write!(f, "run {run} is working on it"),
            Self::Judged(outcome) => write!(
                f,
                "its last run ended as {outcome}; a person has to take the ready label off and put it on again"
            ),
            Self::LabellerUnknown(reason) => write!(f, "who put the ready label on is unknown: {reason}"),
            Self::Untrusted { actor, permission } => write!(
                f,
                "{actor}, who put the ready label on, may not write to the repository (permission: {})",
                match permission {
                    Permission::None => "none",
                    Permission::Read => "read or triage",
                    Permission::Write => "write",
                    Permission::Admin => "admin",
                }
            ),
            Self::PermissionUnknown { actor, reason } => {
                write!(f, "what {actor}, who put the ready label on, may do is undetermined: {reason}")
            }
            Self::TextUnknown(reason) => write!(f, "its text could not be read: {reason}"),
            Self::LabelledTextUnknown(reason) => {
                write!(f, "whether its text is the one that was labelled is unknown: {reason}")
            }
            Self::Edited => f.write_str("its text was changed after it was labelled, by someone who may not write to the repository; label it again"),
            Self::BlockersUnknown(reason) => write!(f, "what blocks it is unknown: {reason}"),
            Self::BlockedBy(key) => write!(f, "it is blocked by {key}, which is not closed"),
            Self::BlockedInCircle(key) => write!(f, "it is blocked by {key}, which is blocked by it"),
            Self::TrunkRed => f.write_str("the branch it would be pushed to is red"),
            Self::TrunkUnknown(reason) => write!(f, "whether the branch it would be pushed to is red is unknown: {reason}"),
            Self::DayBudget => f.write_str("today's budget of its repository is spent (AFK_BUDGET_REPO_DAY_USD)"),
            Self::TotalBudget => f.write_str("the whole budget is spent (AFK_BUDGET_TOTAL_USD)"),
            Self::RepoBusy(run) => write!(f, "run {run} is working in its repository; runs in one repository are one after another"),
            Self::LockedBy(run) => write!(f, "run {run} of another deployment holds its repository"),
            Self::LockUnknown(reason) => {
                write!(f, "whether another deployment holds its repository is unknown: {reason}")
            }
            Self::Behind(key) => write!(f, "{key} of the same repository is more urgent"),
            Self::Full(limit) => write!(f, "{limit} runs are going on already (AFK_MAX_RUNNING)"),
        }
    }
}
