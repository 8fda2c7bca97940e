//! The server's life: open, listen, serve, drain, end.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use claude_exec::executor::Stop;
use tokio::net::TcpListener;

use crate::app::App;
use crate::config::{Config, Refused};
use crate::phase::{self, Phase, Phases, Signals};
use crate::serve::{Buffers, Connections};
use crate::{demo, routes, serve};

/// How long what was told to end may take: the stop ladder's grace (3 s) and what follows it.
const END_LIMIT: Duration = Duration::from_secs(8);

/// How long callers may take to read how their answer ended.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why the server did not live, or not on.
pub enum Failed {
    /// A value that cannot be used.
    Refused(Refused),
    /// Anything else.
    Broke(String),
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// Lives until a signal ends it.
pub async fn live(config: Config, token: &str) -> Result<(), Failed> {
    // Before anything is started: a signal from here on is a shutdown, never a death.
    let signals = Signals::listen().map_err(|error| Failed::Broke(format!("signals: {error}")))?;
    let (mover, phases) = Phases::new();
    serve::allow_files(config.max_connections);
    let connections = Arc::new(Connections::new(config.max_connections, config.write_stall, Buffers::ROOMY));
    let (grace, listen, is_demo) = (config.shutdown_grace, config.listen, config.demo);
    let app = Arc::new(App::open(config, phases.clone()).await?);
    let listener = serve::listen(listen, Buffers::ROOMY).map_err(|error| Refused {
        name: "LISTEN_ADDR",
        reason: format!("cannot listen on {listen}: {error}"),
    })?;
    announce(&listener, is_demo, token)?;
    tracing::info!(
        demo = is_demo,
        keys = ?app.config.keyring,
        slots = app.config.max_concurrency,
        queue = app.config.max_queue_depth,
        execute = app.config.execute_permission_mode.as_str(),
        "serving"
    );

    let idle = {
        let (connections, app) = (connections.clone(), app.clone());
        async move {
            connections.idle().await;
            app.idle().await;
        }
    };
    let mover = tokio::spawn(phase::drive(mover, signals.stream(), idle, grace));
    let answer = {
        let app = app.clone();
        move |request, _peer| routes::answer(app.clone(), request)
    };
    connections.serve(listener, phases.clone(), answer).await;
    end(&app, &connections, phases).await;
    mover.abort();
    Ok(())
}

/// From the first signal to the end: nothing of ours runs after it.
async fn end(app: &App, connections: &Connections, mut phases: Phases) {
    phases.reached(Phase::Ending).await;
    app.openai.shutdown();
    // Polled first, so that jobs know why their processes end.
    let jobs = app.registry.shutdown(END_LIMIT);
    let gone = async {
        app.fleet.end(Stop::GRACEFUL);
        let mut kill = phases.clone();
        tokio::select! {
            () = app.fleet.idle() => {}
            () = kill.reached(Phase::Killing) => {
                app.fleet.end(Stop::Now);
                app.fleet.idle().await;
            }
        }
    };
    let gone = tokio::time::timeout(END_LIMIT, gone);
    let warm = app.brain.pool().shutdown(END_LIMIT);
    if let ((), Err(_), ()) = futures::future::join3(jobs, gone, warm).await {
        tracing::error!(left = app.fleet.len(), "processes that do not end");
        app.fleet.end(Stop::Now);
    }
    tokio::select! {
        () = connections.idle() => {}
        () = tokio::time::sleep(FAREWELL) => tracing::warn!("connections were still open"),
        () = phases.reached(Phase::Killing) => {}
    }
    if let Err(error) = app.ledger.flush().await {
        tracing::error!(%error, "what keys have used last is not recorded");
    }
    tracing::info!("ended");
}

/// Says that it listens, in one line that programs can wait for; in a demo also what to try.
fn announce(listener: &TcpListener, is_demo: bool, token: &str) -> Result<(), Failed> {
    let address = listener.local_addr().map_err(|error| Failed::Broke(format!("listener: {error}")))?;
    let mut text = format!("listening on http://{address}\n");
    if is_demo {
        eprintln!("{}", demo::WARNING);
        text.push_str(&demo::curl(address, token));
        text.push('\n');
    }
    // A closed stdout is nobody's wish to end the server.
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(())
}
