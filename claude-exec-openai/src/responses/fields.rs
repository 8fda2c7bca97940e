//! The fields of a request to `/v1/responses`, with their defaults as OpenAI's reference has them.

use crate::fields::Rule::{self, Accepted, Honoured, Ignored, Refused};
use crate::fields::{empty, never, no, one_of, zero};

pub(crate) const FIELDS: &[(&str, Rule)] = &[
    ("model", Honoured),
    ("input", Honoured),
    ("instructions", Honoured),
    ("stream", Honoured),
    ("max_output_tokens", Honoured),
    ("temperature", Honoured),
    ("top_p", Honoured),
    ("reasoning", Honoured),
    ("text", Honoured),
    ("tools", Honoured),
    ("tool_choice", Honoured),
    ("parallel_tool_calls", Honoured),
    ("previous_response_id", Honoured),
    ("store", Honoured),
    // The caller's own bookkeeping.
    ("metadata", Accepted),
    ("user", Accepted),
    ("safety_identifier", Accepted),
    ("prompt_cache_key", Accepted),
    ("prompt_cache_retention", Accepted),
    // Obfuscation pads events against guessing by their size; without it nothing is missing.
    ("stream_options", Accepted),
    ("include", Ignored(empty)),
    ("max_tool_calls", Ignored(never)),
    ("service_tier", Ignored(|value| one_of(value, &["auto", "default"]))),
    ("truncation", Ignored(|value| one_of(value, &["disabled"]))),
    ("top_logprobs", Refused(zero, "the model API has no log probabilities")),
    ("background", Refused(no, "an answer lives as long as its connection here; stream it")),
    ("conversation", Refused(never, "there are no conversation objects here; use previous_response_id")),
    ("prompt", Refused(never, "there are no stored prompts here; send the text itself")),
];
