//! Which of the effects that were decided are to be delivered now.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Effect, Row};
use crate::error::Error;
use crate::time::Now;

/// The effects of a run that are not yet acknowledged.
pub type Outbox = BTreeMap<Effect, Delivery>;

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

/// The effect to deliver next, if there is one: the first by [`rank`](Effect::rank) of those that the row still
/// wants, unless it waits for its next try. A bell that waits lets others pass.
pub fn next(row: &Row, outbox: &Outbox, now: Now) -> Option<Effect> {
    let mut wanted: Vec<_> = outbox.iter().filter(|(effect, _)| effect.is_wanted(row)).collect();
    wanted.sort_by_key(|(effect, _)| effect.rank());
    for (effect, delivery) in wanted {
        if delivery.not_before <= now {
            return Some(effect.clone());
        }
        if effect.blocks() {
            return None;
        }
    }
    None
}

/// Drops what the row does not want any more. What is left is owed.
pub fn settle(row: &Row, outbox: &mut Outbox) {
    outbox.retain(|effect, _| effect.is_wanted(row));
}

/// True when something but a bell is owed: the run cannot be over.
pub fn is_pending(row: &Row, outbox: &Outbox) -> bool {
    outbox.keys().any(|effect| effect.blocks() && effect.is_wanted(row))
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
