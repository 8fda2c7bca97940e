//! What a controller sees of the world.

use claude_exec_afk::issue::{Issue, IssueState as Tracked, Labelling, Permission};
use claude_exec_afk::run::{
    Activity, CiRun, Evidence, Head, Holder, IssueView, Observation, Room, Session, Verdict,
};
use claude_exec_afk::{Fence, Seen, Usd};

use super::model::Afk;
use super::mutation::Mutation;
use super::names::NAMES;
use super::world::{CiState, IssueState, RunState, SessionState, World};

impl Afk {
    pub(super) fn observe(&self, world: &World, run: usize) -> Observation {
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

    pub(super) fn observe_ci(&self, state: &RunState, run: usize) -> Seen<CiRun> {
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

    pub(super) fn blind(&self, world: &World, run: usize) -> Observation {
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

    pub(super) fn issue(&self, number: usize, issue: &IssueState) -> Issue {
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
}
