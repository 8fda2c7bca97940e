//! What the server says, as far as it is needed: more keys may come with any release, and are passed over.

use serde::Deserialize;
use serde_json::value::RawValue;

/// `GET /.well-known/t3/environment`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) environment_id: String,
    pub(super) server_version: String,
    pub(super) orchestration_protocol_version: Option<u64>,
}

/// `GET /api/orchestration/snapshot` and `/shell`. The rows are read one by one, so that one of somebody else's
/// that is odd does not hide ours.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Snapshot<'a> {
    pub(super) snapshot_sequence: u64,
    #[serde(borrow)]
    pub(super) projects: Vec<&'a RawValue>,
    #[serde(borrow)]
    pub(super) threads: Vec<&'a RawValue>,
}

/// `GET /api/orchestration/threads/:threadId`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Detail {
    pub(super) snapshot_sequence: u64,
    pub(super) thread: Thread,
}

/// The answer to an accepted command: the sequence of the last event that it made.
#[derive(Debug, Deserialize)]
pub(super) struct Accepted {
    pub(super) sequence: u64,
}

/// The answer of `/oauth/token`.
#[derive(Deserialize)]
pub(super) struct Granted {
    pub(super) access_token: String,
    pub(super) token_type: String,
}

/// The id of a row.
#[derive(Debug, Deserialize)]
pub(super) struct Id {
    pub(super) id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Project {
    pub(super) id: String,
    pub(super) workspace_root: String,
    #[serde(default)]
    pub(super) deleted_at: Option<String>,
}

/// A thread without what was said in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) archived_at: Option<String>,
    #[serde(default)]
    pub(super) deleted_at: Option<String>,
    pub(super) session: Option<Session>,
}

/// A thread with what was said and done in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Thread {
    pub(super) id: String,
    pub(super) archived_at: Option<String>,
    #[serde(default)]
    pub(super) deleted_at: Option<String>,
    pub(super) session: Option<Session>,
    pub(super) latest_turn: Option<LatestTurn>,
    pub(super) messages: Vec<Said>,
    pub(super) activities: Vec<Activity>,
    pub(super) checkpoints: Vec<Checkpoint>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Session {
    pub(super) status: Status,
    pub(super) active_turn_id: Option<String>,
    pub(super) last_error: Option<String>,
    pub(super) updated_at: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Idle,
    Starting,
    Running,
    Ready,
    Interrupted,
    Stopped,
    Error,
    /// Of a later release: nothing is known of it, so it is taken for running.
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LatestTurn {
    pub(super) turn_id: String,
    pub(super) state: TurnState,
    pub(super) requested_at: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TurnState {
    Running,
    Interrupted,
    Completed,
    Error,
    #[serde(other)]
    Unknown,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Said {
    pub(super) id: String,
    pub(super) role: Role,
    pub(super) text: String,
    pub(super) turn_id: Option<String>,
    pub(super) created_at: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    User,
    Assistant,
    System,
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Activity {
    pub(super) id: String,
    pub(super) kind: String,
    #[serde(default)]
    pub(super) payload: serde_json::Value,
    pub(super) turn_id: Option<String>,
    pub(super) created_at: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Checkpoint {
    pub(super) turn_id: String,
    #[serde(default)]
    pub(super) files: Vec<serde_json::Value>,
    pub(super) completed_at: String,
}

impl Session {
    /// True when a turn runs in it, or may.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.status, Status::Starting | Status::Running | Status::Unknown)
            || self.active_turn_id.is_some()
    }

    /// True when no process can be behind it.
    pub(super) fn is_stopped(&self) -> bool {
        self.status == Status::Stopped && self.active_turn_id.is_none()
    }
}
