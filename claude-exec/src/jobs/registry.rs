//! The jobs of a server: submitted, watched, cancelled, remembered.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::config::RegistryConfig;
use super::gate::{Gate, Waiting};
use super::life::Core;
use super::live::{Live, Why};
use super::log::JobEvents;
use super::record::{JobId, JobRecord, JobSummary};
use super::report::Ending;
use super::request::JobRequest;
use super::runner::Runner;
use super::shelf::Shelf;
use super::sink::status_json;
use crate::error::{Error, Result};
use crate::store::Store;

/// Bytes of an idempotency key.
pub const KEY_LIMIT: usize = 255;
/// Bounds of the pause between two sweeps; in between it is a tenth of the time to live.
const SWEEP_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What became of a submission.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Submitted {
    /// The job as it was when the submission returned.
    pub record: JobRecord,
    /// False when its idempotency key had led to a job before: this one.
    pub created: bool,
}

/// Runs jobs through a gate and remembers them.
///
/// Clones share everything. Dropping the last one stops all jobs at once and leaves them to be found as
/// interrupted by the next start; [`shutdown`](Self::shutdown) is the orderly way.
#[derive(Clone)]
pub struct Registry(Arc<Owner>);

struct Owner {
    core: Arc<Core>,
    ttl: Duration,
    max_jobs: usize,
    tasks: Mutex<Tasks>,
    sweeper: JoinHandle<()>,
}

#[derive(Default)]
struct Tasks {
    set: JoinSet<()>,
    closed: bool,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.sweeper.abort();
    }
}

impl Registry {
    /// Opens the registry over `store`: jobs that an earlier run of this server left under way become
    /// `interrupted`.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or written.
    pub async fn open(
        store: Arc<dyn Store>,
        gate: Gate,
        runner: impl Runner + 'static,
        config: RegistryConfig,
    ) -> Result<Self> {
        let shelf = Shelf { store, owner: config.owner.into() };
        let now = (config.clock)();
        let interrupted = shelf.interrupt(now).await?;
        let swept = shelf.sweep(now, config.ttl, config.max_jobs).await?;
        if interrupted > 0 {
            tracing::warn!(interrupted, "jobs were under way when the server ended");
        }
        let core = Arc::new(Core {
            shelf,
            gate,
            runner: Box::new(runner),
            clock: config.clock,
            live: Mutex::default(),
            recent: Mutex::default(),
            doubtful: Mutex::default(),
            kept: AtomicUsize::new(swept.kept),
        });
        let sweeper = tokio::spawn(sweep_for_ever(Arc::clone(&core), config.ttl, config.max_jobs));
        let (ttl, max_jobs) = (config.ttl, config.max_jobs);
        Ok(Self(Arc::new(Owner { core, ttl, max_jobs, tasks: Mutex::default(), sweeper })))
    }

