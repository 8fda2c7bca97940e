//! Errors and JSON as responses.

use bytes::Bytes;
use claude_exec::http::{AuthError, Body, with_json};
use http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Method, Response, StatusCode};

use crate::error::ApiError;

/// OpenAI's SDKs ask this header before they repeat a request that failed with 408, 409, 429 or 5xx.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// A 200 with a JSON body.
pub(super) fn json(body: impl Into<Bytes>) -> Response<Body> {
    with_json(StatusCode::OK, body)
}

impl ApiError {
    /// The whole response: status, retry headers, and the error object.
    pub fn to_response(&self) -> Response<Body> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = with_json(status, self.to_json());
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(should) = self.should_retry {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static(if should { "true" } else { "false" }));
        }
        response
    }
}

/// The 401 for a caller that is not known.
pub(super) fn unauthorized(cause: AuthError) -> Response<Body> {
    let answer = ApiError::new(401, "invalid_request_error", cause.to_string()).code("invalid_api_key");
    let mut response = answer.to_response();
    response.headers_mut().insert(WWW_AUTHENTICATE, cause.challenge());
    response
}

/// The 404 for a path that is not served.
pub(super) fn unknown_path() -> Response<Body> {
    ApiError::new(404, "invalid_request_error", "there is nothing at this URL")
        .code("unknown_url")
        .to_response()
}

/// The 405 for a path that is served by `allowed` only.
pub(super) fn wrong_method(allowed: &Method) -> Response<Body> {
    let message = format!("this URL takes {allowed} only");
    let answer = ApiError::new(405, "invalid_request_error", message).code("method_not_supported");
    let mut response = answer.to_response();
    if let Ok(allowed) = HeaderValue::from_str(allowed.as_str()) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}
