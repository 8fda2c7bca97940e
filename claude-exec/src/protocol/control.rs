//! The control protocol, both ways: requests, answers and user messages as lines for stdin.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// Something the CLI asks of us.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ControlRequest {
    /// The id that the answer must carry.
    pub request_id: String,
    /// What is asked.
    pub ask: Ask,
}

/// What a control request asks.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Ask {
    /// May this tool run (`can_use_tool`)?
    Permission(PermissionAsk),
    /// A JSON-RPC message for an in-process MCP server (`mcp_message`).
    Mcp {
        /// The server's name.
        server_name: String,
        /// The JSON-RPC message.
        message: Box<RawValue>,
    },
    /// Any other request: its subtype and the whole `request` object.
    Other {
        /// Its `subtype`.
        subtype: String,
        /// The whole `request`.
        request: Box<RawValue>,
    },
}

/// A tool that waits for leave.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PermissionAsk {
    /// The tool's name.
    pub tool_name: String,
    /// The tool's input.
    pub input: Box<RawValue>,
    /// The id of the tool call.
    pub tool_use_id: Option<String>,
    /// What the tool is about to do, in words.
    pub description: Option<String>,
    /// The rules that the CLI suggests to add.
    pub suggestions: Option<Box<RawValue>>,
}

/// The CLI's answer to a control request of ours.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ControlResponse {
    /// The id of the request.
    pub request_id: String,
    /// The answer, or the CLI's error message.
    pub result: Result<Option<Box<RawValue>>, String>,
}

impl ControlResponse {
    /// The names of the agents that the CLI knows, from its answer to `initialize`.
    ///
    /// # Errors
    ///
    /// [`is_unsupported`](crate::Error::is_unsupported) when the CLI refused the request or lists no agents.
    pub fn agent_names(&self) -> crate::Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Initialized {
            agents: Vec<Agent>,
        }
        #[derive(Deserialize)]
        struct Agent {
            name: String,
        }
        let answer = match &self.result {
            Ok(answer) => answer.as_ref().map(|answer| answer.get()).unwrap_or_default(),
            Err(message) => return Err(crate::Error::unsupported(format!("initialize: {message}"))),
        };
        let initialized: Initialized = serde_json::from_str(answer)
            .map_err(|_| crate::Error::unsupported("this CLI does not list its agents"))?;
        Ok(initialized.agents.into_iter().map(|agent| agent.name).collect())
    }
}

/// A control request of ours.
///
/// Send [`Request::to_line`] to stdin; the CLI answers with [`Event::ControlResponse`] of the same id. The
/// source of the shapes is the type definitions of the vendor's SDK, `@anthropic-ai/claude-agent-sdk`.
///
/// [`Event::ControlResponse`]: super::Event::ControlResponse
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Request {
    /// Opens the session. Must come before the first user message, once: a second system prompt is ignored.
    Initialize(Initialize),
    /// Ends the turn under way, or takes back a message whose turn has not begun; the session goes on. The answer
    /// lists the messages taken back (`cancelled`), to which no result ever comes.
    Interrupt,
    /// Changes the permission mode.
    SetPermissionMode(String),
    /// Changes the model. It leaves a caveat in the conversation, so a new process per model is better.
    SetModel(String),
    /// Changes how many tokens may be spent on thinking; 0 for none.
    SetMaxThinkingTokens(u32),
    /// Changes settings of the running process, such as the environment that the next turn sees.
    ApplyFlagSettings(Value),
    /// Any other subtype with its fields.
    Other {
        /// The `subtype`.
        subtype: String,
        /// The other fields of `request`.
        fields: Map<String, Value>,
    },
}

/// What a session is opened with: everything too large or too private for argv.
#[derive(Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Initialize {
    /// Replaces the CLI's own system prompt.
    pub system_prompt: Option<String>,
    /// Is added to the CLI's own system prompt.
    pub append_system_prompt: Option<String>,
    /// The JSON schema that the answer must fit.
    pub json_schema: Option<Value>,
    /// Agent definitions by name, in the form of the CLI's `--agents`.
    pub agents: Option<Value>,
    /// Names of MCP servers that live in our process.
    pub sdk_mcp_servers: Vec<String>,
}

