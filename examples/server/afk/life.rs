//! The role's life: one tick, or ticks until a signal.

use std::io::Write;
use std::sync::Arc;

use claude_exec::store::{Embedded, Store};
use claude_exec_afk::adapter::brain::BrainAgent;
use claude_exec_afk::engine::{Engine, SystemClock};
use claude_exec_afk::ledger::Ledger;
use claude_exec_afk::shell::Shell;
use futures::StreamExt;
use tokio::sync::oneshot;

use super::config::Config;
use super::{demo, ports};
use crate::config::refuse;
use crate::life::Failed;
use crate::phase::{self, Phase, Phases, Signals};
use crate::serve::{self, Buffers, Connections};

/// Lives until a signal ends it.
pub async fn live(config: Config, token: &str) -> Result<(), Failed> {
    let signals = Signals::listen().map_err(|error| Failed::Broke(format!("signals: {error}")))?;
    let (engine, brain, world) = if config.demo {
        let (engine, world) = demo::open(config.policy.clone());
        (engine, None, Some(world))
    } else {
        let (engine, brain) = open(&config).await?;
        (engine, brain, None)
    };
    let ended = match config.once {
        true => once(&engine, brain.as_deref(), signals).await,
        false => serve(&config, &engine, signals, token).await,
    };
    if let Some(brain) = brain {
        // A session goes on in the next process; what runs of it here must not outlive this one.
        brain.close().await;
    }
    if let Some(world) = world {
        world.abort();
    }
    tracing::info!("ended");
    ended
}

/// One tick, for whoever calls it again and again; and more of them as long as an agent works in this process, which
/// would end with it.
async fn once(engine: &Engine, brain: Option<&BrainAgent>, signals: Signals) -> Result<(), Failed> {
    let mut signals = std::pin::pin!(signals.stream());
    let mut claimed = 0;
    loop {
        let tick = engine.tick().await.map_err(|error| Failed::Broke(error.to_string()))?;
        for (repo, error) in &tick.unknown {
            tracing::warn!(%repo, %error, "not read");
        }
        claimed += tick.claimed.len();
        let works = brain.filter(|brain| brain.is_busy());
        let stopped = match works {
            None => true,
            Some(brain) => tokio::select! {
                () = brain.until_idle() => false,
                () = tokio::time::sleep(engine.config().patience.tick) => false,
                _ = signals.next() => true,
            },
        };
        if stopped {
            println!("{claimed} claimed, {} held, {} not read", tick.held.len(), tick.unknown.len());
            return Ok(());
        }
    }
}

/// Ticks, and the page beside them, until a signal ends both.
async fn serve(config: &Config, engine: &Arc<Engine>, signals: Signals, token: &str) -> Result<(), Failed> {
    let (mover, phases) = Phases::new();
    let connections = Arc::new(Connections::new(config.max_connections, config.write_stall, Buffers::SMALL));
    let (ticking, ticked) = oneshot::channel::<()>();
    let idle = {
        let connections = connections.clone();
        async move {
            connections.idle().await;
            // It is told by being dropped.
            let _over = ticked.await;
        }
    };
    let mover = tokio::spawn(phase::drive(mover, signals.stream(), idle, config.shutdown_grace));
    let (mut draining, mut ending) = (phases.clone(), phases.clone());
    // A tick that is under way is finished within the grace period; what it did not get to, the next process does.
    let ticks = async {
        tokio::select! {
            () = engine.run(async move { draining.reached(Phase::Draining).await }) => {}
            () = ending.reached(Phase::Ending) => {}
        }
        drop(ticking);
        Ok(())
    };
    let page = serve_page(config, engine, &connections, &phases, token);
    let ended = futures::future::try_join(page, ticks).await;
    mover.abort();
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
    let mut shell = Shell::new(engine.clone(), keyring, config.webhook_secret.clone());
    if config.demo {
        shell = shell.banner(demo::BANNER);
    }
    let answer = move |request, _peer| {
        let shell = shell.clone();
        async move { shell.answer(request).await }
    };
    connections.serve(listener, phases.clone(), answer).await;
    Ok(())
}
