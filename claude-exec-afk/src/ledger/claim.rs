//! Claims: the transaction by which a run begins to exist.

use bytes::Bytes;
use claude_exec::store::{Batch, Written};

use super::contract::{BUSY, LAST, LastRun, Ledger, OPEN, RUNS, STATE, Stored, decode, encode};
use crate::config::Config;
use crate::error::Result;
use crate::names::{Repo, RunId};
use crate::policy::Claim;
use crate::run::{Mode, Record, Row};
use crate::time::Now;

pub(super) const MODE: &str = "mode";

impl Ledger {
    /// What the operator allows; everything, when nothing was said.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn mode(&self) -> Result<Mode> {
        Ok(self.read(STATE, MODE).await?.map_or(Mode::Run, |(mode, _)| mode))
    }

    /// Sets what the operator allows.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub async fn set_mode(&self, mode: Mode) -> Result<()> {
        Ok(self.store.put(STATE, MODE, encode(&mode)?).await?)
    }

    /// True when a run is busy in a repository.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn is_repo_busy(&self, repo: &Repo) -> Result<bool> {
        Ok(self.store.get(BUSY, repo.as_str()).await?.is_some())
    }

    /// Claims an issue: in one transaction, the mode is still `run`, the repository has no busy run, and the
    /// issue's last run is still the one that the plan was made with. `None` when that is not so.
    ///
    /// # Errors
    ///
    /// When the store cannot be written: there is no claim without a durable write.
    pub async fn claim(
        &self,
        claim: &Claim,
        last: Option<&RunId>,
        config: &Config,
        now: Now,
    ) -> Result<Option<Stored>> {
        let key = claim.key.to_string();
        let mode = self.store.get(STATE, MODE).await?;
        let allowed = mode.as_deref().map_or(Ok(Mode::Run), decode::<Mode>)?.may_start();
        let known = self.read::<LastRun>(LAST, &key).await?;
        if !allowed || config.kill_switch || known.as_ref().map(|(known, _)| &known.run) != last {
            return Ok(None);
        }
        let generation = known.as_ref().map_or(0, |(known, _)| known.generation).saturating_add(1);
        let run = RunId::of(&claim.key, &config.deployment, generation)?;
        let row = Row::claimed(run.clone(), claim.key.clone(), claim.claimed.clone(), now);
        let record = Record::new(row);
        let bytes = encode(&record)?;
        let expect = |batch: Batch, space, key: &str, value: Option<Bytes>| match value {
            Some(value) => batch.expect(space, key, value),
            None => batch.expect_absent(space, key),
        };
        let repo = claim.key.repo.as_str();
        let mut batch = Batch::new().expect_absent(BUSY, repo).expect_absent(RUNS, run.as_str());
        batch = expect(batch, STATE, MODE, mode);
        batch = expect(batch, LAST, &key, known.map(|(_, bytes)| bytes));
        let batch = batch
            .put(RUNS, run.as_str(), bytes.clone())
            .put(OPEN, run.as_str(), Bytes::new())
            .put(BUSY, repo, Bytes::from(run.as_str().to_owned()))
            .put(LAST, key, encode(&LastRun { run, generation })?);
        Ok(match self.store.write(batch).await? {
            Written::Applied => Some(Stored { record, bytes }),
            Written::Refused => None,
        })
    }
}
