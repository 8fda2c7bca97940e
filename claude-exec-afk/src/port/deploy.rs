//! Deployment.

use futures::future::BoxFuture;

use crate::error::Result;
use crate::names::{Repo, Sha};
use crate::run::Deployed;
use crate::seen::Seen;

/// Tells what is deployed, and has it deployed where that is not somebody else's work.
///
/// # Contract
///
/// 1. [`Deployed::Healthy`] is said for exactly the commit that was asked for; a later commit that holds it is
///    [`Deployed::Superseded`]; an older one is [`Deployed::Pending`].
/// 2. A commit that was deployed and is gone again is [`Deployed::Failed`].
pub trait Deploy: Send + Sync {
    /// Has `sha` deployed, when this adapter does that itself; the same commit twice deploys once.
    ///
    /// # Errors
    ///
    /// When that could not be asked for.
    fn begin<'a>(&'a self, repo: &'a Repo, sha: &'a Sha) -> BoxFuture<'a, Result<()>>;

    /// Looks at what is deployed, as seen from `sha`.
    fn look<'a>(&'a self, repo: &'a Repo, sha: &'a Sha) -> BoxFuture<'a, Seen<Deployed>>;
}
