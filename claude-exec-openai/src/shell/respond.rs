//! Errors and JSON as responses.

use bytes::Bytes;
use claude_exec::http::{AuthError, Body};
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Method, Response, StatusCode};

use crate::error::ApiError;

/// OpenAI's SDKs ask this header before they repeat a request that failed with 408, 409, 429 or 5xx.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// A 200 with a JSON body.
pub(super) fn json(body: impl Into<Bytes>) -> Response<Body> {
    with_json(StatusCode::OK, body)
}

/// An error as its status, its headers and its object.
pub(super) fn error(error: &ApiError) -> Response<Body> {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = with_json(status, error.to_json());
    let headers = response.headers_mut();
    if let Some(seconds) = error.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(should) = error.should_retry {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static(if should { "true" } else { "false" }));
    }
    response
}

/// The 401 for a caller that is not known.
pub(super) fn unauthorized(cause: AuthError) -> Response<Body> {
    let answer = ApiError::new(401, "invalid_request_error", cause.to_string()).code("invalid_api_key");
    let mut response = error(&answer);
    response.headers_mut().insert(WWW_AUTHENTICATE, cause.challenge());
    response
}

/// The 404 for a path that is not served.
pub(super) fn unknown_path() -> Response<Body> {
    error(&ApiError::new(404, "invalid_request_error", "there is nothing at this URL").code("unknown_url"))
}

/// The 405 for a path that is served by `allowed` only.
pub(super) fn wrong_method(allowed: &Method) -> Response<Body> {
    let message = format!("this URL takes {allowed} only");
    let answer = ApiError::new(405, "invalid_request_error", message).code("method_not_supported");
    let mut response = error(&answer);
    if let Ok(allowed) = HeaderValue::from_str(allowed.as_str()) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

fn with_json(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// What a shell of its own, such as the bundled server's, answers with.
impl From<ApiError> for claude_exec::http::ApiError {
    fn from(error: ApiError) -> Self {
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = Self::new(status, error.kind, error.message);
        if let Some(param) = error.param {
            answer = answer.param(param);
        }
        if let Some(code) = error.code {
            answer = answer.code(code);
        }
        if let Some(seconds) = error.retry_after {
            answer = answer.retry_after(std::time::Duration::from_secs(seconds));
        }
        if error.should_retry == Some(false) { answer.no_retry() } else { answer }
    }
}
