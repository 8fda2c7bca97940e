//! The life of one job: saved, queued, run, ended.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::oneshot;

use super::gate::{Gate, Slot, Waiting};
use super::live::{Live, Why};
use super::log::Log;
use super::record::{JobId, JobRecord};
use super::report::Ending;
use super::runner::{Job, Runner};
use super::shelf::Shelf;
use crate::error::{Error, Result};
use crate::store::Written;
use crate::timestamp::Timestamp;

/// How long a run may take to end once it is cancelled; then it is dropped, which stops it too. A process
/// is given 3 s to end by itself, and its executor bounds what comes after.
const CANCEL_LIMIT: Duration = Duration::from_secs(30);

/// Ended jobs whose events are kept: whoever lost its connection near the end finds them again. With what one
/// job may keep, 32 MiB at most.
const RECENT_LOGS: usize = 32;

/// Failed additions that are remembered while the store is out of order. What is forgotten is found as
/// interrupted at the next start.
const DOUBTFUL_LIMIT: usize = 1_000;

/// What all jobs of a registry share.
pub(super) struct Core {
    pub(super) shelf: Shelf,
    pub(super) gate: Gate,
    pub(super) runner: Box<dyn Runner>,
    pub(super) clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Jobs that are under way, and ended ones that could not be saved yet.
    pub(super) live: Mutex<HashMap<JobId, Arc<Live>>>,
    /// The events of the jobs that ended last, oldest first.
    pub(super) recent: Mutex<VecDeque<(JobId, Arc<Log>)>>,
    /// Jobs whose addition failed but may have happened, with their keys: to be removed before anyone meets them.
    pub(super) doubtful: Mutex<VecDeque<(JobId, Option<String>)>>,
    /// About how many jobs are on the shelf.
    pub(super) kept: AtomicUsize,
}

