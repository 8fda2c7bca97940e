//! The fields of a request to `/v1/messages`, with their defaults as Anthropic's reference has them.

use crate::fields::Rule::{self, Accepted, Honoured, Ignored, Refused};
use crate::fields::{empty, never, one_of};

pub(crate) const FIELDS: &[(&str, Rule)] = &[
    ("model", Honoured),
    ("messages", Honoured),
    ("system", Honoured),
    ("max_tokens", Honoured),
    ("stream", Honoured),
    ("temperature", Honoured),
    ("top_p", Honoured),
    ("top_k", Honoured),
    ("stop_sequences", Honoured),
    ("thinking", Honoured),
    ("output_config", Honoured),
    ("tools", Honoured),
    ("tool_choice", Honoured),
    // The caller's own bookkeeping.
    ("metadata", Accepted),
    // The CLI caches by itself.
    ("cache_control", Accepted),
    ("service_tier", Ignored(|value| one_of(value, &["auto", "standard_only"]))),
    ("context_management", Ignored(empty)),
    ("inference_geo", Ignored(never)),
    ("speed", Ignored(|value| one_of(value, &["standard"]))),
    ("container", Refused(never, "there are no containers on this endpoint")),
    ("mcp_servers", Refused(empty, "there are no MCP servers on this endpoint")),
];
