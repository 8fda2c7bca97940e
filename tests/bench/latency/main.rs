//! How long a listener waits for the first word: `tests/bench.sh latency`.
//!
//! Every way to take a turn, one after the other in each round, so that all see the same machine: the real CLI, a
//! stand-in for the model API that answers at once, from the message to the first piece of text. Each way has a model
//! API, a home and a pool of its own. Then what several conversations cost that share few processes.
//!
//! `--runs N` rounds (50), `--minutes M` of conversations that take turns (5), `--test` to see that it still runs.

#[path = "../../support/mod.rs"]
mod support;

#[path = "../client.rs"]
mod client;
#[path = "../server.rs"]
mod server;

mod bodies;
mod by_hand;
mod idle;
mod pooled;
mod random;
mod sdk;
mod served;
mod sharing;
mod stand;
mod table;

use std::time::Duration;

use by_hand::{Bare, Cold, Pipe};
use pooled::{Later, Resumed, Spare};
use random::Random;
use sdk::Sdk;
use served::{Conversational, Matched, Replayed};
use stand::{Sample, Way};
use table::Table;

/// Runs of each way that do not count: what is read for the first time is in the caches then.
const WARM_UP: usize = 2;

/// Before each run, so that what ended before has ended for the kernel too.
const PAUSE: Duration = Duration::from_millis(100);

struct Options {
    runs: usize,
    minutes: f64,
    idle: Duration,
}

impl Options {
    fn read() -> Self {
        let mut options = Self { runs: 50, minutes: 5.0, idle: Duration::from_secs(30) };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut number = || args.next().and_then(|value| value.parse().ok()).expect("it takes a number");
            match arg.as_str() {
                "--runs" => options.runs = number() as usize,
                "--minutes" => options.minutes = number(),
                "--test" => options = Self { runs: 2, minutes: 0.2, idle: Duration::from_secs(2) },
                _ => {} // cargo's own
            }
        }
        options
    }
}

#[tokio::main]
async fn main() {
    let options = Options::read();
    latency(options.runs).await;
    bodies::print().await;
    sharing::print(Duration::from_secs_f64(options.minutes * 60.0)).await;
    idle::print(options.idle).await;
}

async fn latency(runs: usize) {
    let mut ways: Vec<Box<dyn Way>> = vec![
        Box::new(Bare::new().await),
        Box::new(Cold::new().await),
        Box::new(Spare::new().await),
        Box::new(Pipe::new().await),
        Box::new(Later::new().await),
        Box::new(Resumed::new().await),
        Box::new(Sdk::new().await),
    ];
    let warm: [Option<Box<dyn Way>>; 3] = [
        Conversational::new().await.map(|way| Box::new(way) as _),
        Matched::new().await.map(|way| Box::new(way) as _),
        Replayed::new().await.map(|way| Box::new(way) as _),
    ];
    let left_out = warm.iter().filter(|way| way.is_none()).count();
    ways.extend(warm.into_iter().flatten());
    let mut samples: Vec<Vec<Sample>> = ways.iter().map(|_| Vec::new()).collect();
    let mut order: Vec<usize> = (0..ways.len()).collect();
    let mut random = Random::new(1);
    for round in 0..runs + WARM_UP {
        random.shuffle(&mut order); // nobody always follows the same one
        for &at in &order {
            ways[at].ready().await;
            tokio::time::sleep(PAUSE).await;
            let sample = ways[at].take().await;
            if round >= WARM_UP {
                samples[at].push(sample);
            }
        }
    }
    println!("latency: from the message to the first text, {runs} runs each, in milliseconds");
    let table = Table::new(ways.iter().map(|way| way.name()).zip(samples).collect());
    table.print();
    if left_out > 0 {
        println!("- left out: {left_out} ways through the server, which keeps no process for them");
    }
}
