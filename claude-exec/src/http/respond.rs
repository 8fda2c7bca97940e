//! Responses: JSON, the original service's error shape, and event streams.

use bytes::Bytes;
use futures::Stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::{AuthError, Body, sse};

/// Tells nginx, and whoever understands it, not to hold events back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A JSON response, compact. A value that cannot be written as JSON becomes a 500.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    match serde_json::to_string(value) {
        Ok(text) => with_json(status, text),
        Err(_) => detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
    }
}

/// An error in the original service's shape: `{"detail":"…"}`.
pub fn detail(status: StatusCode, text: &str) -> Response<Body> {
    with_json(status, json!({ "detail": text }).to_string())
}

/// A 422 in the original service's shape: which field of the body, what kind of fault, and the fault in words.
///
/// An empty `field` stands for the body as a whole. The value is not echoed: it may be a prompt.
pub fn validation(field: &str, kind: &str, message: &str) -> Response<Body> {
    let place = if field.is_empty() { json!(["body"]) } else { json!(["body", field]) };
    let fault = json!({ "type": kind, "loc": place, "msg": message });
    with_json(StatusCode::UNPROCESSABLE_ENTITY, json!({ "detail": [fault] }).to_string())
}

/// The 401 for an [`AuthError`], in the original service's shape, with its challenge.
pub fn unauthorized(error: AuthError) -> Response<Body> {
    let mut response = detail(StatusCode::UNAUTHORIZED, &error.to_string());
    response.headers_mut().insert(WWW_AUTHENTICATE, error.challenge());
    response
}

/// A 200 that streams frames of [`sse`]: never cached, never buffered on the way.
pub fn event_stream(frames: impl Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    let mut response = Response::new(Body::stream(frames));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(sse::CONTENT_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// A response with JSON text that is ready.
pub fn with_json(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn show(response: Response<Body>) -> (u16, String) {
        let status = response.status().as_u16();
        let Ok(body) = response.into_body().collect().await;
        (status, String::from_utf8(body.to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn bodies_are_compact_and_exact() {
        let table = [
            (json(StatusCode::ACCEPTED, &json!({"a": 1, "b": "é"})), 202, r#"{"a":1,"b":"é"}"#),
            (detail(StatusCode::NOT_FOUND, "Not Found"), 404, r#"{"detail":"Not Found"}"#),
            (unauthorized(AuthError::Invalid), 401, r#"{"detail":"Invalid token"}"#),
            (
                validation("prompt", "missing", "Field required"),
                422,
                r#"{"detail":[{"type":"missing","loc":["body","prompt"],"msg":"Field required"}]}"#,
            ),
            (validation("", "x", "y"), 422, r#"{"detail":[{"type":"x","loc":["body"],"msg":"y"}]}"#),
        ];
        for (response, status, text) in table {
            assert_eq!(show(response).await, (status, text.to_owned()));
        }
    }

    #[test]
    fn a_401_carries_its_challenge() {
        let response = unauthorized(AuthError::Missing);
        assert_eq!(response.headers()[WWW_AUTHENTICATE], AuthError::Missing.challenge());
    }

    #[test]
    fn event_streams_are_neither_cached_nor_buffered() {
        let response = event_stream(futures::stream::empty());
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(
            [header("content-type"), header("cache-control"), header("x-accel-buffering")],
            ["text/event-stream; charset=utf-8", "no-cache", "no"]
        );
    }
}
