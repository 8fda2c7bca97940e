//! The role's life: open, listen, serve, drain, end.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use claude_exec::executor::Stop;
use claude_exec_breakglass::shell::Breakglass;

use super::config::Config;
use super::{demo, open};
use crate::config::{Refused, refuse};
use crate::fleet::Fleet;
use crate::life::Failed;
use crate::phase::{self, Phase, Phases, Signals};
use crate::serve::{self, Buffers, Connections};

/// How long what was told to end may take: the stop ladder's grace (3 s) and what follows it.
const END_LIMIT: Duration = Duration::from_secs(8);

/// How long callers may take to read how their answer ended.
const FAREWELL: Duration = Duration::from_secs(2);

/// How often a draining server looks whether it is idle.
const IDLE_PAUSE: Duration = Duration::from_millis(20);

/// Lives until a signal ends it.
pub async fn live(mut config: Config, token: &str) -> Result<(), Failed> {
    let signals = Signals::listen().map_err(|error| Failed::Broke(format!("signals: {error}")))?;
    let (mover, phases) = Phases::new();
    serve::allow_files(config.max_connections);
    let connections = Arc::new(Connections::new(config.max_connections, config.write_stall, Buffers::SMALL));
    let cannot = |error| Failed::Refused(cannot_listen(&config, &error));
    let listener = serve::listen(config.listen, Buffers::SMALL).map_err(cannot)?;
    let address = listener.local_addr().map_err(|error| Failed::Broke(format!("listener: {error}")))?;
    let (shell, fleet) = open::open(&mut config, address).await?;
    let mut text = format!("listening on http://{address}\n");
    if config.demo {
        eprintln!("{}", demo::WARNING);
        text.push_str(&demo::hints(address, token));
    }
    // A closed stdout is nobody's wish to end the server.
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    tracing::info!(demo = config.demo, vmid = config.vmid, turns = config.turns, "serving");

    let idle = {
        let (connections, shell) = (connections.clone(), shell.clone());
        async move {
            connections.idle().await;
            while shell.get_sessions().is_some_and(|sessions| sessions.running() > 0) {
                tokio::time::sleep(IDLE_PAUSE).await;
            }
        }
    };
    let mover = tokio::spawn(phase::drive(mover, signals.stream(), idle, config.shutdown_grace));
    let answer = {
        let shell = shell.clone();
        move |request, peer: std::net::SocketAddr| {
            let shell = shell.clone();
            async move { shell.answer(request, peer.ip()).await }
        }
    };
    connections.serve(listener, phases.clone(), answer).await;
    end(&shell, &fleet, &connections, phases).await;
    mover.abort();
    Ok(())
}

fn cannot_listen(config: &Config, error: &std::io::Error) -> Refused {
    refuse("LISTEN_ADDR", format!("cannot listen on {}: {error}", config.listen))
}

/// From the first signal to the end: nothing of ours runs after it, but a verb that the host is at.
async fn end(shell: &Breakglass, fleet: &Fleet, connections: &Connections, mut phases: Phases) {
    // Readers leave at once, and come back to the next server with their cursors.
    if let Some(sessions) = shell.get_sessions() {
        sessions.drain();
    }
    phases.reached(Phase::Ending).await;
    let sessions = async {
        if let Some(sessions) = shell.get_sessions() {
            sessions.shutdown().await;
        }
    };
    if tokio::time::timeout(END_LIMIT, sessions).await.is_err() {
        tracing::error!("turns that do not end");
    }
    fleet.end(Stop::GRACEFUL);
    if tokio::time::timeout(END_LIMIT, fleet.idle()).await.is_err() {
        tracing::error!(left = fleet.len(), "processes that do not end");
        fleet.end(Stop::Now);
    }
    tokio::select! {
        () = connections.idle() => {}
        () = tokio::time::sleep(FAREWELL) => tracing::warn!("connections were still open"),
        () = phases.reached(Phase::Killing) => {}
    }
    tracing::info!("ended");
}
