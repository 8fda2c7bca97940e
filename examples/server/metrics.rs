//! What Prometheus reads.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use claude_exec::brain::pool::Pool;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

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
    cost: Counter<f64, AtomicU64>,
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
    pub fn new(pool: Pool) -> Self {
        let mut registry = Registry::with_prefix("claude_exec");
        registry.register_collector(Box::new(PoolCollector(pool)));
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
        let cost = Counter::default();
        registry.register(
            "cost_usd",
            "US dollars that the CLI reported for jobs and conversations",
            cost.clone(),
        );
        Self { registry, requests, seconds, active, queued, capacity, processes, cli_up, cost }
    }

    /// Counts one answered request.
    pub fn answered(&self, route: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&Answered { route, status }).inc();
        self.seconds.get_or_create(&Asked { route }).observe(took.as_secs_f64());
    }

    /// Adds what a turn has cost.
    pub fn spent(&self, dollars: f64) {
        // A counter never goes down; the CLI's number is a foreign one.
        if dollars.is_finite() && dollars > 0.0 {
            self.cost.inc_by(dollars);
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
    use super::*;

    #[tokio::test]
    async fn a_scrape_tells_all_there_is() {
        let pool = Pool::builder(claude_exec::executor::ScriptedCli::echo()).build().unwrap();
        let metrics = Metrics::new(pool);
        metrics.answered("/execute", 202, Duration::from_millis(20));
        metrics.answered("/execute", 202, Duration::from_millis(20));
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
            "claude_exec_cost_usd_total 0.5",
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
