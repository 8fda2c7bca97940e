//! Why a verb goes nowhere.

use std::fmt;

use super::super::Observed;
use super::Operation;
use super::table::{RATE_MOST, RATE_WINDOW};

/// Why a verb goes nowhere.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// It cannot be asked like this.
    Invalid(String),
    /// Another operation runs.
    Busy(Box<Operation>),
    /// The same key, for the same thing, which has not ended yet.
    InFlight(Box<Operation>),
    /// The same key for something else.
    KeyReused,
    /// No such nonce: used, of somebody else, or more than 30 s old.
    Expired,
    /// The phrase is not the one that was asked for.
    WrongPhrase,
    /// The VM is not as it was when this was prepared.
    Changed(Box<Observed>),
    /// Too many lately.
    TooMany,
    /// The VM cannot be seen, so nothing can be prepared or committed.
    NotSeen(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => f.write_str(why),
            Self::Busy(operation) => write!(f, "busy: {} of {} has not ended", operation.verb, operation.who),
            Self::InFlight(operation) => write!(f, "this {} has not ended yet", operation.verb),
            Self::KeyReused => f.write_str("this Idempotency-Key was used for something else"),
            Self::Expired => f.write_str("expired or used: look at the VM and prepare it again"),
            Self::WrongPhrase => f.write_str("the phrase is not the one that was asked for"),
            Self::Changed(observed) => {
                write!(f, "state changed, look again: the VM is {} now", observed.status)
            }
            Self::TooMany => write!(
                f,
                "{RATE_MOST} verbs in {} minutes: something is wrong; wait, or go to the host",
                RATE_WINDOW.as_secs() / 60
            ),
            Self::NotSeen(why) => write!(f, "the VM cannot be seen: {why}"),
        }
    }
}

impl std::error::Error for Refusal {}
