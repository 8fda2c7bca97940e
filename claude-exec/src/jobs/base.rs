//! The warm base: one repository that is fetched now and then, and that every job clones.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use tokio::time::Instant;

use super::cancel::{Cancelled, Canceller};
use super::git::{Git, first_line};
use crate::error::{Error, Result};

/// A question that git answers from the disk.
pub(super) const LOCAL_LIMIT: Duration = Duration::from_secs(15);
/// A question that git asks the remote.
const REMOTE_LIMIT: Duration = Duration::from_secs(30);

/// What a fetch left behind: `None`, or why the base is stale.
type Staleness = Option<String>;
type Fetch = Shared<BoxFuture<'static, Staleness>>;

/// The base repository with its debounced fetch.
#[derive(Clone)]
pub(super) struct Base {
    pub(super) path: PathBuf,
    git: Git,
    debounce: Duration,
    fetch_limit: Duration,
    fetching: Arc<Mutex<Fetching>>,
}

#[derive(Default)]
struct Fetching {
    /// Weak, so that a fetch that nobody waits for any more is stopped.
    current: Option<WeakShared<BoxFuture<'static, Staleness>>>,
    last: Option<(Instant, Staleness)>,
}

impl Base {
    pub(super) fn new(path: PathBuf, git: Git, debounce: Duration, fetch_limit: Duration) -> Self {
        Self { path, git, debounce, fetch_limit, fetching: Arc::default() }
    }

    /// Refuses a directory that is no repository.
    pub(super) async fn check(&self) -> Result<()> {
        let (_canceller, cancelled) = Canceller::new();
        let command = self.git.command(&self.path, ["rev-parse", "--git-dir"]);
        let output = self.git.ask("opening the base repository", command, LOCAL_LIMIT, &cancelled).await?;
        if output.success() {
            return Ok(());
        }
        let why = output.last_error_line();
        Err(Error::failed("opening the base repository", format!("{}: {why}", self.path.display())))
    }

    /// The address that the base was cloned from, as its configuration says it; `None` for a base without one.
    pub(super) async fn origin(&self, cancelled: &Cancelled) -> Result<Option<String>> {
        let args = ["config", "--local", "--get", "remote.origin.url"];
        let command = self.git.command(&self.path, args);
        let output = self.git.ask("reading the base's origin", command, LOCAL_LIMIT, cancelled).await?;
        // git-config(1): 1 is "no such key"; anything else is "no such repository" and the like.
        match output.exit.code {
            Some(0) => Ok(first_line(&output)),
            Some(1) => Ok(None),
            _ => Err(super::git::refused("reading the base's origin", &output)),
        }
    }

    /// Fetches, unless that was tried within the debounce window; why the base is stale, when it is.
    ///
    /// All who come while a fetch runs share it, so a hung one costs nobody more than its limit.
    pub(super) async fn refresh(&self) -> Staleness {
        self.current().await
    }

    fn current(&self) -> Fetch {
        let mut fetching = lock(&self.fetching);
        if let Some(fetch) = fetching.current.as_ref().and_then(WeakShared::upgrade)
            && fetch.peek().is_none()
        {
            return fetch;
        }
        if let Some((at, staleness)) = &fetching.last
            && at.elapsed() < self.debounce
        {
            return std::future::ready(staleness.clone()).boxed().shared();
        }
        let base = self.clone();
        let fetch = async move { base.fetch().await }.boxed().shared();
        fetching.current = fetch.downgrade();
        fetch
    }

