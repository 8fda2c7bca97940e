//! The pool itself: a thin shell around its policy.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::claimed::{Claimed, Granted, Place};
use super::keeper;
use super::key::{LaunchKey, Setup};
use super::limits::Limits;
use super::policy::{Session, Want};
use super::shared::{Parked, Shared};
use super::stats::{Origin, PoolStats};
use super::waiting::Waiting;
use crate::brain::live;
use crate::error::{Error, Result};
use crate::executor::{Executor, Stop};
use crate::invocation::{Invocation, SessionChoice};
use crate::protocol::SessionId;

/// Processes that a claim asks for one after the other, when those that it gets turn out to be dead.
const TRIES: usize = 4;

/// How long killed processes may take to be gone. An executor bounds its own stop; this is the backstop.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Warm processes under bounds. Clones share them; when the last one is dropped, all processes that nobody has end,
/// and those that somebody has end instead of coming back.
#[derive(Clone)]
pub struct Pool(Arc<Owner>);

/// Closes the pool when it is dropped.
struct Owner {
    shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.change(|state, _| state.policy.close());
    }
}

impl Pool {
    /// A pool of processes that `executor` starts.
    pub fn builder(executor: impl Executor + 'static) -> PoolBuilder {
        PoolBuilder { executor: Box::new(executor), limits: Limits::default() }
    }

    /// Gives a session as `invocation` describes it, opened and ready for a turn; the prompt is not used.
    ///
    /// | session | its process |
    /// |---|---|
    /// | [`New`](SessionChoice::New), [`Ephemeral`](SessionChoice::Ephemeral) | a spare, else a new one |
    /// | [`NewWithId`](SessionChoice::NewWithId) | a new one |
    /// | [`Resume`](SessionChoice::Resume) | its own if it still waits, else a new one that resumes |
    ///
    /// A session has one process at a time: while somebody has it, or while it ends, a claim for it waits. A session
    /// that waits with other launch flags, or was opened with something else, is resumed in a new process.
    /// [`Deadlines`](crate::invocation::Deadlines) are those of this invocation, unless its turns set them.
    ///
    /// When new sessions are all opened alike, with one system prompt, say, the spares are so too. A process that has
    /// waited may have died unseen: then its turn ends at once with an error whose [`exit`](Error::exit) is set.
    ///
    /// # Errors
    ///
    /// When the invocation is invalid or its process cannot be started or opened, as
    /// [`Live::start`](crate::brain::live::Live::start) says; [`is_queue_full`](Error::is_queue_full) when as many
    /// wait as may; [`is_timeout`](Error::is_timeout) when there was no process within
    /// [`first_byte`](crate::invocation::Deadlines::first_byte); [`is_stopped`](Error::is_stopped) after a shutdown.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the line, and ends no process that is of use to others.
    pub async fn claim(&self, invocation: &Invocation) -> Result<Claimed> {
        invocation.check()?;
        let session = match invocation.get_session() {
            SessionChoice::Ephemeral | SessionChoice::New => Session::New,
            SessionChoice::NewWithId(id) => Session::Create(id.clone()),
            SessionChoice::Resume(id) => Session::Resume(id.clone()),
        };
        let want = Want { key: LaunchKey::of(invocation)?, setup: Setup::of(invocation), session };
        let limit = invocation.get_deadlines().first_byte;
        let claimed = tokio::time::timeout(limit, self.obtain(want)).await;
        claimed.unwrap_or_else(|_| Err(Error::timed_out("waiting for a process", limit)))
    }

