//! What a look at the world gave.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a look at something gave: it, that it is not there, or that nobody can say.
///
/// The difference between the last two is the one that matters: a tracker that does not answer has not said
/// that the issue is gone. `Unknown` never starts, reaps or closes anything; it only lets deadlines run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Seen<T> {
    /// It was seen.
    Known(T),
    /// It was looked for, and is not there.
    Absent,
    /// It could not be looked at; why, in one line without secrets.
    Unknown(Reason),
}

/// Why something is unknown: one line, cheap to clone.
pub type Reason = Arc<str>;

impl<T> Seen<T> {
    /// Unknown, for this reason.
    pub fn unknown(reason: impl fmt::Display) -> Self {
        Self::Unknown(reason.to_string().into())
    }

    /// The value, when known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            _ => None,
        }
    }

    /// True when it was looked for and is not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// True when it could not be looked at.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// Changes the value, when known.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Seen<U> {
        match self {
            Self::Known(value) => Seen::Known(change(value)),
            Self::Absent => Seen::Absent,
            Self::Unknown(reason) => Seen::Unknown(reason),
        }
    }
}

/// A look that failed is unknown, and one that found nothing is absent.
impl<T, E: fmt::Display> From<Result<Option<T>, E>> for Seen<T> {
    fn from(looked: Result<Option<T>, E>) -> Self {
        match looked {
            Ok(Some(value)) => Self::Known(value),
            Ok(None) => Self::Absent,
            Err(error) => Self::unknown(error),
        }
    }
}
