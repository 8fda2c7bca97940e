//! The flags and their environment variables.

use std::ffi::OsString;
use std::net::SocketAddr;

use clap::{Parser, Subcommand, ValueEnum};

use crate::afk::AfkCommand;
use crate::breakglass::BreakglassArgs;

/// Serves the Claude Code CLI: agent jobs, OpenAI-compatible chat, conversational turns.
///
/// Settings are flags and environment variables; a flag wins. Values that cannot be used are refused at start.
#[derive(Parser)]
#[command(name = "server", version, max_term_width = 110, after_help = AFTER_HELP)]
pub struct Args {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,

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
    /// the environment: flags can be seen in the process list. These have no limits.
    #[arg(long, env = "API_BEARER_TOKEN", hide_env_values = true, value_name = "TOKENS")]
    pub api_bearer_token: Option<String>,

    /// A file of keys known by their SHA-256, with what each may use, one a line: NAME, then fields of
    /// models=A,B concurrent=N requests_per_day=N usd_per_day=USD expires=DAY sha256=HEX, all but the last one
    /// optional. A line's limits hold for a key of the same name in API_BEARER_TOKEN too. Keys with limits start no
    /// jobs.
    #[arg(long, env = "API_KEYS_FILE", value_name = "FILE")]
    pub api_keys_file: Option<OsString>,

    /// The Claude Code CLI.
    #[arg(long = "claude", env = "CLAUDE_BIN", default_value = "claude", value_name = "PATH")]
    pub claude: OsString,

    /// Names of further environment variables that the CLI is given, separated by commas.
    #[arg(long, env = "CHILD_ENV", default_value = "", value_name = "NAMES")]
    pub child_env: String,

    /// The git repository of which every job gets a clone; empty for an empty directory instead
    /// [default: /workspace/infra].
    #[arg(long, env = "WORKSPACE_DIR", value_name = "DIR")]
    pub workspace_dir: Option<OsString>,

    /// Where the jobs' copies live; made when missing.
    #[arg(long, env = "JOBS_DIR", default_value = "/workspace/jobs", value_name = "DIR")]
    pub jobs_dir: OsString,

    /// The key to unlock each copy with, when the file exists; empty for none.
    #[arg(long, env = "GIT_CRYPT_KEY", default_value = "/secrets/git-crypt/key", value_name = "FILE")]
    pub git_crypt_key: OsString,

    /// Where finished jobs and conversations are remembered across restarts [default: JOBS_DIR/.state].
    #[arg(long, env = "STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<OsString>,

    /// Runs of the CLI at the same time, all endpoints together (1 to 1000).
    #[arg(long, env = "MAX_CONCURRENCY", default_value = "10", value_name = "N")]
    pub max_concurrency: String,

    /// Requests that may wait for a run (0 to 100000); one more is told to come back later.
    #[arg(long, env = "MAX_QUEUE_DEPTH", default_value = "100", value_name = "N")]
    pub max_queue_depth: String,

    /// How long a job may wait for a run (1 to 86400); chats and conversational turns never longer than their time
    /// limit.
    #[arg(long, env = "QUEUE_TIMEOUT_SECONDS", default_value = "3600", value_name = "SECONDS")]
    pub queue_timeout_seconds: String,

    /// How long a finished job is remembered (1 to 31536000).
    #[arg(long, env = "JOB_TTL_SECONDS", default_value = "3600", value_name = "SECONDS")]
    pub job_ttl_seconds: String,

    /// The base clone is fetched at most once in this time (0 to 86400).
    #[arg(long, env = "FETCH_DEBOUNCE_SECONDS", default_value = "15", value_name = "SECONDS")]
    pub fetch_debounce_seconds: String,

    /// The time limit of a chat or conversational turn (1 to 3600).
    #[arg(long, env = "CONVERSATIONAL_TIMEOUT_SECONDS", default_value = "120", value_name = "SECONDS")]
    pub conversational_timeout_seconds: String,

    /// CLI processes that chats and conversations may have, those that wait for the next turn and spares included (1 to 1002).
    /// Default is two more than MAX_CONCURRENCY.
    #[arg(long, env = "POOL_PROCESSES", value_name = "N")]
    pub pool_processes: Option<String>,

    /// Megabytes that these processes may hold together (100 to 1000000); beyond, the one not used for longest ends,
    /// and its conversation goes on in another one.
    #[arg(long, env = "POOL_MEMORY_MB", default_value = "1500", value_name = "MB")]
    pub pool_memory_mb: String,

    /// How long a conversation's process waits for its next turn before it ends (1 to 86400).
    #[arg(long, env = "POOL_IDLE_SECONDS", default_value = "900", value_name = "SECONDS")]
    pub pool_idle_seconds: String,

    /// Spare processes of each kind that is asked for (0 to 100).
    #[arg(long, env = "POOL_SPARES", default_value = "1", value_name = "N")]
    pub pool_spares: String,

    /// What the agents of /execute may do without asking: default, acceptEdits, plan, dontAsk or
    /// bypassPermissions.
    #[arg(long, env = "EXECUTE_PERMISSION_MODE", default_value = "bypassPermissions", value_name = "MODE")]
    pub execute_permission_mode: String,

    /// Agents that callers address as a model: NAME=AGENT, several separated by commas. Each request runs in
    /// its own copy, with EXECUTE_PERMISSION_MODE, for at most 2 USD and 900 s.
    #[arg(long, env = "AGENT_MODELS", default_value = "", value_name = "LIST")]
    pub agent_models: String,

    /// Further names of models that callers may ask for, separated by commas; the model API must know them.
    #[arg(long, env = "EXTRA_MODELS", default_value = "", value_name = "NAMES")]
    pub extra_models: String,

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

    /// Of the role `afk`: one tick, and then the end; for a scheduler such as cron.
    #[arg(long, env = "AFK_ONCE")]
    pub once: bool,

    /// Which log lines are written, to stderr, as JSON: a level, or `tracing` directives.
    #[arg(long, env = "RUST_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,

    /// The settings of the role `breakglass`.
    #[command(flatten)]
    pub breakglass: BreakglassArgs,
}

/// What to do instead of serving.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Looks at the record of who did what.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Looks at the unattended loop, or tells it what it may do.
    #[command(subcommand)]
    Afk(AfkCommand),
}

/// What to do with an audit.
#[derive(Debug, Clone, Subcommand)]
pub enum AuditCommand {
    /// Verifies the chain of hashes: exit status 0 when it is whole, 1 when it is not.
    Verify {
        /// The directory of the audit.
        #[arg(env = "BREAKGLASS_AUDIT_DIR", value_name = "DIR")]
        dir: std::path::PathBuf,
    },
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

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
