//! What Prometheus reads of the pool of warm processes.

use std::fmt;

use claude_exec::brain::pool::{Pool, StartTimes};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Tells the pool's own counts at each scrape.
#[derive(Debug)]
pub struct PoolCollector(pub Pool);

impl Collector for PoolCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stats = self.0.stats();
        let claims = stats.claims.by_origin();
        let help = "Processes given to turns, by where they came from";
        let mut family = encoder.encode_descriptor("pool_claims", help, None, MetricType::Counter)?;
        for (origin, count) in claims {
            ConstCounter::new(count).encode(family.encode_family(&[("origin", origin)])?)?;
        }
        let help = "Processes ended, by reason; a conversation goes on in another one";
        let mut family = encoder.encode_descriptor("pool_evictions", help, None, MetricType::Counter)?;
        for (reason, count) in stats.evictions.iter() {
            ConstCounter::new(count).encode(family.encode_family(&[("reason", reason.as_str())])?)?;
        }
        let help = "Claims refused, since too many waited";
        let mut one = encoder.encode_descriptor("pool_refused", help, None, MetricType::Counter)?;
        one.encode_counter::<NoLabelSet, _, u64>(&stats.refused, None)?;
        let states = [
            ("starting", stats.starting),
            ("spare", stats.spares),
            ("claimed", stats.claimed),
            ("idle", stats.idle),
            ("retiring", stats.retiring),
        ];
        let help = "Processes of the pool, by state";
        let mut family = encoder.encode_descriptor("pool_processes", help, None, MetricType::Gauge)?;
        for (state, count) in states {
            ConstGauge::new(count as i64).encode(family.encode_family(&[("state", state)])?)?;
        }
        for (name, help, bytes) in [
            ("pool_memory", "Memory that the pool's processes hold (PSS)", stats.memory),
            ("pool_peak_memory", "The most that it ever was", stats.peak_memory),
        ] {
            let unit = Some(&Unit::Bytes);
            let mut one = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            one.encode_gauge(&i64::try_from(bytes).unwrap_or(i64::MAX))?;
        }
        let help = "Time from a spawn to the first answer";
        let unit = Some(&Unit::Seconds);
        let mut starts = encoder.encode_descriptor("pool_start", help, unit, MetricType::Histogram)?;
        let bounds = StartTimes::BOUNDS.iter().map(|bound| bound.as_secs_f64()).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(stats.starts.buckets().iter().copied()).collect();
        let (sum, count) = (stats.starts.sum().as_secs_f64(), stats.starts.count());
        starts.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}