/// Shows no prompt.
impl fmt::Debug for Initialize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Initialize")
            .field("system_prompt_bytes", &self.system_prompt.as_ref().map(String::len))
            .field("append_system_prompt_bytes", &self.append_system_prompt.as_ref().map(String::len))
            .field("json_schema", &self.json_schema.is_some())
            .field("agents", &self.agents.is_some())
            .field("sdk_mcp_servers", &self.sdk_mcp_servers)
            .finish()
    }
}

impl Request {
    /// The request as one line for stdin, newline included.
    pub fn to_line(&self, request_id: &str) -> Bytes {
        let request = match self {
            Self::Initialize(initialize) => initialize.to_value(),
            Self::Interrupt => json!({"subtype": "interrupt", "cancel_queued": true}),
            Self::SetPermissionMode(mode) => json!({"subtype": "set_permission_mode", "mode": mode}),
            Self::SetModel(model) => json!({"subtype": "set_model", "model": model}),
            Self::SetMaxThinkingTokens(tokens) => {
                json!({"subtype": "set_max_thinking_tokens", "max_thinking_tokens": tokens})
            }
            Self::ApplyFlagSettings(settings) => {
                json!({"subtype": "apply_flag_settings", "settings": settings})
            }
            Self::Other { subtype, fields } => {
                let mut request = fields.clone();
                request.insert("subtype".to_owned(), json!(subtype));
                Value::Object(request)
            }
        };
        line(&json!({"type": "control_request", "request_id": request_id, "request": request}))
    }
}

impl Initialize {
    fn to_value(&self) -> Value {
        let mut request = json!({"subtype": "initialize"});
        let fields = [
            ("systemPrompt", self.system_prompt.as_ref().map(|prompt| json!([prompt]))),
            ("appendSystemPrompt", self.append_system_prompt.as_ref().map(|prompt| json!(prompt))),
            ("jsonSchema", self.json_schema.clone()),
            ("agents", self.agents.clone()),
            ("sdkMcpServers", (!self.sdk_mcp_servers.is_empty()).then(|| json!(self.sdk_mcp_servers))),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                request[name] = value;
            }
        }
        request
    }
}

/// Our answer to a control request of the CLI's.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// The tool may run, with this input.
    Allow {
        /// The input, as asked or changed.
        updated_input: Value,
    },
    /// The tool may not run; the model reads why.
    Deny {
        /// The reason.
        message: String,
        /// Ends the turn too.
        interrupt: bool,
    },
    /// A JSON-RPC answer of an in-process MCP server. Notifications are answered too, or the handshake stalls.
    Mcp(Value),
    /// Any other answer.
    Success(Value),
    /// We do not do that.
    Error(String),
}

impl Reply {
    /// The answer as one line for stdin, newline included.
    pub fn to_line(&self, request_id: &str) -> Bytes {
        let response = match self {
            Self::Allow { updated_input } => json!({"behavior": "allow", "updatedInput": updated_input}),
            Self::Deny { message, interrupt } => {
                json!({"behavior": "deny", "message": message, "interrupt": interrupt})
            }
            Self::Mcp(answer) => json!({"mcp_response": answer}),
            Self::Success(answer) => answer.clone(),
            Self::Error(message) => {
                let response = json!({"subtype": "error", "request_id": request_id, "error": message});
                return line(&json!({"type": "control_response", "response": response}));
            }
        };
        let response = json!({"subtype": "success", "request_id": request_id, "response": response});
        line(&json!({"type": "control_response", "response": response}))
    }
}

pub(super) fn line(value: &Value) -> Bytes {
    let mut line = value.to_string();
    line.push('\n');
    Bytes::from(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initialize_carries_only_what_was_given() {
        let initialize = Initialize { system_prompt: Some("Be brief.".to_owned()), ..Initialize::default() };
        assert_eq!(
            Request::Initialize(initialize).to_line("r1"),
            Bytes::from_static(
                br#"{"type":"control_request","request_id":"r1","request":{"subtype":"initialize","systemPrompt":["Be brief."]}}
"#
            )
        );
    }
}
