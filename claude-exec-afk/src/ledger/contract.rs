//! The ledger and the runs in it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use claude_exec::store::{Batch, Store, Written};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use crate::error::{Error, Result};
use crate::money::Usd;
use crate::names::{IssueKey, RunId};
use crate::run::{Effect, Record, Row};
use crate::time::Now;

/// Runs by id.
pub(super) const RUNS: &str = "afk.runs";
/// The ids of runs that are busy, or owe something.
pub(super) const OPEN: &str = "afk.open";
/// The busy run of each repository.
pub(super) const BUSY: &str = "afk.busy";
/// The last run of each issue.
pub(super) const LAST: &str = "afk.last";
/// Money: `total`, and `day/<day>/<repository>`.
pub(super) const SPENT: &str = "afk.spent";
/// The operator's mode, the clock.
pub(super) const STATE: &str = "afk.state";
/// Issues that made the loop fail.
pub(super) const FAILURES: &str = "afk.failures";
/// The text of each issue when its labelling was first seen.
pub(super) const TEXTS: &str = "afk.texts";
/// What services gave for bells, by run.
pub(super) const RECEIPTS: &str = "afk.receipts";

/// How often a change is made again that others were faster than, before it is given up for this tick.
const TRIES: usize = 16;

/// The loop's memory. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    pub(super) store: Arc<dyn Store>,
    /// Runs are charged one after another: all of them change the same total, and would refuse each other.
    charging: Arc<Mutex<()>>,
}

/// A run as it was read, with what a change has to find unchanged.
#[derive(Clone, PartialEq)]
pub struct Stored {
    /// The run.
    pub record: Record,
    pub(super) bytes: Bytes,
}

