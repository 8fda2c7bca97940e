//! What was spent, and what is left.

use bytes::Bytes;
use claude_exec::store::Batch;

use super::contract::{Ledger, SPENT, decode, encode};
use crate::config::Budget;
use crate::error::Result;
use crate::money::Usd;
use crate::names::Repo;
use crate::run::Room;
use crate::time::Now;

const TOTAL: &str = "total";

impl Ledger {
    /// What the budgets leave for a repository.
    ///
    /// # Errors
    ///
    /// When the store cannot be read; nothing may be started then.
    pub async fn room(&self, repo: &Repo, budget: &Budget, now: Now) -> Result<Room> {
        let (day, _) = self.spent_under(&day_key(repo, now)).await?;
        let (total, _) = self.spent_under(TOTAL).await?;
        Ok(Room { repo_day: budget.repo_day.less(day), total: budget.total.less(total) })
    }

    /// What was spent on a repository today, and on everything ever.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn spent(&self, repo: &Repo, now: Now) -> Result<(Usd, Usd)> {
        Ok((self.spent_under(&day_key(repo, now)).await?.0, self.spent_under(TOTAL).await?.0))
    }

    /// What was spent on everything ever.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn total(&self) -> Result<Usd> {
        Ok(self.spent_under(TOTAL).await?.0)
    }

    /// Adds what a run has cost to `batch`, which is refused when another run was charged meanwhile.
    pub(super) async fn charge(&self, mut batch: Batch, repo: &Repo, cost: Usd, now: Now) -> Result<Batch> {
        if cost == Usd::ZERO {
            return Ok(batch);
        }
        for key in [day_key(repo, now), TOTAL.to_owned()] {
            let (spent, bytes) = self.spent_under(&key).await?;
            batch = match bytes {
                Some(bytes) => batch.expect(SPENT, key.clone(), bytes),
                None => batch.expect_absent(SPENT, key.clone()),
            };
            batch = batch.put(SPENT, key, encode(&(spent + cost))?);
        }
        Ok(batch)
    }

    async fn spent_under(&self, key: &str) -> Result<(Usd, Option<Bytes>)> {
        Ok(match self.store.get(SPENT, key).await? {
            Some(bytes) => (decode(&bytes)?, Some(bytes)),
            None => (Usd::ZERO, None),
        })
    }
}

fn day_key(repo: &Repo, now: Now) -> String {
    format!("day/{}/{repo}", now.day())
}
