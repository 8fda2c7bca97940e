//! A verb that was committed.

use claude_exec::jobs::Timestamp;
use serde::Serialize;

use super::super::{Observed, Outcome, State, Verb, Verdict};

/// What is kept of what the host said of one operation.
pub(super) const STDOUT_BYTES: usize = 16 * 1024;

/// A verb that was committed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Operation {
    /// Its id, and the nonce that the host knows it by.
    pub id: String,
    /// What.
    pub verb: Verb,
    /// On which VM.
    pub vmid: u32,
    /// Why.
    pub reason: String,
    /// Who wanted it, as [`Actor::identity`](crate::audit::Actor::identity) writes it.
    pub who: String,
    /// When it was committed.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Where it is.
    pub state: State,
    /// The step it is at on the host.
    pub step: Option<String>,
    /// What came of it.
    pub outcome: Option<Outcome>,
    /// Why.
    pub detail: Option<String>,
    /// The exit code of `qm`.
    pub rc: Option<i32>,
    /// What the host said.
    pub stdout: String,
    /// The VM as it was seen before.
    pub observed: Option<Observed>,
    /// The VM as it was seen after an outcome that was unknown.
    pub observed_after: Option<Observed>,
    /// False when its end is not in the audit, or only in memory.
    pub recorded: bool,
    /// The idempotency key, and the digest of what it stands for.
    #[serde(skip)]
    pub(in crate::power) key: Option<(String, String)>,
}

impl Operation {
    /// One that nothing has come of yet.
    pub(super) fn new(
        id: String,
        verb: Verb,
        vmid: u32,
        reason: String,
        who: String,
        began: Timestamp,
    ) -> Self {
        Self {
            id,
            verb,
            vmid,
            reason,
            who,
            began,
            ended: None,
            state: State::Requested,
            step: None,
            outcome: None,
            detail: None,
            rc: None,
            stdout: String::new(),
            observed: None,
            observed_after: None,
            recorded: true,
            key: None,
        }
    }

    /// Takes over a verdict.
    pub(in crate::power) fn end(&mut self, verdict: &Verdict, at: Timestamp) {
        self.state = State::Ended;
        self.ended = Some(at);
        self.outcome = Some(verdict.outcome);
        self.detail = Some(verdict.detail.clone());
        self.rc = verdict.rc;
        self.step = None;
    }

    /// Keeps the end of what the host said.
    pub(in crate::power) fn said(&mut self, text: &str) {
        let start = text.len().saturating_sub(STDOUT_BYTES);
        let start = (start..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        text[start..].clone_into(&mut self.stdout);
    }
}
