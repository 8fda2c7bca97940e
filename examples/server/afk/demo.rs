//! The demo: a world in memory in which issues go through every outcome.

use std::sync::Arc;
use std::time::Duration;

use claude_exec::store::Memory;
use claude_exec_afk::engine::{Engine, SystemClock};
use claude_exec_afk::ledger::Ledger;
use claude_exec_afk::sim::{Plot, World};
use claude_exec_afk::{Config, IssueKey, Repo};

/// What the demo says of itself before anything else.
pub const WARNING: &str = "\
*** DEMO: the tracker, the agents, CI and the phone are simulated; nothing is real and nothing is written. ***";

/// What its page says of itself.
pub const BANNER: &str = "Demo: the tracker, the agents, CI and the phone are simulated.";

/// How long a moment of the simulated world takes.
const MOMENT: Duration = Duration::from_millis(1200);
/// How often someone labels another issue.
const ARRIVAL: Duration = Duration::from_secs(6);
/// How often someone looks at the phone, and has seen all that waits.
const LOOKS: Duration = Duration::from_secs(90);
/// How many issues there are in the end; the page would only grow.
const ISSUES: u64 = 64;
const REPOS: [&str; 6] =
    ["octo/site", "octo/invoices", "octo/api", "octo/importer", "octo/docs", "octo/infrastructure"];

/// A loop over a simulated world, and the world's own life, which ends with the returned guard.
pub fn open(mut config: Config) -> (Arc<Engine>, tokio::task::JoinHandle<()>) {
    config.kill_switch = false;
    config.allowlist = REPOS.iter().filter_map(|repo| repo.parse().ok()).collect();
    config.max_running = 4;
    config.deploy = true;
    config.attempts.fixes = 2;
    let seconds = Duration::from_secs;
    let patience = &mut config.patience;
    (patience.tick, patience.start, patience.ci_start, patience.ci_total) =
        (seconds(1), seconds(4), seconds(12), seconds(40));
    (patience.deploy, patience.soak, patience.remind) = (seconds(15), seconds(3), seconds(60));
    let world = World::new(&config);
    let ledger = Ledger::new(Arc::new(Memory::new()));
    let engine = Arc::new(Engine::new(config, ledger, world.ports(), Arc::new(SystemClock::new())));
    let waker = engine.clone();
    let life = tokio::spawn(async move {
        let repos: Vec<Repo> = REPOS.iter().filter_map(|repo| repo.parse().ok()).collect();
        let (mut number, mut since, mut looked) = (0, ARRIVAL, Duration::ZERO);
        loop {
            since += MOMENT;
            looked += MOMENT;
            if looked >= LOOKS {
                looked = Duration::ZERO;
                world.acknowledge();
            }
            while number < 10 || (since >= ARRIVAL && number < ISSUES) {
                since = Duration::ZERO;
                let place = number as usize;
                let issue = IssueKey::new(repos[place % repos.len()].clone(), 100 + number);
                world.add(&issue, Plot::ALL[place % Plot::ALL.len()]);
                number += 1;
            }
            world.pass();
            waker.wake();
            tokio::time::sleep(MOMENT).await;
        }
    });
    (engine, life)
}
