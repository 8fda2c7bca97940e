//! A job under way in this process.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::watch;

use super::cancel::{Cancelled, Canceller};
use super::log::Log;
use super::record::{JobId, JobRecord, JobStatus};
use super::report::Ending;
use super::sink::EventSink;
use crate::timestamp::Timestamp;

/// Who wished for the end of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Caller,
    /// The submitter was gone before it was told the id, so nobody can know of the job.
    Unknown,
    Shutdown,
}

pub(super) struct Live {
    pub(super) id: JobId,
    record: Mutex<JobRecord>,
    pub(super) key: Option<String>,
    pub(super) log: Arc<Log>,
    canceller: Canceller,
    pub(super) cancelled: Cancelled,
    why: OnceLock<Why>,
    done: watch::Sender<bool>,
}

impl Live {
    pub(super) fn new(record: JobRecord, key: Option<String>) -> Self {
        let (canceller, cancelled) = Canceller::new();
        Self {
            id: record.job_id.clone(),
            record: Mutex::new(record),
            key,
            log: Arc::new(Log::new()),
            canceller,
            cancelled,
            why: OnceLock::new(),
            done: watch::Sender::new(false),
        }
    }

    /// The record as it is now.
    pub(super) fn snapshot(&self) -> JobRecord {
        let mut record = self.lock().clone();
        record.last_event = self.log.last();
        record
    }

    pub(super) fn sink(&self) -> EventSink {
        EventSink::new(Arc::clone(&self.log))
    }

    pub(super) fn queue(&self, position: Option<usize>) {
        let before = std::mem::replace(&mut self.lock().queue_position, position);
        if before != position && position.is_some() {
            self.sink().tell_status(JobStatus::Queued, position, None);
        }
    }

    pub(super) fn start(&self, now: Timestamp) {
        self.lock().start(now);
        self.sink().tell_status(JobStatus::Running, None, None);
    }

    /// Settles what became of the job; the first word counts.
    pub(super) fn finish(&self, ending: Ending, now: Timestamp) {
        let mut record = self.lock();
        if record.status.is_final() {
            return;
        }
        record.finish(self.explained(ending), now);
        self.sink().tell_status(record.status, None, record.error.as_deref());
        drop(record);
        self.log.close();
    }

    /// Only the registry knows who wished for the end.
    fn explained(&self, ending: Ending) -> Ending {
        match (ending.status, self.why.get()) {
            (JobStatus::Cancelled, Some(Why::Shutdown)) => Ending {
                status: JobStatus::Interrupted,
                error: Some("the server shut down".into()),
                ..ending
            },
            (JobStatus::Cancelled, Some(Why::Unknown)) => {
                Ending { error: Some("its submitter left before it was told the id".into()), ..ending }
            }
            (status, _) if !status.is_final() => Ending {
                status: JobStatus::Error,
                error: Some(format!("the run ended as {status}")),
                ..ending
            },
            _ => ending,
        }
    }

    pub(super) fn cancel(&self, why: Why) {
        let _ = self.why.set(why);
        self.canceller.cancel();
    }

    /// Says that the record is final, and saved or as good as.
    pub(super) fn set_done(&self) {
        self.done.send_replace(true);
    }

    pub(super) fn is_done(&self) -> bool {
        *self.done.borrow()
    }

    pub(super) async fn done(&self) {
        // The sender lives in `self`.
        let _ = self.done.subscribe().wait_for(|done| *done).await;
    }

    fn lock(&self) -> MutexGuard<'_, JobRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
