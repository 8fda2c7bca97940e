//! What people are told of the loop.

use serde::Serialize;

use super::Engine;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::money::Usd;
use crate::names::{Repo, RunId};
use crate::policy::{Gate, Held};
use crate::run::{Mode, Record};

/// What one tick did.
#[derive(Debug, Clone, Default)]
pub struct Tick {
    /// The runs that were claimed.
    pub claimed: Vec<RunId>,
    /// The issues that were read and are held.
    pub held: Vec<Held>,
    /// The repositories that could not be read, and why: nothing was decided about them.
    pub unknown: Vec<(Repo, Error)>,
    /// The runs that could not be worked on, and why.
    pub failures: Vec<(String, Error)>,
}

/// Why an issue is not being worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explanation {
    /// Nothing holds it: the next tick claims it.
    Next,
    /// This gate holds it.
    Held(Gate),
}

impl std::fmt::Display for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Next => f.write_str("nothing holds it: the next tick claims it"),
            Self::Held(gate) => gate.fmt(f),
        }
    }
}

/// How the loop stands.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// What the operator allows; the kill switch counts.
    pub mode: Mode,
    /// Whether it is the kill switch that stops it.
    pub kill_switch: bool,
    /// What was spent ever.
    pub spent: Usd,
    /// What may be spent ever.
    pub budget: Usd,
    /// The runs, the busy ones first, then the newest first.
    pub runs: Vec<RunStatus>,
    /// Issues that were looked at in the last poll and are held: which, and why.
    pub held: Vec<(String, String)>,
    /// Issues that made the loop fail: which, how often, and how.
    pub failing: Vec<(String, u32, String)>,
}

/// How a run stands.
#[derive(Debug, Clone, Serialize)]
pub struct RunStatus {
    /// Everything that is remembered of it.
    pub record: Record,
    /// For how long, in seconds, it has been in its state.
    pub seconds: u64,
}

impl Status {
    /// How the loop stands, from a ledger alone, by the ledger's own time.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn read(ledger: &Ledger, config: &Config, held: &[Held]) -> Result<Self> {
        let now = ledger.clock().await?.unwrap_or_default();
        let mut records = ledger.runs().await?;
        records.sort_by_key(|record| (!record.row.state.is_busy(), std::cmp::Reverse(record.row.claimed)));
        let failing = ledger.failures().await?.into_iter();
        Ok(Self {
            mode: if config.kill_switch { Mode::Halt } else { ledger.mode().await? },
            kill_switch: config.kill_switch,
            spent: ledger.total().await?,
            budget: config.budget.total,
            runs: records
                .into_iter()
                .map(|record| RunStatus { seconds: now.since(record.row.entered).as_secs(), record })
                .collect(),
            held: held.iter().map(|held| (held.key.to_string(), held.gate.to_string())).collect(),
            failing: failing.map(|(key, failure)| (key.to_string(), failure.times, failure.error)).collect(),
        })
    }
}

impl Engine {
    /// How the loop stands: nothing outside is asked.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn status(&self) -> Result<Status> {
        self.now().await?;
        let held = self.held.lock().await.clone();
        Status::read(&self.ledger, &self.config, &held).await
    }
}
