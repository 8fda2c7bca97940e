//! Flags into a checked configuration: pure, so that every refusal is in a table of tests.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use claude_exec::http::Keyring;
use claude_exec::invocation::PermissionMode;
use claude_exec_openai::quota::{KeyLimits, KeyTable, parse_keys};
use claude_exec_openai::{AgentModel, Models};

use crate::args::{Args, Role};

/// The checked configuration of the role `api`.
#[derive(Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub demo: bool,
    pub keyring: Keyring,
    /// What each key of the keyring may use.
    pub limits: BTreeMap<String, KeyLimits>,
    pub claude: OsString,
    pub child_env: Vec<String>,
    pub base: Base,
    pub jobs_dir: PathBuf,
    pub state_dir: PathBuf,
    pub git_crypt_key: Option<PathBuf>,
    pub max_concurrency: NonZeroUsize,
    pub max_queue_depth: usize,
    pub queue_timeout: Duration,
    pub job_ttl: Duration,
    pub fetch_debounce: Duration,
    pub conversational_timeout: Duration,
    pub pool_processes: usize,
    pub pool_memory: u64,
    pub pool_idle: Duration,
    pub pool_spares: usize,
    pub execute_permission_mode: PermissionMode,
    pub models: Models,
    pub shutdown_grace: Duration,
    pub write_stall: Duration,
    pub max_connections: usize,
    pub max_body_bytes: u64,
    pub public_metrics: bool,
}

/// What a job starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// A clone of the repository that the operator named, so it must be one.
    Named(PathBuf),
    /// A clone of the original's default repository; where there is none, jobs fail and say so.
    Assumed(PathBuf),
    /// An empty directory.
    Nothing,
}

impl Base {
    fn path(&self) -> Option<&Path> {
        match self {
            Self::Named(path) | Self::Assumed(path) => Some(path),
            Self::Nothing => None,
        }
    }
}

/// A value that cannot be used: its name in the environment, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    pub name: &'static str,
    pub reason: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

impl Config {
    /// Checks `args`. `demo_token` and `demo_dir` are used in a demo alone.
    pub fn new(args: Args, demo_token: &str, demo_dir: &Path) -> Result<Self, Refused> {
        match args.role {
            Role::Api => {}
            Role::Breakglass => return Err(refuse("--role", "`breakglass` has a configuration of its own")),
            Role::Afk => return Err(refuse("--role", "`afk` has a configuration of its own")),
        }
        let token = args.api_bearer_token.as_deref().unwrap_or(if args.demo { demo_token } else { "" });
        let file = match args.api_keys_file {
            Some(file) if !file.is_empty() => read("API_KEYS_FILE", file)?,
            _ => String::new(),
        };
        let keys = parse_keys(["API_KEYS_FILE", "API_BEARER_TOKEN"], &file, token);
        let KeyTable { keyring, limits, .. } = keys.map_err(|error| told(&error))?;
        let (jobs_dir, base) = if args.demo {
            (demo_dir.join("jobs"), Base::Nothing)
        } else {
            (absolute("JOBS_DIR", args.jobs_dir)?, base(args.workspace_dir)?)
        };
        if base.path().is_some_and(|base| jobs_dir.starts_with(base) || base.starts_with(&jobs_dir)) {
            return Err(refuse("JOBS_DIR", "must not lie in WORKSPACE_DIR, nor hold it"));
        }
        let state_dir = match args.state_dir {
            Some(dir) if !args.demo => absolute("STATE_DIR", dir)?,
            _ => jobs_dir.join(".state"),
        };
        let git_crypt_key = match args.git_crypt_key {
            key if key.is_empty() || args.demo => None,
            key => Some(absolute("GIT_CRYPT_KEY", key)?),
        };
        if args.claude.is_empty() {
            return Err(refuse("CLAUDE_BIN", "must not be empty"));
        }
        let execute_permission_mode = args.execute_permission_mode.parse().map_err(|_| {
            let words = "default, acceptEdits, plan, dontAsk or bypassPermissions";
            refuse("EXECUTE_PERMISSION_MODE", format!("must be one of {words}"))
        })?;
        let concurrency = number("MAX_CONCURRENCY", &args.max_concurrency, 1, 1000)?;
        Ok(Self {
            listen: args.listen,
            demo: args.demo,
            keyring,
            limits,
            claude: args.claude,
            child_env: child_env(&args.child_env)?,
            base,
            jobs_dir,
            state_dir,
            git_crypt_key,
            max_concurrency: NonZeroUsize::new(concurrency as usize).unwrap_or(NonZeroUsize::MIN),
            max_queue_depth: number("MAX_QUEUE_DEPTH", &args.max_queue_depth, 0, 100_000)? as usize,
            queue_timeout: seconds("QUEUE_TIMEOUT_SECONDS", &args.queue_timeout_seconds, 1, 86_400)?,
            job_ttl: seconds("JOB_TTL_SECONDS", &args.job_ttl_seconds, 1, 31_536_000)?,
            fetch_debounce: seconds("FETCH_DEBOUNCE_SECONDS", &args.fetch_debounce_seconds, 0, 86_400)?,
            conversational_timeout: seconds(
                "CONVERSATIONAL_TIMEOUT_SECONDS",
                &args.conversational_timeout_seconds,
                1,
                3600,
            )?,
            pool_processes: pool_processes(args.pool_processes.as_deref(), concurrency)?,
            pool_memory: number("POOL_MEMORY_MB", &args.pool_memory_mb, 100, 1_000_000)? * 1_000_000,
            pool_idle: seconds("POOL_IDLE_SECONDS", &args.pool_idle_seconds, 1, 86_400)?,
            pool_spares: number("POOL_SPARES", &args.pool_spares, 0, 100)? as usize,
            execute_permission_mode,
            models: models(&args.extra_models, &args.agent_models, execute_permission_mode)?,
            shutdown_grace: seconds("SHUTDOWN_GRACE_SECONDS", &args.shutdown_grace_seconds, 0, 3600)?,
            write_stall: seconds("WRITE_STALL_SECONDS", &args.write_stall_seconds, 1, 3600)?,
            max_connections: number("MAX_CONNECTIONS", &args.max_connections, 1, 65_536)? as usize,
            max_body_bytes: number("MAX_BODY_BYTES", &args.max_body_bytes, 1024, 1 << 30)?,
            public_metrics: args.public_metrics,
        })
    }
}

