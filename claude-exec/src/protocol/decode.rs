//! Single lines to single events, where no state is needed.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::control::{Ask, ControlRequest, ControlResponse, PermissionAsk};
use super::event::{Event, RateLimit, Retry, Session, Tool, ToolResult};
use super::outcome::{ModelUsage, Outcome};
use super::session::SessionId;
use super::wire::{
    AskWire, Block, ControlCancelLine, ControlRequestLine, ControlResponseLine, InitLine, RateLimitInfo,
    RateLimitLine, ResultLine, RetryLine,
};

type Decoded<T> = serde_json::Result<T>;

pub(super) fn session(line: &[u8]) -> Decoded<Session> {
    let init: InitLine = serde_json::from_slice(line)?;
    Ok(Session {
        session_id: SessionId::reported(&init.session_id),
        model: init.model,
        version: init.claude_code_version,
        cwd: init.cwd,
        tools: init.tools,
        agents: init.agents,
        permission_mode: init.permission_mode,
        user_message_uuids: init.user_message_uuids,
    })
}

pub(super) fn retry(line: &[u8]) -> Decoded<Retry> {
    let retry: RetryLine = serde_json::from_slice(line)?;
    Ok(Retry {
        attempt: retry.attempt,
        max_retries: retry.max_retries,
        delay_ms: retry.retry_delay_ms as u64,
        status: retry.error_status,
        error: retry.error.unwrap_or_default(),
    })
}

pub(super) fn rate_limit(line: &[u8]) -> Decoded<RateLimit> {
    let raw = serde_json::from_slice::<RateLimitLine>(line)?.rate_limit_info;
    let info: RateLimitInfo = serde_json::from_str(raw.get())?;
    Ok(RateLimit {
        status: info.status,
        resets_at: info.resets_at.map(|seconds| seconds as u64),
        kind: info.kind,
        raw,
    })
}

pub(super) fn control_request(line: &[u8]) -> Decoded<ControlRequest> {
    let wire: ControlRequestLine<'_> = serde_json::from_slice(line)?;
    let ask = AskWire::deserialize(wire.request)?;
    let ask = match (ask.subtype.as_str(), ask.tool_name, ask.message) {
        ("can_use_tool", Some(tool_name), _) => Ask::Permission(PermissionAsk {
            tool_name,
            input: raw_or(ask.input, "{}"),
            tool_use_id: ask.tool_use_id,
            description: ask.description,
            suggestions: ask.permission_suggestions.map(ToOwned::to_owned),
        }),
        ("mcp_message", _, Some(message)) => {
            Ask::Mcp { server_name: ask.server_name.unwrap_or_default(), message: message.to_owned() }
        }
        _ => Ask::Other { subtype: ask.subtype, request: wire.request.to_owned() },
    };
    Ok(ControlRequest { request_id: wire.request_id, ask })
}

pub(super) fn control_response(line: &[u8]) -> Decoded<ControlResponse> {
    let wire = serde_json::from_slice::<ControlResponseLine>(line)?.response;
    let result = match wire.subtype.as_str() {
        "success" => Ok(wire.response),
        _ => Err(wire.error.unwrap_or_default()),
    };
    Ok(ControlResponse { request_id: wire.request_id, result })
}

pub(super) fn control_cancel(line: &[u8]) -> Decoded<String> {
    Ok(serde_json::from_slice::<ControlCancelLine>(line)?.request_id)
}

pub(super) fn outcome(line: &[u8]) -> Decoded<Outcome> {
    let wire: ResultLine = serde_json::from_slice(line)?;
    let mut uuids = wire.user_message_uuids;
    if uuids.is_empty() {
        uuids.extend(wire.user_message_uuid);
    }
    let of_turn = wire.model_usage_since_last_result.map(|models| ModelUsage::sum(models.values()));
    let error = |error: Value| error.as_str().map_or_else(|| error.to_string(), str::to_owned);
    Ok(Outcome {
        is_error: wire.is_error.unwrap_or(wire.subtype != "success"),
        subtype: wire.subtype,
        text: wire.result.unwrap_or_default(),
        session_id: wire.session_id.filter(|id| !id.is_empty()).as_deref().map(SessionId::reported),
        stop_reason: wire.stop_reason,
        terminal_reason: wire.terminal_reason,
        api_error_status: wire.api_error_status,
        errors: wire.errors.into_iter().map(error).collect(),
        structured_output: wire.structured_output,
        usage: wire.usage.to_usage(),
        cost_usd: of_turn.as_ref().map(|usage| usage.cost_usd),
        turn_usage: of_turn,
        total_cost_usd: wire.total_cost_usd,
        model_usage: wire.model_usage,
        num_turns: wire.num_turns,
        duration_ms: wire.duration_ms.map(|ms| ms as u64),
        ttft_ms: wire.ttft_ms.map(|ms| ms as u64),
        permission_denials: wire.permission_denials,
        result_index: wire.result_index,
        user_message_uuids: uuids,
    })
}

pub(super) fn tool(block: Block<'_>, parent: Option<String>) -> Event {
    Event::Tool(Tool {
        id: block.id.unwrap_or_default().into_string(),
        name: block.name.unwrap_or_default().into_string(),
        input: raw_or(block.input, "{}"),
        parent,
    })
}

pub(super) fn tool_result(block: Block<'_>, parent: Option<String>) -> Event {
    Event::ToolResult(ToolResult {
        tool_use_id: block.tool_use_id.unwrap_or_default().into_string(),
        content: block.content.map(ToOwned::to_owned),
        is_error: block.is_error.unwrap_or_default(),
        parent,
    })
}

/// `value`, or the constant `json` where the CLI left it out.
fn raw_or(value: Option<&RawValue>, json: &'static str) -> Box<RawValue> {
    value.map_or_else(
        || RawValue::from_string(json.to_owned()).expect("the constants passed in are JSON"),
        ToOwned::to_owned,
    )
}
