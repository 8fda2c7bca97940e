//! MCP servers that live in our process: the handshake is answered here, a call is the caller's.
//!
//! The CLI speaks MCP (JSON-RPC 2.0, <https://modelcontextprotocol.io/specification>) inside `mcp_message` control
//! requests: `initialize`, `notifications/initialized`, `tools/list`, `tools/call`. Every notification must be
//! answered too, or the handshake stalls (2.1.330).

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::control::{Ask, Reply};

/// The protocol version that is answered when the CLI names none.
const PROTOCOL_VERSION: &str = "2025-06-18";

/// JSON-RPC 2.0: there is no such method.
const METHOD_NOT_FOUND: i32 = -32601;

/// An MCP server in our process: tools that the model calls and that we run.
///
/// The model sees the tool `t` of the server `s` as `mcp__s__t`; let it run without asking by the rule `mcp__s`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct McpServer {
    /// Its name.
    pub name: String,
    /// Its tools.
    pub tools: Vec<McpTool>,
}

/// A tool of an [`McpServer`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct McpTool {
    /// Its name, without the server's.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// The JSON schema of its input, an object.
    pub input_schema: Value,
    /// It changes nothing (`annotations.readOnlyHint`): the CLI then calls several in one message at once, else one
    /// after the other.
    pub read_only: bool,
}

/// A call of a tool that we run. Answer the control request it came in with [`McpCall::text`] or
/// [`McpCall::reply`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct McpCall {
    /// The server's name.
    pub server_name: String,
    /// The tool's name, without the server's.
    pub tool_name: String,
    /// The arguments, byte for byte as the CLI wrote them.
    pub arguments: Box<RawValue>,
    /// The id of the model's tool call.
    pub tool_use_id: Option<String>,
    id: Value,
}

/// What to do about a message for an [`McpServer`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum McpStep {
    /// Part of the handshake, and its answer.
    Answer(Reply),
    /// A call for the caller.
    Call(McpCall),
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    method: String,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    name: String,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(rename = "_meta", default)]
    meta: Value,
}

impl McpServer {
    /// A server with these tools.
    pub fn new(name: impl Into<String>, tools: impl IntoIterator<Item = McpTool>) -> Self {
        Self { name: name.into(), tools: tools.into_iter().collect() }
    }

    /// What to do about `message`.
    pub fn step(&self, message: &RawValue) -> McpStep {
        let Ok(read) = serde_json::from_str::<Message<'_>>(message.get()) else {
            return McpStep::Answer(error(&Value::Null, "not a JSON-RPC message"));
        };
        let result = match read.method.as_str() {
            "tools/call" => match McpCall::parse(&self.name, &read) {
                Some(call) if self.tools.iter().any(|tool| tool.name == call.tool_name) => {
                    return McpStep::Call(call);
                }
                _ => return McpStep::Answer(error(&read.id, "there is no such tool")),
            },
            "initialize" => {
                let params: Value =
                    read.params.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
                json!({
                    "protocolVersion": params["protocolVersion"].as_str().unwrap_or(PROTOCOL_VERSION),
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": self.name, "version": env!("CARGO_PKG_VERSION")},
                })
            }
            "tools/list" => json!({"tools": self.tools.iter().map(McpTool::to_value).collect::<Vec<_>>()}),
            "ping" => json!({}),
            notification if notification.starts_with("notifications/") => json!({}),
            _ => return McpStep::Answer(error(&read.id, "there is no such method")),
        };
        McpStep::Answer(Reply::Mcp(json!({"jsonrpc": "2.0", "id": read.id, "result": result})))
    }
}

impl McpTool {
    /// A tool whose input fits the JSON schema `input_schema`.
    pub fn new(name: impl Into<String>, description: impl Into<String>, input_schema: Value) -> Self {
        Self { name: name.into(), description: description.into(), input_schema, read_only: false }
    }

