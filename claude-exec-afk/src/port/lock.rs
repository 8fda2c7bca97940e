//! Who has an issue, across deployments.

use futures::future::BoxFuture;

use crate::error::Result;
use crate::names::{Fence, IssueKey, RunId};
use crate::run::Holder;
use crate::seen::Seen;

/// A lock that several deployments share.
///
/// # Contract
///
/// 1. Of any number that try at the same time, exactly one gets it, decided by one compare-and-swap of the
///    service. A lock on an issue also locks its repository: runs in one repository are one after another,
///    whoever does them.
/// 2. A lock stays until it is released or taken over. It may be taken over when its holder has not renewed it
///    for a whole lease **by the taker's own clock**: the clocks of others are never compared.
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

/// What came of taking a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is the run's.
    Ours(Fence),
    /// It is someone else's.
    Theirs(Holder),
}
