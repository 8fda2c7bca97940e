//! The flags of the role, under the original service's names where it has them.

use std::ffi::OsString;

use clap::Args;

/// The settings of the role `breakglass`.
#[derive(Args)]
#[command(next_help_heading = "Breakglass")]
pub struct BreakglassArgs {
    /// The machine the agent may reach: HOST or HOST:PORT.
    #[arg(long, env = "BREAKGLASS_DEVVM_HOST", default_value = "10.0.10.10", value_name = "HOST")]
    pub devvm_host: String,

    /// The agent's user there.
    #[arg(long, env = "BREAKGLASS_DEVVM_USER", default_value = "breakglass", value_name = "USER")]
    pub devvm_user: String,

    /// A known_hosts file that pins the machine's key; without one the first key seen is kept.
    #[arg(long, env = "BREAKGLASS_DEVVM_KNOWN_HOSTS", value_name = "FILE")]
    pub devvm_known_hosts: Option<OsString>,

    /// The agent's private key, which only an ssh-agent holds; empty for no ssh.
    #[arg(
        long,
        env = "BREAKGLASS_KEY_PATH",
        default_value = "/secrets/breakglass/private_key",
        value_name = "FILE"
    )]
    pub key_path: OsString,

    /// The Proxmox host: HOST or HOST:PORT.
    #[arg(long, env = "BREAKGLASS_PVE_HOST", default_value = "192.168.1.127", value_name = "HOST")]
    pub pve_host: String,

    /// The server's user there.
    #[arg(long, env = "BREAKGLASS_PVE_USER", default_value = "root", value_name = "USER")]
    pub pve_user: String,

    /// The known_hosts file that pins the Proxmox host's key.
    #[arg(
        long,
        env = "BREAKGLASS_PVE_KNOWN_HOSTS",
        default_value = "/secrets/breakglass/pve_known_hosts",
        value_name = "FILE"
    )]
    pub pve_known_hosts: OsString,

    /// The private key for the power verbs, of the server alone: another one than the agent's.
    #[arg(
        long,
        env = "BREAKGLASS_POWER_KEY_PATH",
        default_value = "/secrets/breakglass/power_key",
        value_name = "FILE"
    )]
    pub power_key_path: OsString,

    /// The VM that the verbs are about.
    #[arg(long, env = "BREAKGLASS_VMID", default_value = "102", value_name = "VMID")]
    pub vmid: String,

    /// The agent: `breakglass` ships here; another is a file of your own, agents/NAME.md in the CLI's
    /// configuration directory, whose settings then count.
    #[arg(long, env = "BREAKGLASS_AGENT", default_value = "breakglass", value_name = "NAME")]
    pub breakglass_agent: String,

    /// The model of a session that names none.
    #[arg(long, env = "BREAKGLASS_MODEL", default_value = "sonnet", value_name = "MODEL")]
    pub breakglass_model: String,

    /// Where sessions, their logs and the audit are kept.
    #[arg(long, env = "BREAKGLASS_SESSIONS_DIR", default_value = "/workspace/sessions", value_name = "DIR")]
    pub sessions_dir: OsString,

    /// Where the audit is kept [default: BREAKGLASS_SESSIONS_DIR/audit].
    #[arg(long, env = "BREAKGLASS_AUDIT_DIR", value_name = "DIR")]
    pub audit_dir: Option<OsString>,

    /// Runs verbs also when their record cannot be made durable: a full disk is an emergency too.
    #[arg(long, env = "BREAKGLASS_AUDIT_DEGRADED_OK")]
    pub audit_degraded_ok: bool,

    /// Turns at the same time (1 to 100).
    #[arg(long, env = "BREAKGLASS_MAX_CONCURRENT_TURNS", default_value = "2", value_name = "N")]
    pub max_concurrent_turns: String,

    /// The time limit of a turn, with the waiting for approvals (1 to 86400).
    #[arg(long, env = "BREAKGLASS_TURN_TIMEOUT_SECONDS", default_value = "1800", value_name = "SECONDS")]
    pub turn_timeout_seconds: String,

    /// How long a question of the agent's waits for an answer (1 to 86400).
    #[arg(long, env = "BREAKGLASS_APPROVAL_TIMEOUT_SECONDS", default_value = "600", value_name = "SECONDS")]
    pub approval_timeout_seconds: String,

    /// How long a power verb may take until its outcome is unknown (150 to 3600; what is less is 150).
    #[arg(long, env = "BREAKGLASS_PVE_VERB_TIMEOUT_SECONDS", default_value = "240", value_name = "SECONDS")]
    pub pve_verb_timeout_seconds: String,

    /// The silence after which a stream sends a heartbeat (1 to 60).
    #[arg(long, env = "BREAKGLASS_SSE_KEEPALIVE_SECONDS", default_value = "15", value_name = "SECONDS")]
    pub sse_keepalive_seconds: String,

    /// The names this server answers to, as browsers write them, separated by commas; on loopback its own
    /// address by default.
    #[arg(long, env = "BREAKGLASS_HOSTS", default_value = "", value_name = "NAMES")]
    pub hosts: String,

    /// The origins of its page, separated by commas [default: those of the names].
    #[arg(long, env = "BREAKGLASS_ORIGINS", default_value = "", value_name = "ORIGINS")]
    pub origins: String,

    /// A file of bearer keys, as digests with scopes and expiry.
    #[arg(long, env = "BREAKGLASS_KEYS_FILE", value_name = "FILE")]
    pub keys_file: Option<OsString>,

    /// The address ranges of the forward-auth proxy, separated by commas; none: its headers are not read.
    #[arg(long, env = "BREAKGLASS_PROXY_PEERS", default_value = "", value_name = "RANGES")]
    pub proxy_peers: String,

    /// A file with the secret by which the proxy proves itself.
    #[arg(long, env = "BREAKGLASS_PROXY_SECRET_FILE", value_name = "FILE")]
    pub proxy_secret_file: Option<OsString>,

    /// A file with the identity provider's keys (a JWKS), by which X-authentik-jwt is verified.
    #[arg(long, env = "BREAKGLASS_JWKS_FILE", value_name = "FILE")]
    pub jwks_file: Option<OsString>,

    /// The issuer that such a token must have.
    #[arg(long, env = "BREAKGLASS_JWT_ISSUER", default_value = "", value_name = "URL")]
    pub jwt_issuer: String,

    /// The audience that such a token must have.
    #[arg(long, env = "BREAKGLASS_JWT_AUDIENCE", default_value = "", value_name = "ID")]
    pub jwt_audience: String,

    /// The groups that may what: NAME=SCOPES, such as `breakglass=read+chat+power`, separated by commas.
    #[arg(
        long,
        env = "BREAKGLASS_GROUPS",
        default_value = "breakglass=read+chat+power",
        value_name = "LIST"
    )]
    pub groups: String,
}
