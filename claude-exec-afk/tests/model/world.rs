//! A state of everything: the world outside, the ledgers, and what each controller is in the middle of.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use ahash::RandomState;
use claude_exec_afk::IssueKey;
use claude_exec_afk::run::{Effect, Mode, Record};

use super::names::COMMITS;

pub(crate) static HASHER: LazyLock<RandomState> = LazyLock::new(|| RandomState::with_seeds(1, 2, 3, 4));

/// The whole state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) issues: Vec<IssueState>,
    pub(crate) runs: Vec<RunState>,
    pub(crate) ledgers: Vec<Ledger>,
    pub(crate) controllers: Vec<Doing>,
    /// Which run holds the lock; one for the repository, or (as a mutation) one for each issue.
    pub(crate) locks: Vec<Option<usize>>,
    pub(crate) faults: Faults,
    /// Properties that were found broken, as bits: see `safety`.
    pub(crate) broken: u16,
    /// Goals that were reached, as bits.
    pub(crate) reached: u8,
}

/// What may still go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    /// All of them together, but for the overlaps.
    pub(crate) total: u8,
    /// How often a controller may begin something while the other is in the middle of something.
    pub(crate) overlaps: u8,
    pub(crate) crashes: u8,
    pub(crate) halts: u8,
    pub(crate) resumes: u8,
    pub(crate) reds: u8,
    pub(crate) hangs: u8,
    pub(crate) closes: u8,
    pub(crate) relabels: u8,
    pub(crate) lates: u8,
}

/// Never used up.
pub(crate) const UNBOUNDED: u8 = u8::MAX;

impl Faults {
    /// Any `total` of one crash, one halt, one red CI, one hang and one closing by a person.
    pub(crate) fn any(total: u8) -> Self {
        let each = u8::from(total > 0);
        Self {
            total,
            overlaps: UNBOUNDED,
            crashes: each,
            halts: each,
            reds: each,
            hangs: each,
            closes: each,
            resumes: 0,
            relabels: 0,
            lates: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct IssueState {
    pub(crate) open: bool,
    pub(crate) by_commit: bool,
    pub(crate) ready: bool,
    pub(crate) marked: bool,
    pub(crate) human: bool,
    /// How often the ready label was put on.
    pub(crate) labelled: u64,
    /// The labelling that a verdict which needs a person has used up, and the run that came to it.
    pub(crate) judged: Option<(u64, usize)>,
}

/// What exists of a run outside its ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RunState {
    pub(crate) issue: usize,
    pub(crate) ledger: usize,
    pub(crate) labelled: u64,
    pub(crate) session: SessionState,
    /// What CI says of each commit.
    pub(crate) commits: [Option<CiState>; COMMITS],
    /// How many turns went into fixing each commit.
    pub(crate) fixes: [u8; COMMITS],
    /// Which bells rang, as bits by outcome.
    pub(crate) bells: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SessionState {
    None,
    Busy {
        turns: u32,
        pushed: bool,
        hung: bool,
    },
    Idle {
        turns: u32,
    },
    /// For good.
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CiState {
    Pending,
    Green,
    Red { attempt: u8 },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ledger {
    pub(crate) mode: Mode,
    /// By the number of the run, so that the order in which they were made shows.
    pub(crate) records: Vec<(usize, Kept)>,
}

/// What a controller is in the middle of. A crash makes it `Idle`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Doing {
    Idle,
    /// It has planned to claim this issue, as labelled, of which so many runs were known.
    Claim {
        issue: usize,
        labelled: u64,
        known: usize,
    },
    /// It has decided, from `before`, on `after`.
    Commit {
        run: usize,
        before: Kept,
        after: Kept,
    },
    /// It has read that this effect is next.
    Picked {
        run: usize,
        effect: Effect,
    },
    /// Its permit said yes.
    Permitted {
        run: usize,
        effect: Effect,
    },
    /// It has done it and not yet said so.
    Performed {
        run: usize,
        effect: Effect,
    },
}

/// A record with its hash, which is taken once: most of a state stays as it is from step to step.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Kept(Arc<(u64, Record)>);

impl Kept {
    pub(crate) fn new(record: Record) -> Self {
        Self(Arc::new((HASHER.hash_one(&record), record)))
    }
}

impl Deref for Kept {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.0.1
    }
}

impl Hash for Kept {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.0);
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} owes {:?}", self.row.state, self.outbox.keys())
    }
}

impl RunState {
    /// How many commits it has pushed.
    pub(crate) fn pushed(&self) -> usize {
        self.commits.iter().flatten().count()
    }

    /// What CI says of the last one.
    pub(crate) fn last(&self) -> Option<CiState> {
        self.commits.iter().flatten().next_back().copied()
    }
}

impl Doing {
    pub(crate) fn run(&self) -> Option<usize> {
        match self {
            Self::Idle | Self::Claim { .. } => None,
            Self::Commit { run, .. }
            | Self::Picked { run, .. }
            | Self::Permitted { run, .. }
            | Self::Performed { run, .. } => Some(*run),
        }
    }
}

impl SessionState {
    pub(crate) fn is_live(self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Idle { .. })
    }
}

impl Ledger {
    pub(crate) fn record(&self, run: usize) -> Option<&Kept> {
        self.records.iter().find(|(number, _)| *number == run).map(|(_, record)| record)
    }

    pub(crate) fn set(&mut self, run: usize, new: Kept) {
        if let Some((_, record)) = self.records.iter_mut().find(|(number, _)| *number == run) {
            *record = new;
        }
    }

    pub(crate) fn runs_of(&self, issue: &IssueKey) -> usize {
        self.records.iter().filter(|(_, record)| record.row.issue == *issue).count()
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.records.iter().any(|(_, record)| record.row.state.is_busy())
    }
}

impl World {
    /// Nothing is going on, and nothing is left behind.
    pub(crate) fn is_drained(&self) -> bool {
        let records = || self.ledgers.iter().flat_map(|ledger| &ledger.records);
        records().all(|(_, record)| !record.row.state.is_busy() && record.next(late()).is_none())
            && self.runs.iter().all(|run| !run.session.is_live())
            && self.locks.iter().all(Option::is_none)
    }
}

fn late() -> claude_exec_afk::Now {
    claude_exec_afk::Now::from_millis(u64::MAX)
}
