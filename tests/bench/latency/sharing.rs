//! Many conversations that share few processes, for some minutes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use claude_exec::Invocation;
use claude_exec::brain::pool::Pool;
use claude_exec::executor::LocalExecutor;
use claude_exec::invocation::SessionChoice;
use claude_exec::protocol::SessionId;

use crate::pooled::say;
use crate::random::Random;
use crate::stand::{Stand, pss};
use crate::support::model_api::{Scenario, user_texts};
use crate::table::{at, sorted};

const CONVERSATIONS: usize = 20;
const PROCESSES: usize = 6;
const MEMORY: u64 = 1_200_000_000;

/// A person says something every 1 to 3 s for 2 to 6 turns, then does something else for 10 to 50 s.
const BETWEEN_TURNS: (u64, u64) = (1000, 3000);
const BURST: (u64, u64) = (2, 6);
const BETWEEN_BURSTS: (u64, u64) = (10_000, 50_000);

pub(crate) async fn print(how_long: Duration) {
    let stand = Arc::new(Stand::new().await);
    let lost = Arc::new(AtomicUsize::new(0));
    // The model says no if what it was told is not this conversation, whole and in order.
    let counted = Arc::clone(&lost);
    stand.api.script(move |request| {
        let texts = user_texts(&request.body);
        let who = texts.first().and_then(|text| text.split(' ').next()).unwrap_or_default();
        let whole = texts.iter().enumerate().all(|(n, text)| *text == message(who, n));
        if !whole {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        Scenario::text("Noted.")
    });
    let pool = Pool::builder(LocalExecutor::new()).processes(PROCESSES).memory(MEMORY).build();
    let pool = pool.expect("the bounds are fine");
    let until = Instant::now() + how_long;
    let watched = tokio::spawn(watch(Arc::clone(&stand), until));
    let talks =
        (0..CONVERSATIONS).map(|who| tokio::spawn(talk(Arc::clone(&stand), pool.clone(), who, until)));
    let mut times = Vec::new();
    for talk in talks.collect::<Vec<_>>() {
        times.extend(talk.await.expect("no turn fails"));
    }
    let (most_memory, most_processes) = watched.await.expect("it does not panic");
    let stats = pool.stats();
    pool.shutdown(Duration::from_secs(5)).await;
    let times = sorted(times.into_iter());
    println!(
        "\n{CONVERSATIONS} conversations, {PROCESSES} processes, {:.1} GB, {:.1} minutes",
        MEMORY as f64 / 1e9,
        how_long.as_secs_f64() / 60.0
    );
    println!(
        "| turns | lost or mixed up | warm | live, spare, cold, resumed | first text p50 | p99, ms | most memory (PSS), MB | most processes |"
    );
    println!("|---:|---:|---:|---|---:|---:|---:|---:|");
    let claims = stats.claims;
    println!(
        "| {} | {} | {:.0} % | {}, {}, {}, {} | {:.1} | {:.1} | {:.0} | {most_processes} |",
        times.len(),
        lost.load(Ordering::SeqCst),
        claims.warm_share() * 100.0,
        claims.live,
        claims.spare,
        claims.cold,
        claims.resumed,
        at(&times, 0.5),
        at(&times, 0.99),
        most_memory as f64 / 1e6,
    );
    let held = most_memory <= MEMORY && most_processes <= PROCESSES;
    println!("\n- the bounds held: {}", if held { "yes" } else { "NO" });
}

fn message(who: &str, n: usize) -> String {
    format!("{who} {n}")
}

/// One person's turns: the milliseconds to each first text.
async fn talk(stand: Arc<Stand>, pool: Pool, who: usize, until: Instant) -> Vec<f64> {
    let mut random = Random::new(who as u64 + 1);
    let mut between = move |bounds| random.between(bounds);
    let mut times = Vec::new();
    let mut id: Option<SessionId> = None;
    tokio::time::sleep(Duration::from_millis(between((0, BETWEEN_BURSTS.0)))).await;
    loop {
        for _ in 0..between(BURST) {
            let session = id.map_or(SessionChoice::New, SessionChoice::Resume);
            let invocation = stand.on(Invocation::conversational("").session(session));
            let start = Instant::now();
            let claimed = pool.claim(&invocation).await.expect("there is room in line");
            let (first, said) = say(claimed, &message(&format!("c{who}"), times.len())).await;
            times.push((first - start).as_secs_f64() * 1e3);
            id = Some(said);
            tokio::time::sleep(Duration::from_millis(between(BETWEEN_TURNS))).await;
            if Instant::now() >= until {
                return times;
            }
        }
        let pause = Duration::from_millis(between(BETWEEN_BURSTS));
        tokio::time::sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
        if Instant::now() >= until {
            return times;
        }
    }
}

/// The most memory and processes seen, once a second.
async fn watch(stand: Arc<Stand>, until: Instant) -> (u64, usize) {
    let (mut memory, mut count) = (0, 0);
    while Instant::now() < until {
        let processes = stand.processes();
        memory = memory.max(processes.iter().filter_map(|process| pss(process.pid)).sum());
        count = count.max(processes.len());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    (memory, count)
}
