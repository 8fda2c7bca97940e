//! The watcher's tick: every run that is busy or owes something.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use futures::{FutureExt, StreamExt, stream};

use super::limit::look;
use super::{Engine, Tick};
use crate::error::{Error, Result};
use crate::names::{Repo, RunId};
use crate::run::{Effect, Mode, Record, remind, step};
use crate::seen::Seen;
use crate::time::Now;

/// Repositories that are worked on at the same time: each is mostly waiting for services.
pub(super) const REPOS_AT_ONCE: usize = 8;
/// Decisions about one run in one tick: from the claim to a started session are three.
const DECISIONS: usize = 12;
/// Effects of one run in one tick.
const DELIVERIES: usize = 32;

impl Engine {
    /// Looks at every run that is busy or owes something, and does what follows.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read: nothing is done without it.
    pub(super) async fn watch(&self, tick: &mut Tick) -> Result<()> {
        let open = self.ledger.open().await?;
        if open.is_empty() {
            return Ok(());
        }
        let (mode, now) = (self.ledger.mode().await?, self.now().await?);
        let mut repos: BTreeMap<Repo, Vec<RunId>> = BTreeMap::new();
        for run in open {
            match self.ledger.run(&run).await {
                Ok(Some(stored)) => repos.entry(stored.record.row.issue.repo).or_default().push(run),
                Ok(None) => {}
                Err(error) => tick.failures.push((run.to_string(), error)),
            }
        }
        let work = repos.into_values().map(|runs| async move {
            let mut failures = Vec::new();
            for run in runs {
                if let Err(error) = self.watch_guarded(&run, mode, now).await {
                    failures.push((run.to_string(), error));
                }
            }
            failures
        });
        let failures: Vec<_> = stream::iter(work).buffer_unordered(REPOS_AT_ONCE).collect().await;
        tick.failures.extend(failures.into_iter().flatten());
        Ok(())
    }

    /// One run, such that whatever happens over it stays with it. What it makes fail again and again is set
    /// aside, and its issue is not taken again.
    async fn watch_guarded(&self, run: &RunId, mode: Mode, now: Now) -> Result<()> {
        let Some(stored) = self.ledger.run(run).await? else { return Ok(()) };
        let issue = stored.record.row.issue;
        let watched = AssertUnwindSafe(self.watch_run(run, mode, now)).catch_unwind().await;
        let error = match watched {
            Ok(Ok(())) => {
                self.recover(&issue).await?;
                return Ok(());
            }
            Ok(Err(error)) if error.is_transient() || error.is_conflict() => return Err(error),
            Ok(Err(error)) => error,
            Err(panic) => Error::invalid("run", format!("panicked: {}", shown(&*panic))),
        };
        let times = self.ledger.failed(&issue, &error.to_string()).await?;
        tracing::error!(%run, %issue, times, %error, "a run made the loop fail");
        Err(error)
    }

    async fn watch_run(&self, run: &RunId, mode: Mode, now: Now) -> Result<()> {
        for _ in 0..DECISIONS {
            self.deliver_owed(run, now).await?;
            let Some(stored) = self.ledger.run(run).await? else { return Ok(()) };
            if !stored.record.row.state.is_busy() {
                return self.remind(stored, now).await;
            }
            let seen = self.observe(&stored.record, mode, now).await?;
            let (row, effects) = step(&stored.record.row, &seen, &self.config, now);
            let before = stored.record.row.state;
            if stored.record.decided(row.clone(), effects.clone()) == stored.record {
                return Ok(());
            }
            if row.state != before {
                tracing::info!(%run, issue = %row.issue, from = before.name(), to = row.state.name(),
                    why = row.state.outcome().and_then(|outcome| outcome.why()).map(|why| why.to_string()), "run");
            }
            // `None` means that someone else was faster: look again.
            self.ledger.decide(&stored, row, effects, now).await?;
        }
        Ok(())
    }

    /// Delivers what the run owes, in order, until it owes nothing or something has to wait.
    async fn deliver_owed(&self, run: &RunId, now: Now) -> Result<()> {
        for _ in 0..DELIVERIES {
            let Some(stored) = self.ledger.run(run).await? else { return Ok(()) };
            let Some(effect) = stored.record.next(now) else { return Ok(()) };
            let record = match effect {
                Effect::Ring(_) => self.attempt(run, &effect, now).await?,
                _ => stored.record,
            };
            match self.deliver(&record, &effect).await {
                Ok(()) => {
                    self.ledger.acknowledge(run, &effect, now).await?;
                }
                Err(error) => {
                    let given_up = self.ledger.postpone(run, &effect, &error, now).await?;
                    tracing::warn!(%run, %effect, %error, given_up, "not delivered");
                }
            }
        }
        Ok(())
    }

    /// Writes down that a bell is about to be rung, so that after a crash it is known that it may have been.
    async fn attempt(&self, run: &RunId, effect: &Effect, now: Now) -> Result<Record> {
        let changed = self
            .ledger
            .change(run, now, |record| {
                let mut record = record.clone();
                if let Some(delivery) = record.outbox.get_mut(effect) {
                    delivery.attempts = delivery.attempts.saturating_add(1);
                }
                record
            })
            .await?;
        let gone = || Error::conflict(format!("run {run} is gone"));
        changed.map(|stored| stored.record).ok_or_else(gone)
    }

    async fn remind(&self, stored: crate::ledger::Stored, now: Now) -> Result<()> {
        if !stored.record.waits_for_acknowledgement() {
            return Ok(());
        }
        let acknowledged = match self.ledger.receipt(&stored.record.row.run).await? {
            Some(receipt) => look("the bell", self.ports.bell.acknowledged(&receipt)).await,
            None => Seen::Absent,
        };
        let (row, effect) = remind(&stored.record.row, &acknowledged, &self.config, now);
        if row != stored.record.row {
            self.ledger.decide(&stored, row, effect.into_iter().collect(), now).await?;
        }
        Ok(())
    }
}

fn shown(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("with no message")
}
