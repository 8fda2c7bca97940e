//! The configuration of the role.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use claude_exec::http::Keyring;
use claude_exec_afk::config::Settings;

use super::adapters::Adapters;
use crate::args::Args;
use crate::config::{Refused, absolute, child_env, number, refuse, seconds};

/// The shortest secret of a webhook: shorter ones can be guessed.
const SECRET_BYTES: usize = 16;

/// The checked configuration of the role `afk`.
#[derive(Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub demo: bool,
    pub once: bool,
    /// `None`: nobody may look, so nothing listens.
    pub keyring: Option<Keyring>,
    pub webhook_secret: Option<Bytes>,
    /// Where the ledger is; `None` when nothing is set.
    pub state_dir: Option<PathBuf>,
    pub shutdown_grace: Duration,
    pub write_stall: Duration,
    pub max_connections: usize,
    pub policy: claude_exec_afk::Config,
    pub adapters: Adapters,
    /// The CLI, for agents on this machine.
    pub claude: OsString,
    /// What it and git are given of this process's environment beyond their own.
    pub child_env: Vec<String>,
}

impl Config {
    /// Checks `args` and the settings that begin with `AFK_`. `demo_token` is used in a demo alone.
    pub fn new(args: &Args, mut settings: Settings, demo_token: &str) -> Result<Self, Refused> {
        let policy = claude_exec_afk::Config::take(&mut settings).map_err(|error| refused(&error))?;
        let mut once = args.once;
        settings.switch("AFK_ONCE", &mut once).map_err(|error| refused(&error))?;
        let webhook_secret = settings.text("AFK_WEBHOOK_SECRET").map(Bytes::from);
        if webhook_secret.as_ref().is_some_and(|secret| secret.len() < SECRET_BYTES) {
            return Err(refuse("AFK_WEBHOOK_SECRET", format!("must be at least {SECRET_BYTES} bytes long")));
        }
        let adapters = Adapters::take(&mut settings, &policy).map_err(|error| refused(&error))?;
        settings.finish().map_err(|error| refused(&error))?;
        let token = args.api_bearer_token.as_deref().or(args.demo.then_some(demo_token));
        let keyring = token.map(Keyring::parse).transpose().map_err(|error| {
            let shown = error.to_string();
            refuse("API_BEARER_TOKEN", shown.strip_prefix("API_BEARER_TOKEN: ").unwrap_or(&shown))
        })?;
        let state_dir = args.state_dir.clone().map(|dir| absolute("STATE_DIR", dir)).transpose()?;
        Ok(Self {
            listen: args.listen,
            demo: args.demo,
            once,
            keyring,
            webhook_secret,
            state_dir,
            shutdown_grace: seconds("SHUTDOWN_GRACE_SECONDS", &args.shutdown_grace_seconds, 0, 3600)?,
            write_stall: seconds("WRITE_STALL_SECONDS", &args.write_stall_seconds, 1, 3600)?,
            max_connections: number("MAX_CONNECTIONS", &args.max_connections, 1, 65_536)? as usize,
            policy,
            adapters,
            claude: args.claude.clone(),
            child_env: child_env(&args.child_env)?,
        })
    }

    /// The ledger's file.
    pub fn ledger(&self) -> Result<PathBuf, Refused> {
        let unset = || refuse("STATE_DIR", "must be set: the ledger is kept there");
        Ok(self.state_dir.as_ref().ok_or_else(unset)?.join("afk.redb"))
    }

    /// True when there is nothing to do: nothing is allowed, and no earlier process has left anything behind.
    pub fn is_idle(&self) -> bool {
        let left = self.ledger().is_ok_and(|ledger| ledger.exists());
        !self.demo && !self.policy.is_enabled() && !left
    }
}

impl Config {
    /// What is said instead of doing anything.
    pub fn why_idle(&self) -> String {
        format!(
            "disabled: AFK_KILL_SWITCH is {}, AFK_ALLOWLIST names {} repositories; nothing to do",
            if self.policy.kill_switch { "on" } else { "off" },
            self.policy.allowlist.len()
        )
    }
}

/// A setting of the loop's that cannot be used; its message begins with its name.
pub fn refused(error: &claude_exec_afk::Error) -> Refused {
    let (name, shown) = (error.field().unwrap_or("AFK_*"), error.to_string());
    let reason = shown.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&shown);
    refuse(name, reason)
}
