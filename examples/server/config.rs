//! Flags and environment into a checked configuration: pure, so that every refusal is in a table of tests.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use claude_exec::http::Keyring;
use claude_exec::invocation::PermissionMode;

/// Serves the Claude Code CLI: agent jobs, OpenAI-compatible chat, conversational turns.
///
/// Every flag is also an environment variable; a flag wins. Values that cannot be used are refused at start.
#[derive(Parser)]
#[command(name = "server", version, max_term_width = 110, after_help = AFTER_HELP)]
pub struct Args {
    /// What this process is; one role per process, since a process that holds keys runs no untrusted agent.
    #[arg(long, default_value = "api", value_name = "ROLE")]
    pub role: Role,

    /// Answers from a script: no CLI, no token, no checkout needed. Nothing it says is real.
    #[arg(long)]
    pub demo: bool,

    /// The address to listen on; port 0 takes a free one. TLS is for the proxy in front.
    #[arg(long, env = "LISTEN_ADDR", default_value = "127.0.0.1:8080", value_name = "ADDR")]
    pub listen: SocketAddr,

    /// The bearer tokens: SECRET or NAME:SECRET, several separated by commas, each at least 32 bytes. Prefer
    /// the environment: flags can be seen in the process list.
    #[arg(long, env = "API_BEARER_TOKEN", hide_env_values = true, value_name = "TOKENS")]
    pub api_bearer_token: Option<String>,

    /// The Claude Code CLI.
    #[arg(long = "claude", env = "CLAUDE_BIN", default_value = "claude", value_name = "PATH")]
    pub claude: OsString,

    /// Names of further environment variables that the CLI is given, separated by commas.
    #[arg(long, env = "CHILD_ENV", default_value = "", value_name = "NAMES")]
    pub child_env: String,

    /// The git clone of which every job gets a copy of its own.
    #[arg(long, env = "WORKSPACE_DIR", default_value = "/workspace/infra", value_name = "DIR")]
    pub workspace_dir: PathBuf,

    /// Where the jobs' copies live; made when missing.
    #[arg(long, env = "JOBS_DIR", default_value = "/workspace/jobs", value_name = "DIR")]
    pub jobs_dir: PathBuf,

    /// The key to unlock each copy with, when the file exists; empty for none.
    #[arg(long, env = "GIT_CRYPT_KEY", default_value = "/secrets/git-crypt/key", value_name = "FILE")]
    pub git_crypt_key: PathBuf,

    /// Where finished jobs and conversations are remembered across restarts [default: JOBS_DIR/.state].
    #[arg(long, env = "STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// Runs of the CLI at the same time, all endpoints together (1 to 1000).
    #[arg(long, env = "MAX_CONCURRENCY", default_value = "10", value_name = "N")]
    pub max_concurrency: String,

    /// Requests that may wait for a run (0 to 100000); one more is told to come back later.
    #[arg(long, env = "MAX_QUEUE_DEPTH", default_value = "100", value_name = "N")]
    pub max_queue_depth: String,

    /// How long a finished job is remembered (1 to 31536000).
    #[arg(long, env = "JOB_TTL_SECONDS", default_value = "3600", value_name = "SECONDS")]
    pub job_ttl_seconds: String,

    /// The base clone is fetched at most once in this time (0 to 86400).
    #[arg(long, env = "FETCH_DEBOUNCE_SECONDS", default_value = "15", value_name = "SECONDS")]
    pub fetch_debounce_seconds: String,

    /// The time limit of a chat or conversational turn (1 to 3600).
    #[arg(long, env = "CONVERSATIONAL_TIMEOUT_SECONDS", default_value = "120", value_name = "SECONDS")]
    pub conversational_timeout_seconds: String,

    /// What the agents of /execute may do without asking: default, acceptEdits, plan, dontAsk or
    /// bypassPermissions.
    #[arg(long, env = "EXECUTE_PERMISSION_MODE", default_value = "bypassPermissions", value_name = "MODE")]
    pub execute_permission_mode: String,

    /// How long running turns may go on after SIGTERM (0 to 3600); a second signal ends them at once.
    #[arg(long, env = "SHUTDOWN_GRACE_SECONDS", default_value = "10", value_name = "SECONDS")]
    pub shutdown_grace_seconds: String,

    /// A connection whose peer takes nothing for this long is closed (1 to 3600).
    #[arg(long, env = "WRITE_STALL_SECONDS", default_value = "30", value_name = "SECONDS")]
    pub write_stall_seconds: String,