impl Core {
    pub(super) fn live(&self) -> MutexGuard<'_, HashMap<JobId, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, id: &JobId) -> Option<Arc<Live>> {
        self.live().get(id).cloned()
    }

    /// Lives through a job that has a place in the queue; `reply` is told first whether it was added.
    pub(super) async fn live_through(
        self: Arc<Self>,
        job: Arc<Live>,
        waiting: Waiting,
        reply: oneshot::Sender<Result<Option<JobRecord>>>,
    ) {
        job.queue(waiting.position());
        let record = job.snapshot();
        match self.shelf.add(&record, job.key.as_deref()).await {
            Ok(Written::Applied) => {}
            refused => {
                if refused.is_err() {
                    self.doubt(&job).await;
                }
                self.live().remove(&job.id);
                // Nobody left to tell is fine: nothing was begun.
                let _ = reply.send(refused.map(|_| None));
                return;
            }
        }
        self.kept.fetch_add(1, Ordering::Relaxed);
        if reply.send(Ok(Some(record))).is_err() && job.key.is_none() {
            job.cancel(Why::Unknown);
        }
        let ending = match wait(&job, waiting).await {
            Ok(slot) => self.run(&job, slot).await,
            Err(ending) => ending,
        };
        self.finish(&job, ending).await;
    }

    async fn run(&self, job: &Live, slot: Slot) -> Ending {
        let slot = Arc::new(slot);
        job.start((self.clock)());
        if let Err(error) = self.save(job).await {
            // After a crash this job would count as one that was queued: no reason not to run it.
            tracing::warn!(job = %job.id, %error, "cannot save that a job runs");
        }
        let (id, request) = (job.id.clone(), job.snapshot().request);
        let cancelled = job.cancelled.clone();
        let task =
            Job { id, request, slot: Arc::clone(&slot), events: job.sink(), cancelled: cancelled.clone() };
        let run = async { self.runner.run(task).await };
        let overdue = async {
            cancelled.wait().await;
            tokio::time::sleep(CANCEL_LIMIT).await;
        };
        tokio::select! {
            biased;
            ending = AssertUnwindSafe(run).catch_unwind() => {
                ending.unwrap_or_else(|_| Ending::error("the run panicked"))
            }
            () = overdue => Ending::cancelled(),
        }
    }

    /// The events of a job that is under way, or ended lately.
    pub(super) fn log(&self, id: &JobId) -> Option<Arc<Log>> {
        let recent = || self.recent().iter().find(|(ended, _)| ended == id).map(|(_, log)| Arc::clone(log));
        self.find(id).map(|job| Arc::clone(&job.log)).or_else(recent)
    }

    fn keep_log(&self, job: &Live) {
        let mut recent = self.recent();
        recent.push_back((job.id.clone(), Arc::clone(&job.log)));
        if recent.len() > RECENT_LOGS {
            recent.pop_front();
        }
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<(JobId, Arc<Log>)>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Settles a job. One that cannot be saved is kept in memory, and saved by a later sweep.
    pub(super) async fn finish(&self, job: &Live, ending: Ending) {
        job.finish(ending, (self.clock)());
        self.keep_log(job);
        match self.save(job).await {
            Ok(()) => drop(self.live().remove(&job.id)),
            Err(error) => {
                tracing::warn!(job = %job.id, %error, "cannot save how a job ended; trying again later")
            }
        }
        job.set_done();
    }

    async fn doubt(&self, job: &Live) {
        {
            let mut doubtful = self.doubtful();
            doubtful.push_back((job.id.clone(), job.key.clone()));
            if doubtful.len() > DOUBTFUL_LIMIT {
                doubtful.pop_front();
            }
        }
        if let Err(error) = self.settle_doubts().await {
            tracing::warn!(job = %job.id, %error, "cannot remove a job that could not be added; trying again later");
        }
    }

    /// Removes what may have been added although that failed.
    pub(super) async fn settle_doubts(&self) -> Result<()> {
        let doubts = self.doubtful().clone();
        for doubt in doubts {
            self.shelf.remove(&doubt.0, doubt.1.as_deref()).await?;
            self.doubtful().retain(|other| *other != doubt);
        }
        Ok(())
    }

    fn doubtful(&self) -> MutexGuard<'_, VecDeque<(JobId, Option<String>)>> {
        self.doubtful.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the old jobs, also from memory.
    pub(super) async fn sweep(&self, ttl: Duration, room: usize) -> Result<usize> {
        let swept = self.shelf.sweep((self.clock)(), ttl, room).await?;
        self.recent().retain(|(id, _)| !swept.removed.contains(id));
        self.kept.store(swept.kept, Ordering::Relaxed);
        Ok(swept.kept)
    }

    /// Saves the ended jobs that could not be saved when they ended.
    pub(super) async fn save_late(&self) -> Result<()> {
        let late: Vec<_> = self.live().values().filter(|job| job.is_done()).cloned().collect();
        for job in late {
            self.save(&job).await?;
            self.live().remove(&job.id);
        }
        Ok(())
    }

    async fn save(&self, job: &Live) -> Result<()> {
        self.shelf.update(&job.snapshot(), job.key.as_deref()).await
    }

    /// The record of a job, from memory while it is under way. How it ended is not told before it is saved.
    pub(super) async fn get(&self, id: &JobId) -> Result<JobRecord> {
        match self.find(id) {
            Some(job) => {
                if job.snapshot().status.is_final() {
                    job.done().await;
                }
                Ok(job.snapshot())
            }
            None => self.shelf.get(id).await?.ok_or_else(|| Error::not_found("job")),
        }
    }
}

/// Waits for the slot, telling each change of the place in the queue.
async fn wait(job: &Live, mut waiting: Waiting) -> Result<Slot, Ending> {
    let mut moves = waiting.moves();
    loop {
        job.queue(waiting.position());
        tokio::select! {
            biased;
            () = job.cancelled.wait() => return Err(Ending::cancelled()),
            slot = &mut waiting => return slot.map_err(|error| Ending::error(error.to_string())),
            () = moves.next() => {}
        }
    }
}
