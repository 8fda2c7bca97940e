//! Delta lines through the translator, in MB/s on one core: `cargo bench -p claude-exec --bench translator`.
//!
//! The comparison beside it is what a straightforward program does: split at newlines, parse each line to a
//! `serde_json::Value`, pick the text out.

use std::hint::black_box;
use std::time::Instant;

use claude_exec::protocol::{Event, Translator};

/// One delta as the CLI writes it: 270 bytes with its newline.
const LINE: &str = concat!(
    r#"{"type":"stream_event","event":{"index":0,"delta":{"type":"text_delta","text":"word12 "},"#,
    r#""type":"content_block_delta"},"session_id":"3f80e842-cb19-420a-8537-dd8b87979126","#,
    r#""parent_tool_use_id":null,"uuid":"181512d1-ccde-4fa6-9cd8-ee8c84a5abd3","api_message_id":"msg_01"}"#,
    "\n"
);
const LINES: usize = 200_000;
const RUNS: usize = 5;
/// What one read of a pipe gives.
const PIECE: usize = 64 * 1024;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--test");
    let lines = if quick { 1000 } else { LINES };
    let input = LINE.repeat(lines).into_bytes();
    println!("translator: {lines} lines of {} bytes, {RUNS} runs each, in turn", LINE.len());
    let (mut ours, mut naive) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(rate(input.len(), || translate(&input)));
        naive.push(rate(input.len(), || parse_values(&input)));
    }
    let (ours, naive) = (median(ours), median(naive));
    println!("| translator | MB/s | lines/s | ratio |\n|---|---:|---:|---:|");
    for (name, rate) in [("this crate", ours), ("`serde_json::Value` per line", naive)] {
        println!("| {name} | {rate:.0} | {:.0} | {:.2} |", rate * 1e6 / LINE.len() as f64, rate / naive);
    }
}

fn rate(bytes: usize, run: impl FnOnce() -> usize) -> f64 {
    let start = Instant::now();
    black_box(run());
    bytes as f64 / 1e6 / start.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn translate(input: &[u8]) -> usize {
    let mut translator = Translator::new();
    let mut text_bytes = 0;
    for piece in input.chunks(PIECE) {
        translator.push(piece);
        while let Some(event) = translator.poll_event() {
            if let Event::Text(text) = event {
                text_bytes += text.text.len();
            }
        }
    }
    text_bytes
}

fn parse_values(input: &[u8]) -> usize {
    let mut text_bytes = 0;
    for line in input.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let value: serde_json::Value = serde_json::from_slice(line).expect("the lines are JSON");
        text_bytes += value["event"]["delta"]["text"].as_str().map_or(0, str::len);
    }
    text_bytes
}
