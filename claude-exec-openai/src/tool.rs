//! The client's tools: what a request says about them, checked.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::content::{Block, Message};
use crate::error::ApiError;
use crate::json::Json;

/// Tools in one request, as OpenAI's reference has it.
pub const MAX_TOOLS: usize = 128;

/// The longest name of a tool, as OpenAI's reference has it.
const MAX_NAME: usize = 64;

/// The longest id of a call. OpenAI's have 29 characters, other servers' more.
const MAX_CALL_ID: usize = 256;

/// The MCP server in this process that has the client's tools.
pub(crate) const SERVER: &str = "client";

/// The CLI's name of a tool of the client's. With the longest name it has 77 characters, and the Messages API takes 128.
pub(crate) fn cli_name(name: &str) -> String {
    format!("mcp__{SERVER}__{name}")
}

/// One tool that the client offers to the model.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolDefinition {
    /// Its name: 1 to 64 letters, digits, `_` and `-`.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The JSON schema of its arguments: always an object of type `object`.
    pub input_schema: Value,
}

/// Which tools the model may call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ToolChoice {
    /// Any or none, as it sees fit.
    #[default]
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Function(String),
}

impl ToolDefinition {
    /// Checks a tool of a request; `at` is where it stands there.
    pub(crate) fn checked(
        at: &str,
        name: &str,
        description: Option<&str>,
        schema: Option<Value>,
    ) -> Result<Self, ApiError> {
        check_name(&format!("{at}.name"), name)?;
        // A tool without parameters takes an empty object.
        let mut schema = schema.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        match schema.as_object_mut() {
            Some(members) if members.get("type").is_none_or(|kind| kind == "object") => {
                members.insert("type".into(), "object".into());
            }
            _ => {
                let message = "the arguments' schema must be an object of `\"type\": \"object\"`";
                return Err(ApiError::invalid(format!("{at}.parameters"), message));
            }
        }
        let description = description.map(str::to_owned).filter(|text| !text.is_empty());
        Ok(Self { name: name.to_owned(), description, input_schema: schema })
    }
}

impl ToolChoice {
    /// Checks the choice against the tools there are.
    pub(crate) fn check(&self, tools: &[ToolDefinition]) -> Result<(), ApiError> {
        match self {
            Self::Function(name) if !tools.iter().any(|tool| tool.name == *name) => {
                Err(ApiError::invalid("tool_choice", "names a function that is not among the tools"))
            }
            Self::Required if tools.is_empty() => {
                Err(ApiError::invalid("tool_choice", "requires a call, and there are no tools"))
            }
            _ => Ok(()),
        }
    }
}

/// Refuses names twice: a call could not be told from the other tool's.
pub(crate) fn check_names(tools: &[ToolDefinition]) -> Result<(), ApiError> {
    if tools.len() > MAX_TOOLS {
        return Err(ApiError::invalid("tools", format!("at most {MAX_TOOLS} tools")));
    }
    for (at, tool) in tools.iter().enumerate() {
        if tools[..at].iter().any(|other| other.name == tool.name) {
            return Err(ApiError::invalid(format!("tools[{at}]"), "its name is taken by another tool"));
        }
    }
    Ok(())
}

pub(crate) fn check_name(param: &str, name: &str) -> Result<(), ApiError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    Err(ApiError::invalid(param, format!("must be 1 to {MAX_NAME} letters, digits, `_` or `-`")))
}

/// The arguments of an earlier call: an object, written as a string. Nothing at all is an empty one.
pub(crate) fn parsed_arguments(param: &str, text: &str) -> Result<Value, ApiError> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    match Json::parse(text.as_bytes()) {
        Ok(object @ Json::Object(_)) => Ok(object.to_value()),
        _ => Err(ApiError::invalid(param, "must be a JSON object, written as a string")),
    }
}

/// Follows the calls of a conversation, so that every result has its call and every call its result.
#[derive(Debug, Default)]
pub(crate) struct OpenCalls(Vec<String>);