pub fn refuse(name: &'static str, reason: impl Into<String>) -> Refused {
    Refused { name, reason: reason.into() }
}

/// What a crate refuses, under the name it gives.
pub fn told(error: &claude_exec::Error) -> Refused {
    let name = error.field().unwrap_or("configuration");
    let text = error.to_string();
    refuse(name, text.strip_prefix(&format!("{name}: ")).unwrap_or(&text))
}

/// The text of a file that is named by an absolute path.
pub fn read(name: &'static str, file: OsString) -> Result<String, Refused> {
    let path = absolute(name, file)?;
    std::fs::read_to_string(&path).map_err(|error| refuse(name, format!("{}: {error}", path.display())))
}

pub fn number(name: &'static str, text: &str, least: u64, most: u64) -> Result<u64, Refused> {
    text.trim()
        .parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| refuse(name, format!("`{text}` is no whole number from {least} to {most}")))
}

/// As many as may run, and two that wait, unless said otherwise: a turn that has a slot should find a process.
fn pool_processes(text: Option<&str>, concurrency: u64) -> Result<usize, Refused> {
    let count = match text {
        Some(text) => number("POOL_PROCESSES", text, 1, 1002)?,
        None => concurrency + 2,
    };
    Ok(count as usize)
}

pub fn seconds(name: &'static str, text: &str, least: u64, most: u64) -> Result<Duration, Refused> {
    number(name, text, least, most).map(Duration::from_secs)
}

pub fn absolute(name: &'static str, path: OsString) -> Result<PathBuf, Refused> {
    let path = PathBuf::from(path);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(refuse(name, format!("`{}` is no absolute path", path.display())))
    }
}

fn base(named: Option<OsString>) -> Result<Base, Refused> {
    match named {
        None => Ok(Base::Assumed(PathBuf::from("/workspace/infra"))),
        Some(path) if path.is_empty() => Ok(Base::Nothing),
        Some(path) => absolute("WORKSPACE_DIR", path).map(Base::Named),
    }
}

