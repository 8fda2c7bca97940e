//! What is known of a job: its id, its record, its summary.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::report::{Ending, JobReport};
use super::request::JobRequest;
use crate::error::{Error, Result};
use crate::timestamp::Timestamp;

/// The id of a job: 12 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    /// An id that nothing else has: 48 random bits, and the store refuses one that is taken.
    pub fn random() -> Self {
        // The version and variant bits of a UUID come after its first 12 digits.
        Self(uuid::Uuid::new_v4().simple().to_string()[..12].to_owned())
    }

    /// Takes 12 lower-case hex digits.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) for anything else: no such job can exist.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() == 12 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::not_found("job"))
        }
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a job stands. All but the first two are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum JobStatus {
    /// Waits for a slot.
    Queued,
    /// Has a slot: its workspace is being prepared, or its agent runs.
    Running,
    /// The agent ended well.
    Completed,
    /// The agent ended badly, or reported a failure.
    Failed,
    /// The run took longer than it may, and was killed.
    Timeout,
    /// Someone cancelled it.
    Cancelled,
    /// The job could not be run: its wait, its workspace or its process failed.
    Error,
    /// The server stopped or crashed before the job was done.
    Interrupted,
}

impl JobStatus {
    /// True when the job will never change again.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Everything about one job. Its JSON is the answer of `GET /jobs/{id}`: the original's fields by state, and
/// more beside them.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobRecord {
    /// Its id.
    pub job_id: JobId,
    /// Where it stands.
    pub status: JobStatus,
    /// What was asked.
    #[serde(flatten)]
    pub request: JobRequest,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// Its place in the queue, 1 for the next one, while it is queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<usize>,
    /// When it got its slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// What its run reported.
    #[serde(flatten)]
    pub report: JobReport,
    /// Why it ended as it did, when that was not well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// The same in seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_epoch: Option<f64>,
    /// The number of its last event; what a follower has seen, it can count against this.
    #[serde(default)]
    pub last_event: u64,
}

impl JobRecord {
    pub(super) fn new(job_id: JobId, request: JobRequest, created_at: Timestamp) -> Self {
        Self {
            job_id,
            status: JobStatus::Queued,
            request,
            created_at,
            queue_position: None,
            started_at: None,
            report: JobReport::default(),
            error: None,
            finished_at: None,
            finished_epoch: None,
            last_event: 0,
        }
    }

    pub(super) fn start(&mut self, now: Timestamp) {
        self.status = JobStatus::Running;
        self.queue_position = None;
        self.started_at = Some(now);
    }

    pub(super) fn finish(&mut self, ending: Ending, now: Timestamp) {
        self.status = ending.status;
        self.queue_position = None;
        self.report = ending.report;
        self.error = ending.error;
        self.finished_at = Some(now);
        self.finished_epoch = Some(now.epoch_seconds());
    }

    /// The record without what it was told and what it said.
    pub fn summary(&self) -> JobSummary {
        JobSummary {
            job_id: self.job_id.clone(),
            status: self.status,
            agent: self.request.agent.clone(),
            created_at: self.created_at,
            queue_position: self.queue_position,
            started_at: self.started_at,
            finished_at: self.finished_at,
            is_error: self.report.is_error,
            total_cost_usd: self.report.total_cost_usd,
        }
    }
}

/// Shows neither prompt nor output.
impl fmt::Debug for JobRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRecord")
            .field("job_id", &self.job_id)
            .field("status", &self.status)
            .field("request", &self.request)
            .field("report", &self.report)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

/// What a list shows of a job: no prompt, no output, no metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobSummary {
    /// Its id.
    pub job_id: JobId,
    /// Where it stands.
    pub status: JobStatus,
    /// The agent's name.
    pub agent: String,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// Its place in the queue, 1 for the next one, while it is queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<usize>,
    /// When it got its slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// The CLI reported a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_error: Option<bool>,
    /// US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_cost_usd: Option<f64>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn queued() -> JobRecord {
        let id = JobId::parse("0123456789ab").unwrap();
        JobRecord::new(id, JobRequest::new("a", "p"), Timestamp::from_micros(1))
    }

    fn ended(ending: Ending) -> JobRecord {
        let mut record = queued();
        record.start(Timestamp::from_micros(2));
        record.finish(ending, Timestamp::from_micros(1_500_000));
        record
    }

    fn ran() -> JobReport {
        JobReport {
            exit_code: Some(0),
            output: Some(vec!["{}\n".into()]),
            stderr: Some(String::new()),
            ..JobReport::default()
        }
    }

    #[test]
    fn the_json_is_the_originals_with_more_beside_it() {
        let asked = json!({
            "job_id": "0123456789ab", "status": "queued", "prompt": "p", "agent": "a", "metadata": null,
            "created_at": "1970-01-01T00:00:00.000001+00:00", "max_budget_usd": 5.0, "timeout_seconds": 2700,
            "last_event": 0,
        });
        let with = |more: Value| {
            let mut all = asked.clone();
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        let (started, finished) = ("1970-01-01T00:00:00.000002+00:00", "1970-01-01T00:00:01.500000+00:00");
        let table = [
            (queued(), asked.clone()),
            (
                ended(Ending::completed(ran())),
                with(
                    json!({"status": "completed", "started_at": started, "exit_code": 0, "output": ["{}\n"],
                    "stderr": "", "finished_at": finished, "finished_epoch": 1.5}),
                ),
            ),
            (
                ended(Ending::timed_out("too long")),
                with(json!({"status": "timeout", "started_at": started, "error": "too long",
                    "finished_at": finished, "finished_epoch": 1.5})),
            ),
            (
                ended(Ending::cancelled()),
                with(json!({"status": "cancelled", "started_at": started, "finished_at": finished,
                    "finished_epoch": 1.5})),
            ),
        ];
        for (record, expected) in table {
            let json = serde_json::to_value(&record).unwrap();
            assert_eq!(json, expected);
            assert_eq!(serde_json::from_value::<JobRecord>(json).unwrap(), record);
        }
    }

    #[test]
    fn a_record_of_an_older_version_is_read() {
        let old = r#"{"job_id":"0123456789ab","status":"failed","prompt":"p","agent":"a",
            "created_at":"1970-01-01T00:00:00.000001+00:00","exit_code":3,"a_field_of_the_future":1}"#;
        let record: JobRecord = serde_json::from_str(old).unwrap();
        assert_eq!((record.status, record.report.exit_code), (JobStatus::Failed, Some(3)));
    }

    #[test]
    fn neither_a_summary_nor_debug_shows_what_was_said() {
        let mut record = ended(Ending::completed(ran()));
        record.request.prompt = "secret".into();
        record.request.metadata = Some("secret".into());
        record.report.result = Some("secret".into());
        record.report.output = Some(vec!["secret".into()]);
        record.report.stderr = Some("secret".into());
        let shown = format!("{record:?} {}", serde_json::to_string(&record.summary()).unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn ids_are_12_hex_digits() {
        assert_eq!(JobId::parse(JobId::random().as_str()).unwrap().as_str().len(), 12);
        for text in ["", "0123456789AB", "0123456789a", "0123456789abc", "../../../etc", "é123456789a"] {
            assert!(JobId::parse(text).unwrap_err().is_not_found(), "{text}");
        }
    }
}
