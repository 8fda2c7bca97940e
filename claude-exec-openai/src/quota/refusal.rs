//! Why a key's request is not taken, as its caller is told.

use std::num::NonZeroU32;

use claude_exec::Usd;

use crate::error::ApiError;
use crate::failure::worth_a_retry;

/// Seconds after which a place may be free: a turn of talk takes a few.
const PLACE_RETRY_AFTER: u64 = 2;

/// What keeps a request from being taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The key may not ask for this model.
    Model {
        /// What was asked for.
        model: String,
        /// What it may ask for.
        allowed: Vec<String>,
    },
    /// The requests of the day are used up.
    Requests {
        /// How many there are.
        limit: u64,
        /// Seconds to the next day.
        resets_in: u64,
    },
    /// The money of the day is used up.
    Dollars {
        /// How much there is.
        limit: Usd,
        /// Seconds to the next day.
        resets_in: u64,
    },
    /// All its places are taken.
    Concurrent {
        /// How many it has.
        limit: NonZeroU32,
    },
}

impl Refusal {
    /// One word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Model { .. } => "model",
            Self::Requests { .. } => "requests",
            Self::Dollars { .. } => "dollars",
            Self::Concurrent { .. } => "concurrent",
        }
    }

    /// OpenAI's error.
    ///
    /// | what | status | `code` | retried |
    /// |---|---|---|---|
    /// | the model is not allowed | 403 | `model_not_found`, as OpenAI's allow lists of a project answer | no |
    /// | the day's requests or dollars are used up | 429 | `insufficient_quota` | when the day ends within a minute |
    /// | all places are taken | 429 | `rate_limit_exceeded`: for a moment only, and clients give up for good at the other code | after 2 s |
    pub fn to_error(&self) -> ApiError {
        let quota = |message: String, resets_in: u64| {
            let message = format!("{message}; it may go on in {resets_in} s, when the day ends (UTC)");
            let error = ApiError::new(429, "insufficient_quota", message).code("insufficient_quota");
            worth_a_retry(error, resets_in)
        };
        match self {
            Self::Model { model, allowed } => {
                let allowed = allowed.join(", ");
                let message =
                    format!("this key has no access to the model `{model}`; it may ask for: {allowed}");
                ApiError::new(403, "invalid_request_error", message).code("model_not_found").param("model")
            }
            Self::Requests { limit, resets_in } => {
                quota(format!("this key has made its {limit} requests of the day"), *resets_in)
            }
            Self::Dollars { limit, resets_in } => {
                quota(format!("this key has used its {limit} US dollars of the day"), *resets_in)
            }
            Self::Concurrent { limit } => {
                let message = format!("this key has {limit} turns under way, as many as it may at a time");
                ApiError::new(429, "rate_limit_error", message)
                    .code("rate_limit_exceeded")
                    .retry_after(PLACE_RETRY_AFTER)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_status_and_its_time() {
        let requests = |resets_in| Refusal::Requests { limit: 9, resets_in };
        let table = [
            (
                Refusal::Model { model: "opus".into(), allowed: vec!["haiku".into()] },
                403,
                "model_not_found",
                None,
                None,
            ),
            (requests(3600), 429, "insufficient_quota", Some(3600), Some(false)),
            (requests(30), 429, "insufficient_quota", Some(30), None),
            (requests(0), 429, "insufficient_quota", Some(1), None),
            (
                Refusal::Dollars { limit: Usd::ONE, resets_in: 61 },
                429,
                "insufficient_quota",
                Some(61),
                Some(false),
            ),
            (Refusal::Concurrent { limit: NonZeroU32::MIN }, 429, "rate_limit_exceeded", Some(2), None),
        ];
        for (refusal, status, code, after, retried) in table {
            let error = refusal.to_error();
            assert_eq!(
                (error.status, error.code, error.retry_after, error.should_retry),
                (status, Some(code), after, retried),
                "{refusal:?}"
            );
        }
        let told = Refusal::Dollars { limit: Usd::ONE, resets_in: 61 }.to_error();
        let expected =
            "this key has used its 1.00 US dollars of the day; it may go on in 61 s, when the day ends (UTC)";
        assert_eq!((told.kind, told.message.as_str()), ("insufficient_quota", expected));
    }
}
