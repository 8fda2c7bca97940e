//! The body of `GET /v1/usage`.

use claude_exec::Timestamp;
use serde_json::{Map, Value, json};

use super::{Account, Figures};

/// What one key has used today, and what it may, as JSON; no other key is in it.
///
/// ```json
/// {
///   "object": "usage",
///   "key": "n8n",
///   "day": "2026-11-24",
///   "resets_at": 1795564800,
///   "running": 1,
///   "requests": 12,
///   "input_tokens": 3400,
///   "cached_tokens": 3000,
///   "output_tokens": 560,
///   "cost_usd": 0.0123,
///   "unknown_cost_requests": 1,
///   "assumed_cost_usd": 0.01,
///   "limits": {"models": ["haiku"], "concurrent": 2, "requests_per_day": 1000, "usd_per_day": 5.0},
///   "models": {
///     "haiku": {
///       "requests": 12, "input_tokens": 3400, "cached_tokens": 3000, "output_tokens": 560, "cost_usd": 0.0123,
///       "unknown_cost_requests": 1, "assumed_cost_usd": 0.01
///     }
///   }
/// }
/// ```
///
/// - `day` is a UTC date, `resets_at` its end in seconds since the Unix epoch.
/// - Every count is a whole number of 0 or more, every amount a number of US dollars of 0 or more.
/// - `running` is how many of its requests are under way now.
/// - `input_tokens` are all of them, `cached_tokens` those of them that were read from the prompt cache.
/// - `cost_usd` is what the CLI told; `unknown_cost_requests` ended without a word about theirs, and
///   `assumed_cost_usd` is what the limit takes those to have cost.
/// - Each of `limits` is `null` where there is none.
/// - `models` has the models that were asked for today.
pub fn usage_json(key: &str, account: &mut Account, now: u64) -> Value {
    let counted = account.counted(now).clone();
    let resets_at = account.resets_at();
    let micros = i64::try_from(counted.day).unwrap_or_default().saturating_mul(86_400_000_000);
    let day: String = Timestamp::from_micros(micros).to_string().chars().take(10).collect();
    let limits = account.limits();
    let mut report = json!({
        "object": "usage",
        "key": key,
        "day": day,
        "resets_at": resets_at,
        "running": account.running(),
        "limits": {
            "models": limits.models,
            "concurrent": limits.concurrent,
            "requests_per_day": limits.requests_per_day,
            "usd_per_day": limits.usd_per_day.map(claude_exec::Usd::to_f64),
        },
    });
    let models = counted.models.iter().map(|(model, figures)| (model.clone(), Value::from(numbers(figures))));
    report["models"] = Value::from(models.collect::<Map<_, _>>());
    if let Some(report) = report.as_object_mut() {
        report.extend(numbers(&counted.total()));
    }
    report
}

fn numbers(figures: &Figures) -> Map<String, Value> {
    [
        ("requests", json!(figures.requests)),
        ("input_tokens", json!(figures.input_tokens)),
        ("cached_tokens", json!(figures.cached_tokens)),
        ("output_tokens", json!(figures.output_tokens)),
        ("cost_usd", json!(figures.cost.to_f64())),
        ("unknown_cost_requests", json!(figures.unknown)),
        ("assumed_cost_usd", json!(figures.assumed.to_f64())),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::{Counted, KeyLimits, Spent};

    #[test]
    fn a_key_is_told_what_it_used_and_what_it_may() {
        let now = 1_795_478_400 + 3_600; // 2026-11-24T01:00:00Z
        let limits = KeyLimits::default().models(["haiku"]).usd_per_day("5".parse().unwrap());
        let mut account = Account::new(limits, Counted::default(), now);
        account.admit("haiku", now).unwrap();
        let spent = Spent { input_tokens: 9, cached_tokens: 4, output_tokens: 3, cost: "0.25".parse().ok() };
        account.spend("haiku", &spent, now);
        let numbers = json!({"requests": 1, "input_tokens": 9, "cached_tokens": 4, "output_tokens": 3,
            "cost_usd": 0.25, "unknown_cost_requests": 0, "assumed_cost_usd": 0.0});
        let mut expected = json!({"object": "usage", "key": "n8n", "day": "2026-11-24", "resets_at": 1_795_564_800,
            "running": 1, "models": {"haiku": numbers}, "limits": {"models": ["haiku"], "concurrent": null,
            "requests_per_day": null, "usd_per_day": 5.0}});
        expected.as_object_mut().unwrap().extend(numbers.as_object().unwrap().clone());
        assert_eq!(usage_json("n8n", &mut account, now), expected);
    }
}
