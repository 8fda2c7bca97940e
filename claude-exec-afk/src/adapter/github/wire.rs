//! What GitHub says, as far as it is read here.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::adapter::moment::Moment;

#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) login: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Issue {
    pub(super) number: u64,
    pub(super) state: String,
    pub(super) title: String,
    pub(super) body: Option<String>,
    pub(super) labels: Vec<Label>,
    /// Nobody any more, when the account was deleted.
    pub(super) user: Option<User>,
    #[serde(default)]
    pub(super) closed_by: Option<User>,
    pub(super) updated_at: Moment,
    /// There when it is a pull request (T10).
    #[serde(default)]
    pub(super) pull_request: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) repository_url: Option<String>,
}

/// The schema allows both.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Label {
    Name(String),
    Object { name: Option<String> },
}

impl Label {
    pub(super) fn name(self) -> String {
        match self {
            Self::Name(name) => name,
            Self::Object { name } => name.unwrap_or_default(),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub(super) event: String,
    #[serde(default)]
    pub(super) actor: Option<User>,
    #[serde(default)]
    pub(super) label: Option<EventLabel>,
    /// Of a closing: the commit that did it.
    #[serde(default)]
    pub(super) commit_id: Option<String>,
    pub(super) created_at: Moment,
}

#[derive(Debug, Deserialize)]
pub(super) struct EventLabel {
    #[serde(default)]
    pub(super) name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Access {
    pub(super) permission: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Repository {
    pub(super) default_branch: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Branch {
    pub(super) commit: Commit,
    #[serde(default)]
    pub(super) protection: Option<Protection>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Commit {
    pub(super) sha: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Protection {
    #[serde(default)]
    pub(super) required_status_checks: Option<RequiredChecks>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RequiredChecks {
    #[serde(default)]
    pub(super) contexts: Vec<String>,
}

/// A rule of a ruleset that holds for a branch.
#[derive(Debug, Deserialize)]
pub(super) struct Rule {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) parameters: serde_json::Value,
}

#[derive(Debug, Deserialize)]
pub(super) struct CheckRuns {
    pub(super) total_count: usize,
    pub(super) check_runs: Vec<CheckRun>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CheckRun {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) conclusion: Option<String>,
    #[serde(default)]
    pub(super) started_at: Option<Moment>,
    #[serde(default)]
    pub(super) completed_at: Option<Moment>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CombinedStatus {
    pub(super) statuses: Vec<Status>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Status {
    pub(super) context: String,
    pub(super) state: String,
    pub(super) updated_at: Moment,
}

#[derive(Debug, Deserialize)]
pub(super) struct WorkflowRuns {
    pub(super) workflow_runs: Vec<WorkflowRun>,
}

#[derive(Debug, Deserialize)]
pub(super) struct WorkflowRun {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) run_attempt: Option<u32>,
    pub(super) status: Option<String>,
    pub(super) conclusion: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Annotation {
    #[serde(default)]
    pub(super) path: Option<String>,
    #[serde(default)]
    pub(super) annotation_level: Option<String>,
    #[serde(default)]
    pub(super) message: Option<String>,
}
