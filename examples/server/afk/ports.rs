//! The world behind the loop's ports, as configured.

use std::path::Path;
use std::sync::Arc;

use claude_exec::executor::LocalExecutor;
use claude_exec::store::Store;
use claude_exec_afk::adapter::LogBell;
use claude_exec_afk::adapter::brain::{BrainAgent, BrainConfig};
use claude_exec_afk::engine::Ports;
use claude_exec_afk::git::{GitLock, GitRemote};
use claude_exec_afk::port::{Accepted, Agent, Deploy, Permit, Start, Turn};
use claude_exec_afk::run::{Deployed, Session};
use claude_exec_afk::{Error, Repo, RunId, Seen, Sha};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use super::adapters::{AgentChoice, mirrors};
use super::config::Config;
use super::refused;
use crate::config::{Refused, refuse};

/// The adapters that the settings name, for what only reads: it has no agent.
pub fn open(config: &Config) -> Result<Ports, Refused> {
    with_agent(config, Arc::new(Nobody))
}

/// The adapters that the settings name, the agent tried; and the agent on this machine, if it is that, to be closed.
pub async fn live(
    config: &Config,
    store: Arc<dyn Store>,
) -> Result<(Ports, Option<Arc<BrainAgent>>), Refused> {
    let unset = || refuse("AFK_AGENT", "must be set: claude for the CLI on this machine, or t3");
    match config.adapters.agent.as_ref().ok_or_else(unset)? {
        AgentChoice::T3(settings) => {
            let agent = settings.clone().open().map_err(|error| refused(&error))?;
            let probe = agent.probe().await;
            match &probe {
                Ok(probe) => tracing::info!(version = probe.version, protocol = probe.protocol, "T3"),
                // It may come yet; what it will not do, it does not do at any time.
                Err(error) if error.is_transient() => tracing::warn!(%error, "T3 does not answer yet"),
                Err(error) => return Err(refuse("AFK_T3_URL", error.to_string())),
            }
            Ok((with_agent(config, Arc::new(agent))?, None))
        }
        AgentChoice::Claude { sandbox, model } => {
            let dir = state(config)?.join("worktrees");
            let url = config.adapters.git_url.clone().unwrap_or_default();
            let mut brain = BrainConfig::new(dir, url, sandbox.clone()).map_err(|error| refused(&error))?;
            brain = brain.program(&config.claude);
            if let Some(model) = model {
                brain = brain.model(model);
            }
            let agent = Arc::new(
                BrainAgent::open(brain, executor(config), store).await.map_err(|error| refused(&error))?,
            );
            Ok((with_agent(config, agent.clone())?, Some(agent)))
        }
    }
}

fn with_agent(config: &Config, agent: Arc<dyn Agent>) -> Result<Ports, Refused> {
    let adapters = &config.adapters;
    let tracker = adapters.tracker.clone();
    let tracker = tracker
        .ok_or_else(|| refuse("AFK_TRACKER", "must be set: github, forgejo or gitea; or try --demo"))?;
    let ci = adapters.ci.clone();
    let ci = ci.ok_or_else(|| refuse("AFK_CI", "must be set: github or woodpecker"))?;
    let mirrors = mirrors(adapters, state(config)?.join("mirrors"), executor(config))
        .map_err(|error| refused(&error))?;
    let remote = GitRemote::new(mirrors.clone(), adapters.branch.as_deref());
    let deploy =
        adapters.deploy(config.policy.patience.deploy, remote.clone()).map_err(|error| refused(&error))?;
    Ok(Ports {
        tracker,
        agent,
        remote: Arc::new(remote),
        ci,
        deploy: deploy.unwrap_or_else(|| Arc::new(Nobody)),
        bell: adapters.bell.clone().unwrap_or_else(|| Arc::new(LogBell::new())),
        lock: Arc::new(GitLock::new(mirrors, config.policy.patience.lease)),
        link: adapters.link.clone(),
    })
}

/// Runs git and the CLI, with the clean environment and what the operator adds to it.
fn executor(config: &Config) -> LocalExecutor {
    LocalExecutor::new().pass_env(config.child_env.iter().cloned())
}

fn state(config: &Config) -> Result<&Path, Refused> {
    let unset = || refuse("STATE_DIR", "must be set: repositories are mirrored there");
    config.state_dir.as_deref().ok_or_else(unset)
}

/// Nobody: for what is never asked.
struct Nobody;

fn nobody() -> Error {
    Error::refused("the agent", "there is none here: this only reads")
}

impl Agent for Nobody {
    fn start<'a>(&'a self, _: &'a Start, _: Permit) -> BoxFuture<'a, claude_exec_afk::Result<Accepted>> {
        ready(Err(nobody())).boxed()
    }

    fn turn<'a>(&'a self, _: &'a Turn, _: Permit) -> BoxFuture<'a, claude_exec_afk::Result<Accepted>> {
        ready(Err(nobody())).boxed()
    }

    fn interrupt<'a>(&'a self, _: &'a RunId, _: u32) -> BoxFuture<'a, claude_exec_afk::Result<()>> {
        ready(Err(nobody())).boxed()
    }

    fn stop<'a>(&'a self, _: &'a RunId) -> BoxFuture<'a, claude_exec_afk::Result<()>> {
        ready(Err(nobody())).boxed()
    }

    fn look<'a>(&'a self, _: &'a RunId) -> BoxFuture<'a, Seen<Session>> {
        ready(Seen::unknown(nobody())).boxed()
    }
}

impl Deploy for Nobody {
    fn begin<'a>(&'a self, _: &'a Repo, _: &'a Sha) -> BoxFuture<'a, claude_exec_afk::Result<()>> {
        ready(Err(Error::refused("the deployment", "AFK_DEPLOY is off"))).boxed()
    }

    fn look<'a>(&'a self, _: &'a Repo, _: &'a Sha) -> BoxFuture<'a, Seen<Deployed>> {
        ready(Seen::unknown("AFK_DEPLOY is off")).boxed()
    }
}
