//! What can happen next.

use std::sync::Arc;
use std::time::Duration;

use claude_exec_afk::run::{Claimed, Mode, Outcome, Record, Row, State, Why};
use claude_exec_afk::{Config, Now};
use stateright::Model;

use super::mutation::{self, Mutation};
use super::names::{COMMITS, NAMES};
use super::safety::{self, Broken};
use super::world::{
    CiState, Doing, Faults, HASHER, IssueState, Kept, Ledger, SessionState, UNBOUNDED, World,
};

/// The loop between `ledgers` deployments with two controllers in all.
#[derive(Clone)]
pub(crate) struct Afk {
    pub(crate) issues: usize,
    pub(crate) ledgers: usize,
    pub(crate) faults: Faults,
    pub(crate) fixes: u32,
    pub(crate) turns: u32,
    pub(crate) rerun: bool,
    /// A commit closes its issue by naming it.
    pub(crate) closes: bool,
    /// Between doing something and saying so, the other controller may act; without this only a crash comes
    /// between.
    pub(crate) acks_apart: bool,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) config: Config,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// A controller plans.
    Poll(usize),
    /// A controller looks at a run and decides; in time or after every deadline.
    Watch(usize, usize, bool),
    /// A controller looks at a run and can see nothing.
    WatchBlind(usize, usize),
    /// A controller reads which effect is next.
    Pick(usize, usize),
    /// A controller goes on with what it is in the middle of.
    Go(usize),
    Crash(usize),
    /// A controller does what it is in the middle of, and does not live to say so.
    CrashAfter(usize),
    Push(usize),
    EndTurn(usize),
    Hang(usize),
    Green(usize),
    Red(usize),
    Halt(usize),
    Resume(usize),
    ClosedByPerson(usize),
    Relabel(usize),
    /// The lease of a run that is over runs out.
    Expire(usize),
}

/// Later than every deadline.
pub(super) const LATE: Now = Now::from_millis(1_000_000_000_000);
pub(super) const EARLY: Now = Now::from_millis(0);

impl Afk {
    pub(crate) fn new(faults: Faults) -> Self {
        let mut model = Self {
            issues: 2,
            ledgers: 1,
            faults,
            fixes: 1,
            turns: 1,
            rerun: false,
            closes: false,
            acks_apart: false,
            mutation: None,
            config: Config::default(),
        };
        model.configure();
        model
    }

    pub(crate) fn configure(&mut self) {
        let mut config = Config::default();
        config.allowlist = [NAMES.repo.clone()].into();
        config.kill_switch = false;
        config.attempts.fixes = self.fixes;
        config.attempts.turns = self.turns;
        config.attempts.starts = 2;
        config.ci_rerun = self.rerun;
        config.patience.soak = Duration::ZERO;
        self.config = config;
    }
}

