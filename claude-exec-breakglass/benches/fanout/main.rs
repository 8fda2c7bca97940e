//! Fan-out of a session's events to many readers, beside peers in the same run: Debian's nchan, and the naive
//! broadcast that the original service uses.
//!
//! ```text
//! cargo bench -p claude-exec-breakglass --bench fanout            # 100, 1,000 and 9,000 readers
//! cargo bench -p claude-exec-breakglass --bench fanout -- 1000    # not the 9,000
//! ```
//!
//! Each server is a process of its own on loopback, two threads; the load client is one thread of this process.
//! Numbers of different machines, or of different runs, cannot be compared; the rows of one table can.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on may as well stop there")]

mod client;
mod nchan;
mod servers;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use client::{Crowd, Round};

/// Events published one after another; each is awaited by all readers.
const ROUNDS: usize = 60;

/// Events in the replay, of this many bytes.
const REPLAY: usize = 10_000;
const REPLAY_BYTES: usize = 200;

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let first = args.next();
    if let Some(kind) = first.as_deref().and_then(|arg| arg.strip_prefix("serve=")) {
        return servers::serve(kind);
    }
    let most: usize = first.and_then(|most| most.parse().ok()).unwrap_or(9000);
    let crowds: Vec<usize> = [100, 1000, 9000].into_iter().filter(|count| *count <= most).collect();
    let most = client::raise_file_limit();
    if let Some(count) = crowds.iter().find(|count| most < **count as u64 + 64) {
        eprintln!("only {most} files may be open: {count} readers will not fit (ulimit -Hn)");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!(
        "{:28} {:>8} {:>12} {:>12} {:>12} {:>12} {:>12}",
        "server", "readers", "last p50 ms", "last p99 ms", "each p50 ms", "each p99 ms", "bytes/reader"
    );
    for kind in ["ours", "ours, durable", "naive broadcast", "nchan"] {
        for count in &crowds {
            let Some(server) = Server::start(kind) else {
                println!("{kind:28} left out: nginx with its nchan module is not installed");
                break;
            };
            runtime.block_on(fan_out(&server, kind, *count));
        }
    }
    if let Some(server) = Server::start("ours") {
        runtime.block_on(replay(&server));
    }
    if let Some(server) = Server::start("ours") {
        runtime.block_on(stalled(&server));
    }
}

/// A server in a process of its own. Dropping it kills it.
struct Server {
    child: Child,
    port: u16,
    subscribe: &'static str,
    _files: Option<tempfile::TempDir>,
}

impl Server {
    fn start(kind: &str) -> Option<Self> {
        if kind == "nchan" {
            let (child, port, files) = nchan::start()?;
            return Some(Self { child, port, subscribe: "/sub", _files: Some(files) });
        }
        let me = std::env::current_exe().unwrap();
        let child = Command::new(me).arg(format!("serve={kind}")).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
        Some(Self { child, port: line.trim().parse().unwrap(), subscribe: "/events", _files: None })
    }

    /// Resident memory in bytes, of nginx's worker too.
    fn memory(&self) -> u64 {
        let of = |pid: u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
            line.split_whitespace().next().and_then(|kb| kb.parse::<u64>().ok()).unwrap_or_default() * 1024
        };
        let pid = self.child.id();
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        of(pid) + children.split_whitespace().filter_map(|pid| pid.parse().ok()).map(of).sum::<u64>()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // nginx ends its worker on SIGTERM; the others may just die.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

async fn fan_out(server: &Server, kind: &str, count: usize) {
    let before = server.memory();
    let mut crowd = Crowd::attach(server.port, server.subscribe, count).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let idle = server.memory().saturating_sub(before) / count as u64;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(crowd.round().await);
    }
    rounds.drain(..5); // warming up
    print_row(kind, count, &rounds, Some(idle));
}

fn print_row(kind: &str, count: usize, rounds: &[Round], idle: Option<u64>) {
    let last = sorted(rounds.iter().map(|round| round.last).collect());
    let each = sorted(rounds.iter().flat_map(|round| round.each.iter().copied()).collect());
    println!(
        "{kind:28} {count:>8} {:>12.2} {:>12.2} {:>12.2} {:>12.2} {:>12}",
        at(&last, 0.50),
        at(&last, 0.99),
        at(&each, 0.50),
        at(&each, 0.99),
        idle.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()),
    );
}

async fn replay(server: &Server) {
    client::post(server.port, &format!("/fill?{REPLAY}x{REPLAY_BYTES}")).await;
    let mut times = Vec::new();
    for _ in 0..10 {
        times.push(client::replay(server.port, server.subscribe, REPLAY).await);
    }
    let times = sorted(times);
    println!(
        "\nreplay of {REPLAY} events of {REPLAY_BYTES} bytes to one reader: p50 {:.1} ms, slowest {:.1} ms",
        at(&times, 0.5),
        at(&times, 1.0)
    );
}

/// The same crowd with and without a reader that takes nothing, in turns.
async fn stalled(server: &Server) {
    const READERS: usize = 1000;
    const TURNS: usize = 6;
    let mut crowd = Crowd::attach(server.port, server.subscribe, READERS).await;
    for _ in 0..10 {
        crowd.round().await;
    }
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let memory = server.memory();
    let mut held = 0;
    for _ in 0..TURNS {
        for _ in 0..ROUNDS / 2 {
            alone.push(crowd.round().await);
        }
        let stalled = client::stall(server.port, server.subscribe).await;
        for _ in 0..ROUNDS / 2 {
            beside.push(crowd.round().await);
        }
        held = held.max(server.memory().saturating_sub(memory));
        drop(stalled);
    }
    println!();
    print_row("without a stalled reader", READERS, &alone, None);
    print_row("with one", READERS, &beside, None);
    let p99 = |rounds: &[Round]| {
        at(&sorted(rounds.iter().flat_map(|round| round.each.iter().copied()).collect()), 0.99)
    };
    println!(
        "p99 with one / without: {:.3}; the server grew by {held} bytes in all",
        p99(&beside) / p99(&alone)
    );
}

fn sorted(mut times: Vec<f64>) -> Vec<f64> {
    times.sort_by(f64::total_cmp);
    times
}

fn at(sorted: &[f64], share: f64) -> f64 {
    let index = ((sorted.len() as f64 - 1.0) * share).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}
