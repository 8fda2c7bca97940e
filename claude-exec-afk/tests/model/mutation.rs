//! Deliberate mistakes, each of which the checker has to find.

use claude_exec_afk::run::{Effect, Observation, Record, Row, State, step};
use claude_exec_afk::{Config, Now, Seen};

use super::world::SessionState;

/// A mistake in one place of the loop; everything else is as it ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mutation {
    /// The lock is given back first, not last.
    UnlockFirst,
    /// A bell that is rung twice rings twice.
    BellWithoutKey,
    /// A start that is sent twice starts two sessions.
    StartTwice,
    /// The mode is read when the tick begins, and not again.
    ModeFromSnapshot,
    /// A red commit is forgotten once its turn is over, as in the original.
    FixForgotten,
    /// A decision is written down although the row has changed since.
    NoCompareAndSwap,
    /// The labels stay as they are, and the policy does not look at earlier verdicts, as in the original.
    ReadyKept,
    /// What could not be looked at is taken for gone.
    UnknownIsAbsent,
    /// A session that was stopped can be started again.
    StopNotFinal,
    /// The run is over when it is decided, not when everything that follows is done.
    EndBeforeDrained,
    /// CI that has not finished is taken for green.
    PendingIsGreen,
    /// Each issue has a lock of its own.
    LockPerIssue,
    /// What was planned before another run of the issue is claimed after it.
    StaleClaim,
    /// The verdict is made anew at every tick instead of being recorded.
    VerdictNotRecorded,
}

pub(crate) const ALL: [Mutation; 14] = [
    Mutation::UnlockFirst,
    Mutation::BellWithoutKey,
    Mutation::StartTwice,
    Mutation::ModeFromSnapshot,
    Mutation::FixForgotten,
    Mutation::NoCompareAndSwap,
    Mutation::ReadyKept,
    Mutation::UnknownIsAbsent,
    Mutation::StopNotFinal,
    Mutation::EndBeforeDrained,
    Mutation::PendingIsGreen,
    Mutation::LockPerIssue,
    Mutation::StaleClaim,
    Mutation::VerdictNotRecorded,
];

/// `step`, or `step` with a mistake.
pub(crate) fn decide(
    mutation: Option<Mutation>,
    row: &Row,
    seen: &Observation,
    config: &Config,
    now: Now,
) -> (Row, Vec<Effect>) {
    let (mut row, mut seen) = (row.clone(), seen.clone());
    match mutation {
        Some(Mutation::UnknownIsAbsent) => {
            absent(&mut seen.lock);
            absent(&mut seen.issue);
            absent(&mut seen.session);
            absent(&mut seen.head);
            absent(&mut seen.ci);
        }
        Some(Mutation::FixForgotten) if row.state == State::FixForward => {
            let over = seen.session.known().is_some_and(|session| {
                session.turns >= row.turns && session.activity == claude_exec_afk::run::Activity::Idle
            });
            if over {
                row.state = State::CiWait;
                row.reds.clear();
            }
        }
        Some(Mutation::EndBeforeDrained) => seen.pending = false,
        Some(Mutation::VerdictNotRecorded) if matches!(row.state, State::Closing(_)) && seen.pending => {
            row.state = if row.pushed.is_some() { State::CiWait } else { State::Working };
        }
        _ => {}
    }
    step(&row, &seen, config, now)
}

fn absent<T>(seen: &mut Seen<T>) {
    if seen.is_unknown() {
        *seen = Seen::Absent;
    }
}

/// `Record::next`, or that with a mistake.
pub(crate) fn next(mutation: Option<Mutation>, record: &Record, now: Now) -> Option<Effect> {
    if mutation == Some(Mutation::UnlockFirst) && record.outbox.contains_key(&Effect::Unlock) {
        return Some(Effect::Unlock);
    }
    record.next(now)
}

/// What a stop leaves behind.
pub(crate) fn stopped(mutation: Option<Mutation>) -> SessionState {
    if mutation == Some(Mutation::StopNotFinal) { SessionState::None } else { SessionState::Stopped }
}
