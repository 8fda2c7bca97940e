//! The table, and what the project has promised of it.

use crate::stand::Sample;

/// What the issue asks of a later turn and of a new conversation, against a bare spawn.
const LATER_RATIO: f64 = 15.0;
const NEW_RATIO: f64 = 6.0;
const NEW_MILLIS: f64 = 80.0;
/// What our layers may add to the CLI's own pipe.
const OVERHEAD_MILLIS: f64 = 2.0;

pub(crate) struct Table(Vec<(&'static str, Vec<Sample>)>);

impl Table {
    pub(crate) fn new(rows: Vec<(&'static str, Vec<Sample>)>) -> Self {
        Self(rows)
    }

    pub(crate) fn print(&self) {
        println!(
            "| way | p50 | p90 | p99 | times faster | request body, bytes | memory of the CLI (PSS), MB |"
        );
        println!("|---|---:|---:|---:|---:|---:|---:|");
        let bare = self.0.first().map_or(f64::NAN, |(_, samples)| at(&times(samples), 0.5));
        for (name, samples) in &self.0 {
            let times = times(samples);
            let of = |value: fn(&Sample) -> f64| at(&sorted(samples.iter().map(value)), 0.5);
            println!(
                "| {name} | {:.1} | {:.1} | {:.1} | {:.1} | {:.0} | {:.0} |",
                at(&times, 0.5),
                at(&times, 0.9),
                at(&times, 0.99),
                bare / at(&times, 0.5),
                of(|sample| sample.body as f64),
                of(|sample| sample.memory as f64) / 1e6,
            );
        }
        self.print_targets(bare);
    }

    fn print_targets(&self, bare: f64) {
        let median = |part: &str| {
            let row = self.0.iter().find(|(name, _)| name.contains(part));
            row.map_or(f64::NAN, |(_, samples)| at(&times(samples), 0.5))
        };
        let (later, pipe, sdk) = (median("turn, live"), median("by hand"), median("Python"));
        let (conversational, matched) = (median("/v1/conversational"), median("matched history"));
        let new = median("in a spare");
        println!();
        let rows = [
            ("a later turn is as fast as the vendor's client", sdk / later, 1.0),
            ("a later turn is 15 times faster than a bare spawn", bare / later, LATER_RATIO),
            ("a new conversation is 6 times faster than a bare spawn", bare / new, NEW_RATIO),
            ("a new conversation's first text within 80 ms", NEW_MILLIS / new, 1.0),
        ];
        for (what, value, target) in rows {
            say(what, value, target);
        }
        for (what, row) in [
            ("library", later),
            ("server's `/v1/conversational`", conversational),
            ("server's chat completions", matched),
        ] {
            println!("- our {what} adds {:.2} ms to the pipe (target: {OVERHEAD_MILLIS} ms)", row - pipe);
        }
    }
}

fn say(what: &str, value: f64, target: f64) {
    let met = if value >= target { "yes" } else { "NO" };
    println!("- {what}: {met} ({value:.2}, target {target})");
}

fn times(samples: &[Sample]) -> Vec<f64> {
    sorted(samples.iter().map(|sample| sample.first_text.as_secs_f64() * 1e3))
}

pub(crate) fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The quantile of sorted values.
pub(crate) fn at(values: &[f64], quantile: f64) -> f64 {
    let last = values.len().saturating_sub(1) as f64;
    values.get((last * quantile).round() as usize).copied().unwrap_or(f64::NAN)
}
