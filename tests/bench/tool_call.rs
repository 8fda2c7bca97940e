//! What a call of a tool of the client's costs on a live session, beside the model and the tool: `tests/bench.sh tool_call`.
//!
//! The real CLI, a stand-in for the model API that answers at once, and a client whose tool takes no time, in one
//! conversation. In each round the model is asked, calls the tool, is told the result and goes on:
//!
//! 1. from the model's call to the client, which has all of it and its finish reason;
//! 2. from the client's result to the model, which is asked to go on;
//! 3. from there to the first text at the client.
//!
//! The first and the third hold what little time the stand-in takes.

#[path = "../support/mod.rs"]
mod support;

mod client;
mod server;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use http_body_util::BodyExt;
use serde_json::{Value, json};

use client::{CHAT, Client, has_text};
use server::Server;
use support::cli::{self, Home};
use support::model_api::{ModelApi, Scenario};

/// Rounds that do not count: the CLI starts, and what is read for the first time is in the caches then.
const WARM_UP: usize = 3;

/// What the issue asks for: the whole of it, at p50.
const TARGET_MILLIS: f64 = 40.0;

#[tokio::main]
async fn main() {
    let rounds = if std::env::args().any(|arg| arg == "--test") { 2 } else { 100 };
    let (api, asked) = (ModelApi::start().await, Arc::new(Mutex::new(Vec::new())));
    let times = Arc::clone(&asked);
    api.script(move |request| {
        times.lock().expect("nobody panics with it").push(Instant::now());
        if is_told(&request.body) {
            Scenario::text("It is mild.")
        } else {
            Scenario::tool("mcp__client__temperature", json!({"city": "Sofia"}))
        }
    });
    let home = Home::new(&api);
    let key_only = [("CLAUDE_CODE_SIMPLE", "1"), ("CHILD_ENV", "CLAUDE_CODE_SIMPLE")];
    let key_only = key_only.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let server = Server::start(&cli::path(), home.env().into_iter().chain(key_only));
    let mut client = Client::connect(server.address).await;

    let mut messages: Vec<Value> = Vec::new();
    let mut legs = [const { Vec::new() }; 4];
    for round in 0..WARM_UP + rounds {
        messages.push(json!({"role": "user", "content": "Is it warm?"}));
        let called = ask(&mut client, &mut messages).await;
        let call = messages.last().expect("an answer")["tool_calls"][0].clone();
        messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "21 °C"}));
        let told = Instant::now();
        let answered = ask(&mut client, &mut messages).await;
        let times = asked.lock().expect("nobody panics with it").clone();
        assert_eq!(times.len(), 2 * (round + 1), "the model is asked twice in a round");
        let [question, result] = [times[times.len() - 2], times[times.len() - 1]];
        let first = answered.first_text.expect("it goes on in words");
        let three = [(question, called.end), (told, result), (result, first)];
        let three = three.map(|(from, to)| to.duration_since(from).as_secs_f64() * 1e3);
        if round >= WARM_UP {
            for (leg, millis) in legs.iter_mut().zip(three.into_iter().chain([three.iter().sum()])) {
                leg.push(millis);
            }
        }
    }
    println!("tool call: {rounds} rounds in one live session of the real CLI, in milliseconds");
    println!("| leg | p50 | p90 |\n|---|---:|---:|");
    let names = [
        "the call, model to client",
        "the result, client to model",
        "the first text, model to client",
        "all",
    ];
    for (name, leg) in names.iter().zip(&mut legs) {
        leg.sort_by(f64::total_cmp);
        println!("| {name} | {:.1} | {:.1} |", quantile(leg, 0.5), quantile(leg, 0.9));
    }
    let all = quantile(&legs[3], 0.5);
    let met = if all <= TARGET_MILLIS { "yes" } else { "NO" };
    println!("- within {TARGET_MILLIS} ms at p50: {met} ({all:.1})");
}

/// The last that the model is told is a tool's result.
fn is_told(body: &Value) -> bool {
    let messages = body["messages"].as_array().expect("messages").iter();
    let last = messages.rev().find(|message| message["role"] == "user").expect("the user's");
    last["content"][0]["type"] == "tool_result"
}

/// What came of one request, and when.
struct Heard {
    first_text: Option<Instant>,
    end: Instant,
}

/// Asks, and adds the answer to the conversation.
async fn ask(client: &mut Client, messages: &mut Vec<Value>) -> Heard {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let tools = json!([{"type": "function", "function": {"name": "temperature", "parameters": schema}}]);
    let body = json!({"model": "sonnet", "stream": true, "messages": messages, "tools": tools});
    let mut response = client.post(CHAT, body.to_string()).await;
    let (mut heard, mut all) = (Heard { first_text: None, end: Instant::now() }, Vec::new());
    while let Some(frame) = response.body_mut().frame().await {
        let Ok(bytes) = frame.expect("the stream does not break").into_data() else { continue };
        if heard.first_text.is_none() && has_text(&bytes) {
            heard.first_text = Some(Instant::now());
        }
        all.extend_from_slice(&bytes);
    }
    heard.end = Instant::now();
    let stream = String::from_utf8(all).expect("it is text");
    assert!(stream.ends_with("data: [DONE]\n\n"), "{stream}");
    messages.push(message(&stream));
    heard
}

/// The message that these chunks add up to, of one call at most.
fn message(stream: &str) -> Value {
    let chunks = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let deltas = chunks.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    let (mut text, mut call) = (String::new(), Value::Null);
    for delta in deltas.map(|chunk| chunk["choices"][0]["delta"].clone()) {
        text += delta["content"].as_str().unwrap_or_default();
        let piece = &delta["tool_calls"][0];
        if piece["id"].is_string() {
            call = piece.clone();
        } else if let Some(more) = piece["function"]["arguments"].as_str() {
            let arguments = call["function"]["arguments"].as_str().unwrap_or_default().to_owned() + more;
            call["function"]["arguments"] = arguments.into();
        }
    }
    match call {
        Value::Null => json!({"role": "assistant", "content": text}),
        call => json!({"role": "assistant", "content": text, "tool_calls": [call]}),
    }
}

fn quantile(sorted: &[f64], at: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * at).round() as usize]
}
