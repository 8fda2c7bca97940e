//! The choices an invocation is made of.

use std::time::Duration;

use crate::protocol::SessionId;

/// Which session the turn belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SessionChoice {
    /// None that is kept: no session file is written.
    #[default]
    Ephemeral,
    /// A new one with an id of the CLI's choosing, kept.
    New,
    /// A new one with this id; the CLI refuses an id that exists.
    NewWithId(SessionId),
    /// The one with this id, which must exist for this working directory.
    Resume(SessionId),
}

/// How hard the model thinks (`--effort`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effort {
    /// `low`
    Low,
    /// `medium`
    Medium,
    /// `high`
    High,
    /// `xhigh`
    XHigh,
    /// `max`
    Max,
}

impl Effort {
    /// The CLI's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }
}

/// Which tools run without asking (`--permission-mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PermissionMode {
    /// The CLI's default: reads are free, everything else asks.
    Default,
    /// Edits of files run too.
    AcceptEdits,
    /// Nothing is changed.
    Plan,
    /// What no rule allows is refused, not asked.
    DontAsk,
    /// Everything runs. Under root the CLI refuses it unless `IS_SANDBOX=1`.
    BypassPermissions,
}

impl PermissionMode {
    /// The CLI's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::AcceptEdits => "acceptEdits",
            Self::Plan => "plan",
            Self::DontAsk => "dontAsk",
            Self::BypassPermissions => "bypassPermissions",
        }
    }
}

impl std::str::FromStr for PermissionMode {
    type Err = crate::Error;

    /// Takes the CLI's words.
    fn from_str(text: &str) -> crate::Result<Self> {
        let all = [Self::Default, Self::AcceptEdits, Self::Plan, Self::DontAsk, Self::BypassPermissions];
        all.into_iter().find(|mode| mode.as_str() == text).ok_or_else(|| {
            let words = all.map(Self::as_str).join(", ");
            crate::Error::invalid("permission_mode", format!("must be one of {words}"))
        })
    }
}

/// The time limits of one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlines {
    /// From the start to the first byte of stdout. A cold CLI has been seen to take 3 s.
    pub first_byte: Duration,
    /// Between two events. While it retries, the CLI is silent for minutes.
    pub idle: Duration,
    /// The whole turn.
    pub total: Duration,
    /// How long the CLI may wait for an answer of ours, to a permission request or an MCP call; then it is told
    /// that nobody answered. [`idle`](Self::idle) does not count meanwhile.
    pub answer: Duration,
    /// How long the turn may wait for its caller to take an event, so that a reader who has stalled does not
    /// keep a process and a slot.
    pub stall: Duration,
}

impl Deadlines {
    /// Limits for a turn that may take `total` in all.
    pub const fn within(total: Duration) -> Self {
        Self {
            first_byte: Duration::from_secs(60),
            idle: total,
            total,
            answer: total,
            stall: Duration::from_secs(30),
        }
    }
}
