//! The fields of a chat request, with their defaults as OpenAI's reference has them.

use crate::fields::Rule::{self, Accepted, Honoured, Ignored, Refused};
use crate::fields::{empty, never, no, one, one_of, zero};
use crate::json::Json;

const OLD_TOOLS: &str = "the older form of `tools`; send that";

/// Every field that OpenAI's reference knows, and the few that clients send besides.
pub(crate) const FIELDS: &[(&str, Rule)] = &[
    ("model", Honoured),
    ("messages", Honoured),
    ("stream", Honoured),
    ("stream_options", Honoured),
    ("max_tokens", Honoured),
    ("max_completion_tokens", Honoured),
    ("temperature", Honoured),
    ("top_p", Honoured),
    ("stop", Honoured),
    ("reasoning_effort", Honoured),
    ("response_format", Honoured),
    ("tools", Honoured),
    ("tool_choice", Honoured),
    ("parallel_tool_calls", Honoured),
    // Not OpenAI's: clients of other servers send it.
    ("top_k", Honoured),
    // The caller's own bookkeeping.
    ("user", Accepted),
    ("metadata", Accepted),
    ("store", Accepted),
    ("safety_identifier", Accepted),
    ("prompt_cache_key", Accepted),
    ("prompt_cache_retention", Accepted),
    ("seed", Ignored(never)),
    ("logit_bias", Ignored(empty)),
    ("presence_penalty", Ignored(zero)),
    ("frequency_penalty", Ignored(zero)),
    ("service_tier", Ignored(|value| one_of(value, &["auto", "default"]))),
    ("verbosity", Ignored(|value| one_of(value, &["medium"]))),
    ("prediction", Ignored(never)), // may only make an answer faster
    ("n", Refused(one, "only one choice per request")),
    ("logprobs", Refused(no, "the model API has no log probabilities")),
    ("top_logprobs", Refused(zero, "the model API has no log probabilities")),
    ("functions", Refused(empty, OLD_TOOLS)),
    ("function_call", Refused(|value| one_of(value, &["auto", "none"]), OLD_TOOLS)),
    ("modalities", Refused(text_only, "only text is produced")),
    ("audio", Refused(never, "only text is produced")),
    ("web_search_options", Refused(never, "there is no web search on this endpoint")),
];

fn text_only(value: &Json<'_>) -> bool {
    matches!(value, Json::Array(items) if items.iter().all(|item| item.as_str() == Some("text")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::is_ignored;

    /// `Some(true)` ignored and named, `Some(false)` passes, `None` refused.
    fn sorted(name: &str, value: &str) -> Option<bool> {
        let ignored = is_ignored(FIELDS, name, &Json::parse(value.as_bytes()).unwrap());
        if let Err(error) = &ignored {
            assert_eq!((error.status, error.param.as_deref()), (400, Some(name)));
        }
        ignored.ok()
    }

    #[test]
    fn defaults_pass_and_the_rest_is_named_or_refused() {
        for (name, value, expected) in [
            ("temperature", "0.2", Some(false)),
            ("user", "\"ann\"", Some(false)),
            ("metadata", "{\"a\":\"b\"}", Some(false)),
            ("parallel_tool_calls", "false", Some(false)),
            ("presence_penalty", "0", Some(false)),
            ("presence_penalty", "0.0", Some(false)),
            ("frequency_penalty", "0.5", Some(true)),
            ("frequency_penalty", "\"0\"", Some(true)),
            ("seed", "1", Some(true)),
            ("logit_bias", "{}", Some(false)),
            ("logit_bias", "{\"50256\":-100}", Some(true)),
            ("service_tier", "\"auto\"", Some(false)),
            ("service_tier", "\"flex\"", Some(true)),
            ("brand_new", "0", Some(true)),
            ("n", "1", Some(false)),
            ("n", "2", None),
            ("n", "\"1\"", None),
            ("logprobs", "false", Some(false)),
            ("logprobs", "true", None),
            ("top_logprobs", "5", None),
            ("functions", "[{}]", None),
            ("function_call", "{\"name\":\"f\"}", None),
            ("modalities", "[\"text\"]", Some(false)),
            ("modalities", "[\"text\",\"audio\"]", None),
            ("audio", "{}", None),
            ("web_search_options", "{}", None),
        ] {
            assert_eq!(sorted(name, value), expected, "{name}: {value}");
        }
    }
}
