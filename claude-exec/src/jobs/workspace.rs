//! The directory of one job, gone when the job is.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::instance::{Instance, private_dir};
use super::tree::remove_tree;
use crate::error::{Error, Result};

/// A directory of one job's own: a checkout, or empty. Dropping it removes it, off the runtime's threads.
///
/// Keep it until every process that runs in it is gone. What a failed removal or a crash leaves, the next
/// start of a server on the same directory removes.
pub struct Workspace {
    dir: Owned,
    branch: Option<String>,
    stale: Option<String>,
}

impl Workspace {
    pub(super) fn new(dir: Owned, branch: Option<String>, stale: Option<String>) -> Self {
        Self { dir, branch, stale }
    }

    /// Where it is, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.dir.path
    }

    /// The branch that was checked out: the remote's default one. `None` for a scratch workspace, and for a
    /// base without a remote.
    pub fn branch(&self) -> Option<&str> {
        self.branch.as_deref()
    }

    /// Why the checkout may be older than the remote, when the last fetch failed.
    pub fn stale(&self) -> Option<&str> {
        self.stale.as_deref()
    }

    /// Removes the directory and says how that went, where dropping only logs it.
    ///
    /// # Errors
    ///
    /// When something of it could not be removed.
    ///
    /// # Cancel safety
    ///
    /// The removal goes on when the future is dropped.
    pub async fn close(mut self) -> Result<()> {
        let Some(mut gone) = self.dir.set_aside() else { return Ok(()) };
        let removal = tokio::task::spawn_blocking(move || gone.remove());
        match removal.await {
            Ok(done) => done.map_err(|error| Error::io("removing a workspace", error)),
            Err(_) => Err(Error::failed("removing a workspace", "its thread was stopped or panicked")),
        }
    }
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace")
            .field("path", &self.dir.path)
            .field("branch", &self.branch)
            .field("stale", &self.stale)
            .finish()
    }
}

/// A directory that exists as long as this does.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) path: PathBuf,
    /// `None` once it was set aside.
    instance: Option<Arc<Instance>>,
}

impl Owned {
    /// Makes the directory, for this user alone. Blocks.
    pub(super) fn create(instance: Arc<Instance>, name: &str) -> io::Result<Self> {
        let path = instance.root().join(format!("job-{name}"));
        private_dir(&path)?;
        Ok(Self { path, instance: Some(instance) })
    }

    /// Renames the directory, so that its name is free at once and nothing new is started in it.
    fn set_aside(&mut self) -> Option<Gone> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let instance = self.instance.take()?;
        let aside = instance.root().join(format!("gone-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let path = match std::fs::rename(&self.path, &aside) {
            Ok(()) => aside,
            Err(_) => self.path.clone(),
        };
        Some(Gone { path, instance: Some(instance) })
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let Some(gone) = self.set_aside() else { return };
        match tokio::runtime::Handle::try_current() {
            // A runtime that shuts down drops the closure unrun, which removes as well.
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(gone))),
            Err(_) => drop(gone),
        }
    }
}

/// A directory on its way out, at the latest when this is dropped. It keeps the instance until then.
struct Gone {
    path: PathBuf,
    instance: Option<Arc<Instance>>,
}

impl Gone {
    fn remove(&mut self) -> io::Result<()> {
        let Some(_instance) = self.instance.take() else { return Ok(()) };
        remove_tree(&self.path)
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(dir = %self.path.display(), %error, "cannot remove a workspace");
        }
    }
}
