//! Everything a request can need, put together once.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use claude_exec::brain::pool::Pool;
use claude_exec::brain::{Brain, live};
use claude_exec::cli::CliVersion;
use claude_exec::executor::{Executor, LocalExecutor};
use claude_exec::http::BodyLimit;
use claude_exec::invocation::Deadlines;
use claude_exec::jobs::{Gate, Registry, RegistryConfig, Workspaces, WorkspacesConfig};
use claude_exec::store::{Embedded, Store};
use claude_exec::{Error, Invocation, cli};
use claude_exec_openai::quota::Ledger;
use claude_exec_openai::{Model, OpenAi, OpenAiBuilder};
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

/// How long processes that nobody uses may take to end, which takes 15 ms each.
const WARM_LIMIT: Duration = Duration::from_secs(3);

/// How long a model waits for its client's tools in a process of its own.
const PARKING_LIMIT: Duration = Duration::from_secs(5 * 60);

/// How often a draining server looks whether it is idle.
const IDLE_PAUSE: Duration = Duration::from_millis(20);

/// The parts of a running server.
pub struct App {
    pub config: Config,
    pub phases: Phases,
    pub fleet: Fleet,
    pub gate: Gate,
    pub openai: OpenAi,
    pub ledger: Ledger,
    pub registry: Registry,
    /// Why no job is taken, when none is.
    pub no_jobs: Option<&'static str>,
    pub brain: Brain,
    pub metrics: Arc<Metrics>,
    pub probe: Probe,
    pub body_limit: BodyLimit,
}

