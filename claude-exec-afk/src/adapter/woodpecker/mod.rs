//! Woodpecker 3 as CI.
//!
//! The rules are those of its API description (`/api`, 3.x) and of its source: pipelines of a repository are listed
//! newest first, fifty at most on a page whatever is asked for, without a `Link` and without a filter by commit; a
//! restart makes a new pipeline. **It was never tried on a live Woodpecker**, only on a fake with these traps.

mod verdict;
mod wire;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::Token;
use super::http::{Call, Client, Scheme};
use crate::error::{Error, Result};
use crate::names::{Digest, Repo, Sha};
use crate::port::Ci;
use crate::run::{CiRun, Verdict};
use crate::seen::Seen;
use verdict::Told;
use wire::{Line, Pipeline, Repository};

const WHAT: &str = "Woodpecker";
/// Pipelines on a page: it gives no more.
const PAGE: usize = 50;
/// Pages that are read for one commit. It was pushed within the hours that CI may take, and two hundred later pipelines
/// of one branch are more than that.
const PAGES: usize = 4;
/// Pipelines that took over from one another, before it is given up to follow them.
const HOPS: usize = 5;
/// Failed steps whose logs are read, to know the same failure again.
const STEPS: usize = 3;

/// Woodpecker behind the port [`Ci`].
pub struct Woodpecker {
    client: Client,
    branch: Option<String>,
    /// Its own numbers of repositories, which never change.
    ids: Mutex<HashMap<Repo, Repository>>,
    /// One restart at a time: it is not idempotent there.
    restarting: tokio::sync::Mutex<()>,
}

impl Woodpecker {
    /// The server whose root is `url`, the setting `AFK_WOODPECKER_URL`. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// When `url` is no address, or holds a password.
    pub fn new(url: &str, token: Token) -> Result<Self> {
        let client = Client::new(WHAT, "AFK_WOODPECKER_URL", url, Some(token), Scheme::Bearer)?;
        let (ids, restarting) = (Mutex::default(), tokio::sync::Mutex::default());
        Ok(Self { client, branch: None, ids, restarting })
    }

    /// The branch that runs push to. Default: the repository's default branch.
    #[must_use]
    pub fn branch(mut self, branch: impl Into<String>) -> Self {
        self.branch = Some(branch.into());
        self
    }

    async fn looked(&self, repo: &Repo, sha: &Sha) -> Result<Option<CiRun>> {
        let id = self.repository(repo).await?.id;
        let pipelines = self.pipelines(id, None, PAGES).await?;
        let own = verdict::of_commit(&pipelines, sha);
        let Some(newest) = own.first() else { return Ok(None) };
        let attempt = u32::try_from(own.len()).unwrap_or(u32::MAX);
        let verdict = self.verdict(id, newest).await?;
        Ok(verdict.map(|verdict| CiRun { sha: sha.clone(), attempt, verdict }))
    }

    async fn tip(&self, repo: &Repo) -> Result<Option<Verdict>> {
        let repository = self.repository(repo).await?;
        let branch = self.branch.clone().unwrap_or(repository.default_branch);
        let pipelines = self.pipelines(repository.id, Some(&branch), 1).await?;
        let counts =
            |pipeline: &&Pipeline| verdict::counts(pipeline) && verdict::told(pipeline) != Told::Nothing;
        match pipelines.iter().filter(counts).max_by_key(|pipeline| pipeline.number) {
            Some(newest) => self.verdict(repository.id, newest).await,
            None => Ok(None),
        }
    }

    /// What a pipeline says, or the one that took over from it.
    async fn verdict(&self, id: u64, newest: &Pipeline) -> Result<Option<Verdict>> {
        let (mut pipeline, mut own) = (newest.clone(), true);
        for _ in 0..HOPS {
            return Ok(Some(match verdict::told(&pipeline) {
                Told::Nothing => return Ok(None),
                Told::Pending => Verdict::Pending,
                Told::Green => Verdict::Green,
                Told::Blocked => Verdict::Blocked,
                Told::Red(rerunnable) => {
                    let failure = self.failure(id, pipeline.number).await;
                    Verdict::Red { failure, rerunnable: rerunnable && own }
                }
                Told::See(number) => {
                    (pipeline, own) = (self.pipeline(id, number).await?, false);
                    continue;
                }
            }));
        }
        Err(Error::unavailable(WHAT, format_args!("{HOPS} pipelines took over from one another"), None))
    }

