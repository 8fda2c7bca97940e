//! What a run has pushed, by the trailer of its commits.

use std::fmt;

use claude_exec::executor::Stdin;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::mirror::{Mirrors, text};
use crate::error::Result;
use crate::names::Sha;
use crate::port::{Remote, Work};
use crate::run::Head;
use crate::seen::Seen;
use crate::words::TRAILER;

/// The newest commits of the branch that are looked through for a run's own: a run whose last push has more than
/// this on top of it is long over.
const DEPTH: &str = "2000";
/// Where the branch is kept in the mirror.
const KEPT: &str = "refs/afk/branch";

/// The branch that runs push to, read over git.
#[derive(Clone)]
pub struct GitRemote {
    mirrors: Mirrors,
    branch: String,
}

impl GitRemote {
    /// Reads `branch`, or the remote's default branch when it is `None`.
    pub fn new(mirrors: Mirrors, branch: Option<&str>) -> Self {
        let branch = branch.map_or_else(|| "HEAD".into(), |branch| format!("refs/heads/{branch}"));
        Self { mirrors, branch }
    }

    /// Whether the commit `newer` holds the commit `older`; false when either is not in the branch.
    #[cfg(feature = "command")]
    pub(crate) async fn holds(&self, repo: &crate::Repo, newer: &Sha, older: &Sha) -> Result<bool> {
        let mirror = self.mirrors.open(repo).await?;
        mirror.fetch(&format!("+{}:{KEPT}", self.branch)).await?;
        let args = ["merge-base", "--is-ancestor", older.as_str(), newer.as_str()];
        Ok(mirror.ask(&args, Stdin::Null).await?.success())
    }

    async fn looked(&self, work: &Work) -> Result<Option<Head>> {
        let mirror = self.mirrors.open(&work.issue.repo).await?;
        mirror.fetch(&format!("+{}:{KEPT}", self.branch)).await?;
        let trailer = format!("{TRAILER}: {}", work.run);
        let grep = format!("--grep={trailer}");
        let args = ["log", "-n", DEPTH, "--fixed-strings", &grep, "--format=%H%n%B%x00", KEPT, "--"];
        let log = mirror.run("log", &args).await?;
        let commits = log.split('\0').filter_map(|commit| commit.trim_start().split_once('\n'));
        let ours = commits.into_iter().find(|(_, message)| ends_with(message, &trailer));
        let newest: Option<Sha> = ours.map(|(sha, _)| sha.parse()).transpose()?;
        let Some(pushed) = &work.pushed else { return Ok(newest.map(Head::Pushed)) };
        let holds = mirror.ask(&["merge-base", "--is-ancestor", pushed.as_str(), KEPT], Stdin::Null).await?;
        Ok(Some(match (holds.success(), newest) {
            (true, Some(newest)) => Head::Pushed(newest),
            // Buried under more commits than are looked through.
            (true, None) => Head::Pushed(pushed.clone()),
            // The branch was read whole, and what was pushed is not in it.
            (false, _) => {
                tracing::debug!(run = %work.run, said = text(&holds), "not in the branch any more");
                Head::Diverged
            }
        }))
    }
}

/// True when the last paragraph of a message has this line. Git's own idea of trailers is stricter: one line that
/// is none, such as `Closes #7`, and the whole paragraph is none.
fn ends_with(message: &str, trailer: &str) -> bool {
    let last = message.trim_end().rsplit("\n\n").next().unwrap_or_default();
    // The subject is a paragraph too.
    last.len() < message.trim_end().len() && last.lines().any(|line| line.trim_end() == trailer)
}

impl Remote for GitRemote {
    fn head<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Seen<Head>> {
        async move { self.looked(work).await.into() }.boxed()
    }
}

impl fmt::Debug for GitRemote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitRemote").field("branch", &self.branch).finish_non_exhaustive()
    }
}
