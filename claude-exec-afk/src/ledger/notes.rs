//! The small things that must survive a restart: the clock, failures, first sights, receipts.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use claude_exec::store::Batch;
use serde::{Deserialize, Serialize};

use super::contract::{FAILURES, LAST, LastRun, Ledger, RECEIPTS, RUNS, STATE, TEXTS, decode, encode};
use crate::error::Result;
use crate::names::{Digest, IssueKey, RunId};
use crate::port::Receipt;
use crate::time::{Now, Timekeeper};

const CLOCK: &str = "clock";

/// How an issue made the loop fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// How often in a row.
    pub times: u32,
    /// How, the last time.
    pub error: String,
}

/// The text of an issue when a labelling was first seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FirstSight {
    labelled: u64,
    text: Digest,
}

impl Ledger {
    /// The ledger's time, moved on to now and kept: by `elapsed` of this process's monotonic clock, or after a
    /// restart by the wall clock.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or written.
    pub async fn advance(&self, wall: u64, elapsed: Option<Duration>) -> Result<Now> {
        let known = self.read::<Timekeeper>(STATE, CLOCK).await?;
        let mut keeper = known.map_or(Timekeeper::new(wall), |(keeper, _)| keeper);
        let now = keeper.advance(wall, elapsed);
        self.store.put(STATE, CLOCK, encode(&keeper)?).await?;
        Ok(now)
    }

    /// The ledger's time when it was last told.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn clock(&self) -> Result<Option<Now>> {
        Ok(self.read::<Timekeeper>(STATE, CLOCK).await?.map(|(keeper, _)| keeper.now()))
    }

    /// Counts a failure that an issue caused; how many it makes in a row.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub async fn failed(&self, issue: &IssueKey, error: &str) -> Result<u32> {
        let key = issue.to_string();
        let times = self.read::<Failure>(FAILURES, &key).await?.map_or(0, |(failure, _)| failure.times) + 1;
        let failure = Failure { times, error: error.chars().take(ERROR_LIMIT).collect() };
        self.store.put(FAILURES, &key, encode(&failure)?).await?;
        Ok(times)
    }

    /// True when an issue has failures.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn has_failed(&self, issue: &IssueKey) -> Result<bool> {
        Ok(self.store.get(FAILURES, &issue.to_string()).await?.is_some())
    }

    /// Forgets the failures of an issue: it went well, or a person says to try again.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub async fn recovered(&self, issue: &IssueKey) -> Result<()> {
        Ok(self.store.remove(FAILURES, &issue.to_string()).await?)
    }

    /// The issues that made the loop fail, each time since it last went well.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn failures(&self) -> Result<BTreeMap<IssueKey, Failure>> {
        let mut failures = BTreeMap::new();
        for (key, bytes) in self.all(FAILURES).await? {
            failures.insert(key.parse()?, decode(&bytes)?);
        }
        Ok(failures)
    }

    /// The text that an issue had when this labelling of it was first seen, which is `text` the first time.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or written.
    pub async fn first_sight(&self, issue: &IssueKey, labelled: u64, text: &Digest) -> Result<Digest> {
        if let Some(first) = self.sighted(issue, labelled).await? {
            return Ok(first);
        }
        let first = FirstSight { labelled, text: text.clone() };
        self.store.put(TEXTS, &issue.to_string(), encode(&first)?).await?;
        Ok(first.text)
    }

    /// The text of an issue when a labelling was first seen; `None` when it has not been seen before.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn sighted(&self, issue: &IssueKey, labelled: u64) -> Result<Option<Digest>> {
        let first = self.read::<FirstSight>(TEXTS, &issue.to_string()).await?;
        Ok(first.filter(|(first, _)| first.labelled == labelled).map(|(first, _)| first.text))
    }

    /// Forgets the oldest runs beyond [`RUNS_KEPT`]; how many. What is busy, owes something, or is the last run of
    /// its issue, whose verdict still counts, is never forgotten.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or written.
    pub async fn forget(&self) -> Result<usize> {
        let runs = self.runs().await?;
        let excess = runs.len().saturating_sub(RUNS_KEPT);
        if excess == 0 {
            return Ok(0);
        }
        let mut kept: HashSet<RunId> = self.open().await?.into_iter().collect();
        for (_, bytes) in self.all(LAST).await? {
            kept.insert(decode::<LastRun>(&bytes)?.run);
        }
        let mut over: Vec<_> =
            runs.into_iter().map(|record| record.row).filter(|row| !kept.contains(&row.run)).collect();
        over.sort_by_key(|row| row.claimed);
        over.truncate(excess);
        for row in &over {
            let run = row.run.as_str();
            let _ = self.store.write(Batch::new().remove(RUNS, run).remove(RECEIPTS, run)).await?;
        }
        Ok(over.len())
    }

    /// Keeps what a service gave for a run's bell.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub async fn keep_receipt(&self, run: &RunId, receipt: &Receipt) -> Result<()> {
        Ok(self.store.put(RECEIPTS, run.as_str(), encode(receipt)?).await?)
    }

    /// What a service gave for a run's bell.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn receipt(&self, run: &RunId) -> Result<Option<Receipt>> {
        Ok(self.read(RECEIPTS, run.as_str()).await?.map(|(receipt, _)| receipt))
    }
}

/// How many runs are remembered: months of a busy loop, and a status page that is read in a moment.
pub const RUNS_KEPT: usize = 1000;

/// The most of an error that is kept.
const ERROR_LIMIT: usize = 300;