    /// Adds a job. It is durable when this returns.
    ///
    /// A `key` (1 to 255 bytes) makes the submission idempotent: as long as its job is kept, the same
    /// request with the same key is the same job. Keys are one space: prefix them with whose they are.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid), naming the field; [`is_queue_full`](Error::is_queue_full);
    /// [`is_conflict`](Error::is_conflict) for a key that was used for another request;
    /// [`is_stopped`](Error::is_stopped) after a shutdown; and when the store cannot be written. Nothing was
    /// begun then.
    ///
    /// # Cancel safety
    ///
    /// A job with a key may exist when the future was dropped: submit it again. One without is cancelled.
    pub async fn submit(&self, request: JobRequest, key: Option<&str>) -> Result<Submitted> {
        let core = &self.0.core;
        request.validate()?;
        if key.is_some_and(|key| key.is_empty() || key.len() > KEY_LIMIT) {
            return Err(Error::invalid("idempotency_key", format!("must be 1 to {KEY_LIMIT} bytes")));
        }
        core.runner.check(&request)?;
        if let Some(known) = self.known(key, &request).await? {
            return Ok(known);
        }
        self.make_room().await?;
        let waiting = core.gate.join()?;
        let record = JobRecord::new(JobId::random(), request.clone(), (core.clock)());
        match self.begin(Live::new(record, key.map(str::to_owned)), waiting)?.await {
            Ok(Ok(Some(record))) => Ok(Submitted { record, created: true }),
            // Another submission with this key was first; between then and now its job may have gone.
            Ok(Ok(None)) => self.known(key, &request).await?.ok_or_else(|| Error::conflict("try again")),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::stopped()),
        }
    }

    async fn known(&self, key: Option<&str>, request: &JobRequest) -> Result<Option<Submitted>> {
        let Some(key) = key else { return Ok(None) };
        self.0.core.settle_doubts().await?;
        let Some(id) = self.0.core.shelf.id_of(key).await? else { return Ok(None) };
        match self.0.core.get(&id).await {
            Ok(record) if record.request == *request => Ok(Some(Submitted { record, created: false })),
            Ok(_) => Err(Error::conflict("the idempotency key was used for another request")),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Drops the oldest ended jobs when there are too many; some more than needed, so that it is seldom.
    async fn make_room(&self) -> Result<()> {
        let (core, max) = (&self.0.core, self.0.max_jobs);
        if core.kept.load(Ordering::Relaxed) < max {
            return Ok(());
        }
        let room = (max - max / 10).min(max.saturating_sub(1));
        let kept = core.sweep(self.0.ttl, room).await?;
        if kept < max { Ok(()) } else { Err(Error::queue_full(max)) }
    }

    fn begin(&self, job: Live, waiting: Waiting) -> Result<oneshot::Receiver<Result<Option<JobRecord>>>> {
        let (reply, answer) = oneshot::channel();
        let (core, job) = (Arc::clone(&self.0.core), Arc::new(job));
        let mut tasks = self.0.tasks();
        if tasks.closed {
            return Err(Error::stopped());
        }
        while tasks.set.try_join_next().is_some() {}
        core.live().insert(job.id.clone(), Arc::clone(&job));
        tasks.set.spawn(core.live_through(job, waiting, reply));
        Ok(answer)
    }

    /// The record of one job.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found), or when the store cannot be read.
    pub async fn get(&self, id: &JobId) -> Result<JobRecord> {
        self.0.core.get(id).await
    }

    /// All jobs that are kept, the newest first, without prompts and outputs.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn list(&self) -> Result<Vec<JobSummary>> {
        let entries = self.0.core.shelf.entries().await?;
        let now = |summary: JobSummary| match self.0.core.find(&summary.job_id) {
            Some(job) => job.snapshot().summary(),
            None => summary,
        };
        let mut list: Vec<_> = entries.into_iter().map(|entry| now(entry.summary)).collect();
        list.sort_by(|a, b| (b.created_at, &b.job_id).cmp(&(a.created_at, &a.job_id)));
        Ok(list)
    }

    /// Cancels a job and waits until nothing of it runs any more; its record then. An ended job stays as it is.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found); [`is_unsupported`](Error::is_unsupported) for a job that
    /// another server runs.
    ///
    /// # Cancel safety
    ///
    /// The job is cancelled also when the future is dropped.
    pub async fn cancel(&self, id: &JobId) -> Result<JobRecord> {
        if let Some(job) = self.0.core.find(id) {
            job.cancel(Why::Caller);
        }
        self.wait(id).await
    }

    /// Waits for the end of a job; its record then.
    ///
    /// # Errors
    ///
    /// As for [`cancel`](Self::cancel).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn wait(&self, id: &JobId) -> Result<JobRecord> {
        if let Some(job) = self.0.core.find(id) {
            job.done().await;
            return Ok(job.snapshot());
        }
        let record = self.get(id).await?;
        if record.status.is_final() {
            Ok(record)
        } else {
            Err(Error::unsupported("another server runs the job"))
        }
    }

    /// The events of a job after the one with the number `after` (0 for all that are kept), and on to its end.
    ///
    /// The last event has the kind `status` and a final status. Of a job that ended
    /// a while ago only that one is left.
    ///
    /// # Errors
    ///
    /// As for [`cancel`](Self::cancel).
    pub async fn follow(&self, id: &JobId, after: u64) -> Result<JobEvents> {
        if let Some(log) = self.0.core.log(id) {
            return Ok(log.follow(after));
        }
        let record = self.wait(id).await?;
        Ok(JobEvents::ended(
            after,
            record.last_event,
            status_json(record.status, None, record.error.as_deref()),
        ))
    }

    /// The gate that jobs go through, to share its slots with other work.
    pub fn gate(&self) -> &Gate {
        &self.0.core.gate
    }

    /// Refuses new jobs, cancels all, and waits until they are gone; whatever is left after `grace` is
    /// dropped, which stops it too. Jobs under way become `interrupted`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the jobs; the next start finds them as interrupted.
    pub async fn shutdown(&self, grace: Duration) {
        let core = &self.0.core;
        let mut set = {
            let mut tasks = self.0.tasks();
            tasks.closed = true;
            std::mem::take(&mut tasks.set)
        };
        self.0.sweeper.abort();
        for job in core.live().values() {
            job.cancel(Why::Shutdown);
        }
        let all = async { while set.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_err() {
            set.shutdown().await;
        }
        let left: Vec<_> = core.live().values().filter(|job| !job.is_done()).cloned().collect();
        for job in left {
            core.finish(&job, Ending::cancelled()).await;
        }
        if let Err(error) = core.save_late().await {
            tracing::warn!(%error, "jobs that could not be saved are forgotten");
        }
    }
}

impl Owner {
    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("gate", self.gate()).finish_non_exhaustive()
    }
}

async fn sweep_for_ever(core: Arc<Core>, ttl: Duration, room: usize) {
    let pause = (ttl / 10).clamp(SWEEP_PAUSE.0, SWEEP_PAUSE.1);
    loop {
        tokio::time::sleep(pause).await;
        let sweep = async {
            core.settle_doubts().await?;
            core.save_late().await?;
            core.sweep(ttl, room).await
        };
        if let Err(error) = sweep.await {
            tracing::warn!(%error, "cannot sweep the jobs; trying again later");
        }
    }
}
