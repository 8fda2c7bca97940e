//! A scenario as HTTP: an error, one JSON message, or server-sent events.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::Frame;
use hyper::{Response, StatusCode, header};
use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, mpsc};

use super::request::{last_user_text, user_texts};
use super::scenario::{Action, RETRIED_ANSWER, Scenario};
use crate::support::marker::pieces;

pub(super) type Body = BoxBody<Bytes, std::io::Error>;

/// What a player needs to know besides the scenario.
pub(super) struct Context {
    /// Counts requests; names the message.
    pub(super) number: usize,
    pub(super) body: Value,
    pub(super) gate: Arc<Semaphore>,
}

pub(super) fn error(code: u16, retry_after: Option<u64>, message: &str) -> Response<Body> {
    let kind = match code {
        400 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    let message = if message.is_empty() { format!("stand-in says {code}") } else { message.to_owned() };
    let body = json!({"type": "error", "error": {"type": kind, "message": message}});
    let mut response = json_response(&body);
    *response.status_mut() = StatusCode::from_u16(code).expect("a scenario names a real status");
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// The refusal of a prompt over the model's context, in the API's words, by which the CLI knows it.
pub(super) fn too_long(bytes: usize) -> Response<Body> {
    error(400, None, &format!("prompt is too long: {} tokens > 200000 maximum", bytes / 4))
}

pub(super) fn json_response(value: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(value.to_string())).map_err(|never| match never {}).boxed();
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .expect("the header is a constant")
}

/// The whole message at once, for a request that does not stream. After a broken stream it says something else.
pub(super) fn whole(scenario: &Scenario, context: &Context) -> Response<Body> {
    let mut content: Vec<Value> = Vec::new();
    let mut stop = None;
    let mut usage = default_usage();
    for action in &scenario.actions {
        match action {
            Action::Cut { .. } | Action::ErrorEvent { .. } => {
                content = vec![json!({"type": "text", "text": RETRIED_ANSWER})];
                break;
            }
            Action::Thinking(parts) => {
                content.push(json!({"type": "thinking", "thinking": parts.concat(), "signature": "c2ln"}));
            }
            Action::Tool { name, input } => {
                stop.get_or_insert_with(|| "tool_use".to_owned());
                let id = format!("toolu_{:06}_{}", context.number, content.len());
                content.push(json!({"type": "tool_use", "id": id, "name": name, "input": input}));
            }
            Action::Stop(reason) => stop = Some(reason.clone()),
            Action::Usage(more) => usage.extend(more.clone()),
            _ => {
                if let Some(parts) = text_of(action, &context.body) {
                    content.push(json!({"type": "text", "text": parts.concat()}));
                }
            }
        }
    }
    let mut message = head(context, &usage);
    message["content"] = content.into();
    message["stop_reason"] = stop.unwrap_or_else(|| "end_turn".to_owned()).into();
    json_response(&message)
}

/// Server-sent events, produced as the client takes them.
pub(super) fn stream(scenario: Scenario, context: Context) -> (Response<Body>, impl Future<Output = ()>) {
    let (events, mut taken) = mpsc::channel(16);
    let body = StreamBody::new(futures::stream::poll_fn(move |cx| taken.poll_recv(cx)));
    let response = Response::builder()
        .header(header::CONTENT_TYPE, "text/event-stream")
        .header("request-id", format!("req_{:06}", context.number))
        .body(BodyExt::boxed(body))
        .expect("the headers are valid");
    let player =
        Player { events, context, open: None, next: 0, tool: false, deltas: 0, pace: Duration::ZERO };
    (response, async move {
        // `Err` means that the client left, which ends the answer.
        let _ = player.play(scenario).await;
    })
}

struct Gone;

struct Player {
    events: mpsc::Sender<Result<Frame<Bytes>, std::io::Error>>,
    context: Context,
    open: Option<&'static str>,
    next: usize,
    tool: bool,
    deltas: u64,
    pace: Duration,
}

impl Player {
    async fn play(mut self, scenario: Scenario) -> Result<(), Gone> {
        let mut usage = default_usage();
        let mut stop = None;
        for action in &scenario.actions {
            if let Action::Usage(more) = action {
                usage.extend(more.clone());
            }
        }
        let mut start_usage = usage.clone();
        start_usage.insert("output_tokens".to_owned(), json!(1));
        let message = head(&self.context, &start_usage);
        self.event("message_start", &[("message", &message)]).await?;
        for action in scenario.actions {
            match action {
                Action::Thinking(parts) => {
                    self.open("thinking", json!({"type": "thinking", "thinking": "", "signature": ""}))
                        .await?;
                    for part in parts {
                        self.delta(json!({"type": "thinking_delta", "thinking": part})).await?;
                    }
                    self.delta(json!({"type": "signature_delta", "signature": "c2ln"})).await?;
                    self.close().await?;
                }
                Action::Tool { name, input } => self.tool(&name, &input).await?,
                Action::Block => self.close().await?,
                Action::Hold => self.hold().await?,
                Action::Sleep(time) => self.wait(time).await?,
                Action::Pace(pace) => self.pace = pace,
                Action::Stop(reason) => stop = Some(reason),
                Action::Cut { .. } => {
                    let cut =
                        std::io::Error::new(std::io::ErrorKind::ConnectionAborted, "the scenario says so");
                    // A client that learns of the cut drops what it has not read yet.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    return self.events.send(Err(cut)).await.map_err(|_| Gone);
                }
                Action::ErrorEvent { kind, .. } => {
                    let error = json!({"type": kind, "message": "stand-in says so"});
                    return self.event("error", &[("error", &error)]).await;
                }
                Action::Silence => {
                    self.events.closed().await;
                    return Err(Gone);
                }
                Action::Status { .. } | Action::Hang | Action::Usage(_) => {}
                Action::Text(_) | Action::Echo | Action::Recall => {
                    let parts = text_of(&action, &self.context.body).unwrap_or_default();
                    self.open("text", json!({"type": "text", "text": ""})).await?;
                    for part in parts {
                        self.delta(json!({"type": "text_delta", "text": part})).await?;
                    }
                }
            }
        }
        self.close().await?;
        usage.entry("output_tokens").or_insert(json!(self.deltas));
        let reason = stop.unwrap_or_else(|| if self.tool { "tool_use" } else { "end_turn" }.to_owned());
        // The first of the request's own, when a sequence it is.
        let sequence = match reason.as_str() {
            "stop_sequence" => self.context.body["stop_sequences"][0].clone(),
            _ => Value::Null,
        };
        let delta = json!({"stop_reason": reason, "stop_sequence": sequence});
        self.event("message_delta", &[("delta", &delta), ("usage", &usage.into())]).await?;
        self.event("message_stop", &[]).await
    }

    async fn tool(&mut self, name: &str, input: &Value) -> Result<(), Gone> {
        self.close().await?;
        let id = format!("toolu_{:06}_{}", self.context.number, self.next);
        self.open("tool_use", json!({"type": "tool_use", "id": id, "name": name, "input": {}})).await?;
        for part in halves(&input.to_string()) {
            self.delta(json!({"type": "input_json_delta", "partial_json": part})).await?;
        }
        self.tool = true;
        self.close().await
    }

    async fn open(&mut self, kind: &'static str, block: Value) -> Result<(), Gone> {
        if self.open == Some(kind) {
            return Ok(());
        }
        self.close().await?;
        self.open = Some(kind);
        let index = json!(self.next);
        self.event("content_block_start", &[("index", &index), ("content_block", &block)]).await
    }

    async fn close(&mut self) -> Result<(), Gone> {
        if self.open.take().is_none() {
            return Ok(());
        }
        self.next += 1;
        let index = json!(self.next - 1);
        self.event("content_block_stop", &[("index", &index)]).await
    }

    async fn delta(&mut self, delta: Value) -> Result<(), Gone> {
        if self.deltas > 0 && !self.pace.is_zero() {
            self.wait(self.pace).await?;
        }
        self.deltas += 1;
        let index = json!(self.next);
        self.event("content_block_delta", &[("index", &index), ("delta", &delta)]).await
    }

    async fn event(&mut self, kind: &str, fields: &[(&str, &Value)]) -> Result<(), Gone> {
        // In the order the real API writes: the type first.
        let mut event = format!("event: {kind}\ndata: {{\"type\":\"{kind}\"");
        for (name, value) in fields {
            event.push_str(&format!(",\"{name}\":{value}"));
        }
        event.push_str("}\n\n");
        self.events.send(Ok(Frame::data(Bytes::from(event)))).await.map_err(|_| Gone)
    }

    async fn hold(&mut self) -> Result<(), Gone> {
        tokio::select! {
            permit = self.context.gate.acquire() => permit.map(|permit| permit.forget()).map_err(|_| Gone),
            () = self.events.closed() => Err(Gone),
        }
    }

    async fn wait(&mut self, time: Duration) -> Result<(), Gone> {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            () = self.events.closed() => Err(Gone),
        }
    }
}

/// Two pieces, so that a reader has to join them.
fn halves(text: &str) -> [&str; 2] {
    let mut half = text.len() / 2;
    while !text.is_char_boundary(half) {
        half -= 1;
    }
    [&text[..half], &text[half..]]
}

fn text_of(action: &Action, body: &Value) -> Option<Vec<String>> {
    match action {
        Action::Text(parts) => Some(parts.clone()),
        Action::Echo => Some(vec![last_user_text(body)]),
        Action::Recall => {
            let mut earlier = user_texts(body);
            earlier.pop();
            Some(pieces(&earlier.join(" | ")))
        }
        _ => None,
    }
}

fn head(context: &Context, usage: &Map<String, Value>) -> Value {
    json!({
        "id": format!("msg_{:06}", context.number), "type": "message", "role": "assistant",
        "model": context.body["model"], "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": usage,
    })
}

fn default_usage() -> Map<String, Value> {
    let counts = [("input_tokens", 10), ("cache_creation_input_tokens", 0), ("cache_read_input_tokens", 0)];
    counts.into_iter().map(|(key, n)| (key.to_owned(), json!(n))).collect()
}