impl Ledger {
    /// A ledger in `store`, which others may use too.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, charging: Arc::default() }
    }

    /// Reads a run.
    ///
    /// # Errors
    ///
    /// When the store cannot be read, or holds what this version does not understand.
    pub async fn run(&self, run: &RunId) -> Result<Option<Stored>> {
        match self.store.get(RUNS, run.as_str()).await? {
            Some(bytes) => Stored::read(bytes).map(Some),
            None => Ok(None),
        }
    }

    /// The ids of the runs that are busy, or owe something, in order.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub async fn open(&self) -> Result<Vec<RunId>> {
        self.all(OPEN).await?.into_iter().map(|(key, _)| key.parse()).collect()
    }

    /// Every run that is remembered, in no useful order.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub async fn runs(&self) -> Result<Vec<Record>> {
        let all = self.all(RUNS).await?.into_iter();
        all.map(|(_, bytes)| Stored::read(bytes).map(|stored| stored.record)).collect()
    }

    /// The last run of an issue.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub async fn last(&self, issue: &IssueKey) -> Result<Option<Stored>> {
        match self.read::<LastRun>(LAST, &issue.to_string()).await? {
            Some((last, _)) => self.run(&last.run).await,
            None => Ok(None),
        }
    }

    /// Writes a decision: the new row with the effects that follow from it, and what the run has cost since, in
    /// one transaction. `None` when the run has changed since it was read; nothing was written then.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub async fn decide(
        &self,
        before: &Stored,
        row: Row,
        effects: Vec<Effect>,
        now: Now,
    ) -> Result<Option<Stored>> {
        self.replace(before, before.record.decided(row, effects), now).await
    }

    /// Takes an effect off what is owed: it was delivered, or is given up.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub async fn acknowledge(&self, run: &RunId, effect: &Effect, now: Now) -> Result<Option<Stored>> {
        self.change(run, now, |record| record.acknowledged(effect)).await
    }

    /// Notes that an effect could not be delivered; true when it was given up.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub async fn postpone(&self, run: &RunId, effect: &Effect, error: &Error, now: Now) -> Result<bool> {
        let mut given_up = false;
        self.change(run, now, |record| {
            let mut record = record.clone();
            if let Some(delivery) = record.outbox.get_mut(effect) {
                given_up = delivery.failed(effect, error, now);
            }
            if given_up { record.acknowledged(effect) } else { record }
        })
        .await?;
        Ok(given_up)
    }

    /// Notes that a person has seen that the last run of an issue waits; false when no bell rang for it.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub async fn acknowledge_bell(&self, issue: &IssueKey) -> Result<bool> {
        let Some(stored) = self.last(issue).await? else { return Ok(false) };
        let now = self.clock().await?.unwrap_or_default();
        let changed = self.change(&stored.record.row.run, now, |record| {
            let mut row = record.row.clone();
            if let Some(bell) = &mut row.bell {
                bell.acknowledged = true;
            }
            record.decided(row, Vec::new())
        });
        Ok(changed.await?.is_some_and(|stored| stored.record.row.bell.is_some()))
    }

    /// Changes a run, whatever others do to it meanwhile; `None` when there is no such run.
    pub(crate) async fn change(
        &self,
        run: &RunId,
        now: Now,
        mut change: impl FnMut(&Record) -> Record,
    ) -> Result<Option<Stored>> {
        for _ in 0..TRIES {
            let Some(before) = self.run(run).await? else { return Ok(None) };
            let after = change(&before.record);
            if after == before.record {
                return Ok(Some(before));
            }
            if let Some(stored) = self.replace(&before, after, now).await? {
                return Ok(Some(stored));
            }
        }
        Err(busy())
    }

    /// Puts `after` in the place of `before`, with everything that is kept about it elsewhere.
    async fn replace(&self, before: &Stored, after: Record, now: Now) -> Result<Option<Stored>> {
        let run = after.row.run.as_str();
        let bytes = encode(&after)?;
        let cost = after.row.spent.less(before.record.row.spent);
        let _alone = if cost > Usd::ZERO { Some(self.charging.lock().await) } else { None };
        for _ in 0..TRIES {
            let mut batch =
                Batch::new().expect(RUNS, run, before.bytes.clone()).put(RUNS, run, bytes.clone());
            if before.record.row.state.is_busy() && !after.row.state.is_busy() {
                batch = batch.remove(BUSY, after.row.issue.repo.as_str());
            }
            batch =
                if after.row.state.is_busy() || !after.outbox.is_empty() || after.waits_for_acknowledgement()
                {
                    batch.put(OPEN, run, Bytes::new())
                } else {
                    batch.remove(OPEN, run)
                };
            let batch = self.charge(batch, &after.row.issue.repo, cost, now).await?;
            if self.store.write(batch).await? == Written::Applied {
                return Ok(Some(Stored { record: after, bytes }));
            }
            // Another run may have been charged meanwhile; or this one has changed, and that ends it.
            if self.store.get(RUNS, run).await?.as_ref() != Some(&before.bytes) {
                return Ok(None);
            }
        }
        Err(busy())
    }

    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        space: &'static str,
        key: &str,
    ) -> Result<Option<(T, Bytes)>> {
        match self.store.get(space, key).await? {
            Some(bytes) => Ok(Some((decode(&bytes)?, bytes))),
            None => Ok(None),
        }
    }

    pub(super) async fn all(&self, space: &'static str) -> Result<Vec<(String, Bytes)>> {
        let mut all: Vec<(String, Bytes)> = Vec::new();
        loop {
            let after = all.last().map_or("", |(key, _)| key.as_str()).to_owned();
            let page = self.store.scan(space, &after).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }
}

/// The last run of an issue, and which one in a row it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(super) struct LastRun {
    pub(super) run: RunId,
    pub(super) generation: u32,
}

impl Stored {
    pub(super) fn read(bytes: Bytes) -> Result<Self> {
        Ok(Self { record: decode(&bytes)?, bytes })
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.record, f)
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}

pub(super) fn encode(value: &impl Serialize) -> Result<Bytes> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| Error::invalid("ledger", error.to_string()))
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::invalid("ledger", format!("holds what this version cannot read: {error}")))
}

pub(super) fn busy() -> Error {
    Error::unavailable("the ledger", "others changed the same thing each time", None)
}
