//! What Woodpecker says, as far as it is needed.

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Repository {
    pub(super) id: u64,
    pub(super) default_branch: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Pipeline {
    pub(super) number: u64,
    pub(super) event: String,
    pub(super) status: String,
    pub(super) commit: String,
    #[serde(default)]
    pub(super) cancel_info: Option<CancelInfo>,
    /// Only where one pipeline is asked for.
    #[serde(default)]
    pub(super) workflows: Option<Vec<Workflow>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct CancelInfo {
    #[serde(default)]
    pub(super) superseded_by: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Workflow {
    pub(super) name: String,
    #[serde(default)]
    pub(super) error: Option<String>,
    #[serde(default)]
    pub(super) children: Option<Vec<Step>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Step {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) state: String,
    #[serde(default)]
    pub(super) error: Option<String>,
}

/// One line of a log; its text in base64.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Line {
    #[serde(default)]
    pub(super) data: Option<String>,
}