    /// Says whether it changes nothing, so that the CLI may call several at once. Default is no.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    fn to_value(&self) -> Value {
        json!({
            "name": self.name,
            "description": self.description,
            "inputSchema": self.input_schema,
            "annotations": {"readOnlyHint": self.read_only},
        })
    }
}

impl McpCall {
    /// The call that a control request is, when it is one.
    pub fn read(ask: &Ask) -> Option<Self> {
        let Ask::Mcp { server_name, message } = ask else { return None };
        let message: Message<'_> = serde_json::from_str(message.get()).ok()?;
        if message.method == "tools/call" { Self::parse(server_name, &message) } else { None }
    }

    fn parse(server_name: &str, message: &Message<'_>) -> Option<Self> {
        let call: Call<'_> = serde_json::from_str(message.params?.get()).ok()?;
        let none = || RawValue::from_string("{}".to_owned()).expect("the constant is JSON");
        Some(Self {
            server_name: server_name.to_owned(),
            tool_name: call.name,
            arguments: call.arguments.map_or_else(none, ToOwned::to_owned),
            tool_use_id: call.meta["claudecode/toolUseId"].as_str().map(str::to_owned),
            id: message.id.clone(),
        })
    }

    /// The answer `text`; the model reads it as a failure when `is_error`.
    pub fn text(&self, text: &str, is_error: bool) -> Reply {
        self.reply(vec![json!({"type": "text", "text": text})], is_error)
    }

    /// The answer in MCP content blocks such as `{"type":"text","text":…}`.
    pub fn reply(&self, content: Vec<Value>, is_error: bool) -> Reply {
        let result = json!({"content": content, "isError": is_error});
        Reply::Mcp(json!({"jsonrpc": "2.0", "id": self.id, "result": result}))
    }
}

fn error(id: &Value, message: &str) -> Reply {
    let error = json!({"code": METHOD_NOT_FOUND, "message": message});
    Reply::Mcp(json!({"jsonrpc": "2.0", "id": id, "error": error}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> McpServer {
        McpServer::new("client", [McpTool::new("look", "Looks.", json!({"type": "object"})).read_only(true)])
    }

    fn step(message: Value) -> McpStep {
        server().step(&RawValue::from_string(message.to_string()).unwrap())
    }

    fn answer(message: Value) -> Value {
        match step(message) {
            McpStep::Answer(Reply::Mcp(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_handshake_is_answered_to_its_last_notification() {
        let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2099-01-01"}});
        assert_eq!(answer(hello)["result"]["protocolVersion"], "2099-01-01");
        let noted = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(answer(noted), json!({"jsonrpc": "2.0", "id": null, "result": {}}));
        let tools = &answer(json!({"id": 1, "method": "tools/list"}))["result"]["tools"];
        let tool = json!({"name": "look", "description": "Looks.", "inputSchema": {"type": "object"},
            "annotations": {"readOnlyHint": true}});
        assert_eq!(tools, &json!([tool]));
        assert!(answer(json!({"id": 2, "method": "resources/list"}))["error"].is_object());
    }

    #[test]
    fn a_call_of_a_tool_there_is_becomes_the_callers() {
        let call = |name: &str| {
            json!({"id": 7, "method": "tools/call", "params": {"name": name, "arguments": {"a":  1},
                "_meta": {"claudecode/toolUseId": "toolu_1"}}})
        };
        let McpStep::Call(look) = step(call("look")) else { panic!("a call") };
        assert_eq!((look.arguments.get(), look.tool_use_id.as_deref()), (r#"{"a":1}"#, Some("toolu_1")));
        let content = json!([{"type": "text", "text": "seen"}]);
        let result = json!({"content": content, "isError": false});
        assert_eq!(
            look.text("seen", false),
            Reply::Mcp(json!({"jsonrpc": "2.0", "id": 7, "result": result}))
        );
        assert!(answer(call("nope"))["error"].is_object());
    }
}
