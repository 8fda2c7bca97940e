//! The operator's commands behind the port [`Deploy`].

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use claude_exec::executor::{Executor, output};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::task::AbortHandle;

use super::argv::Argv;
use super::told::{Told, told};
use crate::adapter::held::held;
use crate::error::{Error, Result};
use crate::git::GitRemote;
use crate::names::{Repo, Sha};
use crate::port::Deploy;
use crate::run::Deployed;
use crate::seen::Seen;

/// For the command that says what is deployed: a port answers within a minute.
const LOOK: Duration = Duration::from_secs(50);

/// Has commits deployed by a command, and asks another one what is deployed.
///
/// The first, `AFK_DEPLOY_COMMAND`, is run once for each commit, in the background: exit code 0 means that it went
/// well. The second, `AFK_DEPLOYED_COMMAND`, is run at every look, and prints the full hash of the commit that is
/// deployed: exit code 0 when it is healthy, 1 when it is not or its deployment failed; nothing at all and 0 when
/// nothing is deployed; any other code means that nobody knows. In their words `{repo}` and `{sha}` stand for
/// the repository and the commit. Without the second, the first one's exit code is believed, by the process that
/// ran it: after a restart nothing is known, and a person is called when the time for the deployment is over.
pub struct CommandDeploy {
    executor: Arc<dyn Executor>,
    begin: Option<Argv>,
    deployed: Option<Argv>,
    limit: Duration,
    history: Option<GitRemote>,
    /// The last commit of each repository that was begun, and what is known of it.
    last: Arc<Mutex<HashMap<Repo, Last>>>,
}

#[derive(Debug)]
struct Last {
    sha: Sha,
    state: State,
    /// It was seen to be deployed: when it no longer is, it was rolled back.
    healthy: bool,
}

#[derive(Debug)]
enum State {
    Running(AbortHandle),
    Done,
    Failed,
    /// Somebody else deploys it.
    Theirs,
}

impl CommandDeploy {
    /// Runs these commands on `executor`; a deployment takes at most `limit`.
    ///
    /// # Errors
    ///
    /// When there is neither, or one is no command.
    pub fn new(
        executor: impl Executor + 'static,
        begin: Option<&str>,
        deployed: Option<&str>,
        limit: Duration,
    ) -> Result<Self> {
        let begin = begin.map(|text| Argv::parse("AFK_DEPLOY_COMMAND", text)).transpose()?;
        let deployed = deployed.map(|text| Argv::parse("AFK_DEPLOYED_COMMAND", text)).transpose()?;
        if begin.is_none() && deployed.is_none() {
            let reason = "or AFK_DEPLOY_COMMAND must be set: something has to say what is deployed";
            return Err(Error::invalid("AFK_DEPLOYED_COMMAND", reason));
        }
        let last = Arc::default();
        Ok(Self { executor: Arc::new(executor), begin, deployed, limit, history: None, last })
    }

    /// Asks this remote whether a later commit that is deployed holds the one that is asked for; without it, a later
    /// one is not told from an older one, and the deployment counts as not done.
    #[must_use]
    pub fn history(mut self, remote: GitRemote) -> Self {
        self.history = Some(remote);
        self
    }

