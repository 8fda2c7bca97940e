//! What CI says, by commit statuses: whatever CI a Forgejo or Gitea has writes them.

use std::collections::BTreeMap;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::service::{Forgejo, Paged, api, hidden};
use super::wire;
use crate::adapter::fold::{Check, Checked, Fold, fold};
use crate::adapter::forge::Forge;
use crate::adapter::http::{Answer, Call, segment, whole};
use crate::error::{Error, Result};
use crate::names::{Repo, Sha};
use crate::port::Ci;
use crate::run::{CiRun, Verdict};
use crate::seen::Seen;

impl Forgejo {
    async fn looked(&self, repo: &Repo, sha: &Sha) -> Result<Option<CiRun>> {
        let verdict = self.verdict(repo, sha, None).await?;
        Ok(verdict.map(|verdict| CiRun { sha: sha.clone(), attempt: 1, verdict }))
    }

    async fn tip_verdict(&self, repo: &Repo) -> Result<Option<Verdict>> {
        let tip = self.tip(repo).await?;
        let sha: Sha = tip.commit.id.parse()?;
        self.verdict(repo, &sha, Some(tip)).await
    }

    /// The newest status of each context, folded; `None` when there is none.
    async fn verdict(&self, repo: &Repo, sha: &Sha, tip: Option<wire::Branch>) -> Result<Option<Verdict>> {
        let pages = self
            .pages(api(Call::get(format!("/repos/{repo}/commits/{sha}/statuses"))), Paged::Counted)
            .await?;
        if pages[0].status() == 404 {
            return Err(hidden(format_args!("commit {sha} of {repo}")));
        }
        let now = pages.last().and_then(Answer::date);
        let statuses: Vec<wire::Status> = whole(&pages)?;
        let newest = statuses.iter().map(|status| status.updated_at.0).max().unwrap_or_default();
        let mut latest: BTreeMap<&str, &wire::Status> = BTreeMap::new();
        for status in &statuses {
            let known = latest.entry(&status.context).or_insert(status);
            if status.id > known.id {
                *known = status;
            }
        }
        if latest.is_empty() {
            return Ok(None);
        }
        let checks: Vec<Check> = latest
            .into_values()
            .map(|status| Check { name: status.context.clone(), result: result(&status.status) })
            .collect();
        let required = match (self.required.is_empty(), tip) {
            (false, _) => self.required.clone(),
            (true, Some(tip)) => protection(tip),
            (true, None) => protection(self.tip(repo).await?),
        };
        let settle = u64::try_from(self.settle.as_millis()).unwrap_or(u64::MAX);
        let settled = !required.is_empty() || now.is_none_or(|now| now >= newest.saturating_add(settle));
        Ok(Some(match fold(&required, &checks) {
            // A status says no more than that.
            Fold::Red(_) => Verdict::Red { failure: None, rerunnable: false },
            Fold::Blocked => Verdict::Blocked,
            // Nobody said what is required: another check may be about to begin.
            Fold::Green if settled => Verdict::Green,
            Fold::Green | Fold::Pending | Fold::Nothing => Verdict::Pending,
        }))
    }

    async fn tip(&self, repo: &Repo) -> Result<wire::Branch> {
        let branch = match &self.branch {
            Some(branch) => branch.clone(),
            None => self.one::<wire::Repository>(format!("/repos/{repo}"), repo).await?.default_branch,
        };
        let path = format!("/repos/{repo}/branches/{}", segment(&branch));
        self.one(path, format!("branch {branch} of {repo}")).await
    }
}

fn protection(tip: wire::Branch) -> Vec<String> {
    if tip.enable_status_check { tip.status_check_contexts.unwrap_or_default() } else { Vec::new() }
}

fn result(state: &str) -> Checked {
    match state {
        "success" | "warning" | "skipped" => Checked::Passed,
        "pending" => Checked::Pending,
        _ => Checked::Failed,
    }
}

impl Ci for Forgejo {
    fn look<'a>(&'a self, repo: &'a Repo, sha: &'a Sha) -> BoxFuture<'a, Seen<CiRun>> {
        self.client.within(self.looked(repo, sha)).map(Seen::from).boxed()
    }

    fn trunk<'a>(&'a self, repo: &'a Repo) -> BoxFuture<'a, Seen<Verdict>> {
        self.client.within(self.tip_verdict(repo)).map(Seen::from).boxed()
    }

    /// Never asked for: no verdict of this adapter can be run again.
    fn rerun<'a>(&'a self, _: &'a Repo, sha: &'a Sha, _: u32) -> BoxFuture<'a, Result<()>> {
        let reason = format!("the jobs of {sha} cannot be run again by commit statuses");
        std::future::ready(Err(Error::refused(Self::NAME, reason))).boxed()
    }
}
