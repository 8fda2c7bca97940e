//! The CLI's language, both directions, without I/O: bytes in, events out.

mod control;
mod event;
mod outcome;

pub use control::{Ask, ControlRequest, ControlResponse, PermissionAsk};
pub use event::{
    Event, MessageEnd, Noise, NoiseReason, Other, RateLimit, Restarted, Retry, Session, SessionId, Text,
    Tool, ToolInput, ToolResult, ToolStart,
};
pub use outcome::{Failure, ModelUsage, Outcome, Usage};
