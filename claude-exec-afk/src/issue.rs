//! What a tracker says about an issue.

use serde::{Deserialize, Serialize};

use crate::names::{Digest, IssueKey};
use crate::seen::Seen;

/// An issue as one look at its tracker gave it.
///
/// A list may leave out what costs a call each (`labelling`, `blockers`: unknown, "not read yet"); one issue
/// read by its key has all of it that the tracker can say.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Issue {
    /// Which one.
    pub key: IssueKey,
    /// Its title, as written by anyone.
    pub title: String,
    /// Whether it is open, and if not, who closed it.
    pub state: IssueState,
    /// The names of its labels, exactly as the tracker has them.
    pub labels: Vec<String>,
    /// The digest of its title and body now.
    pub text: Seen<Digest>,
    /// Whether whoever last edited its title or body may write to the repository; absent when nobody did.
    pub editor: Seen<Permission>,
    /// The last time the ready label was put on it; absent when it carries none.
    pub labelling: Seen<Labelling>,
    /// What must be closed before it.
    pub blockers: Seen<Vec<Blocker>>,
    /// The tracker's own time of the last change, in milliseconds since 1970: compared with other times of the
    /// same tracker alone.
    pub updated: u64,
}

/// Whether an issue is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IssueState {
    /// It is.
    Open,
    /// It is not: a commit closed it, by naming it.
    ClosedByCommit,
    /// It is not: a person closed it, or the tracker does not say who.
    ClosedByPerson,
}

/// Who put the ready label on an issue, and when.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Labelling {
    /// The login.
    pub actor: String,
    /// The tracker's own time of it, in milliseconds since 1970.
    pub at: u64,
    /// What the actor may do in the repository now; unknown is "undetermined", which is not "untrusted", and
    /// refuses too.
    pub permission: Seen<Permission>,
    /// The digest of title and body as they were then; absent when the tracker cannot tell, and the loop takes
    /// what it saw first.
    pub text: Seen<Digest>,
}

/// What an account may do in a repository, as far as it matters here.
///
/// GitHub's roles `triage` and `read` can put a label on an issue, so the label alone authorises nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Permission {
    /// Nothing that an outsider may not.
    None,
    /// Read, or triage.
    Read,
    /// Push commits.
    Write,
    /// Everything.
    Admin,
}

impl Permission {
    /// True for whoever could push the change themselves.
    pub fn is_trusted(self) -> bool {
        self >= Self::Write
    }
}

/// An issue that must be closed before another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Blocker {
    /// Which one; it may be in another repository.
    pub key: IssueKey,
    /// Whether it is open; absent when there is no such issue, which blocks: it may be one we cannot see.
    pub open: Seen<bool>,
}

impl Issue {
    /// True when it carries the label of exactly this name.
    pub fn has(&self, label: &str) -> bool {
        self.labels.iter().any(|name| name == label)
    }

    /// True when it is open.
    pub fn is_open(&self) -> bool {
        self.state == IssueState::Open
    }

    /// Its urgency: the least number among its `priority:N` labels, 1 before 2; the last of all without one.
    pub fn priority(&self) -> u32 {
        let numbers =
            self.labels.iter().filter_map(|label| label.strip_prefix("priority:")?.trim().parse().ok());
        numbers.min().unwrap_or(u32::MAX)
    }
}
