//! Anthropic's error object.

use serde_json::json;

use crate::error::ApiError;

/// Anthropic's `type` for an error's status.
pub fn error_type(error: &ApiError) -> &'static str {
    match error.status {
        400 | 409 | 422 => "invalid_request_error",
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 | 405 => "not_found_error",
        408 | 504 => "timeout_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        _ => "api_error",
    }
}

/// The error object, compact: `{"type":"error","error":{"type","message"}}`, and `request_id` when there is one.
///
/// Its message begins with the field that it is about, as Anthropic's do.
pub fn error_json(error: &ApiError, request_id: Option<&str>) -> Vec<u8> {
    let message = match &error.param {
        Some(param) => format!("{param}: {}", error.message),
        None => error.message.clone(),
    };
    let mut object = json!({"type": "error", "error": {"type": error_type(error), "message": message}});
    if let Some(id) = request_id {
        object["request_id"] = json!(id);
    }
    object.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_is_anthropics() {
        let error = ApiError::invalid("messages[0].role", "must be user");
        let expected = r#"{"type":"error","error":{"type":"invalid_request_error","message":"messages[0].role: must be user"},"request_id":"req_1"}"#;
        assert_eq!(String::from_utf8(error_json(&error, Some("req_1"))).unwrap(), expected);
        for (status, kind) in [
            (401, "authentication_error"),
            (413, "request_too_large"),
            (503, "overloaded_error"),
            (502, "api_error"),
        ] {
            assert_eq!(error_type(&ApiError::new(status, "x", "y")), kind);
        }
    }
}
