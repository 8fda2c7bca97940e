//! What must never happen, and what must be able to happen.

use claude_exec_afk::run::{Outcome, Record, State, Why};
use stateright::Property;

use super::deed::bell;
use super::model::Afk;
use super::world::{CiState, SessionState, World};

/// A property that was broken, noted where it happens.
#[derive(Clone, Copy, Debug)]
#[repr(u16)]
pub(crate) enum Broken {
    /// P1.
    TwoSessions = 1,
    /// P2.
    ModeIgnored = 2,
    /// P3.
    TwoBells = 4,
    /// P4.
    FixedTwice = 8,
    /// P5.
    RanUnasked = 16,
    /// P6.
    SessionWithoutLock = 32,
    /// P7.
    ClosedUnproven = 64,
    /// P8.
    ActedBlindly = 128,
    /// P10.
    TwoVerdicts = 256,
    /// The same labelling is claimed over and over.
    EndlessRuns = 512,
}

impl Broken {
    pub(crate) const ALL: [Self; 10] = [
        Self::TwoSessions,
        Self::ModeIgnored,
        Self::TwoBells,
        Self::FixedTwice,
        Self::RanUnasked,
        Self::SessionWithoutLock,
        Self::ClosedUnproven,
        Self::ActedBlindly,
        Self::TwoVerdicts,
        Self::EndlessRuns,
    ];
}

#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Reached {
    Done = 1,
    Escalated = 2,
    Frozen = 4,
    Cancelled = 8,
    /// Red, fixed, and done.
    Fixed = 16,
    /// Judged, labelled again by a person, and done.
    Again = 32,
}

pub(crate) fn properties() -> Vec<Property<Afk>> {
    fn never<const BIT: u16>(_: &Afk, world: &World) -> bool {
        world.broken & BIT == 0
    }
    fn reached<const BIT: u8>(_: &Afk, world: &World) -> bool {
        world.reached & BIT != 0
    }
    vec![
        Property::always("P1 one session in a repository", never::<{ Broken::TwoSessions as u16 }>),
        Property::always(
            "P2 nothing begins unless the mode allows it",
            never::<{ Broken::ModeIgnored as u16 }>,
        ),
        Property::always("P3 one bell for a run and outcome", never::<{ Broken::TwoBells as u16 }>),
        Property::always("P4 one turn for a red commit", never::<{ Broken::FixedTwice as u16 }>),
        Property::always(
            "P5 what a person has to see does not run unasked",
            never::<{ Broken::RanUnasked as u16 }>,
        ),
        Property::always("P6 a session has its lock", never::<{ Broken::SessionWithoutLock as u16 }>),
        Property::always(
            "P7 closed means that this commit is green",
            never::<{ Broken::ClosedUnproven as u16 }>,
        ),
        Property::always("P8 what is unknown decides nothing", never::<{ Broken::ActedBlindly as u16 }>),
        Property::always("P10 one verdict", never::<{ Broken::TwoVerdicts as u16 }>),
        Property::always("L1 a labelling is not claimed for ever", never::<{ Broken::EndlessRuns as u16 }>),
        Property::sometimes("done", reached::<{ Reached::Done as u8 }>),
        Property::sometimes("escalated", reached::<{ Reached::Escalated as u8 }>),
        Property::sometimes("frozen", reached::<{ Reached::Frozen as u8 }>),
        Property::sometimes("cancelled", reached::<{ Reached::Cancelled as u8 }>),
        Property::sometimes("fixed forward", reached::<{ Reached::Fixed as u8 }>),
    ]
}

/// A session began a turn.
pub(crate) fn began(world: &mut World, run: usize) {
    let issue = world.runs[run].issue;
    // A turn that was permitted before the verdict may still begin, and is stopped by it: that is P6's.
    let unasked = |(labelled, judge): (u64, usize)| judge != run && world.runs[run].labelled <= labelled;
    if world.issues[issue].judged.is_some_and(unasked) {
        world.broken |= Broken::RanUnasked as u16;
    }
}

/// A turn to fix a commit began.
pub(crate) fn fixed(world: &mut World, run: usize, commit: usize) {
    if world.runs[run].fixes[commit] > 1 {
        world.broken |= Broken::FixedTwice as u16;
    }
}

/// The phone rang. The messenger knows its keys, unless it is the mistake that it does not.
pub(crate) fn rang(world: &mut World, run: usize, without_key: bool) {
    let ledger = &world.ledgers[world.runs[run].ledger];
    let Some(outcome) = ledger.record(run).and_then(|record| record.row.state.outcome()) else { return };
    let bit = bell(outcome);
    let rung = &mut world.runs[run].bells;
    if *rung & !bit != 0 || (*rung & bit != 0 && without_key) {
        world.broken |= Broken::TwoBells as u16;
    }
    *rung |= bit;
}

/// We closed an issue that was open.
pub(crate) fn closed(world: &mut World, run: usize, commit: usize) {
    let state = &world.runs[run];
    if commit + 1 != state.pushed() || state.last() != Some(CiState::Green) {
        world.broken |= Broken::ClosedUnproven as u16;
    }
}

/// A decision is about to become durable.
pub(crate) fn committed(world: &mut World, run: usize, after: &Record) {
    let state = &world.runs[run];
    let Some(before) = world.ledgers[state.ledger].record(run) else { return };
    let (was, is) = (before.row.state, after.row.state);
    if was.outcome().is_some() && was.outcome() != is.outcome() {
        world.broken |= Broken::TwoVerdicts as u16;
    }
    let Some(outcome) = is.outcome() else { return };
    if outcome.needs_person() {
        world.issues[state.issue].judged = Some((state.labelled.max(after.row.labelled), run));
    }
    if let (State::Ended(outcome), State::Closing(_)) = (is, was) {
        world.reached |= match outcome {
            Outcome::Done if after.row.fixes() > 0 => Reached::Done as u8 | Reached::Fixed as u8,
            Outcome::Done if state.labelled > 1 => Reached::Done as u8 | Reached::Again as u8,
            Outcome::Escalated(_) => Reached::Escalated as u8,
            Outcome::Frozen(_) => Reached::Frozen as u8,
            Outcome::Cancelled(_) => Reached::Cancelled as u8,
            _ => Reached::Done as u8,
        };
    }
}

/// True when a decision that rests on nothing did something.
pub(crate) fn blindly(before: &Record, after: &Record) -> bool {
    let begins = |record: &Record| record.outbox.keys().filter(|effect| effect.spends()).count();
    // A halt is known, whatever else is not.
    let halted = after.row.state.outcome().and_then(|outcome| outcome.why()) == Some(Why::Halted);
    let closes = after.row.state.outcome().is_some() && before.row.state.is_active() && !halted;
    closes || (before.row.state.is_active() && begins(after) > begins(before))
}

/// What can be seen in a state by itself.
pub(crate) fn check(world: &mut World) {
    let live = |session: SessionState| session.is_live();
    let mut busy = 0;
    let mut broken = 0;
    for (number, run) in world.runs.iter().enumerate() {
        busy += u32::from(matches!(run.session, SessionState::Busy { .. }));
        if live(run.session) && !world.locks.contains(&Some(number)) {
            broken |= Broken::SessionWithoutLock as u16;
        }
    }
    if busy > 1 {
        broken |= Broken::TwoSessions as u16;
    }
    world.broken |= broken;
}
