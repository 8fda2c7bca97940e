//! Prints how fast deltas become chunks on one core. Target: 1,000,000 chunks a second.

use std::hint::black_box;
use std::time::Instant;

use bytes::BytesMut;
use claude_exec_openai::{Chunker, Stamp};

const CHUNKS: usize = 2_000_000;

/// Chunks per frame, as the shell would flush them.
const BATCH: usize = 64;

fn main() {
    let stamp =
        Stamp { id: format!("chatcmpl-{}", "0".repeat(32)), created: 1_790_000_000, model: "sonnet".into() };
    println!("{:<28}{:>14}{:>10}", "delta", "chunks/s", "MB/s");
    for (name, text) in [
        ("6 bytes, plain", " token"),
        ("6 bytes, escaped", "a\"b\n\\c"),
        ("18 bytes, Cyrillic", " здравейте"),
        ("200 bytes, plain", &"four".repeat(50)),
    ] {
        let mut chunker = Chunker::new(&stamp, true);
        let mut wire = BytesMut::with_capacity(BATCH * 512);
        let (mut bytes, started) = (0, Instant::now());
        for batch in 0..CHUNKS / BATCH {
            for _ in 0..BATCH {
                chunker.text(black_box(text), &mut wire);
            }
            bytes += wire.len();
            black_box((&wire, batch));
            wire.clear();
        }
        let seconds = started.elapsed().as_secs_f64();
        println!("{name:<28}{:>14.0}{:>10.0}", CHUNKS as f64 / seconds, bytes as f64 / seconds / 1e6);
    }
}
