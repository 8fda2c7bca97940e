//! What a controller plans, decides and goes on with.

use std::collections::BTreeMap;
use std::sync::Arc;

use claude_exec_afk::policy::{RepoView, World as PlanWorld, plan};
use claude_exec_afk::run::{Claimed, Effect, Holder, Mode, Observation, Record, Room, Row, State};
use claude_exec_afk::{Fence, Now, Seen, Usd};

use super::deed::acknowledged;
use super::model::{Afk, EARLY, LATE};
use super::mutation::{self, Mutation};
use super::names::{COMMITS, NAMES, RUNS};
use super::safety::{self, Broken};
use super::world::{Doing, Kept, RunState, SessionState, World};

impl Afk {
    pub(super) fn ledger_of(&self, controller: usize) -> usize {
        controller % self.ledgers
    }

    /// What a decision makes of a record; `None` when nothing.
    pub(super) fn decide(&self, record: &Record, seen: &Observation, now: Now) -> Option<Kept> {
        let (mut row, effects) = mutation::decide(self.mutation, &record.row, seen, &self.config, now);
        // Time is abstract here: at every decision each deadline may or may not have passed.
        row.claimed = EARLY;
        row.entered = EARLY;
        row.renewed = EARLY;
        row.red_since = row.red_since.map(|_| EARLY);
        if let Some(bell) = &mut row.bell {
            bell.at = EARLY;
        }
        // Nothing rests on these two projections: the comment is not read back, and nobody here takes labels off.
        let projection = |effect: &Effect| matches!(effect, Effect::Comment | Effect::Mark);
        let effects = effects.into_iter().filter(|effect| !projection(effect)).collect();
        let after = record.decided(row, effects);
        (after != *record).then(|| Kept::new(after))
    }

    pub(super) fn poll(&self, world: &World, controller: usize) -> Option<Doing> {
        let ledger = &world.ledgers[self.ledger_of(controller)];
        let mut issues: Vec<_> =
            world.issues.iter().enumerate().map(|(i, issue)| self.issue(i, issue)).collect();
        if self.mutation == Some(Mutation::LockPerIssue) {
            issues.retain(|issue| {
                NAMES
                    .issues
                    .iter()
                    .position(|key| *key == issue.key)
                    .is_some_and(|i| world.locks[i].is_none())
            });
        }
        let mut rows: Vec<Row> = ledger.records.iter().map(|(_, record)| record.row.clone()).collect();
        if self.mutation == Some(Mutation::ReadyKept) {
            rows.retain(|row| row.state.is_busy());
        }
        let holder = match world.locks.iter().flatten().next() {
            Some(_) if self.mutation == Some(Mutation::LockPerIssue) => Seen::Absent,
            Some(run) => Seen::Known(Holder { run: NAMES.runs[*run].clone(), fence: Fence(1) }),
            None => Seen::Absent,
        };
        let room = Room { repo_day: Usd::ONE, total: Usd::ONE };
        let view = RepoView { trunk: Seen::Absent, room, holder };
        let repos = BTreeMap::from([(NAMES.repo.clone(), view)]);
        let failures = BTreeMap::new();
        let seen =
            PlanWorld { mode: ledger.mode, issues: &issues, runs: &rows, repos: &repos, failures: &failures };
        let claim = plan(&seen, &self.config).claims.into_iter().next()?;
        let issue = NAMES.issues.iter().position(|key| *key == claim.key)?;
        let known = ledger.runs_of(&claim.key);
        Some(Doing::Claim { issue, labelled: claim.claimed.labelled, known })
    }

    /// The transaction that claims: the mode, the repository and the issue's last run are read again in it.
    pub(super) fn claim(
        &self,
        world: &mut World,
        controller: usize,
        issue: usize,
        labelled: u64,
        known: usize,
    ) {
        let number = self.ledger_of(controller);
        let ledger = &mut world.ledgers[number];
        let mode = self.mutation == Some(Mutation::ModeFromSnapshot) || ledger.mode == Mode::Run;
        let stale =
            ledger.runs_of(&NAMES.issues[issue]) != known && self.mutation != Some(Mutation::StaleClaim);
        if !mode || stale || ledger.is_busy() {
            return;
        }
        let run = world.runs.len();
        if run == RUNS {
            // More runs than there are reasons for: reported like any other broken property.
            world.broken |= Broken::EndlessRuns as u16;
            return;
        }
        world.runs.push(RunState {
            issue,
            ledger: number,
            labelled,
            session: SessionState::None,
            commits: [None; COMMITS],
            fixes: [0; COMMITS],
            bells: 0,
        });
        let empty: Arc<str> = "".into();
        let claimed = Claimed { title: empty.clone(), labeller: empty, text: NAMES.text.clone(), labelled };
        let row = Row::claimed(NAMES.runs[run].clone(), NAMES.issues[issue].clone(), claimed, EARLY);
        ledger.records.push((run, Kept::new(Record::new(row))));
    }

    pub(super) fn commit(&self, world: &mut World, run: usize, before: &Kept, after: &Kept) {
        let number = world.runs[run].ledger;
        let current = world.ledgers[number].record(run);
        if current != Some(before) && self.mutation != Some(Mutation::NoCompareAndSwap) {
            return;
        }
        safety::committed(world, run, after);
        world.ledgers[number].set(run, after.clone());
    }

    pub(super) fn go(&self, world: &mut World, controller: usize) {
        let doing = std::mem::replace(&mut world.controllers[controller], Doing::Idle);
        world.controllers[controller] = match doing {
            Doing::Idle => Doing::Idle,
            Doing::Claim { issue, labelled, known } => {
                self.claim(world, controller, issue, labelled, known);
                Doing::Idle
            }
            Doing::Commit { run, before, after } => {
                self.commit(world, run, &before, &after);
                Doing::Idle
            }
            Doing::Picked { run, effect } if effect.spends() => {
                if self.permitted(world, run, &effect) {
                    Doing::Permitted { run, effect }
                } else {
                    self.acknowledge(world, run, effect)
                }
            }
            Doing::Picked { run, effect } | Doing::Permitted { run, effect } => {
                self.perform(world, run, &effect);
                self.acknowledge(world, run, effect)
            }
            Doing::Performed { run, effect } => {
                acknowledged(world, run, &effect);
                Doing::Idle
            }
        };
    }

    pub(super) fn acknowledge(&self, world: &mut World, run: usize, effect: Effect) -> Doing {
        if self.acks_apart {
            return Doing::Performed { run, effect };
        }
        acknowledged(world, run, &effect);
        Doing::Idle
    }

    /// Where nothing else can go on, a decision may come after every deadline; elsewhere that is a fault.
    pub(super) fn is_stuck(&self, world: &World, run: usize) -> bool {
        let record = world.ledgers[world.runs[run].ledger].record(run);
        match world.runs[run].session {
            SessionState::Busy { hung, .. } => hung,
            SessionState::None => record.is_some_and(|record| record.row.state == State::Starting),
            _ => false,
        }
    }

    pub(super) fn watched(&self, world: &World, run: usize, late: bool) -> Option<Doing> {
        let before = world.ledgers[world.runs[run].ledger].record(run)?.clone();
        let after = self.decide(&before, &self.observe(world, run), if late { LATE } else { EARLY })?;
        Some(Doing::Commit { run, before, after })
    }
}