    /// What failed, so that it is known again. It is only for that: without it, every failure is a new one.
    async fn failure(&self, id: u64, number: u64) -> Option<Digest> {
        let workflows = self.pipeline(id, number).await.ok()?.workflows?;
        let mut names = Vec::new();
        let mut told = Vec::new();
        for workflow in &workflows {
            let failed = workflow.children.iter().flatten();
            for step in failed.filter(|step| matches!(step.state.as_str(), "failure" | "error" | "killed")) {
                names.push(format!("{}/{}", workflow.name, step.name));
                told.extend(step.error.clone());
                if names.len() <= STEPS {
                    told.extend(self.log(id, number, step.id).await.ok());
                }
            }
            told.extend(workflow.error.clone());
        }
        let told = told.join("\n");
        (!told.trim().is_empty()).then(|| Digest::of(&names.join("\n"), &told))
    }

    async fn log(&self, id: u64, number: u64, step: u64) -> Result<String> {
        let path = format!("/api/repos/{id}/logs/{number}/{step}");
        let lines: Vec<Line> = self.client.send(&Call::get(path)).await?.ok()?.json()?;
        let decode = |line: Line| {
            let bytes = data_encoding::BASE64.decode(line.data?.as_bytes()).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        let lines: Vec<_> = lines.into_iter().filter_map(decode).collect();
        Ok(verdict::telling(lines.iter().map(String::as_str)))
    }

    async fn repository(&self, repo: &Repo) -> Result<Repository> {
        let known = self.ids.lock().unwrap_or_else(PoisonError::into_inner).get(repo).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let answer = self.client.send(&Call::get(format!("/api/repos/lookup/{repo}"))).await?;
        if answer.status() == 404 {
            let reason = format!("404: {repo} is not activated there, or this token may not see it");
            return Err(Error::unavailable(WHAT, reason, None));
        }
        let found: Repository = answer.ok()?.json()?;
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).insert(repo.clone(), found.clone());
        Ok(found)
    }

    /// The newest pipelines, page after page until an empty one.
    async fn pipelines(&self, id: u64, branch: Option<&str>, pages: usize) -> Result<Vec<Pipeline>> {
        let mut pipelines = Vec::new();
        for page in 1..=pages {
            let mut call = Call::get(format!("/api/repos/{id}/pipelines"))
                .query("event", "push,manual")
                .query("page", page.to_string())
                .query("perPage", PAGE.to_string());
            if let Some(branch) = branch {
                call = call.query("branch", branch);
            }
            let answer = self.client.send(&call).await?;
            // Whatever it refuses here, nothing is known then.
            let found: Vec<Pipeline> =
                if answer.is_success() { answer.json()? } else { return Err(answer.unavailable()) };
            if found.is_empty() {
                break;
            }
            pipelines.extend(found);
        }
        Ok(pipelines)
    }

    async fn pipeline(&self, id: u64, number: u64) -> Result<Pipeline> {
        let answer = self.client.send(&Call::get(format!("/api/repos/{id}/pipelines/{number}"))).await?;
        if answer.is_success() { answer.json() } else { Err(answer.unavailable()) }
    }

    async fn again(&self, repo: &Repo, sha: &Sha, attempt: u32) -> Result<()> {
        let _one = self.restarting.lock().await;
        let id = self.repository(repo).await?.id;
        let pipelines = self.pipelines(id, None, PAGES).await?;
        let own = verdict::of_commit(&pipelines, sha);
        let newest = own.first().filter(|_| own.len() == attempt as usize);
        // Someone, or an earlier try of this, was faster.
        let Some(newest) = newest else { return Ok(()) };
        let path = format!("/api/repos/{id}/pipelines/{}", newest.number);
        self.client.send(&Call::post(path)).await?.ok().map(drop)
    }
}

impl Ci for Woodpecker {
    fn look<'a>(&'a self, repo: &'a Repo, sha: &'a Sha) -> BoxFuture<'a, Seen<CiRun>> {
        self.client.within(self.looked(repo, sha)).map(Seen::from).boxed()
    }

    fn trunk<'a>(&'a self, repo: &'a Repo) -> BoxFuture<'a, Seen<Verdict>> {
        self.client.within(self.tip(repo)).map(Seen::from).boxed()
    }

    fn rerun<'a>(&'a self, repo: &'a Repo, sha: &'a Sha, attempt: u32) -> BoxFuture<'a, Result<()>> {
        self.client.within(self.again(repo, sha, attempt)).boxed()
    }
}

impl fmt::Debug for Woodpecker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Woodpecker").field("client", &self.client).finish_non_exhaustive()
    }
}
