//! OpenAI's error object, with the status and the headers that go with it.

use std::fmt;

use serde::Serialize;

/// The longest message sent. A message may quote the model API, which may quote much.
const MAX_MESSAGE: usize = 1_000;

/// An answer in OpenAI's error shape: `{"error":{"message","type","param","code"}}`.
///
/// Its `message` never holds text out of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiError {
    /// The HTTP status, when nothing has been sent yet.
    pub status: u16,
    /// OpenAI's `type`.
    pub kind: &'static str,
    /// OpenAI's `code`: what a program tests.
    pub code: Option<&'static str>,
    /// The field of the request that it is about, such as `messages[0].content`.
    pub param: Option<String>,
    /// What went wrong, for a person.
    pub message: String,
    /// Seconds for the `retry-after` header.
    pub retry_after: Option<u64>,
    /// The `x-should-retry` header, which the official clients obey above all else; `None` leaves it to them:
    /// they retry 408, 409, 429 and every 5xx twice.
    pub should_retry: Option<bool>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Object<'a>,
}

#[derive(Serialize)]
struct Object<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

impl ApiError {
    /// An error with a status, a type and a message.
    pub fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > MAX_MESSAGE {
            message.truncate(floor_char_boundary(&message, MAX_MESSAGE));
            message.push('…');
        }
        Self { status, kind, code: None, param: None, message, retry_after: None, should_retry: None }
    }

    /// A request that cannot be used: 400 `invalid_request_error`.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message).param(param)
    }

    /// A field that this server does not do: 400, code `unsupported_parameter`.
    pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid(param, message).code("unsupported_parameter")
    }

    /// Sets the code.
    #[must_use]
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// Sets the field that it is about.
    #[must_use]
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Sets the seconds after which a retry makes sense.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Tells the official clients not to retry: it cannot help, or would do the work twice.
    #[must_use]
    pub fn final_answer(mut self) -> Self {
        self.should_retry = Some(false);
        self
    }

    /// The compact JSON of the error object.
    pub fn to_json(&self) -> Vec<u8> {
        let error =
            Object { message: &self.message, kind: self.kind, param: self.param.as_deref(), code: self.code };
        serde_json::to_vec(&Envelope { error }).expect("strings always serialize")
    }
}

/// `str::floor_char_boundary`, which is younger than our MSRV.
fn floor_char_boundary(text: &str, index: usize) -> usize {
    (0..=index.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.code.unwrap_or(self.kind), self.message)
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_has_all_four_members_always() {
        let error = ApiError::invalid("messages[0].role", "must be \"user\"");
        let json = r#"{"error":{"message":"must be \"user\"","type":"invalid_request_error","param":"messages[0].role","code":null}}"#;
        assert_eq!(String::from_utf8(error.to_json()).unwrap(), json);
        let error = ApiError::new(500, "server_error", "x").code("y");
        let json = r#"{"error":{"message":"x","type":"server_error","param":null,"code":"y"}}"#;
        assert_eq!(String::from_utf8(error.to_json()).unwrap(), json);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let error = ApiError::new(500, "server_error", format!("x{}", "ж".repeat(2_000)));
        assert_eq!(error.message, format!("x{}…", "ж".repeat(499)));
    }
}
