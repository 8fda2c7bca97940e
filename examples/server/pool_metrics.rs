//! What Prometheus reads of the pool.

use std::sync::atomic::Ordering;

use claude_exec::brain::pool::PoolStats;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Claimed {
    origin: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Evicted {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct In {
    state: &'static str,
}

/// The pool's counters, as of the last scrape.
pub struct PoolMetrics {
    claims: Family<Claimed, Counter>,
    evictions: Family<Evicted, Counter>,
    processes: Family<In, Gauge>,
    waiting: Gauge,
    memory: Gauge,
}

impl PoolMetrics {
    pub fn new(registry: &mut Registry) -> Self {
        let new = Self {
            claims: Family::default(),
            evictions: Family::default(),
            processes: Family::default(),
            waiting: Gauge::default(),
            memory: Gauge::default(),
        };
        let claims = "Sessions asked for, by where their process came from";
        registry.register("pool_claims", claims, new.claims.clone());
        let evictions = "Processes that left the pool, by reason";
        registry.register("pool_evictions", evictions, new.evictions.clone());
        registry.register("pool_processes", "Processes of the pool, by state", new.processes.clone());
        registry.register("pool_waiting", "Sessions asked for that wait for a process", new.waiting.clone());
        registry.register("pool_memory_bytes", "Memory that the pool's processes hold", new.memory.clone());
        new
    }

    /// Takes over what the pool has counted.
    pub fn set(&self, stats: &PoolStats) {
        for (origin, count) in stats.claims.by_origin() {
            self.claims.get_or_create(&Claimed { origin }).inner().store(count, Ordering::Relaxed);
        }
        for (reason, count) in stats.evictions.iter() {
            let evicted = Evicted { reason: reason.as_str() };
            self.evictions.get_or_create(&evicted).inner().store(count, Ordering::Relaxed);
        }
        let states = [
            ("starting", stats.starting),
            ("spare", stats.spares),
            ("claimed", stats.claimed),
            ("idle", stats.idle),
            ("retiring", stats.retiring),
        ];
        for (state, count) in states {
            self.processes.get_or_create(&In { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.waiting.set(i64::try_from(stats.waiting).unwrap_or(i64::MAX));
        self.memory.set(i64::try_from(stats.memory).unwrap_or(i64::MAX));
    }
}
