//! An endpoint over scripted processes.

#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use claude_exec::executor::{Command, Scripted, ScriptedHandle, executor_fn};
use claude_exec::http::{Body, Keyring};
use claude_exec::jobs::Gate;
use claude_exec_openai::{OpenAi, OpenAiBuilder};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower_service::Service;

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What was started, and what became of it.
#[derive(Clone, Default)]
pub(crate) struct Started(Arc<Mutex<Vec<(Command, ScriptedHandle)>>>);

impl Started {
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(crate) fn command(&self, at: usize) -> Command {
        self.0.lock().unwrap()[at].0.clone()
    }

    pub(crate) fn all_stopped(&self) -> bool {
        self.0.lock().unwrap().iter().all(|(_, handle)| handle.is_stopped())
    }
}

/// An endpoint with `slots` slots and a queue of `depth`, each of whose processes plays `script`.
pub(crate) fn endpoint(script: Scripted, slots: usize, depth: usize) -> (OpenAiBuilder, Gate, Started) {
    let started = Started::default();
    let noted = started.clone();
    let executor = executor_fn(move |command| {
        let (process, handle) = script.clone().into_process_with_handle();
        noted.0.lock().unwrap().push((command, handle));
        Ok(process)
    });
    let gate = Gate::new(slots, depth).unwrap();
    let keyring = Keyring::builder().token("tests", TOKEN).build().unwrap();
    (OpenAi::builder(executor, gate.clone()).keyring(keyring), gate, started)
}

pub(crate) fn chat(fields: Value) -> Request<Full<Bytes>> {
    let mut body = json!({"model": "haiku", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    post(body.to_string())
}

pub(crate) fn post(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post("/v1/chat/completions")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Full::new(body.into()))
        .unwrap()
}

pub(crate) fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).header("authorization", format!("Bearer {TOKEN}")).body(Full::default()).unwrap()
}

pub(crate) async fn call(endpoint: &OpenAi, request: Request<Full<Bytes>>) -> Response<Body> {
    let Ok(response) = endpoint.clone().call(request).await;
    response
}

pub(crate) async fn text(response: Response<Body>) -> String {
    let Ok(collected) = response.into_body().collect().await;
    String::from_utf8(collected.to_bytes().to_vec()).unwrap()
}

pub(crate) fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// Waits for what must happen soon, and fails when it does not.
pub(crate) async fn soon(what: &str, mut happened: impl FnMut() -> bool) {
    for _ in 0..500 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 5 s: {what}");
}

fn line(value: Value) -> Bytes {
    Bytes::from(format!("{value}\n"))
}

pub(crate) fn event(event: Value) -> Bytes {
    line(json!({"type": "stream_event", "event": event, "parent_tool_use_id": null}))
}

/// A process that has said the first word of an answer.
pub(crate) fn first_word(word: &str) -> Scripted {
    Scripted::new()
        .stdout(event(json!({"type": "message_start", "message": {"id": "m"}})))
        .stdout(event(
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ))
        .stdout(event(
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}),
        ))
}

/// A process whose model API refused with a status.
pub(crate) fn refused(status: u16) -> Scripted {
    Scripted::new().stdout(refusal(status)).exit(1)
}

pub(crate) fn refusal(status: u16) -> Bytes {
    line(json!({"type": "result", "subtype": "success", "is_error": true, "api_error_status": status,
        "result": "API Error", "terminal_reason": "api_error", "session_id": "s"}))
}

/// The end of a turn with this answer.
pub(crate) fn answered(text: &str) -> Bytes {
    line(json!({"type": "result", "subtype": "success", "is_error": false, "result": text, "session_id": "s",
        "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 2}}))
}
