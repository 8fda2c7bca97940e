//! Deltas to events of each wire, per second on one core: `cargo bench -p claude-exec-openai --bench chunk`.
//!
//! The comparison beside it is what a straightforward program does: build a `serde_json::Value` for each chunk and
//! print it.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use bytes::BytesMut;
use claude_exec_openai::chat::Chunker;
use claude_exec_openai::messages::MessageEvents;
use claude_exec_openai::responses::{Echo, ResponseEvents};
use claude_exec_openai::{Envelope, Stamp};
use serde_json::json;

const CHUNKS: usize = 1_000_000;
const RUNS: usize = 5;

/// Chunks per frame, as the shell would flush them.
const BATCH: usize = 64;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--test");
    let chunks = if quick { 1024 } else { CHUNKS };
    let stamp =
        Stamp { id: format!("chatcmpl-{}", "0".repeat(32)), created: 1_790_000_000, model: "sonnet".into() };
    println!("chunk encoder: {chunks} chunks, {RUNS} runs each, in turn");
    println!(
        "| delta | chunks/s | MB/s | `serde_json::Value` per chunk | ratio |\n|---|---:|---:|---:|---:|"
    );
    for (name, text) in [
        ("6 bytes, plain", " token"),
        ("6 bytes, escaped", "a\"b\n\\c"),
        ("19 bytes, Cyrillic", " здравейте"),
        ("200 bytes, plain", &"four".repeat(50)),
    ] {
        let (mut ours, mut naive, mut bytes) = (Vec::new(), Vec::new(), 0);
        for _ in 0..RUNS {
            let start = Instant::now();
            bytes = encode(&mut Chunker::new(&stamp, true), text, chunks);
            ours.push(chunks as f64 / start.elapsed().as_secs_f64());
            let start = Instant::now();
            black_box(print(&stamp, text, chunks / 10));
            naive.push(chunks as f64 / 10.0 / start.elapsed().as_secs_f64());
        }
        let (ours, naive) = (median(ours), median(naive));
        let rate = bytes as f64 / chunks as f64 * ours / 1e6;
        println!("| {name} | {ours:.0} | {rate:.0} | {naive:.0} | {:.1} |", ours / naive);
    }
    wires(&stamp, " token", chunks);
}

fn encode(envelope: &mut dyn Envelope, text: &str, chunks: usize) -> usize {
    let mut wire = BytesMut::with_capacity(BATCH * 512);
    let mut bytes = 0;
    for batch in 0..chunks / BATCH {
        for _ in 0..BATCH {
            envelope.text(black_box(text), &mut wire);
        }
        bytes += wire.len();
        black_box((&wire, batch));
        wire.clear();
    }
    bytes
}

/// The three wires in turn, so that what else the machine does touches them alike.
fn wires(stamp: &Stamp, text: &str, chunks: usize) {
    println!("\n| wire | chunks/s | of the chat's |\n|---|---:|---:|");
    let mut rates = [const { Vec::new() }; 3];
    for _ in 0..RUNS {
        let stored = Arc::new(AtomicBool::new(false));
        let envelopes: [Box<dyn Envelope>; 3] = [
            Box::new(Chunker::new(stamp, true)),
            Box::new(ResponseEvents::new(stamp.clone(), Echo::default(), stored)),
            Box::new(MessageEvents::new(stamp.clone())),
        ];
        for (mut envelope, rates) in envelopes.into_iter().zip(&mut rates) {
            let start = Instant::now();
            black_box(encode(&mut *envelope, text, chunks));
            rates.push(chunks as f64 / start.elapsed().as_secs_f64());
        }
    }
    let [chat, responses, messages] = rates.map(median);
    for (name, rate) in [("chat completions", chat), ("responses", responses), ("messages", messages)] {
        println!("| {name} | {rate:.0} | {:.2} |", rate / chat);
    }
}

fn print(stamp: &Stamp, text: &str, chunks: usize) -> usize {
    let mut wire = String::with_capacity(BATCH * 512);
    let mut bytes = 0;
    for at in 0..chunks {
        let chunk = json!({
            "id": stamp.id, "object": "chat.completion.chunk", "created": stamp.created, "model": stamp.model,
            "choices": [{"index": 0, "delta": {"content": black_box(text)}, "logprobs": null, "finish_reason": null}],
            "usage": null,
        });
        wire += &format!("data: {chunk}\n\n");
        if at % BATCH == 0 {
            bytes += wire.len();
            wire.clear();
        }
    }
    bytes
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
