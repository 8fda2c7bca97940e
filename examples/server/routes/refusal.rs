//! Errors below `/v1`, in OpenAI's shape.

use claude_exec::http::{self as shell, Body};
use claude_exec_openai::ApiError;
use http::Response;

/// The response of an error.
pub fn refusal(error: ApiError) -> Response<Body> {
    shell::ApiError::from(error).into_response()
}
