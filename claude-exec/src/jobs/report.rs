//! What a run reported, and how its job ended with that.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::record::JobStatus;
use crate::protocol::{SessionId, Usage};

/// What a run reported.
///
/// `exit_code`, `output` and `stderr` are the original service's fields, present for `completed` and `failed`.
/// `output` holds the lines that `claude -p --output-format json` prints: one, the `result` object, with its
/// newline, or none when the CLI ended without a result.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct JobReport {
    /// The exit code as `--output-format json` has it: 0 for success, 1 for a failure that the CLI reported,
    /// the process's own when it ended without a result, and the negated signal when one ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Lines with their newline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Vec<String>>,
    /// The end of what the process wrote to stderr, when it ended without a result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
    /// The agent's final text, or the CLI's account of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// `result`, and so `output`, is only the beginning of the text.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub output_truncated: bool,
    /// The CLI reported a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_error: Option<bool>,
    /// The CLI's session, to look at it or to resume it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// Requests to the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_turns: Option<u32>,
    /// Wall time of the run in milliseconds, as the CLI measured it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_cost_usd: Option<f64>,
    /// Why the checkout may have been older than the remote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_workspace: Option<String>,
}

/// Shows no text of the agent's.
impl fmt::Debug for JobReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobReport")
            .field("exit_code", &self.exit_code)
            .field("is_error", &self.is_error)
            .field("session_id", &self.session_id)
            .field("total_cost_usd", &self.total_cost_usd)
            .finish_non_exhaustive()
    }
}

/// How a job ended, and with what.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Ending {
    /// A final status.
    pub status: JobStatus,
    /// Why, when it did not end well.
    pub error: Option<String>,
    /// What the run reported.
    pub report: JobReport,
}

impl Ending {
    /// The agent ended well.
    pub fn completed(report: JobReport) -> Self {
        Self { status: JobStatus::Completed, error: None, report }
    }

    /// The agent ended badly.
    pub fn failed(report: JobReport, error: impl Into<String>) -> Self {
        Self { status: JobStatus::Failed, error: Some(error.into()), report }
    }

    /// A time limit of the run ran out.
    pub fn timed_out(error: impl Into<String>) -> Self {
        Self::without_report(JobStatus::Timeout, error)
    }

    /// The job could not be run.
    pub fn error(error: impl Into<String>) -> Self {
        Self::without_report(JobStatus::Error, error)
    }

    /// The job was stopped on someone's wish.
    pub fn cancelled() -> Self {
        Self { status: JobStatus::Cancelled, error: None, report: JobReport::default() }
    }

    pub(super) fn without_report(status: JobStatus, error: impl Into<String>) -> Self {
        Self { status, error: Some(error.into()), report: JobReport::default() }
    }
}
