//! The operator's verbs, on the ledger itself or through the server that holds it.

use std::sync::Arc;

use claude_exec::store::{Embedded, Memory};
use claude_exec_afk::IssueKey;
use claude_exec_afk::engine::{Engine, Status, SystemClock};
use claude_exec_afk::ledger::Ledger;
use claude_exec_afk::run::Mode;

use super::args::AfkCommand;
use super::config::Config;
use super::{ports, remote};
use crate::args::Args;
use crate::life::Failed;

/// Does one verb and says what came of it.
pub async fn run(command: &AfkCommand, config: &Config, args: &Args) -> Result<(), Failed> {
    if let AfkCommand::Simulate = command {
        let ledger = Ledger::new(Arc::new(Memory::new()));
        let engine = Engine::new(config.policy.clone(), ledger, ports::open(config)?, clock());
        let (plan, unknown) = engine.simulate().await.map_err(broke)?;
        plan.claims.iter().for_each(|claim| println!("{}: would be claimed", claim.key));
        plan.held.iter().for_each(|held| println!("{}: {}", held.key, held.gate));
        unknown.iter().for_each(|(repo, error)| println!("{repo}: not read: {error}"));
        return Ok(());
    }
    let held = match config.ledger() {
        Err(unset) => unset.to_string(),
        Ok(path) if !path.exists() => format!("{}: no ledger there", path.display()),
        Ok(path) => match Embedded::open(&path).await {
            Ok(store) => return alone(command, config, Ledger::new(Arc::new(store))).await,
            Err(held) => held.to_string(),
        },
    };
    // A server holds it: that one has to do it.
    remote::ask(command, args, &held).await
}

async fn alone(command: &AfkCommand, config: &Config, ledger: Ledger) -> Result<(), Failed> {
    let mode = match command {
        AfkCommand::Status => {
            let status = Status::read(&ledger, &config.policy, &[]).await.map_err(broke)?;
            show(&serde_json::to_value(&status).map_err(broke)?);
            return Ok(());
        }
        AfkCommand::Explain { issue } => {
            let key: IssueKey = issue.parse().map_err(broke)?;
            let engine = Engine::new(config.policy.clone(), ledger, ports::open(config)?, clock());
            println!("{key}: {}", engine.explain(&key).await.map_err(broke)?);
            return Ok(());
        }
        AfkCommand::Resume { issue: Some(issue) } => {
            ledger.recovered(&issue.parse().map_err(broke)?).await.map_err(broke)?;
            println!("{issue}: tried again at the next tick");
            return Ok(());
        }
        AfkCommand::Ack { issue } => {
            let key: IssueKey = issue.parse().map_err(broke)?;
            let seen = ledger.acknowledge_bell(&key).await.map_err(broke)?;
            println!("{key}: {}", if seen { "rings no more" } else { "no bell rang for it" });
            return Ok(());
        }
        AfkCommand::Pause => Mode::Pause,
        AfkCommand::Drain => Mode::Drain,
        AfkCommand::Halt => Mode::Halt,
        AfkCommand::Resume { issue: None } => Mode::Run,
        AfkCommand::Simulate => return Ok(()),
    };
    ledger.set_mode(mode).await.map_err(broke)?;
    println!("mode: {}; no server holds the ledger, so it counts from its next start", mode.name());
    Ok(())
}

fn clock() -> Arc<SystemClock> {
    Arc::new(SystemClock::new())
}

/// The status, as a few lines for a person.
pub fn show(status: &serde_json::Value) {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let dollars = |value: &serde_json::Value| value.as_u64().unwrap_or_default() as f64 / 1e6;
    println!(
        "mode {}, {:.2} of {:.2} USD spent",
        text(&status["mode"]),
        dollars(&status["spent"]),
        dollars(&status["budget"])
    );
    for run in status["runs"].as_array().into_iter().flatten() {
        let row = &run["record"]["row"];
        let issue = format!("{}#{}", text(&row["issue"]["repo"]), row["issue"]["number"]);
        println!("{issue}  {}  {:.2} USD  {} s", text(&row["state"]), dollars(&row["spent"]), run["seconds"]);
    }
    for held in status["held"].as_array().into_iter().flatten() {
        println!("{}: {}", text(&held[0]), text(&held[1]));
    }
}

pub fn broke(error: impl std::fmt::Display) -> Failed {
    Failed::Broke(error.to_string())
}
