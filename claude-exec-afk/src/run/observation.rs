//! What was seen of the world before one step.

use serde::{Deserialize, Serialize};

use crate::issue::{IssueState, Permission};
use crate::money::Usd;
use crate::names::{Digest, Fence, RunId, Sha};
use crate::seen::Seen;

/// Everything that one `step` may look at. All of it may be unknown, but for what the ledger
/// itself says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Observation {
    /// What the operator allows now, the kill switch included.
    pub mode: Mode,
    /// Whether effects of this run, other than bells, are not yet acknowledged.
    pub pending: bool,
    /// What the daily and total budgets leave.
    pub room: Room,
    /// Who holds the lock. Known to be ours means: renewed, or taken, just now. One that a run of this ledger left
    /// behind, which is over, counts as absent: it is there for the taking.
    pub lock: Seen<Holder>,
    /// The issue.
    pub issue: Seen<IssueView>,
    /// The agent's session; absent when there is none for this run, or it is gone.
    pub session: Seen<Session>,
    /// What this run has pushed; absent when nothing.
    pub head: Seen<Head>,
    /// What CI says about [`Row::pushed`](super::Row::pushed); absent when it says nothing at all.
    pub ci: Seen<CiRun>,
    /// What is deployed, as seen from [`Row::pushed`](super::Row::pushed); absent when nothing is known of it.
    pub deploy: Seen<Deployed>,
}

/// What the operator allows. Later ones allow less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Mode {
    /// Everything.
    #[default]
    Run,
    /// Nothing new; what runs is finished, fixes included.
    Drain,
    /// Nothing new and no further turn; what runs is watched, and its deadlines rest.
    Pause,
    /// Nothing new, no further turn; every session is stopped.
    Halt,
}

/// What the budgets leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Room {
    /// For this repository, today.
    pub repo_day: Usd,
    /// For everything, ever.
    pub total: Usd,
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// The run that took it.
    pub run: RunId,
    /// Which holder in a row.
    pub fence: Fence,
}

/// What a run has to know of its issue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IssueView {
    /// Open, or closed by whom.
    pub state: IssueState,
    /// Whether it carries the ready label.
    pub ready: bool,
    /// Whether it carries the in-progress label.
    pub marked: bool,
    /// Whether it carries the label that takes it from the loop.
    pub human: bool,
    /// The digest of its title and body now.
    pub text: Seen<Digest>,
    /// What whoever last edited them may do.
    pub editor: Seen<Permission>,
    /// The tracker's time of the last labelling; absent when it carries no ready label.
    pub labelled: Seen<u64>,
}

/// What is known of an agent's session.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Session {
    /// How many turns of this run have begun; the first one is the start itself.
    pub turns: u32,
    /// What it does.
    pub activity: Activity,
    /// How long there has been no sign of life of any kind, in whole seconds: no event, no changed file, no
    /// commit, no CPU time in its processes. Zero when nothing can be told.
    pub quiet_seconds: u64,
    /// What the turns with a known price have cost so far, the present one included as far as it is known.
    pub spent: Usd,
    /// How many turns have ended without a known price; each counts as the most a turn may cost.
    pub unpriced: u32,
    /// A digest of the work so far (commits and changed files), so that a turn that changed nothing is known;
    /// absent while nothing at all has been changed.
    pub work: Seen<Digest>,
    /// What the work has proved so far.
    pub evidence: Evidence,
}

/// What a session does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Activity {
    /// A turn is running.
    Busy,
    /// The last turn ended as it should.
    Idle,
    /// The last turn failed or was interrupted, or its process is gone; the session can be resumed.
    Failed,
    /// It waits for an answer or an approval.
    Asking,
}

/// What was seen to happen in the agent's worktree: what the checklist ticks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// The worktree exists.
    pub worktree: bool,
    /// A test run that failed, before the change was made.
    pub red: Option<Proof>,
    /// The same tests passed, later.
    pub green: Option<Proof>,
}

/// One test run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Proof {
    /// The command.
    pub command: String,
    /// Its exit code.
    pub exit: i32,
    /// The digest of what it printed.
    pub log: Digest,
}

/// What a run has pushed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Head {
    /// The newest commit of this run, in the branch it belongs to, on top of what was there.
    Pushed(Sha),
    /// What this run had pushed is no longer in the branch: someone force-pushed.
    Diverged,
    /// A commit of someone else is on this run's own branch, or there is a second pull request.
    Foreign,
}

/// What CI says about one commit: the newest attempt, all of its jobs taken together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CiRun {
    /// The commit; a step ignores what is said of another one than its own.
    pub sha: Sha,
    /// Which attempt at it, from 1.
    pub attempt: u32,
    /// What came out.
    pub verdict: Verdict,
}

/// What came out of CI.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// Not everything that is required has finished.
    Pending,
    /// Everything that is required passed.
    Green,
    /// Something failed.
    Red {
        /// What failed and how, so that the same failure is known again; absent when CI does not tell.
        failure: Option<Digest>,
        /// Whether its failed jobs can be run again.
        rerunnable: bool,
    },
    /// It waits for a person, such as an approval.
    Blocked,
}

/// What is deployed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Deployed {
    /// Not this commit yet: an older one is, or it is under way.
    Pending,
    /// This commit, and it is healthy.
    Healthy(Sha),
    /// This commit's deployment failed, is unhealthy, or was rolled back.
    Failed(Sha),
    /// A later commit that holds this one, and it is healthy.
    Superseded(Sha),
}

impl Mode {
    /// True when a new run may be claimed and started.
    pub fn may_start(self) -> bool {
        self == Self::Run
    }

    /// True when a run that has started may be given another turn.
    pub fn may_turn(self) -> bool {
        self <= Self::Drain
    }

    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Drain => "drain",
            Self::Pause => "pause",
            Self::Halt => "halt",
        }
    }
}
