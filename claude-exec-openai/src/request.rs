//! The body of `POST /v1/chat/completions`, read leniently and never silently.

use crate::error::ApiError;
use crate::fields::{self, IgnoredFields};
use crate::json::Json;
use crate::message::{self, Message};
use crate::sampling::{Sampling, wrong_type};

/// A chat request whose every field was understood, named as ignored, or the reason of a refusal.
///
/// ```
/// use claude_exec_openai::ChatRequest;
/// let request = ChatRequest::parse(br#"{"model":"haiku","seed":1,"messages":[{"role":"user","content":"Hi"}]}"#)?;
/// assert_eq!(request.model.as_deref(), Some("haiku"));
/// assert_eq!(request.ignored.names(), ["seed"]);
/// # Ok::<(), claude_exec_openai::ApiError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ChatRequest {
    /// The model's name; `None` for an absent one and for `null`.
    pub model: Option<String>,
    /// The conversation, at least one message.
    pub messages: Vec<Message>,
    /// Server-sent events instead of one object.
    pub stream: bool,
    /// With `stream`: a last chunk that carries the usage (`stream_options.include_usage`).
    pub include_usage: bool,
    /// Limits and sampling.
    pub sampling: Sampling,
    /// The fields that are not honoured.
    pub ignored: IgnoredFields,
}

impl ChatRequest {
    /// Reads a request body.
    ///
    /// # Errors
    ///
    /// 400 with the field in `param`, for anything that is malformed, contradictory, or that would have to be
    /// dropped although the answer depends on it. Never panics, whatever the bytes.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let body = Json::parse(body).map_err(|error| {
            ApiError::new(400, "invalid_request_error", format!("the body cannot be used as JSON: {error}"))
                .code("invalid_json")
        })?;
        let Json::Object(members) = &body else {
            let message = format!("the body must be an object, not {}", body.kind());
            return Err(ApiError::new(400, "invalid_request_error", message).code("invalid_json"));
        };
        let mut ignored = IgnoredFields::default();
        for (name, value) in members {
            if *value != Json::Null && fields::is_ignored(name, value)? {
                ignored.add(name);
            }
        }
        Ok(Self {
            model: model(&body)?,
            messages: message::parse(&body, &mut ignored)?,
            stream: boolean(&body, "stream", "stream")?,
            include_usage: include_usage(&body, &mut ignored)?,
            sampling: Sampling::parse(&body, &mut ignored)?,
            ignored,
        })
    }
}

fn model(body: &Json<'_>) -> Result<Option<String>, ApiError> {
    match body.get("model") {
        None => Ok(None),
        Some(Json::String(name)) => Ok(Some(name.clone().into_owned())),
        Some(other) => Err(wrong_type("model", "a string", other)),
    }
}

fn boolean(object: &Json<'_>, name: &str, param: &str) -> Result<bool, ApiError> {
    match object.get(name) {
        None => Ok(false),
        Some(Json::Bool(value)) => Ok(*value),
        Some(other) => Err(wrong_type(param, "a boolean", other)),
    }
}

fn include_usage(body: &Json<'_>, ignored: &mut IgnoredFields) -> Result<bool, ApiError> {
    match body.get("stream_options") {
        None => Ok(false),
        Some(options @ Json::Object(members)) => {
            // Obfuscation pads chunks against guessing by their size; without it nothing is missing.
            let known = ["include_usage", "include_obfuscation"];
            for (name, value) in members {
                if *value != Json::Null && !known.contains(&&**name) {
                    ignored.add(&format!("stream_options.{name}"));
                }
            }
            boolean(options, "include_usage", "stream_options.include_usage")
        }
        Some(other) => Err(wrong_type("stream_options", "an object", other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HI: &str = r#""messages":[{"role":"user","content":"Hi"}]"#;

    fn read(fields: &str) -> Result<ChatRequest, ApiError> {
        ChatRequest::parse(format!("{{{HI}{fields}}}").as_bytes())
    }

    #[test]
    fn a_bare_request_has_every_default() {
        let request = read("").unwrap();
        assert_eq!((request.model, request.stream, request.include_usage), (None, false, false));
        assert_eq!(request.sampling, Sampling::default());
        assert!(request.ignored.is_empty());
    }

    #[test]
    fn what_librechat_always_sends_is_accepted_silently() {
        let sent = r#","model":"sonnet","temperature":1,"top_p":1,"presence_penalty":0,"frequency_penalty":0,
            "user":"65a","stream":true,"n":1,"logit_bias":null,"stop":null,"max_tokens":null"#;
        let request = read(sent).unwrap();
        assert!(request.ignored.is_empty() && request.stream && request.sampling == Sampling::default());
    }

    #[test]
    fn what_is_not_honoured_is_named_in_order() {
        let sent = r#","seed":1,"logit_bias":{"1":2},"x_new":{"deep":[1]},"stream":true,
            "stream_options":{"include_usage":true,"include_obfuscation":false,"more":1}"#;
        let request = read(sent).unwrap();
        assert_eq!(request.ignored.header().as_deref(), Some("seed,logit_bias,x_new,stream_options.more"));
        assert!(request.include_usage);
    }

    #[test]
    fn a_refusal_names_its_field() {
        for (fields, param) in [
            (r#","model":5"#, "model"),
            (r#","stream":"true""#, "stream"),
            (r#","stream_options":[]"#, "stream_options"),
            (r#","stream_options":{"include_usage":1}"#, "stream_options.include_usage"),
            (r#","tools":[{"type":"function","function":{"name":"f"}}]"#, "tools"),
            (r#","n":2"#, "n"),
            (r#","max_tokens":-5"#, "max_tokens"),
        ] {
            let error = read(fields).unwrap_err();
            assert_eq!((error.status, error.param.as_deref()), (400, Some(param)), "{fields}");
        }
    }

    #[test]
    fn what_is_no_object_is_an_error_without_a_field() {
        for body in ["", "[]", "null", "{", "\u{feff}{}", r#"{"model":NaN}"#, r#"{"model":"a","model":"b"}"#]
        {
            let error = ChatRequest::parse(body.as_bytes()).unwrap_err();
            assert_eq!((error.status, error.code, error.param), (400, Some("invalid_json"), None), "{body}");
        }
    }
}
