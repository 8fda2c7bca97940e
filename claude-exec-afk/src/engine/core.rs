//! The engine: what it is made of, and its ticks.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify};

use super::{Clock, Ports, Tick};
use crate::config::Config;
use crate::error::Result;
use crate::issue::Issue;
use crate::ledger::Ledger;
use crate::names::{IssueKey, Repo};
use crate::policy::Held;
use crate::run::Mode;

/// The unattended loop. One per ledger; cheap to share behind an [`Arc`].
///
/// # Cancel safety
///
/// A tick that is dropped leaves what it was doing done or not done; the next one, of this process or another,
/// finds out and goes on.
pub struct Engine {
    pub(super) config: Arc<Config>,
    pub(super) ledger: Ledger,
    pub(super) ports: Ports,
    pub(super) clock: Arc<dyn Clock>,
    /// This process's monotonic clock when the ledger's time was last told.
    pub(super) last: Mutex<Option<Duration>>,
    /// The last complete list of each repository.
    pub(super) lists: Mutex<HashMap<Repo, Arc<[Issue]>>>,
    /// What the last poll could not start, and why.
    pub(super) held: Mutex<Vec<Held>>,
    /// One tick at a time: the watcher and the poller of one process never meet.
    ticking: Mutex<()>,
    wake: Notify,
}

impl Engine {
    /// An engine over a ledger and the ports to the world. Nothing happens before the first tick.
    pub fn new(config: Config, ledger: Ledger, ports: Ports, clock: Arc<dyn Clock>) -> Self {
        Self {
            config: Arc::new(config),
            ledger,
            ports,
            clock,
            last: Mutex::new(None),
            lists: Mutex::new(HashMap::new()),
            held: Mutex::new(Vec::new()),
            ticking: Mutex::new(()),
            wake: Notify::new(),
        }
    }

    /// One whole tick: what runs is watched, what is ready is claimed, and what was claimed is started.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be used. Anything else that fails is in the [`Tick`], and stops nothing else.
    pub async fn tick(&self) -> Result<Tick> {
        let _one = self.ticking.lock().await;
        let mut tick = Tick::default();
        self.watch(&mut tick).await?;
        self.poll(&mut tick).await?;
        if !tick.claimed.is_empty() {
            self.watch(&mut tick).await?;
            self.ledger.forget().await?;
        }
        Ok(tick)
    }

    /// Ticks until `stop` resolves: every [`tick`](crate::config::Patience::tick), a little more or less, and
    /// whenever it is woken. A tick that is under way when `stop` resolves is finished.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut count = 0_u32;
        loop {
            if let Err(error) = self.tick().await {
                tracing::error!(%error, "the ledger cannot be used; nothing is done until it can");
            }
            count = count.wrapping_add(1);
            tokio::select! {
                () = &mut stop => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(jittered(self.config.patience.tick, count)) => {}
            }
        }
    }

    /// Has the next tick come now: after a webhook, say. Any number of calls before it are one.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Sets what the operator allows, and wakes the loop.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be written.
    pub async fn set_mode(&self, mode: Mode) -> Result<()> {
        self.ledger.set_mode(mode).await?;
        self.wake();
        Ok(())
    }

    /// Tries an issue again that was set aside for making the loop fail.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be written.
    pub async fn forgive(&self, issue: &IssueKey) -> Result<()> {
        self.ledger.recovered(issue).await?;
        self.wake();
        Ok(())
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(super) async fn failures(&self) -> Result<BTreeMap<IssueKey, (u32, String)>> {
        let failures = self.ledger.failures().await?.into_iter();
        Ok(failures.map(|(key, failure)| (key, (failure.times, failure.error))).collect())
    }

    /// Forgets an issue's failures, when it has any: most have none, and that costs no write.
    pub(super) async fn recover(&self, issue: &IssueKey) -> Result<()> {
        if self.ledger.has_failed(issue).await? {
            self.ledger.recovered(issue).await?;
        }
        Ok(())
    }
}

/// `tick`, a tenth more or less: many deployments do not ask the same services at the same moment.
fn jittered(tick: Duration, count: u32) -> Duration {
    // A multiplicative hash: no randomness is needed to spread what differs in its process id.
    let seed = count.wrapping_add(std::process::id()).wrapping_mul(2_654_435_769) >> 16;
    tick * 9 / 10 + tick * (seed % 1000) / 5000
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("config", &self.config).finish_non_exhaustive()
    }
}
