//! The CLI's language, both directions, without I/O: bytes in, events out.

mod content;
mod control;
mod decode;
mod event;
mod line;
mod mcp;
mod message;
mod outcome;
mod repair;
mod session;
mod translate;
mod wire;

pub use content::Content;
pub use control::{Ask, ControlRequest, ControlResponse, Initialize, PermissionAsk, Reply, Request};
pub use event::{
    Event, MessageEnd, Noise, NoiseReason, Other, RateLimit, Restarted, Retry, Session, Text, Tool,
    ToolInput, ToolResult, ToolStart,
};
pub use line::{Line, LineFramer, MAX_LINE_BYTES};
pub use mcp::{McpCall, McpServer, McpStep, McpTool};
pub use outcome::{Failure, ModelUsage, Outcome, Usage};
pub use session::SessionId;
pub use translate::Translator;