    /// Connections at the same time (1 to 65536); further ones wait to be accepted.
    #[arg(long, env = "MAX_CONNECTIONS", default_value = "1024", value_name = "N")]
    pub max_connections: String,

    /// The largest request body in bytes (1024 to 1073741824).
    #[arg(long, env = "MAX_BODY_BYTES", default_value = "16777216", value_name = "BYTES")]
    pub max_body_bytes: String,

    /// Serves /metrics to callers without a token too.
    #[arg(long, env = "PUBLIC_METRICS")]
    pub public_metrics: bool,

    /// Which log lines are written, to stderr, as JSON: a level, or `tracing` directives.
    #[arg(long, env = "RUST_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
}

const AFTER_HELP: &str = "\
Try it:  server --demo
Run it:  API_BEARER_TOKEN=$(openssl rand -hex 32) JOBS_DIR=/tmp/jobs server

Exit status: 0 after a shutdown, 2 when the configuration cannot be used, 1 for anything else.";

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Jobs, chat and conversations.
    Api,
    /// The emergency console.
    Breakglass,
    /// Unattended work on issues.
    Afk,
}

/// The checked configuration of the role `api`.
#[derive(Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub demo: bool,
    pub keyring: Keyring,
    pub claude: OsString,
    pub child_env: Vec<String>,
    pub workspace_dir: PathBuf,
    pub jobs_dir: PathBuf,
    pub state_dir: PathBuf,
    pub git_crypt_key: Option<PathBuf>,
    pub max_concurrency: NonZeroUsize,
    pub max_queue_depth: usize,
    pub job_ttl: Duration,
    pub fetch_debounce: Duration,
    pub conversational_timeout: Duration,
    pub execute_permission_mode: PermissionMode,
    pub shutdown_grace: Duration,
    pub write_stall: Duration,
    pub max_connections: usize,
    pub max_body_bytes: u64,
    pub public_metrics: bool,
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
            Role::Breakglass => return Err(refuse("--role", "`breakglass` is not built yet; only `api` is")),
            Role::Afk => return Err(refuse("--role", "`afk` is not built yet; only `api` is")),
        }
        let token = args.api_bearer_token.as_deref().unwrap_or(if args.demo { demo_token } else { "" });
        let keyring = Keyring::parse(token).map_err(|error| {
            let shown = error.to_string();
            refuse("API_BEARER_TOKEN", shown.strip_prefix("API_BEARER_TOKEN: ").unwrap_or(&shown))
        })?;
        let (jobs_dir, workspace_dir) = if args.demo {
            (demo_dir.join("jobs"), demo_dir.join("base"))
        } else {
            (absolute("JOBS_DIR", args.jobs_dir)?, absolute("WORKSPACE_DIR", args.workspace_dir)?)
        };
        if jobs_dir.starts_with(&workspace_dir) || workspace_dir.starts_with(&jobs_dir) {
            return Err(refuse("JOBS_DIR", "must not lie in WORKSPACE_DIR, nor hold it"));
        }
        let state_dir = match args.state_dir {
            Some(dir) if !args.demo => absolute("STATE_DIR", dir)?,
            _ => jobs_dir.join(".state"),
        };
        let git_crypt_key = match args.git_crypt_key {
            key if key.as_os_str().is_empty() || args.demo => None,
            key => Some(absolute("GIT_CRYPT_KEY", key)?),
        };
        if args.claude.is_empty() {
            return Err(refuse("CLAUDE_BIN", "must not be empty"));
        }
        let concurrency = number("MAX_CONCURRENCY", &args.max_concurrency, 1, 1000)?;
        Ok(Self {
            listen: args.listen,
            demo: args.demo,
            keyring,
            claude: args.claude,
            child_env: child_env(&args.child_env)?,
            workspace_dir,
            jobs_dir,
            state_dir,
            git_crypt_key,
            max_concurrency: NonZeroUsize::new(concurrency as usize).unwrap_or(NonZeroUsize::MIN),
            max_queue_depth: number("MAX_QUEUE_DEPTH", &args.max_queue_depth, 0, 100_000)? as usize,
            job_ttl: seconds("JOB_TTL_SECONDS", &args.job_ttl_seconds, 1, 31_536_000)?,
            fetch_debounce: seconds("FETCH_DEBOUNCE_SECONDS", &args.fetch_debounce_seconds, 0, 86_400)?,
            conversational_timeout: seconds(
                "CONVERSATIONAL_TIMEOUT_SECONDS",
                &args.conversational_timeout_seconds,
                1,
                3600,
            )?,
            execute_permission_mode: args.execute_permission_mode.parse().map_err(|_| {
                let words = "default, acceptEdits, plan, dontAsk or bypassPermissions";
                refuse("EXECUTE_PERMISSION_MODE", format!("must be one of {words}"))
            })?,
            shutdown_grace: seconds("SHUTDOWN_GRACE_SECONDS", &args.shutdown_grace_seconds, 0, 3600)?,
            write_stall: seconds("WRITE_STALL_SECONDS", &args.write_stall_seconds, 1, 3600)?,
            max_connections: number("MAX_CONNECTIONS", &args.max_connections, 1, 65_536)? as usize,
            max_body_bytes: number("MAX_BODY_BYTES", &args.max_body_bytes, 1024, 1 << 30)?,
            public_metrics: args.public_metrics,
        })
    }
}

