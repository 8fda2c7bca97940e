//! What was used, in numbers.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use claude_exec::Usd;
use claude_exec::protocol::Outcome;
use serde::{Deserialize, Serialize};

/// What turns have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct Figures {
    /// Requests that were taken. One that was refused, or never got a process, is none.
    pub requests: u64,
    /// All input tokens, those from and to the cache included.
    pub input_tokens: u64,
    /// Of them, those that were read from the prompt cache.
    pub cached_tokens: u64,
    /// All output tokens.
    pub output_tokens: u64,
    /// What the CLI has told that it cost.
    pub cost: Usd,
    /// Turns that ended without a word about their cost, as when their process was killed.
    pub unknown: u64,
    /// What the limit takes those to have cost.
    pub assumed: Usd,
}

impl Figures {
    /// What counts against a limit in dollars.
    pub fn charged(&self) -> Usd {
        self.cost + self.assumed
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(other.cached_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cost += other.cost;
        self.unknown = self.unknown.saturating_add(other.unknown);
        self.assumed += other.assumed;
    }
}

/// What one turn has used, as far as the CLI tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// All input tokens.
    pub input_tokens: u64,
    /// Of them, those that were read from the prompt cache.
    pub cached_tokens: u64,
    /// All output tokens.
    pub output_tokens: u64,
    /// Its cost; `None` when the CLI has not told it.
    pub cost: Option<Usd>,
}

impl Spent {
    /// Reads the CLI's account of a turn. One that is `alone` in its process has the process's sum for its cost, from a
    /// CLI that tells only that.
    pub fn of(outcome: &Outcome, alone: bool) -> Self {
        let sum = outcome.total_cost_usd.filter(|_| alone);
        let price = |dollars: Option<f64>| dollars.and_then(Usd::from_price);
        match &outcome.turn_usage {
            Some(usage) => Self {
                input_tokens: usage
                    .input_tokens
                    .saturating_add(usage.cache_read_input_tokens)
                    .saturating_add(usage.cache_creation_input_tokens),
                cached_tokens: usage.cache_read_input_tokens,
                output_tokens: usage.output_tokens,
                cost: price(Some(usage.cost_usd)),
            },
            None => Self {
                input_tokens: outcome.usage.total_input_tokens(),
                cached_tokens: outcome.usage.cache_read_input_tokens,
                output_tokens: outcome.usage.output_tokens,
                cost: price(outcome.cost_usd.or(sum)),
            },
        }
    }
}

/// What a key has used in one day: what is kept over restarts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counted {
    /// Days since the Unix epoch, UTC.
    pub day: u64,
    /// By model. Bounded by the models that are configured.
    pub models: BTreeMap<String, Figures>,
    /// The dearest turn of the day.
    #[serde(default)]
    pub dearest: Usd,
    /// Turns whose cost is still to come, by model; those of the day before are among them.
    #[serde(default)]
    pub open: BTreeMap<String, u64>,
}

impl Counted {
    /// All models together.
    pub fn total(&self) -> Figures {
        let mut total = Figures::default();
        self.models.values().for_each(|figures| total += *figures);
        total
    }
}

#[cfg(test)]
mod tests {
    use claude_exec::protocol::{ModelUsage, Usage};

    use super::*;

    #[test]
    fn the_turns_own_account_is_taken_before_the_processs() {
        let mut outcome = Outcome::default();
        outcome.total_cost_usd = Some(0.5);
        outcome.usage = serde_json::from_str::<Usage>(r#"{"input_tokens":7,"output_tokens":2}"#).unwrap();
        let told = |cost: Option<u64>, tokens: [u64; 3]| Spent {
            input_tokens: tokens[0],
            cached_tokens: tokens[1],
            output_tokens: tokens[2],
            cost: cost.map(Usd::from_micros),
        };
        assert_eq!(Spent::of(&outcome, false), told(None, [7, 0, 2]));
        assert_eq!(Spent::of(&outcome, true), told(Some(500_000), [7, 0, 2]));
        let usage = r#"{"inputTokens":10,"outputTokens":4,"cacheReadInputTokens":3,"costUSD":0.00012}"#;
        outcome.turn_usage = Some(serde_json::from_str::<ModelUsage>(usage).unwrap());
        assert_eq!(Spent::of(&outcome, true), told(Some(120), [13, 3, 4]));
        outcome.turn_usage.as_mut().unwrap().cost_usd = f64::NAN;
        assert_eq!(Spent::of(&outcome, true).cost, None, "no price is not zero");
    }
}
