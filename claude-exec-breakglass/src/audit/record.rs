//! What is recorded.

use claude_exec::jobs::Timestamp;
use serde::{Deserialize, Serialize};

use crate::power::{Observed, Outcome, Verb};

/// Who did it, as far as this server knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Actor {
    /// The name of a key, or the name that the identity provider gave.
    pub who: String,
    /// How that was proved: `bearer`, `proxy-secret`, `jwt`, `agent`, `server`, or `none` for one who is not known.
    pub method: String,
    /// The address of the connection's other end, which may be a proxy's.
    pub peer: String,
}

impl Actor {
    /// Somebody.
    pub fn new(who: impl Into<String>, method: impl Into<String>, peer: impl Into<String>) -> Self {
        Self { who: who.into(), method: method.into(), peer: peer.into() }
    }

    /// This server itself.
    pub fn server() -> Self {
        Self::new("server", "server", "")
    }

    /// An agent, where no person decided.
    pub fn agent() -> Self {
        Self::new("agent", "agent", "")
    }

    /// The name that tells this actor from every other: two methods may know the same name.
    pub fn identity(&self) -> String {
        format!("{}:{}", self.method, self.who)
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A server began to write here.
    Opened {
        /// Its version.
        version: String,
        /// Bytes of a last line that had no end: a crash in the middle of a write. They never counted.
        #[serde(default, skip_serializing_if = "is_zero")]
        cut_bytes: u64,
        /// What was wrong with the chain before, which this record does not continue.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        broken: Option<String>,
    },
    /// Somebody was turned away. At most one in 10 s of each peer.
    SignInRefused {
        /// Why.
        reason: String,
        /// What was asked for.
        path: String,
        /// How many more of this peer's there were since the record before.
        suppressed: u64,
    },
    /// A prompt to an agent.
    Prompt {
        /// Of which session.
        session: String,
        /// The prompt, without secrets.
        text: String,
    },
    /// An answer to an agent's question whether it may.
    Approval {
        /// Of which session.
        session: String,
        /// What for.
        tool: String,
        /// The exact input, without secrets.
        input: String,
        /// The answer.
        decision: Decision,
        /// Why, when it was no.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Something about a session that is worth a record, such as its unattended mode.
    Session {
        /// Which one.
        session: String,
        /// What became of it.
        what: String,
    },
    /// A verb that is about to be sent. Without this record being durable it is not.
    VerbRequested {
        /// The operation, and the nonce that the host knows it by.
        id: String,
        /// What.
        verb: Verb,
        /// On which VM.
        vmid: u32,
        /// Why.
        reason: String,
        /// The idempotency key that it came with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// The digest of what that key stands for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fingerprint: Option<String>,
        /// The VM as it was seen before.
        observed: Option<Observed>,
    },
    /// How it ended, or what an unknown end was found to be later.
    VerbEnded {
        /// The operation.
        id: String,
        /// What.
        verb: Verb,
        /// What came of it.
        outcome: Outcome,
        /// Why.
        detail: String,
        /// The exit code of `qm`.
        rc: Option<i32>,
        /// How long it took.
        ms: u64,
        /// The host said more than was kept.
        truncated: bool,
    },
    /// A verb that was not sent.
    VerbRefused {
        /// What, when it is known.
        verb: Option<Verb>,
        /// Why it was wanted.
        reason: String,
        /// Why it was refused.
        why: String,
    },
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// An answer to an agent's question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decision {
    /// Yes, this once.
    Once,
    /// Yes, and whatever the same rule covers in this session.
    Session,
    /// Yes, by a rule given earlier or by the read-only allowlist.
    Rule,
    /// No.
    Refused,
    /// Nobody answered in time, which is a no.
    TimedOut,
}

/// A record as it is read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// Its number, from 1.
    pub seq: u64,
    /// The hash of the record before; 64 zeros in the first.
    pub prev: String,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    pub event: Event,
}
