//! The table of request fields: honoured, accepted, ignored and named, or refused.
//!
//! OpenAI's reference for `POST /v1/chat/completions` has the fields and their defaults. What is not honoured
//! is never dropped silently: at its default value it changes nothing and passes; otherwise the answer names
//! it in `x-claude-exec-ignored`, or it is refused where the answer would not be what was asked for.

use crate::error::ApiError;
use crate::json::Json;

/// What becomes of a field whose value is not `null`.
#[derive(Clone, Copy)]
pub(crate) enum Rule {
    /// Read and obeyed.
    Honoured,
    /// Accepted whatever its value: it asks for nothing that could be seen in the answer.
    Accepted,
    /// Passes at its default, is named in the answer otherwise.
    Ignored(fn(&Json<'_>) -> bool),
    /// Passes at its default, is refused with the reason otherwise.
    Refused(fn(&Json<'_>) -> bool, &'static str),
}

use Rule::{Accepted, Honoured, Ignored, Refused};

const TOOLS: &str = "client-side tools are not supported yet";

/// Every field that OpenAI's reference knows, and the few that clients send besides.
const FIELDS: &[(&str, Rule)] = &[
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
    // The caller's own bookkeeping.
    ("user", Accepted),
    ("metadata", Accepted),
    ("store", Accepted),
    ("safety_identifier", Accepted),
    ("prompt_cache_key", Accepted),
    ("prompt_cache_retention", Accepted),
    // Without tools there is no call that could be parallel.
    ("parallel_tool_calls", Accepted),
    ("seed", Ignored(never)),
    ("logit_bias", Ignored(|value| value.is_empty())),
    ("presence_penalty", Ignored(zero)),
    ("frequency_penalty", Ignored(zero)),
    ("top_k", Ignored(never)),
    ("service_tier", Ignored(|value| one_of(value, &["auto", "default"]))),
    ("verbosity", Ignored(|value| one_of(value, &["medium"]))),
    ("prediction", Ignored(never)), // may only make an answer faster
    ("n", Refused(one, "only one choice per request")),
    ("logprobs", Refused(no, "the model API has no log probabilities")),
    ("top_logprobs", Refused(zero, "the model API has no log probabilities")),
    ("tools", Refused(|value| value.is_empty(), TOOLS)),
    ("functions", Refused(|value| value.is_empty(), TOOLS)),
    ("tool_choice", Refused(|value| one_of(value, &["auto", "none"]), TOOLS)),
    ("function_call", Refused(|value| one_of(value, &["auto", "none"]), TOOLS)),
    ("response_format", Refused(plain_text, "only the format `text` is supported yet")),
    ("modalities", Refused(text_only, "only text is produced")),
    ("audio", Refused(never, "only text is produced")),
    ("web_search_options", Refused(never, "there is no web search on this endpoint")),
];

/// Sorts a field that is not `null`: `Ok(true)` when the answer must name it as ignored.
///
/// A field that the table does not know is ignored and named: OpenAI adds fields all the time, and a client
/// that sends one must not break.
pub(crate) fn is_ignored(name: &str, value: &Json<'_>) -> Result<bool, ApiError> {
    let rule = FIELDS.iter().find_map(|(known, rule)| (*known == name).then_some(*rule));
    match rule {
        Some(Honoured | Accepted) => Ok(false),
        Some(Ignored(is_default)) => Ok(!is_default(value)),
        Some(Refused(is_default, _)) if is_default(value) => Ok(false),
        Some(Refused(_, reason)) => Err(ApiError::unsupported(name, reason)),
        None => Ok(true),
    }
}

fn never(_: &Json<'_>) -> bool {
    false
}

fn zero(value: &Json<'_>) -> bool {
    value.as_number() == Some(0.0)
}

fn one(value: &Json<'_>) -> bool {
    value.as_number() == Some(1.0)
}

fn no(value: &Json<'_>) -> bool {
    value.as_bool() == Some(false)
}

fn one_of(value: &Json<'_>, words: &[&str]) -> bool {
    value.as_str().is_some_and(|word| words.contains(&word))
}

fn plain_text(value: &Json<'_>) -> bool {
    value.get("type").and_then(Json::as_str) == Some("text")
}

fn text_only(value: &Json<'_>) -> bool {
    matches!(value, Json::Array(items) if items.iter().all(|item| item.as_str() == Some("text")))
}

/// The names of the fields that a request asked for in vain, bounded and fit for a header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IgnoredFields {
    names: Vec<String>,
}

/// Names kept; a body may have as many unknown fields as it likes.
const MAX_NAMES: usize = 32;

/// The longest name shown as it is.
const MAX_NAME: usize = 64;

impl IgnoredFields {
    /// Adds a name once. One that no header could carry becomes `(other)`.
    pub(crate) fn add(&mut self, name: &str) {
        let fits = !name.is_empty()
            && name.len() <= MAX_NAME
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte));
        let name = if fits { name } else { "(other)" };
        if self.names.len() < MAX_NAMES && !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
    }

    /// The names in the order of the request.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// True when everything asked for is honoured.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The value of `x-claude-exec-ignored`: names with commas between, visible ASCII.
    pub fn header(&self) -> Option<String> {
        (!self.is_empty()).then(|| self.names.join(","))
    }

    /// What `strict` makes of it: an error that names the first field.
    ///
    /// # Errors
    ///
    /// 400 `unsupported_parameter` when anything is ignored.
    pub fn refuse(&self) -> Result<(), ApiError> {
        match self.names.first() {
            Some(name) => {
                let message = format!("not honoured, and the request is strict: {}", self.names.join(", "));
                Err(ApiError::unsupported(name, message))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Some(true)` ignored and named, `Some(false)` passes, `None` refused.
    fn sorted(name: &str, value: &str) -> Option<bool> {
        let ignored = is_ignored(name, &Json::parse(value.as_bytes()).unwrap());
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
            ("tools", "[]", Some(false)),
            ("tools", "[{\"type\":\"function\"}]", None),
            ("functions", "[{}]", None),
            ("tool_choice", "\"none\"", Some(false)),
            ("tool_choice", "\"required\"", None),
            ("function_call", "{\"name\":\"f\"}", None),
            ("response_format", "{\"type\":\"text\"}", Some(false)),
            ("response_format", "{\"type\":\"json_object\"}", None),
            ("response_format", "\"text\"", None),
            ("modalities", "[\"text\"]", Some(false)),
            ("modalities", "[\"text\",\"audio\"]", None),
            ("audio", "{}", None),
            ("web_search_options", "{}", None),
        ] {
            assert_eq!(sorted(name, value), expected, "{name}: {value}");
        }
    }

    #[test]
    fn the_crates_documentation_names_every_field() {
        for (name, _) in FIELDS {
            assert!(include_str!("lib.rs").contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn names_are_bounded_and_fit_a_header() {
        let mut ignored = IgnoredFields::default();
        for name in ["seed", "a\r\nb: c", "жар", "seed", "", &"x".repeat(65)] {
            ignored.add(name);
        }
        assert_eq!(ignored.header().as_deref(), Some("seed,(other)"));
        (0..100).for_each(|n| ignored.add(&format!("field_{n}")));
        assert_eq!(ignored.names().len(), MAX_NAMES);
        assert_eq!(ignored.refuse().unwrap_err().param.as_deref(), Some("seed"));
        assert_eq!(IgnoredFields::default().refuse(), Ok(()));
    }
}
