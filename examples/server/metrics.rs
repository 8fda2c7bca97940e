//! What Prometheus reads.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use claude_exec::brain::pool::Pool;
use claude_exec_openai::quota::Ledger;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::keys::KeyCollector;
use crate::warm::PoolCollector;

/// The exposition format that [`Metrics::render`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From a refused request to a long agent turn answered in one piece.
const SECONDS: [f64; 10] = [0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 900.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Asked {
    route: &'static str,
}

/// The counters, and the names under which they are told.
pub struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    seconds: Family<Asked, Histogram>,
    active: Gauge,
    queued: Gauge,
    capacity: Gauge,
    processes: Gauge,
    cli_up: Gauge,
    /// What jobs have cost; chats and conversations are in the ledger.
    jobs_cost: Counter<f64, AtomicU64>,
}

/// What is so at the moment of a scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    pub active: usize,
    pub queued: usize,
    pub capacity: usize,
    pub processes: usize,
    pub cli: bool,
}

impl Metrics {
    pub fn new(pool: Pool, ledger: Ledger) -> Self {
        let mut registry = Registry::with_prefix("claude_exec");
        registry.register_collector(Box::new(PoolCollector(pool)));
        let jobs_cost = Counter::default();
        registry.register_collector(Box::new(KeyCollector { ledger, jobs: jobs_cost.clone() }));
        let requests = Family::default();
        registry.register("requests", "Requests answered, by route and status", requests.clone());
        let seconds: Family<Asked, Histogram> = Family::new_with_constructor(|| Histogram::new(SECONDS));
        registry.register_with_unit(
            "response_head",
            "Time from the request's head to the response's",
            Unit::Seconds,
            seconds.clone(),
        );
        let mut gauge = |name, help| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let active = gauge("slots_active", "Slots in use");
        let queued = gauge("slots_queued", "Requests that wait for a slot");
        let capacity = gauge("slots_capacity", "Slots in all");
        let processes = gauge("processes", "CLI processes that run");
        let cli_up = gauge("cli_up", "1 when the CLI answered the last time it was asked for its version");
        Self { registry, requests, seconds, active, queued, capacity, processes, cli_up, jobs_cost }
    }

    /// Counts one request that is over, by what became of it.
    pub fn answered(&self, route: &'static str, status: u16) {
        self.requests.get_or_create(&Answered { route, status }).inc();
    }

    /// Takes note of a response's head.
    pub fn head(&self, route: &'static str, took: Duration) {
        self.seconds.get_or_create(&Asked { route }).observe(took.as_secs_f64());
    }

    /// Adds what a job has cost.
    pub fn spent(&self, dollars: f64) {
        // A counter never goes down; the CLI's number is a foreign one.
        if dollars.is_finite() && dollars > 0.0 {
            self.jobs_cost.inc_by(dollars);
        }
    }

    /// The text of a scrape.
    pub fn render(&self, now: Now) -> String {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.active.set(count(now.active));
        self.queued.set(count(now.queued));
        self.capacity.set(count(now.capacity));
        self.processes.set(count(now.processes));
        self.cli_up.set(i64::from(now.cli));
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use claude_exec::protocol::Outcome;
    use claude_exec::store::Memory;
    use claude_exec_openai::quota::{KeyLimits, Spent};
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_scrape_tells_all_there_is() {
        let pool = Pool::builder(claude_exec::executor::ScriptedCli::echo()).build().unwrap();
        let limits = [("n8n".to_owned(), KeyLimits::default().requests_per_day(1))];
        let ledger = Ledger::open(Arc::new(Memory::new()), limits).await.unwrap();
        let metrics = Metrics::new(pool, ledger.clone());
        for _ in 0..2 {
            metrics.head("/execute", Duration::from_millis(20));
            metrics.answered("/execute", 202);
        }
        let (_permit, mut bill) = ledger.admit("n8n", "haiku").await.unwrap();
        bill.begin();
        let mut outcome = Outcome::default();
        outcome.cost_usd = Some(0.25);
        (outcome.usage.input_tokens, outcome.usage.cache_read_input_tokens) = (7, 3);
        bill.pay(&Spent::of(&outcome, false));
        ledger.admit("n8n", "haiku").await.unwrap_err();
        for dollars in [0.5, f64::NAN, -1.0] {
            metrics.spent(dollars);
        }
        let text = metrics.render(Now { active: 1, queued: 2, capacity: 3, processes: 4, cli: true });
        for line in [
            r#"claude_exec_requests_total{route="/execute",status="202"} 2"#,
            r#"claude_exec_response_head_seconds_bucket{le="0.025",route="/execute"} 2"#,
            "claude_exec_slots_active 1",
            "claude_exec_slots_queued 2",
            "claude_exec_slots_capacity 3",
            "claude_exec_processes 4",
            "claude_exec_cli_up 1",
            "claude_exec_cost_usd_total 0.75",
            r#"claude_exec_key_requests_total{key="n8n",model="haiku"} 1"#,
            r#"claude_exec_key_tokens_total{key="n8n",model="haiku",kind="input"} 7"#,
            r#"claude_exec_key_tokens_total{key="n8n",model="haiku",kind="cached_input"} 3"#,
            r#"claude_exec_key_cost_usd_total{key="n8n",model="haiku"} 0.25"#,
            r#"claude_exec_key_unknown_cost_requests_total{key="n8n",model="haiku"} 0"#,
            r#"claude_exec_key_refused_total{key="n8n",reason="requests"} 1"#,
            r#"claude_exec_pool_claims_total{origin="spare"} 0"#,
            r#"claude_exec_pool_evictions_total{reason="idle"} 0"#,
            r#"claude_exec_pool_processes{state="idle"} 0"#,
            "claude_exec_pool_memory_bytes 0",
            r#"claude_exec_pool_start_seconds_bucket{le="+Inf"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in:\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
