//! What a job is asked to do.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};

/// Bytes of a prompt: more than the largest context window takes.
pub const PROMPT_LIMIT: usize = 4 * 1024 * 1024;
/// Bytes of metadata as JSON: it is for finding a job again, not for storing things.
pub const METADATA_LIMIT: usize = 64 * 1024;
/// The longest run that can be asked for: a day.
pub const TIMEOUT_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// A job's request. Its JSON is the body of `POST /execute`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobRequest {
    /// What the agent is told.
    pub prompt: String,
    /// The agent's name.
    pub agent: String,
    /// What the run may cost in US dollars; default 5.
    #[serde(default = "default_budget")]
    pub max_budget_usd: f64,
    /// How long the run may take in seconds; default 2,700. Neither waiting nor preparing counts.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u64,
    /// Anything the caller wants to find in the record again.
    #[serde(default)]
    pub metadata: Option<Value>,
    /// The model, when it is not the agent's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

fn default_budget() -> f64 {
    5.0
}

fn default_timeout() -> u64 {
    2700
}

impl JobRequest {
    /// A request with the default budget and time limit.
    pub fn new(agent: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            agent: agent.into(),
            max_budget_usd: default_budget(),
            timeout_seconds: default_timeout(),
            metadata: None,
            model: None,
        }
    }

    /// How long the run may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    /// Checks the bounds that hold for every job; what its invocation demands comes on top.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid), naming the field.
    pub fn validate(&self) -> Result<()> {
        if self.prompt.trim().is_empty() {
            return Err(Error::invalid("prompt", "must not be empty"));
        }
        if self.prompt.len() > PROMPT_LIMIT {
            return Err(Error::invalid("prompt", format!("must be at most {PROMPT_LIMIT} bytes")));
        }
        if self.agent.is_empty() {
            return Err(Error::invalid("agent", "must not be empty"));
        }
        if self.agent.chars().any(char::is_control) {
            return Err(Error::invalid("agent", "must not contain control characters"));
        }
        // Neither NaN nor infinity: the CLI takes both, and then has no budget at all.
        if !(self.max_budget_usd.is_finite() && self.max_budget_usd > 0.0) {
            return Err(Error::invalid("max_budget_usd", "must be a number above 0"));
        }
        let limit = TIMEOUT_LIMIT.as_secs();
        if !(1..=limit).contains(&self.timeout_seconds) {
            return Err(Error::invalid("timeout_seconds", format!("must be from 1 to {limit}")));
        }
        let metadata = self.metadata.as_ref().map_or(0, |metadata| metadata.to_string().len());
        if metadata > METADATA_LIMIT {
            return Err(Error::invalid(
                "metadata",
                format!("must be at most {METADATA_LIMIT} bytes of JSON"),
            ));
        }
        Ok(())
    }
}

/// Shows no prompt and no metadata.
impl fmt::Debug for JobRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRequest")
            .field("agent", &self.agent)
            .field("prompt", &format_args!("{} bytes", self.prompt.len()))
            .field("max_budget_usd", &self.max_budget_usd)
            .field("timeout_seconds", &self.timeout_seconds)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_body_and_its_defaults() {
        let body = r#"{"prompt":"p","agent":"a","unknown":1}"#;
        let request: JobRequest = serde_json::from_str(body).unwrap();
        assert_eq!(request, JobRequest::new("a", "p"));
        assert_eq!((request.max_budget_usd, request.timeout_seconds), (5.0, 2700));
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_field() {
        let with = |change: fn(&mut JobRequest)| {
            let mut request = JobRequest::new("a", "p");
            change(&mut request);
            request.validate().err().and_then(|error| error.field())
        };
        type Row = (fn(&mut JobRequest), Option<&'static str>);
        let table: [Row; 11] = [
            (|_| {}, None),
            (|request| request.prompt = " \n".into(), Some("prompt")),
            (|request| request.prompt = "x".repeat(PROMPT_LIMIT + 1), Some("prompt")),
            (|request| request.agent.clear(), Some("agent")),
            (|request| request.agent.push('\0'), Some("agent")),
            (|request| request.max_budget_usd = f64::NAN, Some("max_budget_usd")),
            (|request| request.max_budget_usd = f64::INFINITY, Some("max_budget_usd")),
            (|request| request.max_budget_usd = 0.0, Some("max_budget_usd")),
            (|request| request.timeout_seconds = 0, Some("timeout_seconds")),
            (|request| request.timeout_seconds = 86_401, Some("timeout_seconds")),
            (|request| request.metadata = Some("x".repeat(METADATA_LIMIT).into()), Some("metadata")),
        ];
        for (number, (change, field)) in table.into_iter().enumerate() {
            assert_eq!(with(change), field, "row {number}");
        }
    }

    #[test]
    fn debug_shows_no_prompt() {
        let mut request = JobRequest::new("a", "my prompt");
        request.metadata = Some("my note".into());
        let shown = format!("{request:?}");
        assert!(!shown.contains("my prompt") && !shown.contains("my note"), "{shown}");
    }
}
