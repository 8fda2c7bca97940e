//! What sessions cost that wait for their next turn.

use std::time::Duration;

use claude_exec::Invocation;
use claude_exec::brain::pool::Pool;
use claude_exec::executor::LocalExecutor;
use claude_exec::invocation::SessionChoice;

use crate::pooled::say;
use crate::stand::{PROMPT, Stand, pss};

const SESSIONS: usize = 6;

/// Until what a turn has left to do is done.
const SETTLE: Duration = Duration::from_secs(3);

/// Clock ticks in a second, as Linux tells them to every program (proc(5)).
const TICKS: f64 = 100.0;

pub(crate) async fn print(how_long: Duration) {
    let stand = Stand::new().await;
    let pool = Pool::builder(LocalExecutor::new()).processes(SESSIONS).spares_per_key(0).build();
    let pool = pool.expect("the bounds are fine");
    for _ in 0..SESSIONS {
        let new = stand.on(Invocation::conversational("").session(SessionChoice::New));
        say(pool.claim(&new).await.expect("there is room"), PROMPT).await;
    }
    tokio::time::sleep(SETTLE).await;
    let pids: Vec<i32> = stand.processes().iter().map(|process| process.pid).collect();
    assert_eq!(pids.len(), SESSIONS);
    let own = std::process::id().cast_signed();
    let used = || (pids.iter().map(|pid| cpu(*pid)).sum::<f64>(), cpu(own));
    let before = used();
    tokio::time::sleep(how_long).await;
    let after = used();
    let share = |from: f64, to: f64| (to - from) / how_long.as_secs_f64() * 100.0;
    let memory: u64 = pids.iter().filter_map(|pid| pss(*pid)).sum();
    println!("\n{SESSIONS} idle sessions for {how_long:?}");
    println!("| CPU of the CLIs, % of one processor | of the pool | memory (PSS), MB |");
    println!("|---:|---:|---:|");
    println!(
        "| {:.2} | {:.2} | {:.0} |",
        share(before.0, after.0),
        share(before.1, after.1),
        memory as f64 / 1e6
    );
    pool.shutdown(Duration::from_secs(5)).await;
}

/// Seconds of CPU time that a process has used.
fn cpu(pid: i32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS
}
