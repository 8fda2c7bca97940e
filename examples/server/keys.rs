//! What Prometheus reads of the keys and the models they use.

use std::fmt;
use std::sync::atomic::AtomicU64;

use claude_exec_openai::quota::{Figures, Ledger};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};

/// Tells the ledger's own counts at each scrape. The labels are names of the configuration, so there are not many.
#[derive(Debug)]
pub struct KeyCollector {
    pub ledger: Ledger,
    /// What jobs have cost, which no key's limits count.
    pub jobs: Counter<f64, AtomicU64>,
}

/// Picks one of a key's figures.
type Pick = fn(&Figures) -> u64;

/// A counter's name, what it counts, and of what.
type Count = (&'static str, &'static str, Pick);

/// One whole number for each key and model.
const COUNTS: [Count; 2] = [
    ("key_requests", "Requests that got a process, by key and model", |figures| figures.requests),
    (
        "key_unknown_cost_requests",
        "Requests that ended without a word of the CLI about their cost",
        |figures| figures.unknown,
    ),
];

/// Tokens of each key and model, by their kind.
const TOKENS: [(&str, Pick); 3] = [
    ("input", |figures| figures.input_tokens.saturating_sub(figures.cached_tokens)),
    ("cached_input", |figures| figures.cached_tokens),
    ("output", |figures| figures.output_tokens),
];

impl Collector for KeyCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let totals = self.ledger.totals();
        let used = totals.iter().flat_map(|(key, totals)| {
            totals.models.iter().map(move |(model, figures)| (key.as_str(), model.as_str(), figures))
        });
        let used: Vec<(&str, &str, &Figures)> = used.collect();
        for (name, help, count) in COUNTS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (key, model, figures) in &used {
                let labels = [("key", *key), ("model", *model)];
                ConstCounter::new(count(figures)).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Tokens that the CLI reported, by key, model and kind";
        let mut family = encoder.encode_descriptor("key_tokens", help, None, MetricType::Counter)?;
        for (key, model, figures) in &used {
            for (kind, count) in TOKENS {
                let labels = [("key", *key), ("model", *model), ("kind", kind)];
                ConstCounter::new(count(figures)).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "US dollars that the CLI reported, by key and model";
        let mut family = encoder.encode_descriptor("key_cost_usd", help, None, MetricType::Counter)?;
        for (key, model, figures) in &used {
            let labels = [("key", *key), ("model", *model)];
            ConstCounter::new(figures.cost.to_f64()).encode(family.encode_family(&labels)?)?;
        }
        let help = "Requests refused for a limit of their key, by key and reason";
        let mut family = encoder.encode_descriptor("key_refused", help, None, MetricType::Counter)?;
        for (key, totals) in &totals {
            for (reason, count) in &totals.refused {
                let labels = [("key", key.as_str()), ("reason", reason)];
                ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "US dollars that the CLI reported, for jobs, conversations and chats together";
        let mut cost = encoder.encode_descriptor("cost_usd", help, None, MetricType::Counter)?;
        let chats: f64 = used.iter().map(|(.., figures)| figures.cost.to_f64()).sum();
        cost.encode_counter::<NoLabelSet, _, u64>(&(self.jobs.get() + chats + 0.0), None)
    }
}