    fn started(&self, repo: &Repo, sha: &Sha) -> Result<()> {
        let mut last = held(&self.last);
        match last.get(repo) {
            Some(known) if known.sha == *sha => return Ok(()),
            Some(Last { sha, state: State::Running(_), .. }) => {
                let reason = format!("the deployment of {sha} has not ended");
                return Err(Error::unavailable("the deployment", reason, None));
            }
            _ => {}
        }
        let state = match &self.begin {
            None => State::Theirs,
            Some(argv) => {
                let (executor, command, limit) = (self.executor.clone(), argv.command(repo, sha), self.limit);
                let (runs, repo, sha) = (self.last.clone(), repo.clone(), sha.clone());
                let task = tokio::spawn(async move {
                    // Dropped with the adapter, and then the command is stopped.
                    let ended = output(&*executor, command, limit).await;
                    let well = ended.as_ref().is_ok_and(|output| output.success());
                    match ended {
                        Ok(output) => {
                            tracing::info!(%repo, %sha, exit = ?output.exit, "the deployment ended")
                        }
                        Err(error) => tracing::warn!(%repo, %sha, %error, "the deployment failed"),
                    }
                    if let Some(last) = held(&runs).get_mut(&repo).filter(|last| last.sha == sha) {
                        last.state = if well { State::Done } else { State::Failed };
                    }
                });
                State::Running(task.abort_handle())
            }
        };
        last.insert(repo.clone(), Last { sha: sha.clone(), state, healthy: false });
        Ok(())
    }

    fn note_healthy(&self, repo: &Repo, sha: &Sha) {
        let mut last = held(&self.last);
        match last.get_mut(repo) {
            Some(known) if known.sha == *sha => known.healthy = true,
            Some(Last { state: State::Running(_), .. }) => {}
            _ => {
                let new = Last { sha: sha.clone(), state: State::Theirs, healthy: true };
                last.insert(repo.clone(), new);
            }
        }
    }

    async fn looked(&self, repo: &Repo, sha: &Sha) -> Result<Option<Deployed>> {
        let was_healthy = {
            let last = held(&self.last);
            let known = last.get(repo).filter(|last| last.sha == *sha);
            match known.map(|last| &last.state) {
                Some(State::Running(_)) => return Ok(Some(Deployed::Pending)),
                Some(State::Failed) => return Ok(Some(Deployed::Failed(sha.clone()))),
                Some(State::Done) if self.deployed.is_none() => {
                    return Ok(Some(Deployed::Healthy(sha.clone())));
                }
                _ => known.is_some_and(|last| last.healthy),
            }
        };
        let Some(argv) = &self.deployed else { return Ok(None) };
        let output = output(&*self.executor, argv.command(repo, sha), LOOK).await?;
        let theirs = match told(&output) {
            Told::Unclear(reason) => return Err(Error::unavailable("AFK_DEPLOYED_COMMAND", reason, None)),
            Told::Healthy(found) if found == *sha => {
                self.note_healthy(repo, sha);
                return Ok(Some(Deployed::Healthy(found)));
            }
            Told::Failed(found) if found == *sha => return Ok(Some(Deployed::Failed(found))),
            Told::Nothing if was_healthy => return Ok(Some(Deployed::Failed(sha.clone()))),
            Told::Nothing => return Ok(None),
            Told::Failed(_) => return Ok(Some(Deployed::Pending)),
            Told::Healthy(found) => found,
        };
        let later = match &self.history {
            Some(remote) => remote.holds(repo, &theirs, sha).await?,
            None => false,
        };
        Ok(Some(match (later, was_healthy) {
            (true, _) => Deployed::Superseded(theirs),
            // Rolled back.
            (false, true) => Deployed::Failed(sha.clone()),
            (false, false) => Deployed::Pending,
        }))
    }
}

impl Deploy for CommandDeploy {
    fn begin<'a>(&'a self, repo: &'a Repo, sha: &'a Sha) -> BoxFuture<'a, Result<()>> {
        async move { self.started(repo, sha) }.boxed()
    }

    fn look<'a>(&'a self, repo: &'a Repo, sha: &'a Sha) -> BoxFuture<'a, Seen<Deployed>> {
        async move { self.looked(repo, sha).await.into() }.boxed()
    }
}

impl Drop for CommandDeploy {
    fn drop(&mut self) {
        for last in held(&self.last).values() {
            if let State::Running(task) = &last.state {
                task.abort();
            }
        }
    }
}

impl fmt::Debug for CommandDeploy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandDeploy").finish_non_exhaustive()
    }
}
