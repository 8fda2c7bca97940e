//! The lock as two refs, set together by one compare-and-swap.
//!
//! `refs/afk/lock/<issue>` says which issue is taken, `refs/afk/lock/repo` that the repository is: with the first
//! alone two deployments could work on two issues of one repository at the same time. Both point to a commit of
//! nothing whose message says who holds them. A push with `--atomic` and a lease on each has exactly one winner;
//! labels have none, GitHub has no compare-and-swap on them.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::mirror::{Mirror, Mirrors, Pushed};
use crate::error::{Error, Result};
use crate::names::{Fence, IssueKey, Repo, RunId, Sha};
use crate::port::{Lock, Taken, takeover_after};
use crate::run::Holder;
use crate::seen::Seen;

const REPO_REF: &str = "refs/afk/lock/repo";
const ALL_REFS: &str = "refs/afk/lock/*";

/// The lock of repositories in their own git remotes.
///
/// How long a lock has been unchanged is counted from when this value saw it first, so a process that runs one
/// tick and ends never takes over what another deployment left behind; one that stays does.
pub struct GitLock {
    mirrors: Mirrors,
    lease: Duration,
    sightings: Mutex<HashMap<Repo, Sighting>>,
}

/// What a lock was when it was last seen, and since when it has been the same.
#[derive(Debug, Clone)]
struct Sighting {
    sha: Sha,
    content: Content,
    since: Instant,
    /// When it was last renewed from here.
    renewed: Option<Instant>,
}

/// The message of the commit that a lock points to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    run: RunId,
    fence: Fence,
    issue: u64,
    /// Counted up with every renewal, so that each is another commit.
    beat: u64,
}

impl GitLock {
    /// A lock over the remotes of `mirrors`, whose holders give up after `lease`.
    pub fn new(mirrors: Mirrors, lease: Duration) -> Self {
        Self { mirrors, lease, sightings: Mutex::new(HashMap::new()) }
    }

    /// What the lock of a repository is now.
    async fn sight(&self, mirror: &Mirror, repo: &Repo) -> Result<Option<Sighting>> {
        let refs = mirror.remote_refs(REPO_REF).await?;
        let mut sightings = self.sightings.lock().await;
        let Some((sha, _)) = refs.into_iter().next() else {
            sightings.remove(repo);
            return Ok(None);
        };
        if let Some(known) = sightings.get(repo).filter(|known| known.sha == sha) {
            return Ok(Some(known.clone()));
        }
        mirror.fetch(&format!("+{REPO_REF}:{REPO_REF}")).await?;
        let message = mirror.run("cat-file", &["log", "-1", "--format=%B", sha.as_str()]).await?;
        let content = serde_json::from_str(message.trim()).map_err(|error| {
            Error::refused("the lock", format_args!("{REPO_REF} is not one of ours: {error}"))
        })?;
        let sighting = Sighting { sha, content, since: Instant::now(), renewed: None };
        sightings.insert(repo.clone(), sighting.clone());
        Ok(Some(sighting))
    }

    async fn put(
        &self,
        mirror: &Mirror,
        repo: &Repo,
        content: Content,
        old: Option<&Sighting>,
    ) -> Result<Pushed> {
        let message =
            serde_json::to_string(&content).map_err(|error| Error::invalid("run", error.to_string()))?;
        let sha = mirror.commit(&message).await?;
        let issue_ref = issue_ref(content.issue);
        let refs = mirror.remote_refs(ALL_REFS).await?;
        let current = |name: &str| refs.iter().find(|(_, found)| found == name).map(|(sha, _)| sha);
        let mut swaps = vec![
            (REPO_REF, old.map(|old| &old.sha), Some(&sha)),
            (issue_ref.as_str(), current(&issue_ref), Some(&sha)),
        ];
        // The issue that the lock was on before.
        let left = old
            .filter(|old| old.content.issue != content.issue)
            .map(|old| self::issue_ref(old.content.issue));
        if let Some(left) = left.as_deref().filter(|left| current(left).is_some()) {
            swaps.push((left, current(left), None));
        }
        let pushed = mirror.swap(&swaps).await?;
        if pushed == Pushed::Done {
            let now = Instant::now();
            let sighting = Sighting { sha, content, since: now, renewed: Some(now) };
            self.sightings.lock().await.insert(repo.clone(), sighting);
        }
        Ok(pushed)
    }

    fn is_stale(&self, sighting: &Sighting) -> bool {
        sighting.since.elapsed() >= takeover_after(self.lease)
    }

