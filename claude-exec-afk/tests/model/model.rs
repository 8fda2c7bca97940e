//! What can happen next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use claude_exec_afk::issue::{Issue, IssueState as Tracked, Labelling, Permission};
use claude_exec_afk::policy::{RepoView, World as PlanWorld, plan};
use claude_exec_afk::run::{
    Activity, CiRun, Claimed, Effect, Evidence, Head, Holder, IssueView, Mode, Observation, Outcome, Record,
    Room, Row, Session, State, TurnKind, Verdict, Why,
};
use claude_exec_afk::{Config, Fence, Now, Seen, Usd};
use stateright::Model;

use super::mutation::{self, Mutation};
use super::names::{COMMITS, NAMES, RUNS};
use super::safety::{self, Broken};
use super::world::{
    CiState, Doing, Faults, HASHER, IssueState, Kept, Ledger, RunState, SessionState, UNBOUNDED, World,
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
const LATE: Now = Now::from_millis(1_000_000_000_000);
const EARLY: Now = Now::from_millis(0);

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

    fn ledger_of(&self, controller: usize) -> usize {
        controller % self.ledgers
    }

    fn lock_of(&self, issue: usize) -> usize {
        if self.mutation == Some(Mutation::LockPerIssue) { issue } else { 0 }
    }

    fn observe(&self, world: &World, run: usize) -> Observation {
        let state = &world.runs[run];
        let ledger = &world.ledgers[state.ledger];
        let issue = &world.issues[state.issue];
        let lock = match world.locks[self.lock_of(state.issue)] {
            None => Seen::Absent,
            // Left behind by a run of this ledger that is over.
            Some(holder) if holder != run && self.is_over(world, run, holder) => Seen::Absent,
            Some(holder) => Seen::Known(Holder { run: NAMES.runs[holder].clone(), fence: Fence(1) }),
        };
        let session = |turns, activity, quiet_seconds| {
            Seen::Known(Session {
                turns,
                activity,
                quiet_seconds,
                spent: Usd::ZERO,
                unpriced: 0,
                work: if turns < self.turns { Seen::Known(NAMES.text.clone()) } else { Seen::Absent },
                evidence: Evidence::default(),
            })
        };
        Observation {
            mode: ledger.mode,
            pending: ledger.record(run).is_some_and(|record| record.is_pending()),
            room: Room { repo_day: Usd::ONE, total: Usd::ONE },
            lock,
            issue: Seen::Known(IssueView {
                state: match (issue.open, issue.by_commit) {
                    (true, _) => Tracked::Open,
                    (false, true) => Tracked::ClosedByCommit,
                    (false, false) => Tracked::ClosedByPerson,
                },
                ready: issue.ready,
                marked: issue.marked,
                human: issue.human,
                text: Seen::Known(NAMES.text.clone()),
                editor: Seen::Absent,
                labelled: if issue.ready { Seen::Known(issue.labelled) } else { Seen::Absent },
            }),
            session: match state.session {
                SessionState::None => Seen::Absent,
                SessionState::Busy { turns, hung, .. } => {
                    session(turns, Activity::Busy, if hung { u64::MAX } else { 0 })
                }
                SessionState::Idle { turns } => session(turns, Activity::Idle, 0),
                SessionState::Stopped => session(u32::MAX, Activity::Failed, 0),
            },
            head: match state.pushed() {
                0 => Seen::Absent,
                commits => Seen::Known(Head::Pushed(NAMES.shas[run][commits - 1].clone())),
            },
            ci: self.observe_ci(state, run),
            deploy: Seen::Absent,
        }
    }

    fn observe_ci(&self, state: &RunState, run: usize) -> Seen<CiRun> {
        let Some(last) = state.pushed().checked_sub(1) else { return Seen::Absent };
        let (attempt, verdict) = match state.commits[last] {
            _ if self.mutation == Some(Mutation::PendingIsGreen) => (1, Verdict::Green),
            None | Some(CiState::Pending) => (1, Verdict::Pending),
            Some(CiState::Green) => (2, Verdict::Green),
            Some(CiState::Red { attempt }) => {
                (attempt.into(), Verdict::Red { failure: None, rerunnable: true })
            }
        };
        Seen::Known(CiRun { sha: NAMES.shas[run][last].clone(), attempt, verdict })
    }

    fn blind(&self, world: &World, run: usize) -> Observation {
        fn unknown<T>() -> Seen<T> {
            Seen::unknown("down")
        }
        Observation {
            lock: unknown(),
            issue: unknown(),
            session: unknown(),
            head: unknown(),
            ci: unknown(),
            deploy: unknown(),
            ..self.observe(world, run)
        }
    }

    /// What a decision makes of a record; `None` when nothing.
    fn decide(&self, record: &Record, seen: &Observation, now: Now) -> Option<Kept> {
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

    fn poll(&self, world: &World, controller: usize) -> Option<Doing> {
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

    fn issue(&self, number: usize, issue: &IssueState) -> Issue {
        let mut labels = Vec::new();
        for (on, label) in [
            (issue.ready, &self.config.ready_label),
            (issue.marked, &self.config.in_progress_label),
            (issue.human, &self.config.human_label),
        ] {
            if on {
                labels.push(label.clone());
            }
        }
        let labelling = Labelling {
            actor: String::new(),
            at: issue.labelled,
            permission: Seen::Known(Permission::Write),
            text: Seen::Known(NAMES.text.clone()),
        };
        Issue {
            key: NAMES.issues[number].clone(),
            title: String::new(),
            state: if issue.open { Tracked::Open } else { Tracked::ClosedByPerson },
            labels,
            text: Seen::Known(NAMES.text.clone()),
            editor: Seen::Absent,
            labelling: if issue.ready { Seen::Known(labelling) } else { Seen::Absent },
            blockers: Seen::Absent,
            updated: 0,
        }
    }

    /// The transaction that claims: the mode, the repository and the issue's last run are read again in it.
    fn claim(&self, world: &mut World, controller: usize, issue: usize, labelled: u64, known: usize) {
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

    fn commit(&self, world: &mut World, run: usize, before: &Kept, after: &Kept) {
        let number = world.runs[run].ledger;
        let current = world.ledgers[number].record(run);
        if current != Some(before) && self.mutation != Some(Mutation::NoCompareAndSwap) {
            return;
        }
        safety::committed(world, run, after);
        world.ledgers[number].set(run, after.clone());
    }

    /// What the executor does with an effect whose permit was asked, if it has to be.
    fn permitted(&self, world: &mut World, run: usize, effect: &Effect) -> bool {
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

    fn perform(&self, world: &mut World, run: usize, effect: &Effect) {
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

    fn begin(&self, world: &mut World, run: usize, number: u32) {
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

    fn label(&self, world: &mut World, run: usize) {
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

    fn go(&self, world: &mut World, controller: usize) {
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

    fn acknowledge(&self, world: &mut World, run: usize, effect: Effect) -> Doing {
        if self.acks_apart {
            return Doing::Performed { run, effect };
        }
        acknowledged(world, run, &effect);
        Doing::Idle
    }

    /// True when the ledger of `run` knows that `holder` is over.
    fn is_over(&self, world: &World, run: usize, holder: usize) -> bool {
        let record = world.ledgers[world.runs[run].ledger].record(holder);
        record.is_some_and(|record| !record.row.state.is_busy())
    }

    /// Where nothing else can go on, a decision may come after every deadline; elsewhere that is a fault.
    fn is_stuck(&self, world: &World, run: usize) -> bool {
        let record = world.ledgers[world.runs[run].ledger].record(run);
        match world.runs[run].session {
            SessionState::Busy { hung, .. } => hung,
            SessionState::None => record.is_some_and(|record| record.row.state == State::Starting),
            _ => false,
        }
    }

    fn watched(&self, world: &World, run: usize, late: bool) -> Option<Doing> {
        let before = world.ledgers[world.runs[run].ledger].record(run)?.clone();
        let after = self.decide(&before, &self.observe(world, run), if late { LATE } else { EARLY })?;
        Some(Doing::Commit { run, before, after })
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

fn acknowledged(world: &mut World, run: usize, effect: &Effect) {
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
