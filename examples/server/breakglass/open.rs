//! Everything the role needs, put together once.

use std::net::SocketAddr;
use std::sync::Arc;

use claude_exec::executor::{Executor, LocalExecutor};
use claude_exec::invocation::Deadlines;
use claude_exec::store::{Embedded, Store};
use claude_exec::{Error, cli};
use claude_exec_breakglass::access::Guard;
use claude_exec_breakglass::agent::{Agent, CliAgent, HOST_ALIAS, as_agent, invocation};
use claude_exec_breakglass::audit::{Audit, AuditConfig};
use claude_exec_breakglass::power::{Power, Verb, simulated};
use claude_exec_breakglass::redact::Redactor;
use claude_exec_breakglass::session::{Limits, Sessions};
use claude_exec_breakglass::shell::Breakglass;

use super::config::{Config, told};
use super::demo;
use crate::app::{make_dir, no_cli};
use crate::config::Refused;
use crate::fleet::Fleet;

/// Checks what the configuration names, and opens it. What the power verbs do not need may fail: they work without.
pub async fn open(config: &mut Config, address: SocketAddr) -> Result<(Breakglass, Fleet), Refused> {
    make_dir("BREAKGLASS_SESSIONS_DIR", &config.sessions_dir)?;
    make_dir("BREAKGLASS_AUDIT_DIR", &config.audit_dir)?;
    let access = std::mem::take(&mut config.access);
    let guard = Guard::new(access.guard(address)?).map_err(|error| told(&error))?;
    let redactor = config.secrets.iter().fold(Redactor::new(), |redactor, secret| redactor.secret(secret));
    let audit =
        AuditConfig::new(&config.audit_dir).degraded_ok(config.audit_degraded_ok).redactor(redactor.clone());
    let audit = Audit::open(audit).map_err(|error| told(&error))?;
    if !config.demo {
        let swept = LocalExecutor::sweep_orphans().await;
        if swept > 0 {
            tracing::warn!(swept, "ended processes that a server before this one had left");
        }
    }
    let power = match &config.power {
        Some(ssh) => {
            Power::open(ssh.clone(), LocalExecutor::new(), audit.clone()).map_err(|error| told(&error))?
        }
        None => demo::power(config.vmid, simulated(demo::PACE), audit.clone()),
    };
    let fleet = Fleet::new(LocalExecutor::new().pass_env(config.child_env.iter().cloned()));
    let sessions = sessions(config, &fleet, &power, &audit, redactor).await;
    if let Err(error) = &sessions {
        tracing::error!(%error, "there are no sessions; the power verbs work all the same");
    }
    let sessions = sessions.map_err(|error| error.to_string());
    let shell = Breakglass::new(guard, power, audit).heartbeat(config.heartbeat).sessions(sessions);
    let shell = shell.files(claude_exec_breakglass::page::respond);
    Ok((shell, fleet))
}

async fn sessions(
    config: &Config,
    fleet: &Fleet,
    power: &Power,
    audit: &Audit,
    redactor: Redactor,
) -> Result<Sessions, Error> {
    let store = Embedded::open(config.sessions_dir.join("sessions.redb")).await?;
    let store: Arc<dyn Store> = Arc::new(store);
    let agent: Arc<dyn Agent> = if config.demo {
        Arc::new(demo::DemoAgent)
    } else {
        check_cli(fleet.clone(), config.claude.clone());
        let verbs = Verb::ALL.map(Verb::name);
        let deadlines = Deadlines::within(config.turn_timeout);
        let preset = as_agent(invocation(&verbs), &config.agent)
            .program(&config.claude)
            .model(&config.model)
            .deadlines(deadlines);
        // The power key is the server's alone, whatever a person approves by mistake.
        let hidden = config.power.iter().map(|ssh| format!("Read(/{})", ssh.key.display()));
        let preset = preset.disallowed_tools(hidden);
        let agent = CliAgent::new(Arc::new(fleet.clone()), Arc::clone(&store), &config.sessions_dir, preset);
        Arc::new(match &config.ssh {
            Some(ssh) => agent.ssh(ssh.clone())?,
            None => agent,
        })
    };
    let limits = Limits { turns: config.turns, approval: config.approval_timeout, ..Limits::default() };
    Sessions::builder(store, agent)
        .power(Arc::new(power.clone()))
        .audit(audit.clone())
        .redactor(redactor)
        .host(HOST_ALIAS)
        .limits(limits)
        .open()
        .await
}

/// Says early what a prompt would find out late; the server is of use without a CLI.
fn check_cli(executor: impl Executor + 'static, program: std::ffi::OsString) {
    tokio::spawn(async move {
        match cli::check(&executor, &program).await {
            Ok(version) => tracing::info!(%version, "the Claude Code CLI answers"),
            Err(error) if error.is_not_found() => tracing::error!("no prompt will work: {}", no_cli(&error)),
            Err(error) => tracing::error!(%error, "no prompt will work"),
        }
    });
}
