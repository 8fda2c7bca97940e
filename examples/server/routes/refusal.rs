//! Errors below `/v1`, in OpenAI's shape.

use claude_exec::http::Body;
use claude_exec_openai::ApiError;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

/// What OpenAI's SDKs ask before they repeat a request.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The response of an error.
pub fn refusal(error: ApiError) -> Response<Body> {
    let mut response = Response::new(Body::full(error.to_json()));
    *response.status_mut() = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = error.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(retry) = error.should_retry {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static(if retry { "true" } else { "false" }));
    }
    response
}
