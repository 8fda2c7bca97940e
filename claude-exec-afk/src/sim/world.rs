//! The simulated world's state, and how it moves on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::Plot;
use super::agent::SimSession;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::issue::{IssueState, Permission};
use crate::names::{Digest, IssueKey, RunId, Sha};
use crate::port::NoticeKind;
use crate::run::{Holder, Verdict};

/// A whole world: trackers, sessions, remotes, CI, deployments, phones, locks. Cheap to clone: clones are the
/// same world.
#[derive(Debug, Clone)]
pub struct World {
    state: Arc<Mutex<State>>,
    /// The world ended for this process, as by a crash.
    pub(super) crashed: Arc<Notify>,
    pub(super) labels: [String; 3],
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) issues: BTreeMap<IssueKey, SimIssue>,
    pub(super) sessions: BTreeMap<RunId, SimSession>,
    pub(super) commits: BTreeMap<Sha, SimCommit>,
    pub(super) locks: BTreeMap<crate::Repo, Holder>,
    pub(super) bells: Vec<SimBell>,
    pub(super) faults: Vec<Fault>,
    pub(super) broken: Option<crate::Repo>,
    /// Changes made to the world from outside, so far.
    pub(super) changes: usize,
    pub(super) crash_at: Option<(usize, bool)>,
    pub(super) calls: BTreeMap<&'static str, usize>,
}

/// An issue there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimIssue {
    /// What will happen to it.
    pub plot: Plot,
    /// Its title.
    pub title: String,
    /// Its body.
    pub body: String,
    /// Whether it is open.
    pub state: IssueState,
    /// Its labels.
    pub labels: Vec<String>,
    /// When its ready label was last put on, by its own clock.
    pub labelled: u64,
    /// What whoever put it on may do.
    pub labeller: Permission,
    /// What whoever edited it last may do.
    pub editor: Option<Permission>,
    /// What blocks it.
    pub blockers: Vec<(IssueKey, bool)>,
    /// Its comments, by their marker.
    pub comments: BTreeMap<String, String>,
    /// How often it was closed by us.
    pub closings: usize,
}

/// A bell that rang there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimBell {
    /// Its key.
    pub key: String,
    /// Its kind.
    pub kind: NoticeKind,
    /// Its title.
    pub title: String,
    /// Someone has seen it.
    pub acknowledged: bool,
}

#[derive(Debug, Clone)]
pub(super) struct SimCommit {
    pub(super) run: RunId,
    pub(super) plot: Plot,
    /// Which one of its run, from 0.
    pub(super) number: usize,
    pub(super) attempt: u32,
    pub(super) age: u32,
    pub(super) deployed: u32,
}

/// What does not work there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The tracker does not answer.
    Tracker,
    /// The agent cannot be looked at.
    Agent,
    /// The remote cannot be read.
    Remote,
    /// CI does not answer.
    Ci,
    /// The phone does not answer.
    Bell,
    /// The lock cannot be reached.
    Lock,
    /// Looking at an issue panics.
    Panic,
}

impl World {
    /// An empty world with the labels of `config`.
    pub fn new(config: &Config) -> Self {
        let labels =
            [config.ready_label.clone(), config.in_progress_label.clone(), config.human_label.clone()];
        Self { state: Arc::default(), crashed: Arc::default(), labels }
    }

    /// Adds an issue, labelled ready by someone who may write.
    pub fn add(&self, key: &IssueKey, plot: Plot) {
        let issue = SimIssue {
            plot,
            title: plot.title().into(),
            body: "As said in the title.".into(),
            state: IssueState::Open,
            labels: vec![self.labels[0].clone()],
            labelled: 1,
            labeller: Permission::Write,
            editor: None,
            blockers: Vec::new(),
            comments: BTreeMap::new(),
            closings: 0,
        };
        self.lock().issues.insert(key.clone(), issue);
    }

    /// Changes an issue, as a person would.
    pub fn edit(&self, key: &IssueKey, change: impl FnOnce(&mut SimIssue)) {
        if let Some(issue) = self.lock().issues.get_mut(key) {
            change(issue);
        }
    }

    /// An issue as it is.
    pub fn issue(&self, key: &IssueKey) -> Option<SimIssue> {
        self.lock().issues.get(key).cloned()
    }

    /// The bells that rang.
    pub fn bells(&self) -> Vec<SimBell> {
        self.lock().bells.clone()
    }

    /// Has every bell acknowledged.
    pub fn acknowledge(&self) {
        self.lock().bells.iter_mut().for_each(|bell| bell.acknowledged = true);
    }

    /// Sets what does not work.
    pub fn fail(&self, faults: &[Fault]) {
        self.lock().faults = faults.to_vec();
    }

