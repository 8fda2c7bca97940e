//! What is remembered of a session, durably.

use std::sync::Arc;

use bytes::Bytes;
use claude_exec::protocol::{Outcome, SessionId};
use claude_exec::store::{Batch, Store, Written};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::money::Usd;
use crate::names::{IssueKey, RunId, Sha};
use crate::run::{Activity, Evidence};

/// Sessions by their run.
const SESSIONS: &str = "afk.sessions";
/// How many sessions that were stopped are remembered: more than the runs that the ledger remembers.
const KEPT: usize = 2000;
/// How often a change is made again that another one was faster than.
const TRIES: usize = 16;

/// A run's session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The issue; `None` for a run that was stopped before it had a session.
    pub(super) issue: Option<IssueKey>,
    /// The CLI's session, from the first turn on.
    pub(super) session: SessionId,
    /// The CLI was told to make that session, and may have.
    pub(super) made: bool,
    /// Turns that have begun.
    pub(super) turns: u32,
    /// A turn is under way, or was when the process died.
    pub(super) open: bool,
    /// How the last turn ended.
    pub(super) last: Activity,
    /// What turns with a price have cost.
    pub(super) spent: Usd,
    /// What the CLI said last that the session has cost in all.
    pub(super) told: Usd,
    /// Turns that ended without a price.
    pub(super) unpriced: u32,
    /// The first prompt, for a session that has to be made anew.
    pub(super) prompt: String,
    /// The commit of the worktree when the run began.
    pub(super) base: Option<Sha>,
    /// What the work has proved.
    pub(super) evidence: Evidence,
    /// Nothing may be begun any more.
    pub(super) stopped: bool,
}

impl Record {
    fn new() -> Self {
        Self {
            issue: None,
            session: SessionId::from(Uuid::new_v4()),
            made: false,
            turns: 0,
            open: false,
            last: Activity::Failed,
            spent: Usd::ZERO,
            told: Usd::ZERO,
            unpriced: 0,
            prompt: String::new(),
            base: None,
            evidence: Evidence::default(),
            stopped: false,
        }
    }

    /// The session is lost; another one takes its place.
    pub(super) fn renew(&mut self) {
        self.session = SessionId::from(Uuid::new_v4());
        self.made = false;
    }

    /// A turn that had begun is over; `outcome` is what the CLI told of it, if it did.
    pub(super) fn end(&mut self, outcome: Option<&Outcome>) {
        self.open = false;
        self.last = match outcome {
            Some(outcome) if outcome.is_success() => Activity::Idle,
            _ => Activity::Failed,
        };
        let dollars = |told: fn(&Outcome) -> Option<f64>| outcome.and_then(told).and_then(Usd::from_price);
        let total = dollars(|outcome| outcome.total_cost_usd);
        // Some versions tell sums only.
        let price = dollars(|outcome| outcome.cost_usd).or(total.map(|total| total.less(self.told)));
        self.told = total.unwrap_or(self.told);
        match price {
            Some(price) => self.spent += price,
            None => self.unpriced += 1,
        }
    }
}

/// The records, in the loop's own store.
#[derive(Clone)]
pub(super) struct Records(Arc<dyn Store>);

impl Records {
    /// Those in `store`; of stopped sessions only so many are kept.
    pub(super) async fn open(store: Arc<dyn Store>) -> Result<Self> {
        let mut stopped = Vec::new();
        let mut after = String::new();
        loop {
            let page = store.scan(SESSIONS, &after).await?;
            let Some((last, _)) = page.last() else { break };
            after.clone_from(last);
            for (run, bytes) in page {
                if decode(&bytes)?.stopped {
                    stopped.push(run);
                }
            }
        }
        for run in stopped.iter().take(stopped.len().saturating_sub(KEPT)) {
            store.remove(SESSIONS, run).await?;
        }
        Ok(Self(store))
    }

    pub(super) async fn get(&self, run: &RunId) -> Result<Option<Record>> {
        self.0.get(SESSIONS, run.as_str()).await?.map(|bytes| decode(&bytes)).transpose()
    }

    /// Changes a run's record, which is made when there is none, and gives it as it is then.
    pub(super) async fn change(&self, run: &RunId, change: impl Fn(&mut Record)) -> Result<Record> {
        for _ in 0..TRIES {
            let before = self.0.get(SESSIONS, run.as_str()).await?;
            let mut record = before.as_deref().map_or_else(|| Ok(Record::new()), decode)?;
            change(&mut record);
            let after =
                serde_json::to_vec(&record).map_err(|error| Error::invalid("session", error.to_string()))?;
            let after = Bytes::from(after);
            if before.as_ref() == Some(&after) {
                return Ok(record);
            }
            let batch = match before {
                Some(before) => Batch::new().expect(SESSIONS, run.as_str(), before),
                None => Batch::new().expect_absent(SESSIONS, run.as_str()),
            };
            if self.0.write(batch.put(SESSIONS, run.as_str(), after)).await? == Written::Applied {
                return Ok(record);
            }
        }
        Err(Error::unavailable("the session", "others changed its record each time", None))
    }
}

fn decode(bytes: &[u8]) -> Result<Record> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::invalid("session", format!("holds what this version cannot read: {error}")))
}
