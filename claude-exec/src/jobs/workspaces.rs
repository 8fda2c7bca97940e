//! The maker of workspaces: a clone of a warm base, or an empty directory, per job.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::base::Base;
use super::cancel::{Cancelled, Canceller};
use super::checkout::{self, Recipe};
use super::git::Git;
use super::instance::Instance;
use super::workspace::{Owned, Workspace};
use crate::error::{Error, Result};
use crate::executor::Executor;

/// How long one fetch of the base may take; all who wait share it.
const FETCH_LIMIT: Duration = Duration::from_secs(120);
/// How long the base counts as fresh after a fetch was tried: a burst of jobs costs the remote one connection.
const FETCH_DEBOUNCE: Duration = Duration::from_secs(15);
/// Characters of a workspace's name: it becomes part of a path.
const NAME_LIMIT: usize = 64;

/// Where workspaces are made and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct WorkspacesConfig {
    dir: PathBuf,
    base: Option<PathBuf>,
    git: OsString,
    git_crypt: OsString,
    git_crypt_key: Option<PathBuf>,
    fetch_debounce: Duration,
    fetch_limit: Duration,
    hardlinks: bool,
}

impl WorkspacesConfig {
    /// Workspaces below `dir`, which is made when it does not exist; without a base all of them are empty.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            base: None,
            git: "git".into(),
            git_crypt: "git-crypt".into(),
            git_crypt_key: None,
            fetch_debounce: FETCH_DEBOUNCE,
            fetch_limit: FETCH_LIMIT,
            hardlinks: false,
        }
    }

    /// Sets the repository that jobs get a clone of. Its maintenance (`git gc`) stays its owner's.
    pub fn base(mut self, path: impl Into<PathBuf>) -> Self {
        self.base = Some(path.into());
        self
    }

    /// Sets the git-crypt key that unlocks each clone, when the file exists; default none.
    pub fn git_crypt_key(mut self, path: impl Into<PathBuf>) -> Self {
        self.git_crypt_key = Some(path.into());
        self
    }

    /// Sets the programs to run instead of `git` and `git-crypt`.
    pub fn programs(mut self, git: impl Into<OsString>, git_crypt: impl Into<OsString>) -> Self {
        (self.git, self.git_crypt) = (git.into(), git_crypt.into());
        self
    }

    /// Sets how long the base counts as fresh after a fetch was tried; default 15 s.
    pub fn fetch_debounce(mut self, window: Duration) -> Self {
        self.fetch_debounce = window;
        self
    }

    /// Sets how long one fetch may take; default 120 s. The job then runs on the stale base.
    pub fn fetch_limit(mut self, limit: Duration) -> Self {
        self.fetch_limit = limit;
        self
    }

    /// Links a clone's objects to the base's instead of copying them; default off.
    ///
    /// Much faster for a large repository, but both then share the files: a job that writes into its own
    /// `.git/objects` damages the base and every later job. Only for agents that may do anything anyway.
    pub fn hardlinks(mut self, on: bool) -> Self {
        self.hardlinks = on;
        self
    }
}

/// Makes workspaces. Cheap to clone; its directory is removed with the last clone and the last workspace.
///
/// The executor must see the same files as this process does.
#[derive(Clone)]
pub struct Workspaces {
    instance: Arc<Instance>,
    git: Git,
    base: Option<Base>,
    recipe: Recipe,
}

impl Workspaces {
    /// Makes a directory of this server's own below the configured one, and removes what crashed servers left
    /// there: only directories that carry our name and our lock file, and whose lock nobody holds.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made, locked or written, and when the base is no repository.
    pub async fn open(executor: Arc<dyn Executor>, config: WorkspacesConfig) -> Result<Self> {
        let git = Git { executor, program: config.git };
        let base = match config.base {
            Some(path) => {
                let path = tokio::fs::canonicalize(&path).await.map_err(|error| {
                    Error::failed("opening the base repository", format!("{}: {error}", path.display()))
                })?;
                let base = Base::new(path, git.clone(), config.fetch_debounce, config.fetch_limit);
                base.check().await?;
                Some(base)
            }
            None => None,
        };
        let opened = tokio::task::spawn_blocking(move || instance(&config.dir)).await;
        let instance =
            opened.unwrap_or_else(|_| Err(Error::failed("making the jobs directory", "it panicked")));
        let unlock = config.git_crypt_key.map(|key| (config.git_crypt, key));
        let recipe = Recipe { hardlinks: config.hardlinks, unlock };
        Ok(Self { instance: Arc::new(instance?), git, base, recipe })
    }

