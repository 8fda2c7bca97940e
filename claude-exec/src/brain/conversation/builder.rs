//! How a brain is put together.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use super::line::{Busy, Lines};
use super::record::Records;
use super::talk::{Brain, Shared};
use crate::brain::pool::Pool;
use crate::error::Result;
use crate::executor::Executor;
use crate::invocation::Invocation;
use crate::store::{Memory, Store};

/// Builds a [`Brain`].
#[must_use]
pub struct BrainBuilder {
    processes: Processes,
    invocation: Invocation,
    store: Option<Arc<dyn Store>>,
    locks: Option<PathBuf>,
    busy: Busy,
}

/// Where its processes come from.
enum Processes {
    Of(Box<dyn Executor>),
    From(Pool),
}

impl BrainBuilder {
    pub(super) fn new(executor: impl Executor + 'static) -> Self {
        Self::with(Processes::Of(Box::new(executor)))
    }

    pub(super) fn on(pool: Pool) -> Self {
        Self::with(Processes::From(pool))
    }

    fn with(processes: Processes) -> Self {
        Self {
            processes,
            invocation: Invocation::conversational(""),
            store: None,
            locks: None,
            busy: Busy::default(),
        }
    }

    /// Sets what every conversation is run with; its prompt and its session are not used. Its directory must stay the
    /// same over restarts, since it decides where the CLI keeps sessions. Default is
    /// [`Invocation::conversational`].
    pub fn invocation(mut self, invocation: Invocation) -> Self {
        self.invocation = invocation;
        self
    }

    /// Keeps the conversations in `store`. Default is a [`Memory`]: they end with the process.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Keeps two servers with one store from running a turn of one conversation at a time, by locked files in
    /// `directory`, which must exist and be theirs alone. Default is no lock.
    pub fn locks(mut self, directory: impl Into<PathBuf>) -> Self {
        self.locks = Some(directory.into());
        self
    }

    /// Sets what to do when a turn of the same conversation is under way. Default is to wait in line.
    pub fn busy(mut self, busy: Busy) -> Self {
        self.busy = busy;
        self
    }

    /// The brain.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](crate::Error::is_invalid) when the invocation has something that no command can have.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn build(self) -> Result<Brain> {
        self.invocation.to_live_command()?;
        self.invocation.check()?;
        let pool = match self.processes {
            Processes::From(pool) => pool,
            Processes::Of(executor) => Pool::builder(executor).build()?,
        };
        let shared = Shared {
            pool,
            invocation: self.invocation,
            records: Records(self.store.unwrap_or_else(|| Arc::new(Memory::new()))),
            lines: Lines::default(),
            locks: self.locks,
            busy: self.busy,
            name: Uuid::new_v4().hyphenated().to_string(),
        };
        Ok(Brain { shared: Arc::new(shared) })
    }
}

impl fmt::Debug for BrainBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrainBuilder").field("invocation", &self.invocation).finish_non_exhaustive()
    }
}
