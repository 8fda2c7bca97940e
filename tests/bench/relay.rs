//! How much the bundled server relays: `tests/bench.sh relay`.
//!
//! One HTTP client, the server and a CLI that writes 300 deltas as fast as it can, all on the same cores. The CLI is
//! the project's own fake, which reads its stdin as the real one does; the Python service was measured with `cat` in a
//! shell script, which cannot be kept alive.

mod client;
mod server;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use client::Client;
use server::Server;

const FAKE: &str = env!("CARGO_BIN_EXE_fake-claude");
const DELTAS: usize = 300;
const PROMPT: &str = "[[words 300]]";

/// Concurrency, then what the Python service did on this class of machine: requests and deltas a second.
const ORIGINAL: [(usize, f64, f64); 3] = [(1, 49.0, 14_736.0), (8, 60.0, 17_934.0), (32, 72.0, 21_636.0)];
const ORIGINAL_RSS_MB: f64 = 51.0;

/// Longer than a server takes to have everything in place.
const WARM_UP: usize = 50;
/// Requests per measurement, and how often each is made; the median counts.
const REQUESTS: usize = 600;
const RUNS: usize = 5;

struct Load {
    requests: usize,
    runs: usize,
}

#[tokio::main]
async fn main() {
    let quick = std::env::args().any(|arg| arg == "--test");
    let load = if quick { Load { requests: 100, runs: 1 } } else { Load { requests: REQUESTS, runs: RUNS } };
    println!("relay: {DELTAS} deltas a request, {} runs of {} requests", load.runs, load.requests);
    println!(
        "| CLI | concurrency | requests/s | deltas/s | Python service | ratio | CPU ms/request, server + CLI | peak RSS |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let server = Server::start(Path::new(FAKE), std::env::var("PATH").map(|path| ("PATH".to_owned(), path)));
    run(&server, WARM_UP.min(load.requests), 1).await;
    for (concurrency, _, original) in ORIGINAL {
        let mut rates = Vec::new();
        let before = server.cpu();
        for _ in 0..load.runs {
            rates.push(run(&server, load.requests, concurrency).await);
        }
        rates.sort_by(f64::total_cmp);
        let requests = rates[rates.len() / 2];
        let deltas = requests * DELTAS as f64;
        let after = server.cpu();
        let cpu = |seconds: f64| seconds * 1e3 / (load.runs * load.requests) as f64;
        println!(
            "| the project's fake | {concurrency} | {requests:.0} | {deltas:.0} | {original:.0} | {:.1} | {:.2} + {:.2} | {:.1} MB |",
            deltas / original,
            cpu(after.server - before.server),
            cpu(after.cli - before.cli),
            server.peak_rss_mb(),
        );
    }
    println!("\nThe Python service's peak RSS is {ORIGINAL_RSS_MB} MB; its CLI was `sh` and `cat`.");
}

/// Requests a second of `concurrency` workers that make `requests` requests together.
async fn run(server: &Server, requests: usize, concurrency: usize) -> f64 {
    let mut clients = Vec::new();
    for _ in 0..concurrency {
        clients.push(Client::connect(server.address).await);
    }
    let left = Arc::new(AtomicUsize::new(requests));
    let start = Instant::now();
    let workers = clients.into_iter().map(|mut client| {
        let left = Arc::clone(&left);
        tokio::spawn(async move {
            let take = |left: usize| left.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                let answer = client.stream(PROMPT).await;
                assert!(answer.is_whole && answer.deltas == DELTAS, "{} deltas", answer.deltas);
            }
        })
    });
    for worker in futures::future::join_all(workers.collect::<Vec<_>>()).await {
        worker.expect("no request fails");
    }
    requests as f64 / start.elapsed().as_secs_f64()
}