    async fn taken(&self, issue: &IssueKey, run: &RunId, over: Option<&Holder>) -> Result<Taken> {
        let mirror = self.mirrors.open(&issue.repo).await?;
        let old = self.sight(&mirror, &issue.repo).await?;
        let fence = match &old {
            None => Fence(1),
            Some(old) if old.content.run == *run => return Ok(Taken::Ours(old.content.fence)),
            Some(old) if over == Some(&old.holder()) || self.is_stale(old) => Fence(old.content.fence.0 + 1),
            Some(old) => return Ok(Taken::Theirs(old.holder())),
        };
        let content = Content { run: run.clone(), fence, issue: issue.number, beat: 0 };
        if self.put(&mirror, &issue.repo, content, old.as_ref()).await? == Pushed::Done {
            return Ok(Taken::Ours(fence));
        }
        match self.sight(&mirror, &issue.repo).await? {
            Some(now) if now.content.run == *run => Ok(Taken::Ours(now.content.fence)),
            Some(now) => Ok(Taken::Theirs(now.holder())),
            None => Err(Error::unavailable("the lock", "it was taken and given back meanwhile", None)),
        }
    }

    async fn renewed(&self, issue: &IssueKey, run: &RunId) -> Result<Option<Holder>> {
        let mirror = self.mirrors.open(&issue.repo).await?;
        let Some(sighting) = self.sight(&mirror, &issue.repo).await? else { return Ok(None) };
        let due = sighting.renewed.is_none_or(|renewed| renewed.elapsed() >= self.lease / RENEWALS);
        if sighting.content.run != *run || !due {
            return Ok(Some(sighting.holder()));
        }
        let content = Content { beat: sighting.content.beat + 1, ..sighting.content.clone() };
        match self.put(&mirror, &issue.repo, content, Some(&sighting)).await? {
            Pushed::Done => Ok(Some(sighting.holder())),
            Pushed::Rejected => Ok(self.sight(&mirror, &issue.repo).await?.map(|now| now.holder())),
        }
    }

    async fn released(&self, issue: &IssueKey, run: &RunId) -> Result<()> {
        let mirror = self.mirrors.open(&issue.repo).await?;
        let Some(sighting) = self.sight(&mirror, &issue.repo).await? else { return Ok(()) };
        if sighting.content.run != *run {
            return Ok(());
        }
        let issue_ref = issue_ref(sighting.content.issue);
        let refs = mirror.remote_refs(&issue_ref).await?;
        let mut swaps = vec![(REPO_REF, Some(&sighting.sha), None)];
        if let Some((sha, _)) = refs.first() {
            swaps.push((issue_ref.as_str(), Some(sha), None));
        }
        match mirror.swap(&swaps).await? {
            Pushed::Done => Ok(()),
            Pushed::Rejected => {
                Err(Error::unavailable("the lock", "it changed while it was given back", None))
            }
        }
    }
}

/// A lock is renewed so many times over its lease.
const RENEWALS: u32 = 3;

impl Sighting {
    fn holder(&self) -> Holder {
        Holder { run: self.content.run.clone(), fence: self.content.fence }
    }
}

fn issue_ref(number: u64) -> String {
    format!("refs/afk/lock/{number}")
}

impl Lock for GitLock {
    fn take<'a>(
        &'a self,
        issue: &'a IssueKey,
        run: &'a RunId,
        over: Option<&'a Holder>,
    ) -> BoxFuture<'a, Result<Taken>> {
        self.taken(issue, run, over).boxed()
    }

    fn look<'a>(&'a self, repo: &'a Repo) -> BoxFuture<'a, Seen<Holder>> {
        async move {
            let looked = async {
                let mirror = self.mirrors.open(repo).await?;
                self.sight(&mirror, repo).await
            };
            let looked: Result<_> = looked.await;
            looked.map(|seen| seen.filter(|seen| !self.is_stale(seen)).map(|seen| seen.holder())).into()
        }
        .boxed()
    }

    fn renew<'a>(&'a self, issue: &'a IssueKey, run: &'a RunId) -> BoxFuture<'a, Seen<Holder>> {
        async move { self.renewed(issue, run).await.into() }.boxed()
    }

    fn release<'a>(&'a self, issue: &'a IssueKey, run: &'a RunId) -> BoxFuture<'a, Result<()>> {
        self.released(issue, run).boxed()
    }
}

impl fmt::Debug for GitLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitLock").field("lease", &self.lease).finish_non_exhaustive()
    }
}
