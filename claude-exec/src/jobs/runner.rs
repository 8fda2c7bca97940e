//! What runs a job: the trait between the registry and an agent.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::cancel::Cancelled;
use super::gate::Slot;
use super::record::JobId;
use super::report::Ending;
use super::request::JobRequest;
use super::sink::EventSink;
use crate::error::Result;

/// A job that has its slot and is to be run.
#[non_exhaustive]
pub struct Job {
    /// Its id, unique among all jobs.
    pub id: JobId,
    /// What to do.
    pub request: JobRequest,
    /// The right to run. The registry keeps it for as long as the run lasts; what may outlast the run, such as a
    /// process on its way out, keeps a share of it.
    pub slot: Arc<Slot>,
    /// Where to tell what happens.
    pub events: EventSink,
    /// The wish that the job end.
    pub cancelled: Cancelled,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("id", &self.id).field("request", &self.request).finish_non_exhaustive()
    }
}

/// Runs jobs.
///
/// # Contract
///
/// 1. A run ends, whatever happens: it has time limits of its own for all it does.
/// 2. Once [`Job::cancelled`] is wished for, the run stops what it started and ends soon, as
///    [`Ending::cancelled`] unless it was done before.
/// 3. When a run has ended, nothing of it runs any more.
/// 4. Dropping the future stops everything too, in the background, with a share of [`Job::slot`] kept until then.
pub trait Runner: Send + Sync {
    /// Refuses what could never run, before it is queued.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](crate::Error::is_invalid), naming the field.
    fn check(&self, request: &JobRequest) -> Result<()> {
        let _ = request;
        Ok(())
    }

    /// Runs one job to its end.
    fn run(&self, job: Job) -> BoxFuture<'static, Ending>;
}

impl<R: Runner + ?Sized> Runner for Arc<R> {
    fn check(&self, request: &JobRequest) -> Result<()> {
        (**self).check(request)
    }

    fn run(&self, job: Job) -> BoxFuture<'static, Ending> {
        (**self).run(job)
    }
}
