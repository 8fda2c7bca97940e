//! Who has an issue, across deployments.

use std::time::Duration;

use futures::future::BoxFuture;

use crate::error::Result;
use crate::names::{Fence, IssueKey, Repo, RunId};
use crate::run::Holder;
use crate::seen::Seen;

/// A lock that several deployments share.
///
/// # Contract
///
/// 1. Of any number that try at the same time, exactly one gets it, decided by one compare-and-swap of the
///    service. A lock on an issue also locks its repository: runs in one repository are one after another,
///    whoever does them.
/// 2. A lock stays until it is released or taken over. Its holder stops using it when it could not renew it for a
///    lease ([`Patience::lease`](crate::config::Patience::lease)); it may be taken over when whoever takes it has
///    seen it unchanged for [a lease and a half](takeover_after) **by its own clock**: the clocks of others are
///    never compared, and the half is time for the holder to stop.
/// 3. Every taking has a higher [`Fence`] than the one it took over.
/// 4. An error is never "free".
pub trait Lock: Send + Sync {
    /// Takes the lock for a run; one that this run holds already is taken again.
    ///
    /// `over` names a holder that is known to be over, such as a run that has ended in this ledger: its lock may
    /// be taken at once.
    ///
    /// # Errors
    ///
    /// When it is unknown whether it was taken.
    fn take<'a>(
        &'a self,
        issue: &'a IssueKey,
        run: &'a RunId,
        over: Option<&'a Holder>,
    ) -> BoxFuture<'a, Result<Taken>>;

    /// Who holds a repository, before anything is claimed there. Absent means that it is free, or that its holder
    /// has not renewed it for so long that it may be taken over.
    fn look<'a>(&'a self, repo: &'a Repo) -> BoxFuture<'a, Seen<Holder>>;

    /// Renews the lock of a run, when it is due, and says who holds it: known to be this run only when that is
    /// so in the service now.
    fn renew<'a>(&'a self, issue: &'a IssueKey, run: &'a RunId) -> BoxFuture<'a, Seen<Holder>>;

    /// Gives the lock of a run back; one that is someone else's, or nobody's, is left.
    ///
    /// # Errors
    ///
    /// When it may still be held.
    fn release<'a>(&'a self, issue: &'a IssueKey, run: &'a RunId) -> BoxFuture<'a, Result<()>>;
}

/// How long a lock must have been seen unchanged before it may be taken over.
pub fn takeover_after(lease: Duration) -> Duration {
    lease + lease / 2
}

/// What came of taking a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is the run's.
    Ours(Fence),
    /// It is someone else's.
    Theirs(Holder),
}