fn refuse(name: &'static str, reason: impl Into<String>) -> Refused {
    Refused { name, reason: reason.into() }
}

fn number(name: &'static str, text: &str, least: u64, most: u64) -> Result<u64, Refused> {
    text.trim()
        .parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| refuse(name, format!("`{text}` is no whole number from {least} to {most}")))
}

fn seconds(name: &'static str, text: &str, least: u64, most: u64) -> Result<Duration, Refused> {
    number(name, text, least, most).map(Duration::from_secs)
}

fn absolute(name: &'static str, path: PathBuf) -> Result<PathBuf, Refused> {
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(refuse(name, format!("`{}` is no absolute path", path.display())))
    }
}

/// Names of variables, never one that holds a secret of ours.
fn child_env(text: &str) -> Result<Vec<String>, Refused> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let checked = names.map(|name| {
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
    use clap::CommandFactory;

    use super::*;

    const TOKEN: &str = "--api-bearer-token=0123456789abcdef0123456789abcdef";

    fn config(flags: &[&str]) -> Result<Config, Refused> {
        let args = Args::try_parse_from(["server"].iter().chain(flags)).unwrap();
        Config::new(args, "demo-demo-demo-demo-demo-demo-demo", Path::new("/tmp/demo"))
    }

    #[test]
    fn each_bad_value_is_refused_with_its_name_and_the_reason() {
        let table = [
            ("--role=breakglass", "--role: `breakglass` is not built yet; only `api` is"),
            ("--role=afk", "--role: `afk` is not built yet; only `api` is"),
            ("--max-concurrency=0", "MAX_CONCURRENCY: `0` is no whole number from 1 to 1000"),
            ("--max-concurrency=-1", "MAX_CONCURRENCY: `-1` is no whole number from 1 to 1000"),
            ("--max-concurrency=many", "MAX_CONCURRENCY: `many` is no whole number from 1 to 1000"),
            ("--max-concurrency=", "MAX_CONCURRENCY: `` is no whole number from 1 to 1000"),
            ("--max-queue-depth=1e3", "MAX_QUEUE_DEPTH: `1e3` is no whole number from 0 to 100000"),
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
            ("--jobs-dir=jobs", "JOBS_DIR: `jobs` is no absolute path"),
            ("--jobs-dir=/workspace/infra/jobs", "JOBS_DIR: must not lie in WORKSPACE_DIR, nor hold it"),
            ("--workspace-dir=/workspace/jobs/a", "JOBS_DIR: must not lie in WORKSPACE_DIR, nor hold it"),
            ("--workspace-dir=", "WORKSPACE_DIR: `` is no absolute path"),
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
            (config.workspace_dir, config.jobs_dir, config.git_crypt_key),
            (
                PathBuf::from("/workspace/infra"),
                PathBuf::from("/workspace/jobs"),
                Some(PathBuf::from("/secrets/git-crypt/key"))
            )
        );
        assert_eq!((config.max_concurrency.get(), config.max_queue_depth), (10, 100));
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
    fn names_for_the_child_are_trimmed_and_an_empty_key_switches_unlocking_off() {
        let config = config(&[TOKEN, "--child-env= A_1 ,,b,", "--git-crypt-key="]).unwrap();
        assert_eq!((config.child_env, config.git_crypt_key), (vec!["A_1".into(), "b".into()], None));
    }

    #[test]
    fn every_setting_has_its_variable_and_the_token_is_hidden_from_help() {
        let command = Args::command();
        for arg in command.get_arguments().filter(|arg| !["demo", "role"].contains(&arg.get_id().as_str())) {
            assert!(arg.get_env().is_some(), "{}", arg.get_id());
        }
        let token = command.get_arguments().find(|arg| arg.get_id() == "api_bearer_token").unwrap();
        assert!(token.is_hide_env_values_set());
        command.debug_assert();
    }
}
