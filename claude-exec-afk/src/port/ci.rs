//! Continuous integration.

use futures::future::BoxFuture;

use crate::error::Result;
use crate::names::{Repo, Sha};
use crate::run::{CiRun, Verdict};
use crate::seen::Seen;

/// Tells what CI says about a commit.
///
/// # Contract
///
/// 1. One verdict for one commit: the newest attempt of everything that is required, folded. Red as soon as one
///    of it failed; green only when all of it passed; blocked when one of it waits for a person and none failed;
///    pending otherwise. What is required comes from configuration or branch protection, not from what has
///    shown up so far.
/// 2. Absent means that CI was asked and knows nothing of the commit: no run, no check, no status. GitHub's
///    combined status says "pending" then; that is absent too.
/// 3. [`CiRun::attempt`] grows by one with every rerun. [`Verdict::Red`]'s `failure` is a digest of what failed
///    that does not hold times, attempt numbers or addresses of logs.
pub trait Ci: Send + Sync {
    /// Looks at one commit.
    fn look<'a>(&'a self, repo: &'a Repo, sha: &'a Sha) -> BoxFuture<'a, Seen<CiRun>>;

    /// Looks at the tip of the branch that runs push to: nothing new is started on a known red one.
    fn trunk<'a>(&'a self, repo: &'a Repo) -> BoxFuture<'a, Seen<Verdict>>;

    /// Runs the failed jobs of `sha` again, when `attempt` is still the newest one.
    ///
    /// # Errors
    ///
    /// When that could not be asked for.
    fn rerun<'a>(&'a self, repo: &'a Repo, sha: &'a Sha, attempt: u32) -> BoxFuture<'a, Result<()>>;
}