    async fn fetch(self) -> Staleness {
        // Whoever stops waiting drops this future, and with the last one the command.
        let (_canceller, cancelled) = Canceller::new();
        // No automatic maintenance: it would repack under the clones, and be killed with the fetch.
        let args =
            ["fetch", "--prune", "--quiet", "--no-auto-maintenance", "--no-recurse-submodules", "origin"];
        let command = self.git.command(&self.path, args);
        let staleness = match self.git.run("git fetch", command, self.fetch_limit, &cancelled).await {
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(base = %self.path.display(), %error, "the base could not be fetched and is stale");
                Some(error.to_string())
            }
        };
        lock(&self.fetching).last = Some((Instant::now(), staleness.clone()));
        staleness
    }

    /// The branch that the remote calls its default.
    pub(super) async fn default_branch(&self, cancelled: &Cancelled) -> Result<String> {
        let args = ["symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"];
        let command = self.git.command(&self.path, args);
        let output = self.git.ask("reading the default branch", command, LOCAL_LIMIT, cancelled).await?;
        let known = first_line(&output)
            .and_then(|line| line.strip_prefix("refs/remotes/origin/").map(str::to_owned))
            .filter(|_| output.success());
        if let Some(branch) = known
            && self.has_branch(&branch, cancelled).await?
        {
            return Ok(branch);
        }
        self.ask_remote(cancelled).await
    }

    /// Asks the remote itself, and notes the answer where the next job finds it.
    async fn ask_remote(&self, cancelled: &Cancelled) -> Result<String> {
        let step = "finding the default branch";
        let command = self.git.command(&self.path, ["ls-remote", "--symref", "origin", "HEAD"]);
        let output = self.git.run(step, command, REMOTE_LIMIT, cancelled).await?;
        let answer = String::from_utf8_lossy(&output.stdout);
        let Some(branch) = symref_branch(&answer) else {
            return Err(Error::failed(step, "the remote names none; set it with `git remote set-head`"));
        };
        if !self.has_branch(branch, cancelled).await? {
            return Err(Error::failed(step, format!("the base has not fetched the branch {branch}")));
        }
        let target = format!("refs/remotes/origin/{branch}");
        let command = self.git.command(&self.path, ["symbolic-ref", "refs/remotes/origin/HEAD", &target]);
        self.git.run(step, command, LOCAL_LIMIT, cancelled).await?;
        Ok(branch.to_owned())
    }

    async fn has_branch(&self, branch: &str, cancelled: &Cancelled) -> Result<bool> {
        // Such a name would be an option of `git checkout`; git itself makes none (git-check-ref-format(1)).
        if branch.starts_with('-') {
            return Ok(false);
        }
        let commit = format!("refs/remotes/origin/{branch}^{{commit}}");
        let command = self.git.command(&self.path, ["rev-parse", "--verify", "--quiet", &commit]);
        Ok(self.git.ask("finding the default branch", command, LOCAL_LIMIT, cancelled).await?.success())
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Base").field(&self.path).finish()
    }
}

fn lock(fetching: &Mutex<Fetching>) -> MutexGuard<'_, Fetching> {
    fetching.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads `ref: refs/heads/main<TAB>HEAD` (git-ls-remote(1), `--symref`).
fn symref_branch(answer: &str) -> Option<&str> {
    answer.lines().find_map(|line| line.strip_prefix("ref: refs/heads/")?.strip_suffix("\tHEAD"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::executor::{Process, Scripted, executor_fn};

    /// A base whose commands are counted and played by `process`.
    fn base(process: impl Fn() -> Process + Send + Sync + 'static) -> (Base, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        let executor = Arc::new(executor_fn(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(process())
        }));
        let git = Git { executor, program: "git".into() };
        let (debounce, limit) = (Duration::from_secs(15), Duration::from_secs(120));
        (Base::new("/base".into(), git, debounce, limit), count)
    }

    #[tokio::test(start_paused = true)]
    async fn fetches_are_shared_and_debounced_also_failed_ones() {
        let (base, count) = base(|| Scripted::new().stderr("fatal: no\n").exit(128).into_process());
        let failed = Some("git fetch failed: fatal: no".to_owned());
        let both = futures::future::join(base.refresh(), base.refresh()).await;
        assert_eq!(both, (failed.clone(), failed.clone()));
        tokio::time::advance(Duration::from_secs(14)).await;
        assert_eq!((base.refresh().await, count.load(Ordering::SeqCst)), (failed.clone(), 1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((base.refresh().await, count.load(Ordering::SeqCst)), (failed, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hung_fetch_goes_on_for_those_who_stay_and_no_longer_than_its_limit() {
        let (base, count) = base(|| Scripted::new().until_stopped().into_process());
        let mut first = Box::pin(base.refresh());
        assert!(futures::poll!(&mut first).is_pending());
        tokio::time::advance(Duration::from_secs(100)).await;
        let mut second = Box::pin(base.refresh());
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        let started = Instant::now();
        assert_eq!(second.await, Some("git fetch took longer than 120s".to_owned()));
        assert_eq!((started.elapsed().as_secs(), count.load(Ordering::SeqCst)), (20, 1));
    }

    #[tokio::test]
    async fn a_fetch_that_nobody_waits_for_is_stopped() {
        let (process, handle) = Scripted::new().until_stopped().into_process_with_handle();
        let process = Mutex::new(Some(process));
        let (base, count) = base(move || process.lock().unwrap().take().unwrap());
        let mut only = Box::pin(base.refresh());
        assert!(futures::poll!(&mut only).is_pending());
        drop(only);
        assert!(handle.is_stopped());
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn the_remote_names_its_default_branch() {
        let table = [
            ("ref: refs/heads/main\tHEAD\n0123\tHEAD\n", Some("main")),
            ("ref: refs/heads/a/b\tHEAD\n", Some("a/b")),
            ("0123\tHEAD\n", None),
            ("ref: refs/heads/x\trefs/remotes/origin/HEAD\n", None),
            ("", None),
        ];
        for (answer, branch) in table {
            assert_eq!(symref_branch(answer), branch, "{answer:?}");
        }
    }
}
