//! The server itself.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinHandle, JoinSet};

use super::play::{self, Body, Context};
use super::request::{Recorded, asked};
use super::scenario::{Action, Scenario};

type Script = Box<dyn FnMut(&Recorded) -> Scenario + Send>;

#[derive(Default)]
struct Shared {
    requests: Vec<Recorded>,
    script: Option<Script>,
    /// How often a request was made to fail, by its place in the conversation and its text.
    failed: HashMap<(usize, String), usize>,
}

struct State {
    shared: Mutex<Shared>,
    arrived: Notify,
    gate: Arc<Semaphore>,
    active: AtomicUsize,
}

impl State {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("a script that panicked has failed its test")
    }
}

/// The running stand-in. Stops, with its connections, when dropped.
pub(crate) struct ModelApi {
    address: SocketAddr,
    state: Arc<State>,
    server: JoinHandle<()>,
}

impl ModelApi {
    /// Starts on a free port of loopback, as a task of the current runtime.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("the listener is bound");
        let state = Arc::new(State {
            shared: Mutex::default(),
            arrived: Notify::new(),
            gate: Arc::new(Semaphore::new(0)),
            active: AtomicUsize::new(0),
        });
        let server = tokio::spawn(serve(listener, Arc::clone(&state)));
        Self { address, state, server }
    }

    /// For `ANTHROPIC_BASE_URL`.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that came, probes and token counts included.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.state.shared().requests.clone()
    }

    /// The bodies of the requests for a message.
    pub(crate) fn messages(&self) -> Vec<Recorded> {
        self.requests().into_iter().filter(Recorded::is_message).collect()
    }

    /// Waits until `count` requests for a message have come, and returns them.
    pub(crate) async fn wait_for_messages(&self, count: usize) -> Vec<Recorded> {
        loop {
            let arrived = self.state.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            let messages = self.messages();
            if messages.len() >= count {
                return messages;
            }
            arrived.await;
        }
    }

    /// Answers are `script`'s from now on, whatever the user's text says.
    pub(crate) fn script(&self, script: impl FnMut(&Recorded) -> Scenario + Send + 'static) {
        self.state.shared().script = Some(Box::new(script));
    }

    /// Lets one `[[hold]]` go on, one that is still to come included.
    pub(crate) fn release(&self) {
        self.state.gate.add_permits(1);
    }

    /// Answers being given at this moment: 0 once every client has its answer or has hung up.
    pub(crate) fn active(&self) -> usize {
        self.state.active.load(Ordering::SeqCst)
    }
}

impl Drop for ModelApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A context of 200,000 tokens, at four bytes each.
const MAX_PROMPT_BYTES: usize = 800_000;

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new(); // dropped with this task, so the connections end with it
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { continue };
                // Delayed acknowledgements would add 40 ms to what the benchmarks measure.
                socket.set_nodelay(true).expect("the socket is open");
                let state = Arc::clone(&state);
                connections.spawn(async move {
                    let service = service_fn(|request| answer(request, Arc::clone(&state)));
                    // An error is a client that left, or a cut that the scenario asked for.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(request: Request<Incoming>, state: Arc<State>) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return Ok(play::error(400, None, ""));
    };
    let recorded = Recorded {
        method: parts.method,
        path: parts.uri.to_string(),
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        body_len: body.len(),
    };
    let (number, scenario) = {
        let mut shared = state.shared();
        shared.requests.push(recorded.clone());
        (shared.requests.len(), recorded.is_message().then(|| choose(&mut shared, &recorded)))
    };
    state.arrived.notify_waiters();
    let Some(scenario) = scenario else { return Ok(other(&recorded)) };
    if body.len() > MAX_PROMPT_BYTES {
        return Ok(play::too_long(body.len()));
    }
    for action in &scenario.actions {
        match action {
            Action::Status { code, retry_after, message, .. } => {
                return Ok(play::error(*code, *retry_after, message));
            }
            Action::Hang => std::future::pending().await,
            _ => {}
        }
    }
    let streams = recorded.streams();
    let context = Context { number, body: recorded.body, gate: Arc::clone(&state.gate) };
    if !streams {
        return Ok(play::whole(&scenario, &context));
    }
    let (response, player) = play::stream(scenario, context);
    state.active.fetch_add(1, Ordering::SeqCst);
    tokio::spawn(async move {
        player.await;
        state.active.fetch_sub(1, Ordering::SeqCst);
    });
    Ok(response)
}

/// The scenario of this request, without the failures that have been given often enough.
fn choose(shared: &mut Shared, request: &Recorded) -> Scenario {
    let (round, text) = asked(&request.body).unwrap_or_default();
    let scenario = match shared.script.as_mut() {
        Some(script) => script(request),
        None => Scenario::parse(&text, round),
    };
    let place = request.body["messages"].as_array().map_or(0, Vec::len);
    let given = shared.failed.entry((place, text)).or_default();
    let (scenario, fails) = scenario.after(*given);
    *given += usize::from(fails);
    if scenario.actions.is_empty() { Scenario::text(super::DEFAULT_ANSWER) } else { scenario }
}

fn other(request: &Recorded) -> Response<Body> {
    if request.method == Method::HEAD {
        return play::json_response(&Value::Null);
    }
    match request.path.split('?').next() {
        Some("/v1/messages/count_tokens") => {
            play::json_response(&json!({"input_tokens": request.body_len.div_ceil(4)}))
        }
        _ => play::error(404, None, ""),
    }
}
