//! Errors and JSON as responses, in the dialect of the caller's path.

use bytes::Bytes;
use claude_exec::http::{AuthError, Body, RequestId, with_json};
use http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};

use crate::error::ApiError;
use crate::limits::Limits;
use crate::messages::error_json;

/// OpenAI's SDKs, and Anthropic's, ask this header before they repeat a request that failed with 408, 409, 429 or
/// 5xx.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Anthropic's status for an overloaded model; OpenAI has none, and takes a 503.
const OVERLOADED: u16 = 529;

/// A 200 with a JSON body.
pub(super) fn json(body: impl Into<Bytes>) -> Response<Body> {
    with_json(StatusCode::OK, body)
}

/// Whose error object a caller understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    OpenAi,
    Anthropic,
}

impl Dialect {
    /// Anthropic's below `/v1/messages`, OpenAI's everywhere else.
    pub(super) fn of(path: &str) -> Self {
        match path.strip_prefix("/v1/messages") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Self::Anthropic,
            _ => Self::OpenAi,
        }
    }

    /// The whole response: status, retry headers, and the error object.
    pub(super) fn refusal(self, error: &ApiError, request_id: &RequestId) -> Response<Body> {
        match self {
            Self::OpenAi => error.to_response(),
            Self::Anthropic => {
                let mut error = error.clone();
                error.status = match error.code {
                    // OpenAI's chat answers 400, Anthropic 404.
                    Some("model_not_found") if error.status == 400 => 404,
                    _ if error.status == 503 => OVERLOADED,
                    _ => error.status,
                };
                with_error(error.status, &error, error_json(&error, Some(request_id.as_str())))
            }
        }
    }
}

/// The response of an error to a request for `path`: in Anthropic's shape below `/v1/messages`, in OpenAI's
/// everywhere else.
pub fn refusal(path: &str, error: &ApiError, request_id: &RequestId) -> Response<Body> {
    Dialect::of(path).refusal(error, request_id)
}

impl ApiError {
    /// The whole response in OpenAI's shape: status, retry headers, and the error object.
    pub fn to_response(&self) -> Response<Body> {
        with_error(self.status, self, self.to_json())
    }
}

fn with_error(status: u16, error: &ApiError, body: Vec<u8>) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = with_json(status, body);
    let headers = response.headers_mut();
    if let Some(seconds) = error.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(should) = error.should_retry {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static(if should { "true" } else { "false" }));
    }
    response
}

/// Adds the headers of the account's limits.
pub(super) fn add_limits(response: &mut Response<Body>, limits: Option<&Limits>, now: u64) {
    for (name, value) in limits.into_iter().flat_map(|limits| limits.headers(now)) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
}

/// The 401 for a caller that is not known.
pub(super) fn unauthorized(dialect: Dialect, cause: AuthError, request_id: &RequestId) -> Response<Body> {
    let answer = ApiError::new(401, "invalid_request_error", cause.to_string()).code("invalid_api_key");
    let mut response = dialect.refusal(&answer, request_id);
    response.headers_mut().insert(WWW_AUTHENTICATE, cause.challenge());
    response
}

/// The 404 for a path that is not served.
pub(super) fn unknown_path() -> ApiError {
    ApiError::new(404, "invalid_request_error", "there is nothing at this URL").code("unknown_url")
}

/// The 405 for a path that takes only these methods.
pub(super) fn wrong_method(
    dialect: Dialect,
    allowed: &'static str,
    request_id: &RequestId,
) -> Response<Body> {
    let message = format!("this URL takes {allowed} only");
    let answer = ApiError::new(405, "invalid_request_error", message).code("method_not_supported");
    let mut response = dialect.refusal(&answer, request_id);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}
