//! A verb that was shown with what it does, and what commits it.

use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

use super::super::{Observed, Verb};
use super::Refusal;

/// How long a person may think it over before what was seen is too old.
pub(super) const NONCE_TTL: Duration = Duration::from_secs(30);

/// The longest reason.
pub(super) const REASON_BYTES: usize = 500;

/// A verb that was shown with what it does, and waits for its commit.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Prepared {
    /// Commits it, once.
    pub nonce: String,
    /// For how long.
    #[serde(rename = "expires_s", serialize_with = "seconds")]
    pub expires: Duration,
    /// What.
    pub verb: Verb,
    /// On which VM.
    pub vmid: u32,
    /// The VM as it is; a commit that finds another is refused.
    pub observed: Observed,
    /// What the commit has to say; `None` when a tap is enough.
    pub phrase: Option<String>,
    /// The phrase has to be typed: there were many of these lately.
    pub typed: bool,
    /// What it does to the guest.
    pub consequence: &'static str,
    /// Why.
    #[serde(skip)]
    pub reason: String,
    /// Who may commit it.
    #[serde(skip)]
    pub(super) who: String,
    /// When it is too old.
    #[serde(skip)]
    pub(super) until: Option<Instant>,
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}

/// What a commit says.
#[derive(Debug, Clone, Copy)]
pub(in crate::power) struct Commit<'c> {
    pub(in crate::power) nonce: &'c str,
    pub(in crate::power) phrase: Option<&'c str>,
    pub(in crate::power) key: &'c str,
    pub(in crate::power) fingerprint: &'c str,
}

/// The reason for a verb that changes something, fit for a record.
pub(super) fn check_reason(verb: Verb, reason: &str) -> Result<String, Refusal> {
    let reason = reason.trim();
    if !verb.is_mutating() {
        return Err(Refusal::Invalid(format!("`{verb}` changes nothing: ask it without preparing")));
    }
    if reason.is_empty() || reason.len() > REASON_BYTES {
        return Err(Refusal::Invalid(format!(
            "a reason of 1 to {REASON_BYTES} bytes is needed: it goes into the audit"
        )));
    }
    Ok(crate::redact::plain(reason))
}
