//! The control protocol, both ways: requests, answers and user messages as lines for stdin.

use serde_json::value::RawValue;

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
