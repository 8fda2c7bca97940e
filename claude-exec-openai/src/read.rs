//! Reading fields of a body: each refusal names its field as the caller wrote it.

use crate::error::ApiError;
use crate::json::Json;

/// The refusal of a value of the wrong type.
pub(crate) fn wrong_type(param: impl Into<String>, expected: &str, found: &Json<'_>) -> ApiError {
    ApiError::invalid(param, format!("must be {expected}, not {}", found.kind())).code("invalid_type")
}

/// The refusal of a field that is not there.
pub(crate) fn missing(param: impl Into<String>, message: &str) -> ApiError {
    ApiError::invalid(param, message).code("missing_required_parameter")
}

/// The members of the object that a body has to be.
pub(crate) fn body(bytes: &[u8]) -> Result<Json<'_>, ApiError> {
    let refuse = |message: String| ApiError::new(400, "invalid_request_error", message).code("invalid_json");
    let body =
        Json::parse(bytes).map_err(|error| refuse(format!("the body cannot be used as JSON: {error}")))?;
    match body {
        Json::Object(_) => Ok(body),
        other => Err(refuse(format!("the body must be an object, not {}", other.kind()))),
    }
}

/// The members of a value that has to be an object.
pub(crate) fn object<'j, 'a>(
    param: &str,
    value: &'j Json<'a>,
) -> Result<&'j [(std::borrow::Cow<'a, str>, Json<'a>)], ApiError> {
    match value {
        Json::Object(members) => Ok(members),
        other => Err(wrong_type(param, "an object", other)),
    }
}

/// A member that has to be a string when it is there.
pub(crate) fn optional_str<'j>(
    object: &'j Json<'_>,
    name: &str,
    param: impl Into<String>,
) -> Result<Option<&'j str>, ApiError> {
    match object.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(|| wrong_type(param, "a string", value)),
    }
}

/// A member that has to be a string, and to be there.
pub(crate) fn required_str<'j>(
    object: &'j Json<'_>,
    name: &str,
    param: impl Into<String>,
) -> Result<&'j str, ApiError> {
    let param = param.into();
    match optional_str(object, name, &*param)? {
        Some(text) => Ok(text),
        None => Err(missing(param, "required")),
    }
}

/// A text that goes to the model. It must not hold a NUL, which no turn can carry.
pub(crate) fn text(param: &str, text: &str) -> Result<String, ApiError> {
    if text.contains('\0') {
        return Err(ApiError::invalid(param, "must not contain NUL"));
    }
    Ok(text.to_owned())
}

/// A member that has to be a boolean when it is there; `false` when not.
pub(crate) fn boolean(object: &Json<'_>, name: &str, param: &str) -> Result<bool, ApiError> {
    Ok(optional_boolean(object, name, param)?.unwrap_or(false))
}

/// A member that has to be a boolean when it is there.
pub(crate) fn optional_boolean(object: &Json<'_>, name: &str, param: &str) -> Result<Option<bool>, ApiError> {
    match object.get(name) {
        None => Ok(None),
        Some(Json::Bool(value)) => Ok(Some(*value)),
        Some(other) => Err(wrong_type(param, "a boolean", other)),
    }
}

/// A whole number from `least`; `7.0` passes, since some languages know no other number.
pub(crate) fn whole(object: &Json<'_>, name: &str, param: &str, least: u32) -> Result<Option<u32>, ApiError> {
    let Some(value) = object.get(name) else { return Ok(None) };
    match value.as_number() {
        Some(number)
            if number >= f64::from(least) && number <= f64::from(u32::MAX) && number.fract() == 0.0 =>
        {
            Ok(Some(number as u32))
        }
        Some(_) => Err(ApiError::invalid(param, format!("must be a whole number, at least {least}"))),
        None => Err(wrong_type(param, "a whole number", value)),
    }
}

/// A number between two others.
pub(crate) fn number(
    object: &Json<'_>,
    name: &str,
    param: &str,
    from: f64,
    to: f64,
) -> Result<Option<f64>, ApiError> {
    let Some(value) = object.get(name) else { return Ok(None) };
    match value.as_number() {
        Some(number) if (from..=to).contains(&number) => Ok(Some(number)),
        Some(_) => Err(ApiError::invalid(param, format!("must be between {from} and {to}"))),
        None => Err(wrong_type(param, "a number", value)),
    }
}

/// The model's name; `None` for an absent one and for `null`.
pub(crate) fn model(body: &Json<'_>) -> Result<Option<String>, ApiError> {
    Ok(optional_str(body, "model", "model")?.map(str::to_owned))
}
