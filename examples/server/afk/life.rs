//! The role's life: one tick, or ticks until a signal.

use std::io::Write;
use std::sync::Arc;

use claude_exec::store::{Embedded, Store};
use claude_exec_afk::adapter::brain::BrainAgent;
use claude_exec_afk::engine::{Engine, SystemClock};
use claude_exec_afk::ledger::Ledger;
use claude_exec_afk::shell::Shell;

use super::config::Config;
use super::{demo, ports};
use crate::config::refuse;
use crate::life::Failed;
use crate::phase::{self, Phase, Phases, Signals};
use crate::serve::{self, Buffers, Connections};

/// Lives until a signal ends it.
pub async fn live(config: Config, token: &str) -> Result<(), Failed> {
    let signals = Signals::listen().map_err(|error| Failed::Broke(format!("signals: {error}")))?;
    let (mover, phases) = Phases::new();
    let (engine, world, agent) = if config.demo {
        let (engine, world) = demo::open(config.policy.clone());
        (engine, Some(world), None)
    } else {
        let (engine, agent) = open(&config).await?;
        (engine, None, agent)
    };
    let closed = async {
        if let Some(agent) = &agent {
            agent.close().await;
        }
    };
    if config.once {
        let tick = engine.tick().await;
        closed.await;
        let tick = tick.map_err(|error| Failed::Broke(error.to_string()))?;
        for (repo, error) in &tick.unknown {
            tracing::warn!(%repo, %error, "not read");
        }
        println!("{} claimed, {} held, {} not read", tick.claimed.len(), tick.held.len(), tick.unknown.len());
        return Ok(());
    }
    let connections = Arc::new(Connections::new(config.max_connections, config.write_stall, Buffers::SMALL));
    let idle = {
        let connections = connections.clone();
        async move { connections.idle().await }
    };
    let mover = tokio::spawn(phase::drive(mover, signals.stream(), idle, config.shutdown_grace));
    let mut draining = phases.clone();
    // A tick that is under way is finished; what it did not get to, the next process does.
    let ticking = async {
        engine.run(async move { draining.reached(Phase::Draining).await }).await;
        Ok(())
    };
    let serving = serve_page(&config, &engine, &connections, &phases, token);
    let ended = futures::future::try_join(serving, ticking).await;
    closed.await;
    if let Some(world) = world {
        world.abort();
    }
    mover.abort();
    tracing::info!("ended");
    ended.map(drop)
}

/// The engine, and the agent on this machine if it is that.
async fn open(config: &Config) -> Result<(Arc<Engine>, Option<Arc<BrainAgent>>), Failed> {
    let path = config.ledger()?;
    let store = Embedded::open(&path).await.map_err(|error| refuse("STATE_DIR", error.to_string()))?;
    let store: Arc<dyn Store> = Arc::new(store);
    let (ports, agent) = ports::live(config, store.clone()).await?;
    let clock = Arc::new(SystemClock::new());
    Ok((Arc::new(Engine::new(config.policy.clone(), Ledger::new(store), ports, clock)), agent))
}

/// The page and the verbs, for whoever holds a key; without keys nothing listens.
async fn serve_page(
    config: &Config,
    engine: &Arc<Engine>,
    connections: &Connections,
    phases: &Phases,
    token: &str,
) -> Result<(), Failed> {
    let Some(keyring) = config.keyring.clone() else {
        tracing::warn!("no status page: API_BEARER_TOKEN is not set");
        return Ok(());
    };
    let listener = serve::listen(config.listen, Buffers::SMALL)
        .map_err(|error| refuse("LISTEN_ADDR", format!("cannot listen on {}: {error}", config.listen)))?;
    let address = listener.local_addr().map_err(|error| Failed::Broke(format!("listener: {error}")))?;
    let mut text = format!("listening on http://{address}\n");
    if config.demo {
        eprintln!("{}", demo::WARNING);
        text.push_str(&format!("open http://afk:{token}@{address}/afk\n"));
    }
    // A closed stdout is nobody's wish to end the server.
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    let shell = Shell::new(engine.clone(), keyring, config.webhook_secret.clone());
    let answer = move |request, _peer| {
        let shell = shell.clone();
        async move { shell.answer(request).await }
    };
    connections.serve(listener, phases.clone(), answer).await;
    Ok(())
}
