//! What an effect does to the world.

use claude_exec_afk::run::{Effect, Outcome, TurnKind};

use super::model::Afk;
use super::mutation::{self, Mutation};
use super::names::NAMES;
use super::safety::{self, Broken};
use super::world::{CiState, Kept, SessionState, World};

impl Afk {
    pub(super) fn lock_of(&self, issue: usize) -> usize {
        if self.mutation == Some(Mutation::LockPerIssue) { issue } else { 0 }
    }

    /// What the executor does with an effect whose permit was asked, if it has to be.
    pub(super) fn permitted(&self, world: &mut World, run: usize, effect: &Effect) -> bool {
        let ledger = &world.ledgers[world.runs[run].ledger];
        let allowed = match effect {
            Effect::Start(_) => ledger.mode.may_start(),
            _ => ledger.mode.may_turn(),
        };
        let wanted = ledger.record(run).is_some_and(|record| effect.is_wanted(&record.row));
        if self.mutation == Some(Mutation::ModeFromSnapshot) {
            if !allowed {
                world.broken |= Broken::ModeIgnored as u16;
            }
            return wanted;
        }
        allowed && wanted
    }

    pub(super) fn perform(&self, world: &mut World, run: usize, effect: &Effect) {
        let issue = world.runs[run].issue;
        let lock = self.lock_of(issue);
        match effect {
            Effect::Lock => {
                let over = world.locks[lock].is_some_and(|holder| self.is_over(world, run, holder));
                if over || world.locks[lock].is_none() {
                    world.locks[lock] = Some(run);
                }
            }
            Effect::Start(_) => self.begin(world, run, 1),
            Effect::Turn(number, kind) => {
                if let TurnKind::Fix(sha) = kind {
                    let (_, commit) = NAMES.commit(sha);
                    let had = matches!(world.runs[run].session,
                        SessionState::Busy { turns, .. } | SessionState::Idle { turns } if turns >= *number);
                    if !had && world.runs[run].session != SessionState::Stopped {
                        world.runs[run].fixes[commit] += 1;
                        safety::fixed(world, run, commit);
                    }
                }
                self.begin(world, run, *number);
            }
            Effect::Rerun(sha, attempt) => {
                let (_, commit) = NAMES.commit(sha);
                let ci = &mut world.runs[run].commits[commit];
                if *ci == Some(CiState::Red { attempt: 1 }) && *attempt == 1 {
                    // It runs again: the environment decides what comes of it.
                    *ci = Some(CiState::Pending);
                }
            }
            Effect::Interrupt(number) => {
                if let SessionState::Busy { turns, .. } = world.runs[run].session
                    && turns <= *number
                {
                    world.runs[run].session = SessionState::Idle { turns };
                }
            }
            Effect::Stop => world.runs[run].session = mutation::stopped(self.mutation),
            Effect::Ring(_) => safety::rang(world, run, self.mutation == Some(Mutation::BellWithoutKey)),
            Effect::Label => self.label(world, run),
            Effect::Close(sha) if world.issues[issue].open => {
                safety::closed(world, run, NAMES.commit(sha).1);
                world.issues[issue].open = false;
                world.issues[issue].by_commit = true;
            }
            Effect::Unlock if world.locks[lock] == Some(run) => world.locks[lock] = None,
            _ => {}
        }
    }

    pub(super) fn begin(&self, world: &mut World, run: usize, number: u32) {
        let began = match world.runs[run].session {
            SessionState::Stopped => false,
            SessionState::None => true,
            SessionState::Idle { turns } => turns < number,
            SessionState::Busy { turns, .. } => {
                if number == 1 && self.mutation == Some(Mutation::StartTwice) {
                    world.broken |= Broken::TwoSessions as u16;
                }
                assert!(turns >= number, "a turn was asked for while another was running");
                false
            }
        };
        if began {
            world.runs[run].session = SessionState::Busy { turns: number, pushed: false, hung: false };
            safety::began(world, run);
        }
    }

    pub(super) fn label(&self, world: &mut World, run: usize) {
        if self.mutation == Some(Mutation::ReadyKept) {
            return;
        }
        let record = world.ledgers[world.runs[run].ledger].record(run);
        let Some(change) = record.and_then(|record| record.row.label_change(&self.config)) else { return };
        let issue = &mut world.issues[world.runs[run].issue];
        let config = &self.config;
        for (label, on) in [
            (&config.ready_label, &mut issue.ready),
            (&config.in_progress_label, &mut issue.marked),
            (&config.human_label, &mut issue.human),
        ] {
            *on = (*on && !change.remove.contains(label)) || change.add.contains(label);
        }
    }

    /// True when the ledger of `run` knows that `holder` is over.
    pub(super) fn is_over(&self, world: &World, run: usize, holder: usize) -> bool {
        let record = world.ledgers[world.runs[run].ledger].record(holder);
        record.is_some_and(|record| !record.row.state.is_busy())
    }
}

pub(super) fn acknowledged(world: &mut World, run: usize, effect: &Effect) {
    let ledger = &mut world.ledgers[world.runs[run].ledger];
    if let Some(record) = ledger.record(run) {
        let acknowledged = Kept::new(record.acknowledged(effect));
        ledger.set(run, acknowledged);
    }
}

/// The bit of an outcome among the bells of a run.
pub(crate) fn bell(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Done => 1,
        Outcome::Superseded => 2,
        Outcome::Escalated(_) => 4,
        Outcome::Frozen(_) => 8,
        _ => 16,
    }
}
