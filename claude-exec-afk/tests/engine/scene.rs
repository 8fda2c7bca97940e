//! A loop over a simulated world, whose time the test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use claude_exec::store::{Memory, Store};
use claude_exec_afk::engine::{Clock, Engine, Tick};
use claude_exec_afk::ledger::Ledger;
use claude_exec_afk::run::{Outcome, Record, Row};
use claude_exec_afk::sim::{Plot, World};
use claude_exec_afk::{Config, IssueKey};

pub(crate) struct Scene {
    pub(crate) config: Config,
    pub(crate) world: World,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) engine: Engine,
}

#[derive(Default)]
pub(crate) struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn wall(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.wall())
    }
}

/// One minute between two ticks.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn key(text: &str) -> IssueKey {
    text.parse().unwrap()
}

/// A configuration that may do everything in these repositories.
pub(crate) fn config(repos: &[&str]) -> Config {
    let mut config = Config::default();
    config.allowlist = repos.iter().map(|repo| repo.parse().unwrap()).collect();
    config.kill_switch = false;
    config.max_running = 100;
    config.attempts.fixes = 2;
    config
}

impl Scene {
    pub(crate) fn new(config: Config) -> Self {
        Self::over(config, Arc::new(Memory::new()))
    }

    pub(crate) fn over(config: Config, store: Arc<dyn Store>) -> Self {
        let world = World::new(&config);
        let clock = Arc::new(TestClock(AtomicU64::new(1_000_000_000_000)));
        let engine = Engine::new(config.clone(), Ledger::new(store.clone()), world.ports(), clock.clone());
        Self { config, world, store, clock, engine }
    }

    pub(crate) fn one(plot: Plot) -> (Self, IssueKey) {
        let scene = Self::new(config(&["octo/site"]));
        let issue = key("octo/site#7");
        scene.world.add(&issue, plot);
        (scene, issue)
    }

    /// The process starts anew, over the same ledger and the same world.
    pub(crate) fn restart(&mut self) {
        let ledger = Ledger::new(self.store.clone());
        self.engine = Engine::new(self.config.clone(), ledger, self.world.ports(), self.clock.clone());
    }

    /// One tick, and a minute in which the world goes on. A run that fails for another reason than the world's is
    /// the test's failure.
    pub(crate) async fn tick(&self) -> Tick {
        let tick = self.engine.tick().await.unwrap();
        for (run, error) in &tick.failures {
            assert!(error.is_transient() || error.is_conflict(), "{run}: {error}");
        }
        self.world.pass();
        self.wait(MINUTE);
        tick
    }

    pub(crate) async fn ticks(&self, count: usize) {
        for _ in 0..count {
            self.tick().await;
        }
    }

    pub(crate) fn wait(&self, time: Duration) {
        self.clock.0.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    pub(crate) async fn last(&self, issue: &IssueKey) -> Option<Record> {
        self.engine.ledger().last(issue).await.unwrap().map(|stored| stored.record)
    }

    pub(crate) async fn outcome(&self, issue: &IssueKey) -> Option<Outcome> {
        self.last(issue).await.and_then(|record| record.row.state.outcome())
    }

    pub(crate) async fn is_quiet(&self) -> bool {
        let runs = self.engine.ledger().runs().await.unwrap();
        !runs.is_empty() && runs.iter().all(|record| !record.row.state.is_busy() && record.outbox.is_empty())
    }

    pub(crate) async fn until(&self, issue: &IssueKey, is: impl Fn(&Row) -> bool) {
        for _ in 0..50 {
            if self.last(issue).await.is_some_and(|record| is(&record.row)) {
                return;
            }
            self.tick().await;
        }
        panic!("not reached: {:?}", self.last(issue).await);
    }

    pub(crate) async fn until_pushed(&self, issue: &IssueKey) {
        self.until(issue, |row| row.pushed.is_some()).await;
    }

    pub(crate) async fn until_quiet(&self) {
        for _ in 0..200 {
            self.tick().await;
            if self.is_quiet().await {
                return;
            }
        }
        panic!("not quiet: {:?}", self.engine.ledger().runs().await);
    }
}
