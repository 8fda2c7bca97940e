//! Errors in OpenAI's shape, for everything below `/v1`.

use std::fmt;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde::Serialize;

use super::{Body, BodyError, respond};

/// OpenAI's SDKs ask this header before they repeat a request that failed with 408, 409, 429 or 5xx.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// An error as OpenAI's clients parse it: `{"error":{"message","type","param","code"}}`.
///
/// ```
/// use claude_exec::http::ApiError;
/// let error = ApiError::invalid("must not be empty").param("messages").code("empty_array");
/// assert_eq!(
///     error.to_json(),
///     r#"{"error":{"message":"must not be empty","type":"invalid_request_error","param":"messages","code":"empty_array"}}"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
    param: Option<String>,
    code: Option<String>,
    retry_after: Option<Duration>,
    hopeless: bool,
}

impl ApiError {
    /// An error with a status, OpenAI's `type`, and one line for people.
    pub fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
            param: None,
            code: None,
            retry_after: None,
            hopeless: false,
        }
    }

    /// A 400 `invalid_request_error`.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// Names the request's field at fault, such as `messages[0].content`.
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Gives the error a code for programs, such as `context_length_exceeded`.
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Says when trying again may help; sent in whole seconds, at least one.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Says that trying again cannot help or would do things twice, so that the SDKs do not.
    pub fn no_retry(mut self) -> Self {
        self.hopeless = true;
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The line for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The body, which is also the data of an error told in mid-stream.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Envelope<'a> {
            error: Object<'a>,
        }
        #[derive(Serialize)]
        struct Object<'a> {
            message: &'a str,
            r#type: &'a str,
            param: Option<&'a str>,
            code: Option<&'a str>,
        }
        let error = Object {
            message: &self.message,
            r#type: self.kind,
            param: self.param.as_deref(),
            code: self.code.as_deref(),
        };
        serde_json::to_string(&Envelope { error }).expect("strings always serialize")
    }

    /// The whole response.
    pub fn into_response(self) -> Response<Body> {
        let mut response = respond::with_json(self.status, self.to_json());
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil().max(1.0) as u64));
        }
        if self.hopeless {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        response
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        let answer = Self::new(error.status(), "invalid_request_error", error.to_string());
        match error {
            BodyError::TooLarge { .. } => answer.code("request_too_large"),
            _ => answer,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_always_has_all_four_fields() {
        let error = ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", "no such model");
        let expected = r#"{"error":{"message":"no such model","type":"invalid_request_error","param":null,"code":null}}"#;
        assert_eq!(error.to_json(), expected);
    }

    #[test]
    fn retries_are_steered_by_headers() {
        let wait = |millis| ApiError::invalid("x").retry_after(Duration::from_millis(millis));
        let table = [
            (ApiError::invalid("x"), None, None),
            (wait(0), Some("1"), None),
            (wait(1500), Some("2"), None),
            (ApiError::invalid("x").no_retry(), None, Some("false")),
        ];
        for (error, after, should) in table {
            let response = error.into_response();
            let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
            assert_eq!((header("retry-after"), header("x-should-retry")), (after, should));
            assert_eq!(header("content-type"), Some("application/json"));
        }
    }
}