    /// True when there is a base to clone.
    pub fn has_base(&self) -> bool {
        self.base.is_some()
    }

    /// Makes a clone of the base with the remote's default branch checked out, after a debounced fetch.
    ///
    /// `name` is part of the directory's name and must be unused. A fetch that fails makes the workspace
    /// [stale](Workspace::stale); any later step that fails is an error, and leaves nothing behind.
    ///
    /// # Errors
    ///
    /// [`is_timeout`](Error::is_timeout) or another error naming the step; without a base
    /// [`is_unsupported`](Error::is_unsupported).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the step under way and then removes the directory; both happen in a task of
    /// their own, bounded in time.
    pub async fn checkout(&self, name: &str) -> Result<Workspace> {
        self.prepare(name, true, std::future::pending()).await
    }

    /// Makes an empty directory, for agents that need no repository.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    ///
    /// # Cancel safety
    ///
    /// As for [`checkout`](Self::checkout).
    pub async fn scratch(&self, name: &str) -> Result<Workspace> {
        self.prepare(name, false, std::future::pending()).await
    }

    /// Makes a workspace, and when `wish` comes first, returns once nothing of that runs any more.
    pub(super) async fn prepare(
        &self,
        name: &str,
        clone: bool,
        wish: impl Future<Output = ()>,
    ) -> Result<Workspace> {
        let name = checked(name)?.to_owned();
        if clone && self.base.is_none() {
            return Err(Error::unsupported("no base repository is configured to clone"));
        }
        let this = self.clone();
        // A task of its own, since removing the directory must wait until git is gone. Dropping the canceller
        // with this future ends it.
        let (canceller, cancelled) = Canceller::new();
        let mut task = tokio::spawn(async move { this.make(name, clone, cancelled).await });
        let done = tokio::select! {
            done = &mut task => done,
            () = wish => {
                canceller.cancel();
                task.await
            }
        };
        done.unwrap_or_else(|_| Err(Error::failed("making a workspace", "it was stopped or panicked")))
    }

    async fn make(self, name: String, clone: bool, cancelled: Cancelled) -> Result<Workspace> {
        let instance = Arc::clone(&self.instance);
        let made = tokio::task::spawn_blocking(move || Owned::create(instance, &name)).await;
        let made = made.map_err(|_| Error::failed("making a workspace", "it panicked"))?;
        let dir = made.map_err(|error| Error::io("making a workspace", error))?;
        let Some(base) = self.base.as_ref().filter(|_| clone) else {
            return Ok(Workspace::new(dir, None, None));
        };
        let stale = match base.origin(&cancelled).await? {
            None => None,
            Some(_) => tokio::select! {
                stale = base.refresh() => stale,
                () = cancelled.wait() => return Err(Error::stopped()),
            },
        };
        let branch = checkout::clone(&self.git, base, &self.recipe, &dir.path, &cancelled).await?;
        Ok(Workspace::new(dir, branch, stale))
    }
}

impl fmt::Debug for Workspaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspaces")
            .field("dir", &self.instance.root())
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

fn instance(dir: &Path) -> Result<Instance> {
    let swept = Instance::sweep(dir);
    if swept > 0 {
        tracing::info!(dir = %dir.display(), swept, "removed what crashed servers left");
    }
    Instance::create(dir)
        .map_err(|error| Error::failed("making the jobs directory", format!("{}: {error}", dir.display())))
}

/// A name that is one harmless path component.
fn checked(name: &str) -> Result<&str> {
    let fits = (1..=NAME_LIMIT).contains(&name.len());
    if fits && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        Ok(name)
    } else {
        Err(Error::invalid("workspace", format!("must be 1 to {NAME_LIMIT} letters, digits or hyphens")))
    }
}
