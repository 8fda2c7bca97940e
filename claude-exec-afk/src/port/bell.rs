//! A person's phone.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::names::IssueKey;
use crate::seen::Seen;

/// Tells a person.
///
/// # Contract
///
/// 1. **The key is the bell**: the same [`Notice::key`] rings once. A service that knows such keys is given it;
///    for one that does not, `again` says that the fate of an earlier attempt is unknown, and the adapter looks
///    for the key before it rings.
/// 2. The key holds no time, status or attempt.
pub trait Bell: Send + Sync {
    /// Rings, unless this key has rung.
    ///
    /// # Errors
    ///
    /// When it has not rung, or that is unknown.
    fn ring<'a>(&'a self, notice: &'a Notice, again: bool) -> BoxFuture<'a, Result<Receipt>>;

    /// Whether a person has acknowledged it, by whatever the service has: a reaction, an answer, a button.
    /// Absent when the service has nothing of the kind.
    fn acknowledged<'a>(&'a self, receipt: &'a Receipt) -> BoxFuture<'a, Seen<bool>>;
}

/// What to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// `<run>:<outcome>`, with `:<n>` for the nth reminder: the same for ever.
    pub key: String,
    /// What kind it is; it decides the urgency.
    pub kind: NoticeKind,
    /// The issue.
    pub issue: IssueKey,
    /// One line.
    pub title: String,
    /// A few lines of plain text.
    pub body: String,
    /// Where to look, when there is such a place.
    pub link: Option<String>,
}

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum NoticeKind {
    /// It landed. Low urgency.
    Done,
    /// A person has to look: nothing was pushed. High urgency.
    NeedsHuman,
    /// A person has to look: what was pushed is broken, and is left as it is. High urgency.
    Frozen,
}

/// What a service gave for a bell; kept in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Receipt(
    /// The service's own id of it, such as Slack's channel and `ts`; may be empty.
    pub String,
);

impl NoticeKind {
    /// How it is marked in a title.
    pub fn marker(self) -> &'static str {
        match self {
            Self::Done => "[DONE]",
            Self::NeedsHuman => "[NEEDS-HUMAN]",
            Self::Frozen => "[FROZEN]",
        }
    }

    /// Tags for services that have them.
    pub fn tags(self) -> &'static [&'static str] {
        match self {
            Self::Done => &["afk", "done"],
            Self::NeedsHuman => &["afk", "escalation", "needs-human"],
            Self::Frozen => &["afk", "escalation", "frozen"],
        }
    }

    /// True when it should wake someone.
    pub fn is_urgent(self) -> bool {
        !matches!(self, Self::Done)
    }
}
