//! The account's limits, as the model API tells them, and as headers.

use claude_exec::protocol::RateLimit;
use serde::Deserialize;

/// What the model API said about the account's limits.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Limits {
    /// The limit is reached. Anything less is news and stops no turn.
    pub rejected: bool,
    /// When it resets, in seconds since the Unix epoch.
    pub resets_at: Option<u64>,
    /// Which limit, such as `five_hour`.
    pub kind: Option<String>,
    /// How much of it is used, from 0 to 1.
    pub utilization: Option<f64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Raw {
    utilization: Option<f64>,
}

impl Limits {
    /// Reads the CLI's event. `allowed_warning` is no rejection.
    pub fn of(limit: &RateLimit) -> Self {
        let raw: Raw = serde_json::from_str(limit.raw.get()).unwrap_or_default();
        let fits = |kind: &&String| kind.len() <= 64 && kind.bytes().all(|byte| byte.is_ascii_graphic());
        Self {
            rejected: limit.status == "rejected",
            resets_at: limit.resets_at,
            kind: limit.kind.as_ref().filter(fits).cloned(),
            utilization: raw.utilization.filter(|share| share.is_finite()),
        }
    }

    /// The headers that tell them, of the names that OpenAI's clients know, and two beside them for what OpenAI
    /// has no name for.
    ///
    /// | header | value |
    /// |---|---|
    /// | `x-ratelimit-remaining-requests` | 0 when the limit is reached; how many are left is not known |
    /// | `x-ratelimit-reset-requests` | the time to the reset, such as `1h2m3s` |
    /// | `x-ratelimit-kind` | which limit, such as `five_hour` |
    /// | `x-ratelimit-utilization` | the used share of it, from 0 to 1 |
    pub fn headers(&self, now: u64) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if self.rejected {
            headers.push(("x-ratelimit-remaining-requests", "0".to_owned()));
        }
        if let Some(at) = self.resets_at {
            headers.push(("x-ratelimit-reset-requests", duration(at.saturating_sub(now))));
        }
        if let Some(kind) = &self.kind {
            headers.push(("x-ratelimit-kind", kind.clone()));
        }
        if let Some(share) = self.utilization {
            headers.push(("x-ratelimit-utilization", share.to_string()));
        }
        headers
    }
}

/// As OpenAI writes it: `6m0s`, `1h0m3s`, `12s`.
fn duration(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_what_is_known_and_no_more() {
        assert_eq!(Limits::default().headers(7), []);
        let limits = Limits {
            rejected: true,
            resets_at: Some(1_000 + 3_723),
            kind: Some("five_hour".into()),
            utilization: Some(0.93),
        };
        let expected = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "1h2m3s"),
            ("x-ratelimit-kind", "five_hour"),
            ("x-ratelimit-utilization", "0.93"),
        ]
        .map(|(name, value)| (name, value.to_owned()));
        assert_eq!(limits.headers(1_000), expected);
        for (seconds, text) in [(0, "0s"), (59, "59s"), (360, "6m0s"), (3_600, "1h0m0s")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
