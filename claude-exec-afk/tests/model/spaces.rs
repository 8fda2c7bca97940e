//! Which spaces are walked, and how.

use std::time::Instant;

use stateright::{Checker, Model};

use super::drain::{Drained, drain};
use super::model::Afk;
use super::world::{Faults, UNBOUNDED};

pub(crate) const NONE: Faults = Faults {
    total: 9,
    overlaps: UNBOUNDED,
    crashes: 0,
    halts: 0,
    resumes: 0,
    reds: 0,
    hangs: 0,
    closes: 0,
    relabels: 0,
    lates: 0,
};

/// What the checker itself says of a space: every property, every goal.
pub(crate) fn check(name: &str, model: Afk) {
    let start = Instant::now();
    let checker = model.checker().threads(2).spawn_bfs().join();
    println!("{name}: {} states, {:?}", checker.unique_state_count(), start.elapsed());
    checker.assert_properties();
}

/// What the whole graph says: the same properties, and that every state can come to rest.
pub(crate) fn come_to_rest(name: &str, model: &Afk) -> Drained {
    let start = Instant::now();
    let drained = drain(model, false);
    println!(
        "{name}: {} states, {} steps, {} at rest, {} stuck, {:?}",
        drained.states,
        drained.steps,
        drained.at_rest,
        drained.stuck,
        start.elapsed()
    );
    assert_eq!(drained.broken, None, "{name}");
    assert!(drained.at_rest > 0, "{name}");
    assert_eq!(drained.stuck, 0, "{name}: {:?}", drained.example);
    drained
}

/// Any two faults, and two controllers that are at it at the same time so often.
pub(crate) fn overlapping(overlaps: u8) -> Faults {
    Faults { overlaps, ..Faults::any(2) }
}

/// Two deployments with a ledger each; only the lock is between them.
pub(crate) fn apart(faults: Faults) -> Afk {
    let mut model = Afk::new(faults);
    model.ledgers = 2;
    model
}