/// The models that may be asked for. An agent's bounds are those of the original's agent behind chat.
fn models(extra: &str, agents: &str, mode: PermissionMode) -> Result<Models, Refused> {
    let mut models = Models::default();
    for name in entries(extra) {
        models = models.allow(name).map_err(|error| refuse("EXTRA_MODELS", error.message))?;
    }
    for entry in entries(agents) {
        let (name, agent) = entry
            .split_once('=')
            .ok_or_else(|| refuse("AGENT_MODELS", format!("`{entry}` is not NAME=AGENT")))?;
        let agent = AgentModel::new(name.trim())
            .agent_name(agent.trim())
            .permission_mode(mode)
            .max_budget_usd(2.0)
            .time_limit(Duration::from_secs(900));
        models = models.agent(agent).map_err(|error| refuse("AGENT_MODELS", error.message))?;
    }
    Ok(models)
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

/// Names of variables, never one that holds a secret of ours.
pub fn child_env(text: &str) -> Result<Vec<String>, Refused> {
    let checked = entries(text).map(|name| {
        let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !letters || name.starts_with(|first: char| first.is_ascii_digit()) {
            Err(refuse("CHILD_ENV", format!("`{name}` is no name of a variable (names only, no values)")))
        } else if name == "API_BEARER_TOKEN" {
            Err(refuse("CHILD_ENV", "API_BEARER_TOKEN is the server's own secret and never passed on"))
        } else {
            Ok(name.to_owned())
        }
    });
    checked.collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use claude_exec_openai::Model;

    use super::*;

    const TOKEN: &str = "--api-bearer-token=0123456789abcdef0123456789abcdef";

    fn config(flags: &[&str]) -> Result<Config, Refused> {
        let args = Args::try_parse_from(["server"].iter().chain(flags)).unwrap();
        Config::new(args, "demo-demo-demo-demo-demo-demo-demo", Path::new("/tmp/demo"))
    }

    #[test]
    fn each_bad_value_is_refused_with_its_name_and_the_reason() {
        let table = [
            ("--role=breakglass", "--role: `breakglass` has a configuration of its own"),
            ("--role=afk", "--role: `afk` has a configuration of its own"),
            ("--max-concurrency=0", "MAX_CONCURRENCY: `0` is no whole number from 1 to 1000"),
            ("--max-concurrency=-1", "MAX_CONCURRENCY: `-1` is no whole number from 1 to 1000"),
            ("--max-concurrency=many", "MAX_CONCURRENCY: `many` is no whole number from 1 to 1000"),
            ("--max-concurrency=", "MAX_CONCURRENCY: `` is no whole number from 1 to 1000"),
            ("--max-queue-depth=1e3", "MAX_QUEUE_DEPTH: `1e3` is no whole number from 0 to 100000"),
            ("--queue-timeout-seconds=0", "QUEUE_TIMEOUT_SECONDS: `0` is no whole number from 1 to 86400"),
            ("--job-ttl-seconds=0", "JOB_TTL_SECONDS: `0` is no whole number from 1 to 31536000"),
            ("--fetch-debounce-seconds=x", "FETCH_DEBOUNCE_SECONDS: `x` is no whole number from 0 to 86400"),
            (
                "--conversational-timeout-seconds=99999",
                "CONVERSATIONAL_TIMEOUT_SECONDS: `99999` is no whole number from 1 to 3600",
            ),
            ("--shutdown-grace-seconds=1h", "SHUTDOWN_GRACE_SECONDS: `1h` is no whole number from 0 to 3600"),
            ("--write-stall-seconds=0", "WRITE_STALL_SECONDS: `0` is no whole number from 1 to 3600"),
            ("--max-connections=0", "MAX_CONNECTIONS: `0` is no whole number from 1 to 65536"),
            ("--max-body-bytes=1", "MAX_BODY_BYTES: `1` is no whole number from 1024 to 1073741824"),
            ("--api-keys-file=keys", "API_KEYS_FILE: `keys` is no absolute path"),
            ("--api-keys-file=/none", "API_KEYS_FILE: /none: No such file or directory (os error 2)"),
            ("--jobs-dir=jobs", "JOBS_DIR: `jobs` is no absolute path"),
            ("--agent-models=triage", "AGENT_MODELS: `triage` is not NAME=AGENT"),
            ("--jobs-dir=/workspace/infra/jobs", "JOBS_DIR: must not lie in WORKSPACE_DIR, nor hold it"),
            ("--workspace-dir=/workspace/jobs/a", "JOBS_DIR: must not lie in WORKSPACE_DIR, nor hold it"),
            ("--workspace-dir=infra", "WORKSPACE_DIR: `infra` is no absolute path"),
            ("--state-dir=state", "STATE_DIR: `state` is no absolute path"),
            ("--git-crypt-key=key", "GIT_CRYPT_KEY: `key` is no absolute path"),
            ("--claude=", "CLAUDE_BIN: must not be empty"),
            ("--child-env=A=1", "CHILD_ENV: `A=1` is no name of a variable (names only, no values)"),
            ("--child-env=A,2B", "CHILD_ENV: `2B` is no name of a variable (names only, no values)"),
            (
                "--child-env=API_BEARER_TOKEN",
                "CHILD_ENV: API_BEARER_TOKEN is the server's own secret and never passed on",
            ),
            (
                "--execute-permission-mode=yolo",
                "EXECUTE_PERMISSION_MODE: must be one of default, acceptEdits, plan, dontAsk or \
                 bypassPermissions",
            ),
        ];
        for (flag, expected) in table {
            let refused = config(&[TOKEN, flag]).unwrap_err();
            assert_eq!(refused.to_string(), expected, "{flag}");
        }
    }

    #[test]
    fn no_token_and_a_short_one_are_refused_with_what_to_do() {
        let make = "make one with `openssl rand -hex 32`";
        let table = [
            (vec![], format!("API_BEARER_TOKEN: no token given; {make}")),
            (vec!["--api-bearer-token="], format!("API_BEARER_TOKEN: no token given; {make}")),
            (
                vec!["--demo", "--api-bearer-token=short"],
                format!("API_BEARER_TOKEN: the token `default` has 5 bytes, at least 32 are needed; {make}"),
            ),
        ];
        for (flags, expected) in table {
            assert_eq!(config(&flags).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn the_defaults_are_the_original_services() {
        let config = config(&[TOKEN]).unwrap();
        assert_eq!(
            (config.base, config.jobs_dir, config.git_crypt_key),
            (
                Base::Assumed(PathBuf::from("/workspace/infra")),
                PathBuf::from("/workspace/jobs"),
                Some(PathBuf::from("/secrets/git-crypt/key"))
            )
        );
        assert_eq!((config.max_concurrency.get(), config.max_queue_depth), (10, 100));
        assert_eq!(config.queue_timeout.as_secs(), 3600);
        let limits = [config.job_ttl, config.fetch_debounce, config.conversational_timeout];
        assert_eq!(limits.map(|limit| limit.as_secs()), [3600, 15, 120]);
        assert_eq!(config.execute_permission_mode, PermissionMode::BypassPermissions);
        assert_eq!(config.state_dir, Path::new("/workspace/jobs/.state"));
        assert!(!config.demo && !config.public_metrics && config.listen.ip().is_loopback());
    }

    #[test]
    fn a_demo_needs_nothing_and_touches_nothing_of_the_operators() {
        let config = config(&["--demo", "--jobs-dir=/data", "--state-dir=/data/state"]).unwrap();
        assert_eq!(
            (config.jobs_dir, config.state_dir, config.git_crypt_key),
            (PathBuf::from("/tmp/demo/jobs"), PathBuf::from("/tmp/demo/jobs/.state"), None)
        );
    }

    #[test]
    fn names_for_the_child_are_trimmed_and_empty_paths_switch_off() {
        let flags = ["--child-env= A_1 ,,b,", "--git-crypt-key=", "--workspace-dir="];
        let config = config(&[&[TOKEN], &flags[..]].concat()).unwrap();
        assert_eq!((config.child_env, config.git_crypt_key), (vec!["A_1".into(), "b".into()], None));
        assert_eq!(config.base, Base::Nothing);
    }

    #[test]
    fn an_agent_model_has_the_operators_permissions_and_the_originals_bounds() {
        let flags = [TOKEN, "--agent-models=triage = recruiter-triage", "--extra-models=claude-next"];
        let models = config(&flags).unwrap().models;
        assert!(models.resolve(Some("claude-next")).is_ok());
        let expected = AgentModel::new("triage")
            .agent_name("recruiter-triage")
            .permission_mode(PermissionMode::BypassPermissions)
            .max_budget_usd(2.0)
            .time_limit(Duration::from_secs(900));
        assert_eq!(models.resolve(Some("triage")).unwrap(), &Model::Agent(expected));
    }
}
