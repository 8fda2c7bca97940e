//! Bells that nobody has acknowledged.

use super::{Effect, Ring, Row};
use crate::config::Config;
use crate::seen::Seen;
use crate::time::Now;

/// Decides whether to ring again for a run that is over and waits for a person: when nobody has acknowledged
/// the bell for long enough, and not more often than configured.
pub fn remind(row: &Row, acknowledged: &Seen<bool>, config: &Config, now: Now) -> (Row, Option<Effect>) {
    let mut row = row.clone();
    let waits = row.state.outcome().is_some_and(|outcome| outcome.needs_person());
    let Some(bell) = row.bell.as_mut().filter(|bell| waits && !bell.acknowledged) else { return (row, None) };
    if acknowledged.known() == Some(&true) {
        bell.acknowledged = true;
        return (row, None);
    }
    let late = now.since(bell.at) >= config.patience.remind;
    if !late || bell.rings > config.attempts.reminders {
        return (row, None);
    }
    bell.at = now;
    bell.rings += 1;
    let effect = Effect::Ring(Ring(bell.rings - 1));
    (row, Some(effect))
}
