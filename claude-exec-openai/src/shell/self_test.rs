//! Replaying a past to the CLI that there is, with a model API of our own to see what arrives.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use claude_exec::brain::live::{Live, TurnOptions};
use claude_exec::executor::Executor;
use claude_exec::invocation::SessionChoice;
use claude_exec::{Error, Invocation, Result};
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::warm::{Replay, replay, self_test};

/// The whole test takes a second or two.
const LIMIT: Duration = Duration::from_secs(60);

/// Bytes of a request that are read. The CLI's have some kilobytes.
const MAX_BODY: usize = 1024 * 1024;

/// Requests that are looked at. One is to come; a second one is a failure already.
const MAX_REQUESTS: usize = 8;

/// What the model says.
const ANSWER: &str = concat!(
    "event: message_start\n",
    r#"data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"self-test","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}"#,
    "\n\nevent: content_block_start\n",
    r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    "\n\nevent: content_block_delta\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"ok"}}"#,
    "\n\nevent: content_block_stop\n",
    r#"data: {"type":"content_block_stop","index":0}"#,
    "\n\nevent: message_delta\n",
    r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":1}}"#,
    "\n\nevent: message_stop\n",
    r#"data: {"type":"message_stop"}"#,
    "\n\n",
);

/// Replays a past, asks one thing, and says whether the model API received just that.
///
/// Nothing leaves this machine, and no credential is used: the CLI is told of a model API on loopback and a key that
/// opens nothing.
pub(super) async fn holds(executor: &dyn Executor, invocation: Invocation) -> Result<bool> {
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.map_err(|error| Error::io("listening for the self-test", error))?;
    let address = listener.local_addr().map_err(|error| Error::io("listening for the self-test", error))?;
    let (sender, mut requests) = mpsc::channel(MAX_REQUESTS);
    let invocation = [
        ("ANTHROPIC_BASE_URL", format!("http://{address}").as_str()),
        ("ANTHROPIC_API_KEY", "self-test"),
        ("ANTHROPIC_AUTH_TOKEN", ""),
        ("CLAUDE_CODE_OAUTH_TOKEN", ""),
        ("CLAUDE_CODE_USE_BEDROCK", ""),
        ("CLAUDE_CODE_USE_VERTEX", ""),
        ("CLAUDE_CODE_USE_FOUNDRY", ""),
        ("CLAUDE_CODE_SIMPLE", "1"), // logins are never read
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("NO_PROXY", "127.0.0.1"),
        ("no_proxy", "127.0.0.1"),
    ]
    .into_iter()
    .fold(invocation.session(SessionChoice::Ephemeral), |invocation, (name, value)| {
        invocation.env(name, value)
    });
    let turns = self_test::turns();
    let Some(Replay { past, said }) = replay(&turns, true) else { return Ok(false) };
    let turn = async {
        let live = Live::start(executor, &invocation, ()).await?.replay(past).await?;
        let (outcome, live) = live.say(said, &TurnOptions::new()).finish().await;
        if let Some(live) = live {
            live.close().await;
        }
        outcome
    };
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(LIMIT, turn) => {
            outcome.unwrap_or_else(|_| Err(Error::timed_out("the self-test", LIMIT)))?
        }
        () = serve(listener, sender) => return Ok(false),
    };
    let first = requests.try_recv();
    let is_only_one = requests.try_recv().is_err();
    Ok(outcome.is_success() && is_only_one && first.is_ok_and(|body| self_test::is_exact(&body, &turns)))
}

/// Answers until it is dropped, and its connections with it.
async fn serve(listener: TcpListener, requests: mpsc::Sender<Value>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let requests = requests.clone();
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, requests.clone()));
            // A connection that breaks is a request that did not come: the verdict says so.
            let _broken = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    requests: mpsc::Sender<Value>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    if path != "/v1/messages" {
        let mut nothing = Response::new(Full::default());
        *nothing.status_mut() = StatusCode::NOT_FOUND;
        return Ok(nothing);
    }
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await.map(|body| body.to_bytes());
    let body = body.ok().and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default();
    let _more_than_counted = requests.try_send(body);
    let mut response = Response::new(Full::from(ANSWER));
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("text/event-stream"));
    Ok(response)
}
