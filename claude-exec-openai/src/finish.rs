//! Why an answer ended, in OpenAI's words.

/// OpenAI's `finish_reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinishReason {
    /// The model was done, or met a stop sequence.
    Stop,
    /// A limit cut the answer: tokens, the context, or an agent's turns.
    Length,
    /// The answer asks the client to call tools.
    ToolCalls,
    /// The model declined.
    ContentFilter,
}

impl FinishReason {
    /// OpenAI's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }

    /// Maps the Messages API's `stop_reason` of a turn that succeeded.
    ///
    /// `client_calls` says whether the answer carries calls for the client to make: the CLI's own tools end
    /// messages with `tool_use` too, and `tool_calls` without one would hang a client's tool loop.
    pub fn from_stop_reason(stop_reason: Option<&str>, client_calls: bool) -> Self {
        match stop_reason {
            Some("max_tokens" | "model_context_window_exceeded" | "pause_turn") => Self::Length,
            Some("refusal") => Self::ContentFilter,
            _ if client_calls => Self::ToolCalls,
            _ => Self::Stop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stop_reason_has_its_word() {
        for (stop_reason, client_calls, word) in [
            (Some("end_turn"), false, "stop"),
            (Some("stop_sequence"), false, "stop"),
            (None, false, "stop"),
            (Some("a_new_one"), false, "stop"),
            (Some("max_tokens"), false, "length"),
            (Some("model_context_window_exceeded"), false, "length"),
            (Some("pause_turn"), false, "length"),
            (Some("refusal"), false, "content_filter"),
            (Some("tool_use"), true, "tool_calls"),
            (Some("tool_use"), false, "stop"),
        ] {
            assert_eq!(FinishReason::from_stop_reason(stop_reason, client_calls).as_str(), word);
        }
    }
}
