//! A run as the ledger keeps it: one value, so that a decision and its effects become durable together.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Effect, Row};
use crate::error::Error;
use crate::time::Now;

/// A row with the effects that are still owed for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// What is remembered.
    pub row: Row,
    /// The effects that are not acknowledged.
    #[serde(with = "pairs")]
    pub outbox: BTreeMap<Effect, Delivery>,
}

/// How the delivery of one effect goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Delivery {
    /// How often it was tried in vain.
    pub attempts: u32,
    /// How many of those were refused, not merely unanswered.
    pub refusals: u32,
    /// Not to be tried before.
    pub not_before: Now,
    /// What came of the last try.
    pub error: String,
}

/// The wait after the first failed try; doubled after each further one.
const BACKOFF: Duration = Duration::from_secs(10);
/// The longest wait between two tries.
const BACKOFF_LIMIT: Duration = Duration::from_secs(600);
/// How often a service may refuse an effect before it is given up, when it can be.
const REFUSALS: u32 = 3;

impl Record {
    /// A run that was just claimed and owes nothing yet.
    pub fn new(row: Row) -> Self {
        Self { row, outbox: BTreeMap::new() }
    }

    /// The run after a decision: its new row, what it owed and still wants, and what it owes now.
    #[must_use]
    pub fn decided(&self, row: Row, effects: Vec<Effect>) -> Self {
        let mut outbox = self.outbox.clone();
        for effect in effects {
            outbox.entry(effect).or_default();
        }
        outbox.retain(|effect, _| effect.is_wanted(&row));
        Self { row, outbox }
    }

    /// The run after an effect was delivered, or given up.
    #[must_use]
    pub fn acknowledged(&self, effect: &Effect) -> Self {
        let mut record = self.clone();
        record.outbox.remove(effect);
        record
    }

    /// The effect to deliver next, if there is one: the first by [`rank`](Effect::rank), unless it waits for its
    /// next try. A bell that waits lets others pass.
    pub fn next(&self, now: Now) -> Option<Effect> {
        let mut owed: Vec<_> = self.outbox.iter().filter(|(effect, _)| effect.is_wanted(&self.row)).collect();
        owed.sort_by_key(|(effect, _)| effect.rank());
        for (effect, delivery) in owed {
            if delivery.not_before <= now {
                return Some(effect.clone());
            }
            if effect.blocks() {
                return None;
            }
        }
        None
    }

    /// True when a person was called and may be called again.
    pub fn waits_for_acknowledgement(&self) -> bool {
        let waits = self.row.state.outcome().is_some_and(|outcome| outcome.needs_person());
        waits && self.row.bell.as_ref().is_some_and(|bell| !bell.acknowledged)
    }

    /// True when something but a bell is owed, so that the run cannot be over.
    pub fn is_pending(&self) -> bool {
        self.outbox.keys().any(|effect| effect.blocks() && effect.is_wanted(&self.row))
    }
}

impl Delivery {
    /// Notes a failed try; true when the effect is to be given up.
    ///
    /// A session that may live, a lock that may be held and a bell that has not rung are never given up.
    #[must_use]
    pub fn failed(&mut self, effect: &Effect, error: &Error, now: Now) -> bool {
        self.attempts = self.attempts.saturating_add(1);
        self.refusals = self.refusals.saturating_add(u32::from(!error.is_transient()));
        self.error = error.to_string();
        let wait = BACKOFF * 2_u32.pow(self.attempts.saturating_sub(1).min(10));
        self.not_before = now + error.retry_after().unwrap_or(Duration::ZERO).max(wait.min(BACKOFF_LIMIT));
        let owed = matches!(effect, Effect::Stop | Effect::Unlock | Effect::Ring(_) | Effect::Interrupt(_));
        !owed && self.refusals >= REFUSALS
    }
}

/// The outbox as a list of pairs: JSON has no keys but text.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Delivery, Effect};

    pub(super) fn serialize<S: Serializer>(
        outbox: &BTreeMap<Effect, Delivery>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(outbox)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Effect, Delivery>, D::Error> {
        Ok(Vec::<(Effect, Delivery)>::deserialize(deserializer)?.into_iter().collect())
    }
}
