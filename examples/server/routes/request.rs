//! The body of `POST /execute`: read field by field, so that each refusal names its field. Pure.

use claude_exec::Error;
use serde_json::{Map, Value};

/// A field that cannot be used, as the original told it: in a 422.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub field: &'static str,
    pub kind: &'static str,
    pub message: String,
}

/// What the caller asks for. `None` takes the default.
#[derive(Debug, PartialEq)]
pub struct Execute {
    pub prompt: String,
    pub agent: String,
    pub max_budget_usd: Option<f64>,
    pub timeout_seconds: Option<u64>,
    pub metadata: Option<Value>,
}

/// The longest name of an agent: agents are files, and no file's name is longer.
const MAX_AGENT_BYTES: usize = 255;

/// Reads the body. Unknown fields are ignored, as the original did.
pub fn parse(body: &[u8]) -> Result<Execute, Fault> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| fault("", "json_invalid", &format!("JSON decode error: {error}")))?;
    let Value::Object(mut fields) = value else {
        return Err(fault("", "model_attributes_type", "Input should be an object"));
    };
    let execute = Execute {
        prompt: text(&mut fields, "prompt")?,
        agent: text(&mut fields, "agent")?,
        max_budget_usd: number(&fields, "max_budget_usd")?,
        timeout_seconds: whole(&fields, "timeout_seconds")?,
        metadata: object(&mut fields, "metadata")?,
    };
    check_agent(&execute.agent)?;
    Ok(execute)
}

/// What a library refused, as a fault.
pub fn refused(error: &Error) -> Option<Fault> {
    let field = match error.field()? {
        "agent_name" => "agent",
        field => field,
    };
    let shown = error.to_string();
    let reason = shown.split_once(": ").map_or(shown.as_str(), |(_, reason)| reason);
    Some(fault(field, "value_error", reason))
}

/// An agent's name goes into the CLI's arguments: nothing that could be anything but a name.
fn check_agent(name: &str) -> Result<(), Fault> {
    if name.is_empty() || name.len() > MAX_AGENT_BYTES {
        return Err(fault("agent", "value_error", &format!("must have 1 to {MAX_AGENT_BYTES} bytes")));
    }
    if name.starts_with('-') || name.trim() != name || name.chars().any(char::is_control) {
        let reason = "must be a name: no leading dash, no blanks around it, no control characters";
        return Err(fault("agent", "value_error", reason));
    }
    Ok(())
}

fn text(fields: &mut Map<String, Value>, name: &'static str) -> Result<String, Fault> {
    match fields.remove(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(fault(name, "string_type", "Input should be a valid string")),
        None => Err(fault(name, "missing", "Field required")),
    }
}

fn number(fields: &Map<String, Value>, name: &'static str) -> Result<Option<f64>, Fault> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    value.as_f64().map(Some).ok_or_else(|| fault(name, "float_type", "Input should be a valid number"))
}

/// A whole number; `2700.0` is one, as it was for the original.
fn whole(fields: &Map<String, Value>, name: &'static str) -> Result<Option<u64>, Fault> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    let exact =
        |number: f64| (number.fract() == 0.0 && (0.0..1e15).contains(&number)).then_some(number as u64);
    value
        .as_u64()
        .or_else(|| value.as_f64().and_then(exact))
        .map(Some)
        .ok_or_else(|| fault(name, "int_type", "Input should be a valid whole number"))
}

fn object(fields: &mut Map<String, Value>, name: &'static str) -> Result<Option<Value>, Fault> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value @ Value::Object(_)) => Ok(Some(value)),
        Some(_) => Err(fault(name, "dict_type", "Input should be a valid object")),
    }
}

fn fault(field: &'static str, kind: &'static str, message: &str) -> Fault {
    Fault { field, kind, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_originals_request_is_taken_whole() {
        let body = json!({"prompt": "--help", "agent": "a b", "max_budget_usd": 2, "timeout_seconds": 60.0,
            "metadata": {"k": 1}, "unknown": true});
        let expected = Execute {
            prompt: "--help".into(),
            agent: "a b".into(),
            max_budget_usd: Some(2.0),
            timeout_seconds: Some(60),
            metadata: Some(json!({"k": 1})),
        };
        assert_eq!(parse(body.to_string().as_bytes()), Ok(expected));
        let least = parse(br#"{"prompt":"p","agent":"a","metadata":null}"#).unwrap();
        assert_eq!((least.max_budget_usd, least.timeout_seconds, least.metadata), (None, None, None));
    }

    #[test]
    fn each_bad_field_is_refused_by_its_name() {
        let with = |field: &str, value: Value| {
            let mut body = json!({"prompt": "p", "agent": "a"});
            body[field] = value;
            body.to_string()
        };
        let long = "a".repeat(256);
        let table = [
            (String::new(), "", "json_invalid"),
            (r#"{"prompt":"p","agent":"a","max_budget_usd":NaN}"#.to_owned(), "", "json_invalid"),
            (r#"{"prompt":"p","agent":"a","max_budget_usd":1e999}"#.to_owned(), "", "json_invalid"),
            ("[]".to_owned(), "", "model_attributes_type"),
            (r#"{"agent":"a"}"#.to_owned(), "prompt", "missing"),
            (r#"{"prompt":"p"}"#.to_owned(), "agent", "missing"),
            (with("prompt", json!(7)), "prompt", "string_type"),
            (with("agent", json!(null)), "agent", "string_type"),
            (with("agent", json!("")), "agent", "value_error"),
            (with("agent", json!("--dangerously-skip-permissions")), "agent", "value_error"),
            (with("agent", json!("a\nb")), "agent", "value_error"),
            (with("agent", json!("a\u{0}b")), "agent", "value_error"),
            (with("agent", json!(" a")), "agent", "value_error"),
            (with("agent", json!(long)), "agent", "value_error"),
            (with("max_budget_usd", json!("5")), "max_budget_usd", "float_type"),
            (with("timeout_seconds", json!(-1)), "timeout_seconds", "int_type"),
            (with("timeout_seconds", json!(1.5)), "timeout_seconds", "int_type"),
            (with("timeout_seconds", json!(null)), "timeout_seconds", "int_type"),
            (with("metadata", json!([1])), "metadata", "dict_type"),
        ];
        for (body, field, kind) in table {
            let fault = parse(body.as_bytes()).unwrap_err();
            assert_eq!((fault.field, fault.kind), (field, kind), "{body}");
        }
    }

    #[test]
    fn a_librarys_refusal_keeps_its_field_and_reason() {
        let error = Error::invalid("agent_name", "must not: hold this");
        assert_eq!(refused(&error), Some(fault("agent", "value_error", "must not: hold this")));
        assert_eq!(refused(&Error::stopped()), None);
    }
}
