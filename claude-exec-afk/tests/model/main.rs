//! The loop, model-checked: the very `step`, `plan` and `Record` that ship, between two controllers that may
//! overlap, crash and be halted at every point, and a world that does its worst.
//!
//! The spaces here take about a minute. The bigger ones, which take many minutes and some GB of memory, are walked by
//! `cargo bench -p claude-exec-afk --bench model`.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod baseline;
mod controller;
mod deed;
mod drain;
mod model;
mod mutation;
mod names;
mod safety;
mod sight;
mod spaces;
mod world;

use drain::drain;
use model::Afk;
use mutation::{ALL, Mutation};
use safety::Broken;
use spaces::{NONE, apart, check, come_to_rest, overlapping};
use world::Faults;

#[test]
fn two_controllers_and_two_issues_with_every_fault() {
    let all = Faults { overlaps: 2, ..Faults::any(5) };
    check("two controllers, two issues, all five faults, two overlaps", Afk::new(all));
}

#[test]
fn every_state_can_come_to_rest() {
    come_to_rest("two issues, any two faults, three overlaps", &Afk::new(overlapping(3)));
    let mut one = Afk::new(Faults::any(5));
    one.issues = 1;
    come_to_rest("one issue, all five faults", &one);
}

#[test]
fn two_deployments_share_a_lock() {
    come_to_rest("two deployments, two issues, no fault", &apart(NONE));
}

#[test]
fn a_halt_ends_and_a_person_labels_again() {
    let mut model = Afk::new(Faults { halts: 1, resumes: 1, ..NONE });
    model.issues = 1;
    come_to_rest("halted and resumed", &model);
    let mut model = Afk::new(Faults { hangs: 1, relabels: 1, ..NONE });
    model.issues = 1;
    come_to_rest("judged and labelled again", &model);
}

#[test]
fn the_longer_ways() {
    let mut model = Afk::new(Faults { reds: 2, lates: 1, ..NONE });
    model.issues = 1;
    model.fixes = 2;
    model.turns = 2;
    model.rerun = true;
    model.closes = true;
    model.configure();
    come_to_rest("two reds, reruns, two turns, a late decision, closed by its commit", &model);
}

/// Each mistake, and the space in which it shows.
fn mistaken(mutation: Mutation) -> Afk {
    let mut model = match mutation {
        Mutation::LockPerIssue => apart(NONE),
        Mutation::ModeFromSnapshot => Afk::new(Faults { halts: 1, ..NONE }),
        Mutation::FixForgotten => Afk::new(Faults { reds: 1, ..NONE }),
        Mutation::ReadyKept | Mutation::StaleClaim => Afk::new(Faults { hangs: 1, relabels: 1, ..NONE }),
        _ => Afk::new(Faults::any(2)),
    };
    model.mutation = Some(mutation);
    model.configure();
    model
}

#[test]
fn every_mistake_is_found() {
    let mut survived = Vec::new();
    for mutation in ALL {
        let drained = drain(&mistaken(mutation), true);
        let Some((bits, path)) = drained.broken else {
            survived.push(mutation);
            continue;
        };
        println!("{mutation:?}: {:?} after {} steps, {} states", names(bits), path.len(), drained.states);
    }
    assert_eq!(survived, []);
}

fn names(bits: u16) -> Vec<Broken> {
    Broken::ALL.into_iter().filter(|broken| bits & *broken as u16 != 0).collect()
}