impl OpenCalls {
    /// The model calls a tool in the message that is being read.
    pub(crate) fn call(&mut self, param: &str, id: &str) -> Result<(), ApiError> {
        if id.is_empty() || id.len() > MAX_CALL_ID || id.chars().any(char::is_control) {
            return Err(ApiError::invalid(param, format!("must be 1 to {MAX_CALL_ID} printable bytes")));
        }
        if self.0.iter().any(|open| open == id) {
            return Err(ApiError::invalid(param, "another call has this id"));
        }
        self.0.push(id.to_owned());
        Ok(())
    }

    /// The client answers a call.
    pub(crate) fn result(&mut self, param: &str, id: &str) -> Result<(), ApiError> {
        let Some(at) = self.0.iter().position(|open| open == id) else {
            return Err(ApiError::invalid(param, "answers no call of the assistant message before it"));
        };
        self.0.swap_remove(at);
        Ok(())
    }

    /// A message that answers nothing begins, or the conversation ends.
    pub(crate) fn settled(&self, param: &str) -> Result<(), ApiError> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(ApiError::invalid(param, "the tool calls before it are not all answered"))
    }
}

/// Checks the calls and results of a conversation, each message with where it stands in the request.
pub(crate) fn check_calls<'m>(
    messages: impl IntoIterator<Item = (&'m str, &'m Message)>,
    end: &str,
) -> Result<(), ApiError> {
    let mut calls = OpenCalls::default();
    for (at, message) in messages {
        for block in &message.content {
            if let Block::ToolResult { tool_use_id, .. } = block {
                calls.result(at, tool_use_id)?;
            }
        }
        calls.settled(at)?;
        for block in &message.content {
            if let Block::ToolUse { id, .. } = block {
                calls.call(at, id)?;
            }
        }
    }
    calls.settled(end)
}

/// Shows names alone.
impl fmt::Debug for ToolDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolDefinition").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(name: &str, schema: Option<Value>) -> Result<ToolDefinition, Option<String>> {
        ToolDefinition::checked("tools[0]", name, Some(""), schema).map_err(|error| error.param)
    }

    #[test]
    fn arguments_are_always_an_object() {
        for schema in [None, Some(json!({})), Some(json!({"type": "object"}))] {
            assert_eq!(tool("f", schema).unwrap().input_schema, json!({"type": "object"}));
        }
        for schema in [json!([]), json!("x"), json!({"type": "string"}), json!({"type": ["object"]})] {
            assert_eq!(tool("f", Some(schema)), Err(Some("tools[0].parameters".into())));
        }
    }

    #[test]
    fn names_are_openais() {
        for name in ["", "a b", "é", "a.b", &"x".repeat(65)] {
            assert_eq!(tool(name, None), Err(Some("tools[0].name".into())), "{name}");
        }
        let tools = [tool("a", None).unwrap(), tool("a-_9", None).unwrap(), tool("a", None).unwrap()];
        assert!(check_names(&tools[..2]).is_ok());
        assert_eq!(check_names(&tools).unwrap_err().param.as_deref(), Some("tools[2]"));
        assert!(check_names(&vec![tools[0].clone(); MAX_TOOLS + 1]).is_err());
    }

    #[test]
    fn a_choice_is_among_the_tools() {
        let tools = [tool("a", None).unwrap()];
        assert!(ToolChoice::Function("a".into()).check(&tools).is_ok());
        assert!(ToolChoice::Required.check(&tools).is_ok());
        assert!(ToolChoice::Function("b".into()).check(&tools).is_err());
        assert!(ToolChoice::Required.check(&[]).is_err());
        assert!(ToolChoice::None.check(&[]).is_ok());
    }

    #[test]
    fn every_result_has_its_call_and_every_call_its_result() {
        let mut calls = OpenCalls::default();
        calls.call("p", "a").unwrap();
        calls.call("p", "b").unwrap();
        assert!(calls.call("p", "a").is_err() && calls.call("p", "").is_err());
        assert!(calls.settled("p").is_err());
        calls.result("p", "b").unwrap();
        assert!(calls.result("p", "b").is_err(), "the same result twice");
        assert!(calls.result("p", "c").is_err());
        calls.result("p", "a").unwrap();
        assert!(calls.settled("p").is_ok());
        calls.call("p", "a").unwrap();
    }
}