    async fn obtain(&self, want: Want) -> Result<Claimed> {
        let mut last = Error::failed("claiming a process", "each one ended at once");
        for _ in 0..TRIES {
            let Some(granted) = Waiting::join(&self.0.shared, want.clone())?.granted().await? else {
                continue;
            };
            let origin = granted.origin;
            match open(granted, &want.setup).await {
                Ok(Some(claimed)) => return Ok(claimed),
                Ok(None) => {}
                // A spare may have died since it was started; the next process is a new one in the end.
                Err(error) if origin == Origin::Spare && !error.is_not_found() => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Takes this session if its process waits for a turn at this moment; starts nothing and waits for nothing.
    pub fn take(&self, session: &SessionId) -> Option<Claimed> {
        let shared = &self.0.shared;
        let taken = shared.change(|state, _| {
            let slot = state.policy.take(session)?;
            Some((Place::new(Arc::clone(shared), slot), state.parked.remove(&slot)))
        });
        match taken? {
            (place, Some(Parked::Live(live))) if live.retired().is_none() => {
                Some(Claimed::new(live, place, Origin::Live))
            }
            _ => None,
        }
    }

    /// Ends this session's process if it waits for a turn at this moment; true when it did. The session itself stays,
    /// to be resumed.
    pub fn evict(&self, session: &SessionId) -> bool {
        self.0.shared.change(|state, now| state.policy.evict(now, session))
    }

    /// Says that sessions of such an invocation will be asked for, so that the first one finds a spare already.
    ///
    /// It counts as two requests, and is forgotten like them. The spare is opened too.
    ///
    /// # Errors
    ///
    /// When the invocation is invalid.
    pub fn expect(&self, invocation: &Invocation) -> Result<()> {
        let (key, setup) = (LaunchKey::of(invocation)?, Setup::of(invocation));
        self.0.shared.change(|state, now| state.policy.expect(now, &key, &setup));
        Ok(())
    }

    /// What was counted so far, and what there is now.
    pub fn stats(&self) -> PoolStats {
        self.0.shared.lock().policy.stats()
    }

    /// Ends everything, and waits until no process is left: those that nobody has at once, those that somebody has
    /// when they come back, or after `grace`. Claims are refused from now on.
    ///
    /// # Cancel safety
    ///
    /// The pool stays shut down; processes that somebody has are not killed then.
    pub async fn shutdown(&self, grace: Duration) {
        let shared = &self.0.shared;
        shared.change(|state, _| state.policy.close());
        if tokio::time::timeout(grace, self.emptied()).await.is_ok() {
            return;
        }
        let controls: Vec<_> = shared.lock().controls.values().cloned().collect();
        for control in controls {
            control.stop(Stop::Now);
        }
        if tokio::time::timeout(STOP_LIMIT, self.emptied()).await.is_err() {
            tracing::warn!("a process of the pool has not ended");
        }
    }

    async fn emptied(&self) {
        loop {
            let emptied = self.0.shared.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.0.shared.lock().policy.is_over() {
                return;
            }
            emptied.await;
        }
    }
}

/// Makes a granted process a session; `None` when it can take no turn.
async fn open(granted: Granted, setup: &Setup) -> Result<Option<Claimed>> {
    let Granted { place, parked, origin } = granted;
    let live = match parked {
        Parked::Live(mut live) => {
            live.claimed_for(setup.invocation());
            live
        }
        Parked::Spare(spare) => {
            let live = spare.initialize(setup.invocation()).await?;
            place.opened(setup);
            live
        }
    };
    Ok(live.retired().is_none().then(|| Claimed::new(live, place, origin)))
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.stats()).finish()
    }
}

/// The bounds of a [`Pool`] to be.
#[must_use]
pub struct PoolBuilder {
    executor: Box<dyn Executor>,
    limits: Limits,
}

impl PoolBuilder {
    /// Bounds the processes in all: spares, waiting sessions, turns under way. Default is 6.
    pub fn processes(mut self, count: usize) -> Self {
        self.limits.processes = count;
        self
    }

    /// Bounds the bytes of memory that all processes hold together (PSS). Default is 1.5 GB.
    ///
    /// Nothing is started that would not fit, by what others have held, and waiting sessions end while it is too much.
    /// Turns under way are never ended for it; they are measured every few seconds.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.limits.memory = bytes;
        self
    }

    /// Bounds the spares of each kind. Default is 1; with 0 nothing is started before somebody asks.
    pub fn spares_per_key(mut self, count: usize) -> Self {
        self.limits.spares = count;
        self
    }

    /// Bounds the starts at a time. Default is 2: on two processors eight at a time take 3 s each.
    pub fn concurrent_starts(mut self, count: usize) -> Self {
        self.limits.starts = count;
        self
    }

    /// Bounds the claims that wait for a process. Default is 64.
    pub fn max_waiting(mut self, count: usize) -> Self {
        self.limits.waiting = count;
        self
    }

    /// Says when to end a waiting process though there is room. Default is [`live::Limits::default`].
    pub fn live_limits(mut self, limits: live::Limits) -> Self {
        self.limits.each = limits;
        self
    }

    /// The pool. A task of its own keeps the spares and the bounds until the last clone is dropped.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) when nothing could ever run.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled.
    pub fn build(self) -> Result<Pool> {
        for (field, value) in
            [("processes", self.limits.processes), ("concurrent_starts", self.limits.starts)]
        {
            if value == 0 {
                return Err(Error::invalid(field, "must be at least 1: with 0 nothing ever runs"));
            }
        }
        let shared = Arc::new(Shared::new(self.executor, self.limits));
        tokio::spawn(keeper::keep(Arc::downgrade(&shared)));
        Ok(Pool(Arc::new(Owner { shared })))
    }
}

impl fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder").field("limits", &self.limits).finish_non_exhaustive()
    }
}
