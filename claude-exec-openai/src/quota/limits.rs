//! What one key may use.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use claude_exec::Usd;

/// The limits of one key. By default there are none.
///
/// ```
/// use claude_exec_openai::quota::KeyLimits;
/// let limits = KeyLimits::default().models(["haiku"]).concurrent(2.try_into()?).usd_per_day("5".parse()?);
/// assert!(limits.allows("haiku") && !limits.allows("opus"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
#[must_use]
pub struct KeyLimits {
    /// The models that it may ask for; `None` is all there are.
    pub models: Option<BTreeSet<String>>,
    /// Turns under way at a time, waiting ones included.
    pub concurrent: Option<NonZeroU32>,
    /// Requests for a turn, in one UTC day.
    pub requests_per_day: Option<u64>,
    /// What its turns may cost, in one UTC day. A turn's cost is known at its end, so those under way when the limit
    /// is met go over it.
    pub usd_per_day: Option<Usd>,
}

impl KeyLimits {
    /// Allows these models only.
    pub fn models<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.models = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Bounds the turns under way at a time.
    pub fn concurrent(mut self, turns: NonZeroU32) -> Self {
        self.concurrent = Some(turns);
        self
    }

    /// Bounds the requests of a day; 0 allows none.
    pub fn requests_per_day(mut self, requests: u64) -> Self {
        self.requests_per_day = Some(requests);
        self
    }

    /// Bounds the cost of a day; 0 allows nothing.
    pub fn usd_per_day(mut self, dollars: Usd) -> Self {
        self.usd_per_day = Some(dollars);
        self
    }

    /// True when the key may ask for this model.
    pub fn allows(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.contains(model))
    }

    /// True when there is any limit.
    pub fn is_limited(&self) -> bool {
        *self != Self::default()
    }

    /// True when something is counted over the day, which a restart must not forget.
    pub(crate) fn is_daily(&self) -> bool {
        self.requests_per_day.is_some() || self.usd_per_day.is_some()
    }
}
