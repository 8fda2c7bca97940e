//! Everything a request can need, put together once.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use claude_exec::brain::Conversations;
use claude_exec::executor::{Executor, LocalExecutor};
use claude_exec::http::BodyLimit;
use claude_exec::invocation::Deadlines;
use claude_exec::jobs::{Gate, Registry, RegistryConfig, Workspaces, WorkspacesConfig};
use claude_exec::store::{Embedded, Store};
use claude_exec::{Error, Invocation, cli};
use claude_exec_openai::{Model, OpenAi};
use futures::FutureExt;

use crate::config::{Base, Config, Refused};
use crate::fleet::Fleet;
use crate::metrics::{Metrics, Now};
use crate::phase::Phases;
use crate::probe::Probe;
use crate::{demo, execute};

/// An agent that expects a repository is not run without one.
const NO_BASE: &str = "no jobs: there is no repository to clone; set WORKSPACE_DIR, or set it empty for jobs in an \
                       empty directory";

/// How often a draining server looks whether it is idle.
const IDLE_PAUSE: Duration = Duration::from_millis(20);

/// The parts of a running server.
pub struct App {
    pub config: Config,
    pub phases: Phases,
    pub fleet: Fleet,
    pub gate: Gate,
    pub openai: OpenAi,
    pub registry: Registry,
    /// Why no job is taken, when none is.
    pub no_jobs: Option<&'static str>,
    pub conversations: Conversations,
    pub metrics: Arc<Metrics>,
    pub probe: Probe,
    pub body_limit: BodyLimit,
}

impl App {
    /// Checks what the configuration names, and opens it.
    pub async fn open(config: Config, phases: Phases) -> Result<Self, Refused> {
        let (fleet, probe) = if config.demo {
            (Fleet::new(demo::executor()), Probe::answered(|| async { true }.boxed()))
        } else {
            let swept = LocalExecutor::sweep_orphans().await;
            if swept > 0 {
                tracing::warn!(swept, "ended processes that a server before this one had left");
            }
            let local = LocalExecutor::new().pass_env(config.child_env.iter().cloned());
            check_cli(&local, &config).await?;
            let (again, program) = (local.clone(), config.claude.clone());
            let probe = Probe::answered(move || {
                let (executor, program) = (again.clone(), program.clone());
                async move { cli::check(&executor, &program).await.is_ok() }.boxed()
            });
            (Fleet::new(local), probe)
        };
        make_dir("JOBS_DIR", &config.jobs_dir)?;
        make_dir("STATE_DIR", &config.state_dir)?;
        let talks = config.state_dir.join("conversations");
        make_dir("STATE_DIR", &talks)?;
        let store = Embedded::open(config.state_dir.join("server.redb")).await;
        let store: Arc<dyn Store> = Arc::new(store.map_err(|error| refuse("STATE_DIR", error.to_string()))?);
        let (workspaces, no_jobs) = open_workspaces(&config, fleet.clone()).await?;
        let (slots, depth) = (config.max_concurrency.get(), config.max_queue_depth);
        let gate = Gate::with_wait_limit(slots, depth, Some(config.queue_timeout))
            .map_err(|error| refuse("MAX_CONCURRENCY", error.to_string()))?;
        let openai = mount_openai(&config, &fleet, &gate, workspaces.clone(), no_jobs, store.clone())?;
        let metrics = Arc::new(Metrics::new());
        let runner = execute::runner(&config, fleet.clone(), workspaces, metrics.clone());
        let settings = RegistryConfig::new().ttl(config.job_ttl);
        let registry = Registry::open(store.clone(), gate.clone(), runner, settings).await;
        let registry = registry.map_err(|error| refuse("STATE_DIR", error.to_string()))?;
        Ok(Self {
            openai,
            registry,
            no_jobs,
            conversations: Conversations::new(store.clone(), talks),
            metrics,
            body_limit: BodyLimit::default().bytes(config.max_body_bytes),
            config,
            phases,
            fleet,
            gate,
            probe,
        })
    }

    /// Waits until nothing runs and nothing waits to.
    pub async fn idle(&self) {
        while self.gate.status().active + self.gate.status().queued + self.fleet.len() > 0 {
            tokio::time::sleep(IDLE_PAUSE).await;
        }
    }

    /// What the metrics tell of this moment.
    pub fn now(&self) -> Now {
        let gate = self.gate.status();
        Now {
            active: gate.active,
            queued: gate.queued,
            capacity: gate.capacity,
            processes: self.fleet.len(),
            cli: self.probe.is_up(),
        }
    }
}

/// The workspaces, and why no job can be taken, when none can.
async fn open_workspaces(
    config: &Config,
    executor: Fleet,
) -> Result<(Workspaces, Option<&'static str>), Refused> {
    let mut settings = WorkspacesConfig::new(&config.jobs_dir).fetch_debounce(config.fetch_debounce);
    if let Some(key) = &config.git_crypt_key {
        settings = settings.git_crypt_key(key);
    }
    let closed = match &config.base {
        Base::Nothing => None,
        Base::Assumed(path) if !path.exists() => {
            tracing::warn!(path = %path.display(), "{NO_BASE}");
            Some(NO_BASE)
        }
        Base::Named(path) | Base::Assumed(path) => {
            settings = settings.base(path);
            None
        }
    };
    let workspaces = Workspaces::open(Arc::new(executor), settings).await;
    Ok((workspaces.map_err(|error| refuse("WORKSPACE_DIR", error.to_string()))?, closed))
}

fn mount_openai(
    config: &Config,
    fleet: &Fleet,
    gate: &Gate,
    workspaces: Workspaces,
    closed: Option<&'static str>,
    store: Arc<dyn Store>,
) -> Result<OpenAi, Refused> {
    let agents = config.models.iter().any(Model::is_agent);
    if let Some(reason) = closed.filter(|_| agents) {
        return Err(refuse("AGENT_MODELS", reason.to_owned()));
    }
    let chats = config.state_dir.join("chats");
    make_dir("STATE_DIR", &chats)?;
    let (program, limit) = (config.claude.clone(), config.conversational_timeout);
    let preset = Invocation::conversational("").get_deadlines();
    OpenAi::builder(fleet.clone(), gate.clone())
        .keyring(config.keyring.clone())
        .models(config.models.clone())
        .workspaces(workspaces)
        .store(store)
        .body_limit(BodyLimit::default().bytes(config.max_body_bytes))
        .prepare(move |turn| {
            let turn = turn.program(program.clone()).cwd(&chats);
            // Agents come with limits of their own.
            if turn.get_deadlines() == preset { turn.deadlines(Deadlines::within(limit)) } else { turn }
        })
        .build()
        .map_err(|error| refuse("AGENT_MODELS", error.to_string()))
}

async fn check_cli(executor: &dyn Executor, config: &Config) -> Result<(), Refused> {
    let version = cli::check(executor, &config.claude).await.map_err(|error| {
        refuse("CLAUDE_BIN", if error.is_not_found() { no_cli(&error) } else { error.to_string() })
    })?;
    tracing::info!(%version, "the Claude Code CLI answers");
    Ok(())
}

fn no_cli(error: &Error) -> String {
    format!("{error}; install the CLI with `{}`, or try the server with `--demo`", cli::INSTALL)
}

fn make_dir(name: &'static str, dir: &Path) -> Result<(), Refused> {
    let made = private_dirs(dir);
    made.map_err(|error| refuse(name, format!("cannot make {}: {error}", dir.display())))
}

/// Makes a directory for this user alone: checkouts and transcripts lie below it.
fn private_dirs(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn refuse(name: &'static str, reason: String) -> Refused {
    Refused { name, reason }
}
