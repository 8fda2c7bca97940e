//! What is remembered of a run.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Evidence, State};
use crate::config::Config;
use crate::money::Usd;
use crate::names::{Digest, Fence, IssueKey, RunId, Sha};
use crate::port::LabelChange;
use crate::time::Now;

/// What the ledger keeps of a run. Everything a decision rests on is here or in the observation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Row {
    /// Which run.
    pub run: RunId,
    /// Of which issue.
    pub issue: IssueKey,
    /// Its title when it was claimed, for people.
    pub title: Arc<str>,
    /// Who labelled it, for people.
    pub labeller: Arc<str>,
    /// The digest of title and body that were trusted; the agent is given no other.
    pub text: Digest,
    /// The tracker's time of the newest labelling seen while the run was active: a later one arms it again.
    pub labelled: u64,
    /// Where it is.
    pub state: State,
    /// When it was claimed.
    pub claimed: Now,
    /// When its state was entered: what the deadlines are counted from.
    pub entered: Now,
    /// Since when the operator has paused it: deadlines rest.
    pub paused: Option<Now>,
    /// The lock's number, once it is ours.
    pub fence: Option<Fence>,
    /// When the lock was last known to be ours.
    pub renewed: Now,
    /// The lock went to someone else: this run touches nothing outside any more.
    pub fenced: bool,
    /// How often the session was asked for.
    pub starts: u32,
    /// How many turns were asked for, the start's included.
    pub turns: u32,
    /// The work as it was when the last turn was asked for.
    pub work: Option<Digest>,
    /// What the work has proved.
    pub evidence: Evidence,
    /// The newest commit of this run that was seen in the remote.
    pub pushed: Option<Sha>,
    /// The pushed commit was first seen without a failing and then passing test.
    pub unproven: bool,
    /// CI was green for exactly this commit.
    pub green: Option<Sha>,
    /// Exactly this commit was deployed and healthy.
    pub deployed: Option<Sha>,
    /// Every commit of this run that was red, in order.
    pub reds: Vec<Red>,
    /// When the first of them was seen: what the time for fixes is counted from.
    pub red_since: Option<Now>,
    /// Reds that went away when the same jobs ran again.
    pub flakes: u32,
    /// A person closed the issue after the push: watch and report, fix nothing.
    pub report_only: bool,
    /// The session was interrupted by a halt.
    pub interrupted: bool,
    /// The in-progress label was seen on the issue.
    pub marked: bool,
    /// How often someone took it off.
    pub unmarked: u32,
    /// What it has cost, as far as is known; never goes down.
    pub spent: Usd,
    /// The bell that was rung at its end.
    pub bell: Option<Bell>,
}

/// A commit of a run that was red.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Red {
    /// Which one.
    pub sha: Sha,
    /// The attempt that was red first; only a later one counts after a rerun.
    pub attempt: u32,
    /// How it failed, if CI says.
    pub failure: Option<Digest>,
    /// Its failed jobs were asked to run again.
    pub rerun: bool,
    /// The agent was given its turn to fix it: never another one.
    pub fixed: bool,
}

/// A bell that was rung.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bell {
    /// When it was last asked for.
    pub at: Now,
    /// How often it was asked for: 1 the first time, then the reminders.
    pub rings: u32,
    /// A person has seen it.
    pub acknowledged: bool,
}

impl Row {
    /// A run that has just been claimed.
    pub fn claimed(run: RunId, issue: IssueKey, claim: Claimed, now: Now) -> Self {
        Self {
            run,
            issue,
            title: claim.title,
            labeller: claim.labeller,
            text: claim.text,
            labelled: claim.labelled,
            state: State::Claimed,
            claimed: now,
            entered: now,
            paused: None,
            fence: None,
            renewed: now,
            fenced: false,
            starts: 0,
            turns: 0,
            work: None,
            evidence: Evidence::default(),
            pushed: None,
            unproven: false,
            green: None,
            deployed: None,
            reds: Vec::new(),
            red_since: None,
            flakes: 0,
            report_only: false,
            interrupted: false,
            marked: false,
            unmarked: 0,
            spent: Usd::ZERO,
            bell: None,
        }
    }

    /// The branch and worktree name of this run's issue: the same for every run of it, so that a dead run's
    /// work is found again.
    pub fn branch(&self) -> String {
        format!("afk/issue-{}", self.issue.number)
    }

    /// What its labels have to say, once it is decided. A person's wish and a verdict use up the ready label; a
    /// halt and a lost race do not.
    pub fn label_change(&self, config: &Config) -> Option<LabelChange> {
        let outcome = self.state.outcome()?;
        let mut change = LabelChange { add: Vec::new(), remove: vec![config.in_progress_label.clone()] };
        if !outcome.may_start_again() {
            change.remove.push(config.ready_label.clone());
        }
        if outcome.needs_person() {
            change.add.push(config.human_label.clone());
        }
        Some(change)
    }

    /// How many turns went into fixing what was red.
    pub fn fixes(&self) -> u32 {
        u32::try_from(self.reds.iter().filter(|red| red.fixed).count()).unwrap_or(u32::MAX)
    }
}

/// What was true of an issue when it was claimed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claimed {
    /// Its title.
    pub title: Arc<str>,
    /// Who labelled it.
    pub labeller: Arc<str>,
    /// The digest of its title and body.
    pub text: Digest,
    /// The tracker's time of the labelling.
    pub labelled: u64,
}
