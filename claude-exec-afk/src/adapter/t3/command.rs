//! The commands that we send, as `POST /api/orchestration/dispatch` takes them.

use serde::Serialize;

/// What a thread runs with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Model {
    /// The provider instance on the server, such as `claudeAgent`.
    pub(super) instance_id: String,
    /// The model's name there.
    pub(super) model: String,
}

/// What an agent may do without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RuntimeMode {
    /// Everything: nobody is there to ask.
    #[default]
    FullAccess,
    /// Edits; it asks before commands, which ends the run.
    AutoAcceptEdits,
}

/// One command. Unknown keys are ignored by the server, so a misspelt one would go unnoticed: the tests hold each
/// against the strict schemas.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub(super) enum Command<'a> {
    #[serde(rename = "project.create")]
    ProjectCreate {
        command_id: String,
        project_id: &'a str,
        title: &'a str,
        workspace_root: &'a str,
        create_workspace_root_if_missing: bool,
        created_at: String,
    },
    #[serde(rename = "thread.create")]
    ThreadCreate {
        command_id: String,
        thread_id: &'a str,
        project_id: &'a str,
        title: &'a str,
        model_selection: &'a Model,
        runtime_mode: RuntimeMode,
        interaction_mode: Interaction,
        branch: (),
        worktree_path: (),
        created_at: String,
    },
    #[serde(rename = "thread.turn.start")]
    TurnStart {
        command_id: String,
        thread_id: &'a str,
        message: Message<'a>,
        // Both are ignored by the server, which goes by the thread's own, but must be there.
        runtime_mode: RuntimeMode,
        interaction_mode: Interaction,
        created_at: String,
    },
    #[serde(rename = "thread.turn.interrupt")]
    Interrupt {
        command_id: String,
        thread_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        turn_id: Option<&'a str>,
        created_at: String,
    },
    #[serde(rename = "thread.session.stop")]
    SessionStop { command_id: String, thread_id: &'a str, created_at: String },
    #[serde(rename = "thread.archive")]
    Archive { command_id: String, thread_id: &'a str },
    #[serde(rename = "thread.unarchive")]
    Unarchive { command_id: String, thread_id: &'a str },
}

/// How a thread talks.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Interaction {
    /// It works; the other one only plans.
    Default,
}

/// What a turn says.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message<'a> {
    pub(super) message_id: String,
    pub(super) role: Role,
    pub(super) text: &'a str,
    pub(super) attachments: [(); 0],
}

/// Whose message it is.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    /// Ours.
    User,
}