    /// One repository's tracker does not answer.
    pub fn break_repo(&self, repo: Option<crate::Repo>) {
        self.lock().broken = repo;
    }

    /// How many sessions have a turn running.
    pub fn busy_sessions(&self) -> usize {
        self.lock().sessions.values().filter(|session| session.is_busy()).count()
    }

    /// How many turns all sessions together were given.
    pub fn turns(&self) -> u32 {
        self.lock().sessions.values().map(|session| session.turns).sum()
    }

    /// How many sessions there were.
    pub fn sessions(&self) -> usize {
        self.lock().sessions.values().filter(|session| session.turns > 0).count()
    }

    /// Who holds locks.
    pub fn locks(&self) -> Vec<RunId> {
        self.lock().locks.values().map(|holder| holder.run.clone()).collect()
    }

    /// How often something was asked of a port.
    pub fn calls(&self, what: &str) -> usize {
        self.lock().calls.get(what).copied().unwrap_or_default()
    }

    /// How often the world was changed from outside.
    pub fn changes(&self) -> usize {
        self.lock().changes
    }

    /// The process dies at its change of this number, from 0: right before it is made, or right after.
    pub fn crash_at(&self, change: usize, after: bool) {
        self.lock().crash_at = Some((change, after));
    }

    /// Resolves when the process has died.
    pub async fn crashed(&self) {
        self.crashed.notified().await;
    }

    /// A session's process vanishes without a trace.
    pub fn kill_sessions(&self) {
        self.lock().sessions.values_mut().for_each(SimSession::vanish);
    }

    /// Someone force-pushes over everything.
    pub fn force_push(&self) {
        self.lock().commits.clear();
    }

    /// Time passes: agents work, CI runs, deployments come.
    pub fn pass(&self) {
        let state = &mut *self.lock();
        let mut pushes = Vec::new();
        for (run, session) in &mut state.sessions {
            if session.work() {
                pushes.push((run.clone(), session.plot));
            }
        }
        for (run, plot) in pushes {
            let number = state.commits.values().filter(|commit| commit.run == run).count();
            let sha = sha(&run, number);
            let commit = SimCommit { run, plot, number, attempt: 1, age: 0, deployed: 0 };
            state.commits.insert(sha, commit);
        }
        for commit in state.commits.values_mut() {
            commit.age += 1;
            if commit.verdict() == Some(Verdict::Green) {
                commit.deployed += 1;
            }
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Counts a call, and fails it when that part of the world does not work.
    pub(super) fn call(&self, what: &'static str, part: Fault) -> Result<()> {
        let mut state = self.lock();
        *state.calls.entry(what).or_default() += 1;
        if state.faults.contains(&part) {
            return Err(Error::unavailable(what, "simulated failure", None));
        }
        Ok(())
    }

    /// Makes a change, unless the process dies of it.
    pub(super) async fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (done, dies) = {
            let mut state = self.lock();
            let number = state.changes;
            state.changes += 1;
            match state.crash_at {
                Some((at, after)) if at == number => (after.then(|| change(&mut state)), true),
                _ => (Some(change(&mut state)), false),
            }
        };
        match done {
            Some(done) if !dies => done,
            _ => {
                self.crashed.notify_one();
                std::future::pending().await
            }
        }
    }
}

impl SimIssue {
    /// The digest of its text.
    pub fn text(&self) -> Digest {
        Digest::of(&self.title, &self.body)
    }
}

pub(super) fn sha(run: &RunId, number: usize) -> Sha {
    let digest = Digest::of(run.as_str(), &number.to_string());
    digest.as_str()[..40].parse().unwrap_or_else(|_| unreachable!("a digest is hexadecimal"))
}

/// How many moments CI and a deployment take.
const CI_TAKES: u32 = 2;

impl SimCommit {
    pub(super) fn verdict(&self) -> Option<Verdict> {
        let red =
            |failure: String| Verdict::Red { failure: Some(Digest::of("", &failure)), rerunnable: true };
        if self.plot == Plot::CiSilent {
            return None;
        }
        if self.plot == Plot::CiBlocked {
            return Some(Verdict::Blocked);
        }
        if self.age < CI_TAKES {
            return Some(Verdict::Pending);
        }
        Some(match (self.plot, self.number) {
            (Plot::Flaky, 0) if self.attempt == 1 => red("flake".into()),
            (Plot::FixedForward | Plot::GivesUpFixing, 0) => red("first".into()),
            (Plot::NeverFixed, number) => red(number.to_string()),
            (Plot::SameFailure, _) => red("same".into()),
            _ => Verdict::Green,
        })
    }
}
