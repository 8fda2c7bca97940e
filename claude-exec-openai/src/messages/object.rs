//! The `message` object.

use claude_exec::protocol::Usage;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::answer::Done;
use crate::collected::Whole;
use crate::finish::FinishReason;
use crate::stamp::Stamp;

/// The body of a non-streaming answer, compact.
///
/// A thinking block has no signature: the CLI does not hand it on. On its way back such a block is left out.
pub fn message(stamp: &Stamp, answer: &Whole) -> Vec<u8> {
    let mut content = Vec::new();
    if !answer.reasoning.is_empty() {
        content.push(Content::Thinking { thinking: &answer.reasoning, signature: "" });
    }
    if !answer.text.is_empty() {
        content.push(Content::Text { text: &answer.text });
    }
    for call in &answer.calls {
        // What the model wrote is JSON; should it ever not be, the call is still one.
        let input = serde_json::from_str(&call.arguments).unwrap_or_else(|_| empty_object());
        content.push(Content::ToolUse { id: &call.id, name: &call.name, input });
    }
    let body = Object {
        id: &stamp.id,
        kind: "message",
        role: "assistant",
        model: &stamp.model,
        content,
        stop_reason: stop_reason(&answer.done),
        stop_sequence: answer.done.stop_sequence.as_deref(),
        usage: answer.done.usage.unwrap_or_default().into(),
    };
    serde_json::to_vec(&body).expect("strings and numbers always serialize")
}

fn empty_object() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).expect("the constant is JSON")
}

/// Anthropic's word for how an answer ended.
pub(super) fn stop_reason(done: &Done) -> &'static str {
    match done.finish_reason {
        FinishReason::Stop if done.stop_sequence.is_some() => "stop_sequence",
        FinishReason::Stop => "end_turn",
        FinishReason::Length => "max_tokens",
        FinishReason::ToolCalls => "tool_use",
        FinishReason::ContentFilter => "refusal",
    }
}

#[derive(Serialize)]
struct Object<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Content<'a>>,
    stop_reason: &'static str,
    stop_sequence: Option<&'a str>,
    usage: Tokens,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Content<'a> {
    Thinking { thinking: &'a str, signature: &'a str },
    Text { text: &'a str },
    ToolUse { id: &'a str, name: &'a str, input: Box<RawValue> },
}

/// Tokens as Anthropic counts them.
#[derive(Serialize)]
pub(super) struct Tokens {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input_tokens,
            cache_creation_input_tokens: usage.cache_creation_input_tokens,
            cache_read_input_tokens: usage.cache_read_input_tokens,
            output_tokens: usage.output_tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collected::Call;

    fn shown(answer: &Whole) -> String {
        let stamp = Stamp { id: "msg_1".into(), created: 7, model: "sonnet".into() };
        String::from_utf8(message(&stamp, answer)).unwrap()
    }

    #[test]
    fn the_object_is_anthropics_to_the_byte() {
        let usage: Usage = serde_json::from_str(
            r#"{"input_tokens":10,"output_tokens":5,"cache_creation_input_tokens":200,"cache_read_input_tokens":3000}"#,
        )
        .unwrap();
        let mut done = Done::new(FinishReason::Stop, Some(usage));
        done.stop_sequence = Some("X".into());
        let expected = concat!(
            r#"{"id":"msg_1","type":"message","role":"assistant","model":"sonnet","content":[{"type":"text","#,
            r#""text":"Hi"}],"stop_reason":"stop_sequence","stop_sequence":"X","usage":{"input_tokens":10,"#,
            r#""cache_creation_input_tokens":200,"cache_read_input_tokens":3000,"output_tokens":5}}"#,
        );
        assert_eq!(shown(&Whole::of_text("Hi", done)), expected);
    }

    #[test]
    fn thinking_and_calls_are_blocks() {
        let mut answer = Whole::of_text("", Done::new(FinishReason::ToolCalls, None));
        answer.reasoning = "hm".into();
        answer.calls = vec![Call { id: "c".into(), name: "f".into(), arguments: r#"{"b":1,"a":2}"#.into() }];
        let expected = concat!(
            r#""content":[{"type":"thinking","thinking":"hm","signature":""},{"type":"tool_use","id":"c","#,
            r#""name":"f","input":{"b":1,"a":2}}],"stop_reason":"tool_use","stop_sequence":null,"#,
        );
        assert!(shown(&answer).contains(expected), "{}", shown(&answer));
    }
}
