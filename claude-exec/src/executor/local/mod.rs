//! Runs commands on this machine (Unix; parent death and stray descendants are covered on Linux).
//!
//! A child gets its own process group, a clean environment, and a supervisor task that reads its output with
//! back-pressure, walks the stop ladder and leaves no descendant behind. Three nets catch descendants:
//!
//! 1. the process group;
//! 2. a walk by parent from before the stop, for those that left the group;
//! 3. a marker in the environment, inherited by every descendant, for those that called `setsid` and were
//!    re-parented, where no walk finds them.
//!
//! What slips through all three is a descendant that hides its environment (`env -i`, or a daemon that writes its
//! title over it) *and* leaves session and parent before a walk is made, which is when a stop begins. A container
//! or a cgroup catches that one: see [`wrapper`](super::wrapper).
//!
//! A child's `TMPDIR` is its own, below the one it would have had, and is removed when the child and its
//! descendants are gone.
//!
//! When this process dies, even by SIGKILL, its children get SIGTERM from the kernel (Linux `PDEATHSIG`), and
//! [`LocalExecutor::sweep_orphans`], called at the next start, kills what had detached itself
//! and removes the temporary files.

#[cfg(not(unix))]
compile_error!("the `local` executor needs Unix; build with `default-features = false` for the rest");

mod descendants;
mod environment;
mod leash;
mod marker;
mod proc;
mod scratch;
mod spawn;
mod stdin;
mod supervise;
mod usage;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Command, Executor, Process};
use crate::error::Result;
use marker::Marker;

/// Starts commands on this machine.
///
/// The child's environment holds what [`LocalExecutor::inherited`] lists, what [`pass_env`](Self::pass_env)
/// adds and what the command sets; never anything else of this process.
#[derive(Clone)]
pub struct LocalExecutor {
    environment: Arc<BTreeMap<OsString, OsString>>,
}

impl LocalExecutor {
    /// An executor with the default allowlist over this process's environment as it is now.
    pub fn new() -> Self {
        Self { environment: Arc::new(environment::clean(std::env::vars_os())) }
    }

    /// Passes more variables of this process on to children, by name.
    #[must_use]
    pub fn pass_env<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let added = environment::named(std::env::vars_os(), &names);
        Arc::make_mut(&mut self.environment).extend(added);
        self
    }

    /// The variables that children inherit, as `(name, value)`.
    pub fn inherited(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.environment.iter()
    }

    /// Kills every process that an executor of a process now dead has left behind, removes their temporary
    /// files, and gives the processes' number.
    ///
    /// Call it once at start-up. It touches only processes of this PID namespace that carry the marker of an
    /// owner that is gone, and directories of this user that are named after one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the rest alive.
    pub async fn sweep_orphans() -> usize {
        let is_orphan = |environ: &[u8]| Marker::find(environ).is_some_and(|marker| marker.is_orphaned());
        let swept = descendants::sweep(is_orphan).await;
        let base = spawn::temporary(&environment::clean(std::env::vars_os()));
        // A directory that cannot be listed has nothing of ours in it that could be removed.
        let _swept = tokio::task::spawn_blocking(move || scratch::sweep_orphans(&base)).await;
        swept
    }
}

impl Default for LocalExecutor {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows the names of the inherited variables, never their values.
impl fmt::Debug for LocalExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalExecutor")
            .field("environment", &self.environment.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl Executor for LocalExecutor {
    fn start(&self, command: Command) -> BoxFuture<'_, Result<Process>> {
        async move {
            let spawned = spawn::spawn(&command, &self.environment).await?;
            Ok(supervise::start(spawned, command.stdin))
        }
        .boxed()
    }
}
