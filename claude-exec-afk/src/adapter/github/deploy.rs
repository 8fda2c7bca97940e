//! What is deployed, by GitHub's deployments and their statuses.

use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::service::{GitHub, call};
use crate::adapter::http::{Answer, Call};
use crate::error::{Error, Result};
use crate::names::{Repo, Sha};
use crate::port::Deploy;
use crate::run::Deployed;
use crate::seen::Seen;

/// The newest deployments of an environment whose statuses are read. One that was begun after a push is among them.
const NEWEST: usize = 20;

/// GitHub's deployments to one environment behind the port [`Deploy`].
///
/// Whoever deploys (an Actions workflow, another service) keeps the statuses; this reads them. With
/// [`create`](Self::create) it also makes the deployment of a green commit, for whoever listens to that. The token
/// needs deployments read, and write to create them.
pub struct GitHubDeployments {
    github: Arc<GitHub>,
    environment: String,
    create: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Deployment {
    id: u64,
    sha: String,
}

#[derive(Debug, Deserialize)]
struct Status {
    state: String,
}

#[derive(Debug, Deserialize)]
struct Comparison {
    status: String,
}

/// How the newest deployment of a commit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    UnderWay,
    Succeeded,
    Failed,
    /// Another one took its place, or it was taken down.
    Inactive,
}

impl GitHubDeployments {
    /// The deployments of `environment`, read by `github`.
    pub fn new(github: Arc<GitHub>, environment: impl Into<String>) -> Self {
        Self { github, environment: environment.into(), create: false }
    }

    /// Makes the deployment of a green commit, when there is none. Default: it is somebody else's work.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    async fn looked(&self, repo: &Repo, sha: &Sha) -> Result<Option<Deployed>> {
        let mut own = None;
        let mut current = None;
        for deployment in self.deployments(repo, None).await?.into_iter().take(NEWEST) {
            let mine = deployment.sha == sha.as_str();
            if mine && own.is_some() {
                continue;
            }
            let state = self.state(repo, deployment.id).await?;
            if current.is_none() && state == State::Succeeded {
                current = Some(deployment.sha);
            }
            if mine {
                own = Some(state);
            }
            if own.is_some() && current.is_some() {
                break;
            }
        }
        let holds = match &current {
            Some(theirs) if theirs != sha.as_str() => self.holds(repo, theirs, sha).await?,
            _ => false,
        };
        let current = current.map(|current| current.parse()).transpose()?;
        Ok(told(sha, own, current, holds))
    }

    /// The deployments of the environment, the newest first.
    async fn deployments(&self, repo: &Repo, sha: Option<&Sha>) -> Result<Vec<Deployment>> {
        let mut list = Call::get(format!("/repos/{repo}/deployments"))
            .query("environment", self.environment.as_str())
            .query("per_page", "100");
        if let Some(sha) = sha {
            list = list.query("sha", sha.as_str());
        }
        known(self.github.client.send(&call(list).conditional()).await?)?.json()
    }

    async fn state(&self, repo: &Repo, id: u64) -> Result<State> {
        let list = Call::get(format!("/repos/{repo}/deployments/{id}/statuses")).query("per_page", "1");
        let statuses: Vec<Status> =
            known(self.github.client.send(&call(list).conditional()).await?)?.json()?;
        Ok(match statuses.first().map(|status| status.state.as_str()) {
            Some("success") => State::Succeeded,
            Some("failure" | "error") => State::Failed,
            Some("inactive") => State::Inactive,
            _ => State::UnderWay,
        })
    }

    /// Whether `newer` holds `older`.
    async fn holds(&self, repo: &Repo, newer: &str, older: &Sha) -> Result<bool> {
        let path = format!("/repos/{repo}/compare/{older}...{newer}");
        let answer =
            self.github.client.send(&call(Call::get(path).query("per_page", "1")).conditional()).await?;
        // One of them is in no branch any more.
        if answer.status() == 404 {
            return Ok(false);
        }
        Ok(matches!(known(answer)?.json::<Comparison>()?.status.as_str(), "ahead" | "identical"))
    }

    async fn begun(&self, repo: &Repo, sha: &Sha) -> Result<()> {
        if !self.create || !self.deployments(repo, Some(sha)).await?.is_empty() {
            return Ok(());
        }
        let deployment = json!({
            "ref": sha.as_str(),
            "environment": self.environment,
            "auto_merge": false,
            // CI was green for exactly this commit: that is why it is deployed.
            "required_contexts": [],
            "description": "afk",
        });
        let make = call(Call::post(format!("/repos/{repo}/deployments"))).json(&deployment)?;
        self.github.client.send(&make).await?.ok().map(drop)
    }
}