impl Model for Afk {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let issue = IssueState {
            open: true,
            by_commit: false,
            ready: true,
            marked: false,
            human: false,
            labelled: 1,
            judged: None,
        };
        vec![World {
            issues: vec![issue; self.issues],
            runs: Vec::new(),
            ledgers: vec![Ledger { mode: Mode::Run, records: Vec::new() }; self.ledgers],
            controllers: vec![Doing::Idle; 2],
            locks: vec![None; if self.mutation == Some(Mutation::LockPerIssue) { self.issues } else { 1 }],
            faults: self.faults,
            broken: 0,
            reached: 0,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let may = |left: u8| left > 0 && world.faults.total > 0;
        for (controller, doing) in world.controllers.iter().enumerate() {
            if *doing != Doing::Idle {
                actions.push(Action::Go(controller));
                if may(world.faults.crashes) {
                    actions.push(Action::Crash(controller));
                    if !self.acks_apart && matches!(doing, Doing::Picked { .. } | Doing::Permitted { .. }) {
                        actions.push(Action::CrashAfter(controller));
                    }
                }
                continue;
            }
            let overlaps = world.controllers.iter().any(|doing| *doing != Doing::Idle);
            if overlaps && world.faults.overlaps == 0 {
                continue;
            }
            // Two idle controllers of one ledger are the same one.
            if self.ledgers == 1 && controller == 1 && world.controllers[0] == Doing::Idle {
                continue;
            }
            actions.push(Action::Poll(controller));
            for (run, record) in &world.ledgers[self.ledger_of(controller)].records {
                if record.row.state.is_busy() {
                    actions.push(Action::Watch(controller, *run, false));
                    actions.push(Action::WatchBlind(controller, *run));
                    if may(world.faults.lates) || self.is_stuck(world, *run) {
                        actions.push(Action::Watch(controller, *run, true));
                    }
                }
                if !record.outbox.is_empty() {
                    actions.push(Action::Pick(controller, *run));
                }
            }
        }
        for (run, state) in world.runs.iter().enumerate() {
            if let SessionState::Busy { hung: false, pushed, .. } = state.session {
                actions.push(Action::EndTurn(run));
                if !pushed && state.pushed() < COMMITS {
                    actions.push(Action::Push(run));
                }
                if may(world.faults.hangs) {
                    actions.push(Action::Hang(run));
                }
            }
            if state.last() == Some(CiState::Pending) {
                actions.push(Action::Green(run));
                if may(world.faults.reds) {
                    actions.push(Action::Red(run));
                }
            }
        }
        for (number, ledger) in world.ledgers.iter().enumerate() {
            match ledger.mode {
                Mode::Run if may(world.faults.halts) => actions.push(Action::Halt(number)),
                Mode::Halt if may(world.faults.resumes) => actions.push(Action::Resume(number)),
                _ => {}
            }
        }
        for (number, issue) in world.issues.iter().enumerate() {
            if issue.open && may(world.faults.closes) && number == 0 {
                actions.push(Action::ClosedByPerson(number));
            }
            if issue.open && issue.human && may(world.faults.relabels) {
                actions.push(Action::Relabel(number));
            }
        }
        for (lock, holder) in world.locks.iter().enumerate() {
            let over = holder.is_some_and(|run| {
                let record = world.ledgers[world.runs[run].ledger].record(run);
                record.is_some_and(|record| !record.row.state.is_busy())
            });
            if over {
                actions.push(Action::Expire(lock));
            }
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let doing = match action {
            Action::Poll(controller) => Some((controller, self.poll(last, controller)?)),
            Action::Watch(controller, run, late) => Some((controller, self.watched(last, run, late)?)),
            Action::WatchBlind(_, run) => {
                let record = last.ledgers[last.runs[run].ledger].record(run)?;
                let after = self.decide(record, &self.blind(last, run), EARLY)?;
                safety::blindly(record, &after).then_some(())?;
                let mut world = last.clone();
                world.broken |= Broken::ActedBlindly as u16;
                return Some(world);
            }
            Action::Pick(controller, run) => {
                let record = last.ledgers[self.ledger_of(controller)].record(run)?;
                let effect = mutation::next(self.mutation, record, LATE)?;
                Some((controller, Doing::Picked { run, effect }))
            }
            _ => None,
        };
        let mut world = last.clone();
        world.reached = 0;
        if let Some((controller, doing)) = doing {
            if let Action::Watch(_, run, true) = action {
                let fault = u8::from(!self.is_stuck(last, run));
                world.faults.lates -= fault;
                world.faults.total -= fault;
            }
            let overlaps = world.controllers.iter().any(|doing| *doing != Doing::Idle);
            if overlaps && world.faults.overlaps != UNBOUNDED {
                world.faults.overlaps -= 1;
            }
            world.controllers[controller] = doing;
            return Some(self.canonical(world));
        }
        match action {
            Action::Go(controller) => self.go(&mut world, controller),
            Action::Crash(controller) => {
                world.faults.crashes -= 1;
                world.faults.total -= 1;
                world.controllers[controller] = Doing::Idle;
            }
            Action::CrashAfter(controller) => {
                world.faults.crashes -= 1;
                world.faults.total -= 1;
                let doing = std::mem::replace(&mut world.controllers[controller], Doing::Idle);
                match doing {
                    Doing::Picked { run, effect }
                        if effect.spends() && !self.permitted(&mut world, run, &effect) => {}
                    Doing::Picked { run, effect } | Doing::Permitted { run, effect } => {
                        self.perform(&mut world, run, &effect);
                    }
                    _ => {}
                }
            }
            Action::Push(run) => {
                if let SessionState::Busy { pushed, .. } = &mut world.runs[run].session {
                    *pushed = true;
                }
                let place = world.runs[run].pushed();
                world.runs[run].commits[place] = Some(CiState::Pending);
                let issue = &mut world.issues[world.runs[run].issue];
                if self.closes && issue.open {
                    issue.open = false;
                    issue.by_commit = true;
                }
            }
            Action::EndTurn(run) => {
                if let SessionState::Busy { turns, .. } = world.runs[run].session {
                    world.runs[run].session = SessionState::Idle { turns };
                }
            }
            Action::Hang(run) => {
                world.faults.hangs -= 1;
                world.faults.total -= 1;
                if let SessionState::Busy { hung, .. } = &mut world.runs[run].session {
                    *hung = true;
                }
            }
            Action::Green(run) => {
                let place = world.runs[run].pushed().checked_sub(1)?;
                world.runs[run].commits[place] = Some(CiState::Green);
            }
            Action::Red(run) => {
                world.faults.reds -= 1;
                world.faults.total -= 1;
                let asked = world.ledgers[world.runs[run].ledger]
                    .record(run)
                    .is_some_and(|record| record.row.state == State::Rerunning);
                let place = world.runs[run].pushed().checked_sub(1)?;
                world.runs[run].commits[place] = Some(CiState::Red { attempt: 1 + u8::from(asked) });
            }
            Action::Halt(ledger) => {
                world.faults.halts -= 1;
                world.faults.total -= 1;
                world.ledgers[ledger].mode = Mode::Halt;
            }
            Action::Resume(ledger) => {
                world.faults.resumes -= 1;
                world.faults.total -= 1;
                world.ledgers[ledger].mode = Mode::Run;
            }
            Action::ClosedByPerson(issue) => {
                world.faults.closes -= 1;
                world.faults.total -= 1;
                world.issues[issue].open = false;
            }
            Action::Relabel(issue) => {
                world.faults.relabels -= 1;
                world.faults.total -= 1;
                let issue = &mut world.issues[issue];
                issue.human = false;
                issue.ready = true;
                issue.labelled += 1;
            }
            Action::Expire(lock) => world.locks[lock] = None,
            _ => return None,
        }
        safety::check(&mut world);
        forget(&mut world);
        Some(self.canonical(world))
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        safety::properties()
    }
}

impl Afk {
    /// Two controllers of one ledger can change places.
    fn canonical(&self, mut world: World) -> World {
        if self.ledgers == 1 {
            let [first, second] = &world.controllers[..] else { return world };
            if HASHER.hash_one(first) > HASHER.hash_one(second) {
                world.controllers.swap(0, 1);
            }
        }
        world
    }
}

/// What nobody reads any more of a run that is over makes no two states: neither its row, but for what the policy
/// asks, nor what was outside.
fn forget(world: &mut World) {
    for number in 0..world.ledgers.len() {
        for place in 0..world.ledgers[number].records.len() {
            let (run, record) = &world.ledgers[number].records[place];
            let (run, State::Ended(outcome)) = (*run, record.row.state) else { continue };
            let used = world.controllers.iter().any(|doing| doing.run() == Some(run));
            if used || !record.outbox.is_empty() {
                continue;
            }
            let row = &record.row;
            let empty: Arc<str> = "".into();
            let claimed = Claimed {
                title: empty.clone(),
                labeller: empty,
                text: row.text.clone(),
                labelled: row.labelled,
            };
            let mut forgotten = Row::claimed(row.run.clone(), row.issue.clone(), claimed, EARLY);
            let again = outcome.may_start_again();
            forgotten.state =
                State::Ended(if again { Outcome::Cancelled(Why::Halted) } else { Outcome::Done });
            world.ledgers[number].records[place].1 = Kept::new(Record::new(forgotten));
            let state = &mut world.runs[run];
            if state.session != SessionState::None {
                state.session = SessionState::Stopped;
            }
            state.commits = [None; COMMITS];
            state.fixes = [0; COMMITS];
            state.bells = 0;
        }
    }
}