impl App {
    /// Checks what the configuration names, and opens it.
    pub async fn open(config: Config, phases: Phases) -> Result<Self, Refused> {
        let (fleet, probe, version) = if config.demo {
            (Fleet::new(demo::Demo::new()), Probe::answered(|| async { true }.boxed()), cli::TESTED)
        } else {
            let swept = LocalExecutor::sweep_orphans().await;
            if swept > 0 {
                tracing::warn!(swept, "ended processes that a server before this one had left");
            }
            let local = LocalExecutor::new().pass_env(config.child_env.iter().cloned());
            let version = check_cli(&local, &config).await?;
            let (again, program) = (local.clone(), config.claude.clone());
            let probe = Probe::answered(move || {
                let (executor, program) = (again.clone(), program.clone());
                async move { cli::check(&executor, &program).await.is_ok() }.boxed()
            });
            (Fleet::new(local), probe, version)
        };
        make_dir("JOBS_DIR", &config.jobs_dir)?;
        make_dir("STATE_DIR", &config.state_dir)?;
        let talks = config.state_dir.join("conversations");
        make_dir("STATE_DIR", &talks)?;
        make_dir("STATE_DIR", &config.state_dir.join("locks"))?;
        let store = Embedded::open(config.state_dir.join("server.redb")).await;
        let store: Arc<dyn Store> = Arc::new(store.map_err(|error| refuse("STATE_DIR", error.to_string()))?);
        let (workspaces, no_jobs) = open_workspaces(&config, fleet.clone()).await?;
        let (slots, depth) = (config.max_concurrency.get(), config.max_queue_depth);
        let gate = Gate::with_wait_limit(slots, depth, Some(config.queue_timeout))
            .map_err(|error| refuse("MAX_CONCURRENCY", error.to_string()))?;
        let mut each = live::Limits::default();
        each.idle = config.pool_idle;
        let pool = Pool::builder(fleet.clone())
            .live_limits(each)
            .processes(config.pool_processes)
            .memory(config.pool_memory)
            .spares_per_key(config.pool_spares)
            .build()
            .map_err(|error| refuse("POOL_PROCESSES", error.to_string()))?;
        let ledger = Ledger::open(store.clone(), config.limits.clone()).await;
        let ledger = ledger.map_err(|error| refuse("STATE_DIR", error.to_string()))?;
        let endpoint = OpenAi::builder(fleet.clone(), gate.clone());
        let endpoint = endpoint.pool(pool.clone()).store(store.clone()).ledger(ledger.clone());
        let openai = mount_openai(&config, endpoint, workspaces.clone(), no_jobs)?;
        use_cli(&openai, version).await;
        let brain = open_brain(&config, pool.clone(), store.clone(), talks)?;
        let metrics = Arc::new(Metrics::new(pool, ledger.clone()));
        let runner = execute::runner(&config, fleet.clone(), workspaces, metrics.clone());
        let settings = RegistryConfig::new().ttl(config.job_ttl);
        let registry = Registry::open(store.clone(), gate.clone(), runner, settings).await;
        let registry = registry.map_err(|error| refuse("STATE_DIR", error.to_string()))?;
        Ok(Self {
            openai,
            ledger,
            registry,
            no_jobs,
            brain,
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
        while self.gate.status().active + self.gate.status().queued > 0 {
            tokio::time::sleep(IDLE_PAUSE).await;
        }
        // What is warm waits for nobody any more.
        self.brain.pool().shutdown(WARM_LIMIT).await;
        self.fleet.idle().await;
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

/// The conversations. Their directory decides where the CLI keeps the sessions, so it stays the same.
fn open_brain(
    config: &Config,
    pool: Pool,
    store: Arc<dyn Store>,
    directory: PathBuf,
) -> Result<Brain, Refused> {
    let invocation = Invocation::conversational("")
        .program(config.claude.clone())
        .cwd(directory)
        .deadlines(Deadlines::within(config.conversational_timeout));
    Brain::on(pool)
        .invocation(invocation)
        .store(store)
        .locks(config.state_dir.join("locks"))
        .build()
        .map_err(|error| refuse("CLAUDE_BIN", error.to_string()))
}

/// A version that was never tested is tried out first, and nobody waits for that.
async fn use_cli(openai: &OpenAi, version: CliVersion) {
    let openai = openai.clone();
    let using = async move { openai.use_cli(version).await };
    if version == cli::TESTED {
        using.await;
    } else {
        tokio::spawn(using);
    }
}

fn mount_openai(
    config: &Config,
    endpoint: OpenAiBuilder,
    workspaces: Workspaces,
    closed: Option<&'static str>,
) -> Result<OpenAi, Refused> {
    let agents = config.models.iter().any(Model::is_agent);
    if let Some(reason) = closed.filter(|_| agents) {
        return Err(refuse("AGENT_MODELS", reason.to_owned()));
    }
    let chats = config.state_dir.join("chats");
    make_dir("STATE_DIR", &chats)?;
    let program = config.claude.clone();
    endpoint
        .keyring(config.keyring.clone())
        .models(config.models.clone())
        .workspaces(workspaces)
        .parking((config.pool_processes / 2).max(1), PARKING_LIMIT)
        .body_limit(BodyLimit::default().bytes(config.max_body_bytes))
        .deadlines(Deadlines::within(config.conversational_timeout))
        .queue_limit(config.conversational_timeout.min(config.queue_timeout))
        .prepare(move |turn| turn.program(program.clone()).cwd(&chats))
        .build()
        .map_err(|error| match error.field() {
            Some("ledger") => refuse("API_KEYS_FILE", error.to_string()),
            _ => refuse("AGENT_MODELS", error.to_string()),
        })
}

async fn check_cli(executor: &dyn Executor, config: &Config) -> Result<CliVersion, Refused> {
    let version = cli::check(executor, &config.claude).await.map_err(|error| {
        refuse("CLAUDE_BIN", if error.is_not_found() { no_cli(&error) } else { error.to_string() })
    })?;
    tracing::info!(%version, "the Claude Code CLI answers");
    Ok(version)
}

pub fn no_cli(error: &Error) -> String {
    format!("{error}; install the CLI with `{}`, or try the server with `--demo`", cli::INSTALL)
}

pub fn make_dir(name: &'static str, dir: &Path) -> Result<(), Refused> {
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
