//! The git remote.

use futures::future::BoxFuture;

use crate::names::{IssueKey, RunId, Sha};
use crate::run::Head;
use crate::seen::Seen;

/// Tells what a run has pushed.
///
/// # Contract
///
/// 1. A commit belongs to a run when the last paragraph of its message has the line that the prompt asks for:
///    [`words::TRAILER`](crate::words::TRAILER), a colon, a space and the run's id.
/// 2. [`Head::Pushed`] is the newest such commit that is in the branch, as the remote itself says now.
/// 3. [`Head::Diverged`] is said only when [`Work::pushed`] was given and is, for certain, no longer in the
///    branch.
/// 4. Absent means that the remote was read and holds no commit of this run.
pub trait Remote: Send + Sync {
    /// Looks at the remote.
    fn head<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Seen<Head>>;
}

/// Whose commits to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// The run.
    pub run: RunId,
    /// The issue, and with it the repository.
    pub issue: IssueKey,
    /// The newest commit that was seen so far.
    pub pushed: Option<Sha>,
}
