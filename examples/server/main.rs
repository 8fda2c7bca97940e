//! The bundled server: the Claude Code CLI behind HTTP.
//!
//! Thin on purpose: it configures, mounts and shuts down what the crates do. Try it with
//! `cargo run --release --example server -- --role api --demo`.

#![expect(unreachable_pub, reason = "in a binary, `pub` says what a module offers to the others")]

mod afk;
mod app;
mod args;
mod breakglass;
mod config;
mod demo;
mod execute;
mod fleet;
mod keys;
mod life;
mod metrics;
mod phase;
mod probe;
mod routes;
mod serve;
mod warm;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use claude_exec_afk::config::Settings;
use tempfile::TempDir;
use tracing_subscriber::EnvFilter;

use crate::args::{Args, AuditCommand, Command, Role};
use crate::config::{Config, Refused};
use crate::life::Failed;

/// How long the end waits for what is still written or removed: checkouts go away on threads of their own.
const LAST_WORK: Duration = Duration::from_secs(5);

/// What cannot be used as configured.
const REFUSED: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Refused(refused)) => {
            eprintln!("error: {refused}");
            ExitCode::from(REFUSED)
        }
        Err(Failed::Broke(reason)) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: Args) -> Result<(), Failed> {
    if let Some(Command::Audit(AuditCommand::Verify { dir })) = &args.command {
        return breakglass::verify_audit(dir);
    }
    let filter = EnvFilter::try_new(&args.log)
        .map_err(|error| Refused { name: "RUST_LOG", reason: error.to_string() })?;
    tracing_subscriber::fmt()
        .json()
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    // Two random UUIDs: 244 random bits.
    let token = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(|id| id.simple().to_string()).concat();
    let token = args.api_bearer_token.clone().filter(|_| args.demo).unwrap_or(token);
    let scratch = args.demo.then(tempfile::tempdir).transpose();
    let scratch = scratch.map_err(|error| Failed::Broke(format!("temporary directory: {error}")))?;
    if args.role == Role::Afk || matches!(args.command, Some(Command::Afk(_))) {
        let settings = Settings::from_env().map_err(|error| afk::refused(&error))?;
        let config = afk::Config::new(&args, settings, &token)?;
        return match &args.command {
            Some(Command::Afk(verb)) => run(afk::verb(verb, &config, &args)),
            // Before there is a runtime, which opens sockets for signals.
            _ if config.is_idle() => {
                println!("{}", config.why_idle());
                Ok(())
            }
            _ => run(afk::live(config, &token)),
        };
    }
    let scratch = scratch.as_ref().map_or(Path::new(""), TempDir::path);
    if args.role == Role::Breakglass {
        let config = breakglass::Config::new(args, &token, scratch)?;
        return run(breakglass::live(config, &token));
    }
    let config = Config::new(args, &token, scratch)?;
    run(life::live(config, &token))
}

/// Runs a role's life to its end.
fn run(life: impl Future<Output = Result<(), Failed>>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::Broke(format!("runtime: {error}")))?;
    let ended = runtime.block_on(life);
    runtime.shutdown_timeout(LAST_WORK);
    ended
}