/// What is told of a commit: how its own newest deployment stands, which one is in place now, and whether that holds
/// this commit.
fn told(sha: &Sha, own: Option<State>, current: Option<Sha>, holds: bool) -> Option<Deployed> {
    match (own, current) {
        (_, Some(current)) if current == *sha => Some(Deployed::Healthy(current)),
        (_, Some(current)) if holds => Some(Deployed::Superseded(current)),
        (Some(State::Failed), _) => Some(Deployed::Failed(sha.clone())),
        // It was in place and is not any more: rolled back, or taken down.
        (Some(State::Succeeded | State::Inactive), _) => Some(Deployed::Failed(sha.clone())),
        (Some(State::UnderWay), _) | (None, Some(_)) => Some(Deployed::Pending),
        (None, None) => None,
    }
}

/// A 404 is "not there" as well as "not for this token": nothing is known then.
fn known(answer: Answer) -> Result<Answer> {
    match answer.status() {
        200..=299 => Ok(answer),
        403 | 404 => {
            let reason = format!("{}; the token needs deployments read", answer.told());
            Err(Error::unavailable("GitHub", reason, None))
        }
        _ => Err(answer.unavailable()),
    }
}

impl Deploy for GitHubDeployments {
    fn begin<'a>(&'a self, repo: &'a Repo, sha: &'a Sha) -> BoxFuture<'a, Result<()>> {
        self.github.client.within(self.begun(repo, sha)).boxed()
    }

    fn look<'a>(&'a self, repo: &'a Repo, sha: &'a Sha) -> BoxFuture<'a, Seen<Deployed>> {
        self.github.client.within(self.looked(repo, sha)).map(Seen::from).boxed()
    }
}

impl fmt::Debug for GitHubDeployments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitHubDeployments").field("environment", &self.environment).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f10_a_commit_is_told_by_its_own_deployment_and_by_the_one_in_place() {
        let sha = |digit: &str| digit.repeat(40).parse::<Sha>().unwrap();
        let (own, other) = (sha("a"), sha("b"));
        let (failed, superseded) = (Deployed::Failed(own.clone()), Deployed::Superseded(other.clone()));
        for (state, current, holds, want) in [
            (None, None, false, None),
            (None, Some(&other), false, Some(Deployed::Pending)),
            (None, Some(&other), true, Some(superseded.clone())),
            (Some(State::UnderWay), Some(&other), false, Some(Deployed::Pending)),
            (Some(State::UnderWay), None, false, Some(Deployed::Pending)),
            (Some(State::Succeeded), Some(&own), false, Some(Deployed::Healthy(own.clone()))),
            (Some(State::Failed), Some(&other), false, Some(failed.clone())),
            (Some(State::Failed), Some(&other), true, Some(superseded.clone())),
            (Some(State::Inactive), Some(&other), true, Some(superseded)),
            (Some(State::Inactive), Some(&other), false, Some(failed.clone())),
            (Some(State::Succeeded), Some(&other), false, Some(failed.clone())),
            (Some(State::Inactive), None, false, Some(failed)),
        ] {
            assert_eq!(told(&own, state, current.cloned(), holds), want, "{state:?} {current:?} {holds}");
        }
    }
}
