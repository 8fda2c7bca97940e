//! What Forgejo and Gitea say, as far as it is read here.

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
    #[serde(default)]
    pub(super) body: Option<String>,
    #[serde(default)]
    pub(super) labels: Option<Vec<Label>>,
    #[serde(default)]
    pub(super) user: Option<User>,
    pub(super) updated_at: Moment,
    /// There when it is a pull request (T10).
    #[serde(default)]
    pub(super) pull_request: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) repository: Option<IssueRepository>,
}

#[derive(Debug, Deserialize)]
pub(super) struct IssueRepository {
    pub(super) full_name: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Label {
    pub(super) id: u64,
    pub(super) name: String,
}

/// An entry of a timeline.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// Of a label: `1` when it was put on, nothing when it was taken off.
    #[serde(default)]
    pub(super) body: Option<String>,
    #[serde(default)]
    pub(super) user: Option<User>,
    #[serde(default)]
    pub(super) label: Option<Label>,
    pub(super) created_at: Moment,
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
    pub(super) enable_status_check: bool,
    #[serde(default)]
    pub(super) status_check_contexts: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Commit {
    pub(super) id: String,
}

/// An entry of a commit's statuses; its state is called `status`, the combined one's is called `state`.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) context: String,
    pub(super) status: String,
    pub(super) updated_at: Moment,
}
