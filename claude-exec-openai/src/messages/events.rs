//! A streamed message: Anthropic's events.
//!
//! `message_start`, then for each block `content_block_start`, its deltas and `content_block_stop`, then
//! `message_delta` with the stop reason and the tokens, and `message_stop`. A failure in the middle is an `error`
//! event, and nothing after it. The CLI tells the input tokens at the end: at the start they are 0.

use bytes::{BufMut, BytesMut};
use claude_exec::protocol::Usage;
use serde_json::{Value, json};

use super::error::error_type;
use super::object::{Tokens, stop_reason};
use crate::answer::Done;
use crate::envelope::{Envelope, TextEvent, put_json};
use crate::error::ApiError;
use crate::stamp::Stamp;

/// Encodes one message's events into a buffer of the caller's.
#[derive(Debug)]
pub struct MessageEvents {
    stamp: Stamp,
    begun: bool,
    /// The next block's index.
    next: usize,
    open: Option<Open>,
    /// A delta of the block under way.
    delta: TextEvent,
}

#[derive(Debug, PartialEq)]
enum Open {
    Text,
    Thinking,
    Call(String),
}

impl MessageEvents {
    /// The events of one message.
    pub fn new(stamp: Stamp) -> Self {
        Self { stamp, begun: false, next: 0, open: None, delta: TextEvent::default() }
    }

    fn begin(&mut self, out: &mut BytesMut) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let message = json!({
            "id": self.stamp.id, "type": "message", "role": "assistant", "model": self.stamp.model, "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": Tokens::from(Usage::default()),
        });
        put_event("message_start", &json!({"type": "message_start", "message": message}), out);
    }

    fn open(&mut self, open: Open, block: &Value, out: &mut BytesMut) {
        self.begin(out);
        self.close(out);
        let index = self.next;
        let event = json!({"type": "content_block_start", "index": index, "content_block": block});
        put_event("content_block_start", &event, out);
        let (kind, field) = match open {
            Open::Text => ("text_delta", "text"),
            Open::Thinking => ("thinking_delta", "thinking"),
            Open::Call(_) => ("input_json_delta", "partial_json"),
        };
        let before = format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{index},\
             \"delta\":{{\"type\":\"{kind}\",\"{field}\":\""
        );
        self.delta = TextEvent::new(before, b"\"}}\n\n");
        self.open = Some(open);
    }

    fn close(&mut self, out: &mut BytesMut) {
        if self.open.take().is_some() {
            put_event("content_block_stop", &json!({"type": "content_block_stop", "index": self.next}), out);
            self.next += 1;
        }
    }
}

impl Envelope for MessageEvents {
    fn began(&mut self, out: &mut BytesMut) {
        self.begin(out);
    }

    fn text(&mut self, text: &str, out: &mut BytesMut) {
        if self.open != Some(Open::Text) {
            self.open(Open::Text, &json!({"type": "text", "text": ""}), out);
        }
        self.delta.put(text, out);
    }

    fn reasoning(&mut self, text: &str, out: &mut BytesMut) {
        if self.open != Some(Open::Thinking) {
            let block = json!({"type": "thinking", "thinking": "", "signature": ""});
            self.open(Open::Thinking, &block, out);
        }
        self.delta.put(text, out);
    }

    fn tool_call(&mut self, id: &str, name: &str, out: &mut BytesMut) {
        let block = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
        self.open(Open::Call(id.to_owned()), &block, out);
    }

    fn tool_input(&mut self, id: &str, json: &str, out: &mut BytesMut) {
        if matches!(&self.open, Some(Open::Call(open)) if open == id) {
            self.delta.put(json, out);
        }
    }

    fn finish(&mut self, done: &Done, out: &mut BytesMut) {
        self.begin(out);
        self.close(out);
        let delta = json!({"stop_reason": stop_reason(done), "stop_sequence": done.stop_sequence});
        let usage = Tokens::from(done.usage.unwrap_or_default());
        put_event("message_delta", &json!({"type": "message_delta", "delta": delta, "usage": usage}), out);
        put_event("message_stop", &json!({"type": "message_stop"}), out);
    }

    fn fail(&mut self, error: &ApiError, out: &mut BytesMut) {
        let object = json!({"type": error_type(error), "message": error.message});
        put_event("error", &json!({"type": "error", "error": object}), out);
    }
}

fn put_event(kind: &str, event: &Value, out: &mut BytesMut) {
    out.put_slice(b"event: ");
    out.put_slice(kind.as_bytes());
    out.put_slice(b"\ndata: ");
    put_json(out, event);
    out.put_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finish::FinishReason;

    fn wire(act: impl FnOnce(&mut MessageEvents, &mut BytesMut)) -> String {
        let stamp = Stamp { id: "msg_1".into(), created: 7, model: "sonnet".into() };
        let (mut events, mut out) = (MessageEvents::new(stamp), BytesMut::new());
        act(&mut events, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn event(kind: &str, fields: &str) -> String {
        let event: Value = serde_json::from_str(&format!("{{\"type\":\"{kind}\"{fields}}}")).unwrap();
        format!("event: {kind}\ndata: {event}\n\n")
    }

    const START: &str = r#","message":{"id":"msg_1","type":"message","role":"assistant","model":"sonnet","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}"#;

    #[test]
    fn a_text_is_anthropics_sequence_of_events() {
        let usage: Usage = serde_json::from_str(r#"{"input_tokens":3,"output_tokens":4}"#).unwrap();
        let wire = wire(|events, out| {
            events.began(out);
            events.text("a\n", out);
            events.text("\"b", out);
            let mut done = Done::new(FinishReason::Stop, Some(usage));
            done.stop_sequence = Some("X".into());
            events.finish(&done, out);
        });
        let delta = |text: &str| {
            let head =
                r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"#;
            format!("event: content_block_delta\n{head}{text}}}}}\n\n")
        };
        let usage = r#""usage":{"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":4}"#;
        let expected = [
            event("message_start", START),
            event("content_block_start", r#","index":0,"content_block":{"type":"text","text":""}"#),
            delta(r#""a\n""#),
            delta(r#""\"b""#),
            event("content_block_stop", r#","index":0"#),
            event(
                "message_delta",
                &format!(r#","delta":{{"stop_reason":"stop_sequence","stop_sequence":"X"}},{usage}"#),
            ),
            event("message_stop", ""),
        ];
        assert_eq!(wire, expected.concat());
    }

    #[test]
    fn thinking_text_and_calls_are_blocks_of_their_own() {
        let wire = wire(|events, out| {
            events.reasoning("hm", out);
            events.text("a", out);
            events.tool_call("c", "f", out);
            events.tool_input("c", "{}", out);
            events.tool_input("d", "x", out);
            events.finish(&Done::new(FinishReason::ToolCalls, None), out);
        });
        let kinds: Vec<&str> = wire.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
        let expected = [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ];
        assert_eq!(kinds, expected);
        let call = r#","index":2,"content_block":{"type":"tool_use","id":"c","name":"f","input":{}}"#;
        assert!(wire.contains(&event("content_block_start", call)));
        let input = r#","index":2,"delta":{"type":"input_json_delta","partial_json":"{}"}"#;
        assert!(wire.contains(&event("content_block_delta", input)));
        assert!(wire.contains(r#""stop_reason":"tool_use""#));
    }

    #[test]
    fn a_failure_is_an_error_event_and_nothing_after_it() {
        let wire = wire(|events, out| {
            events.fail(&ApiError::new(503, "server_error", "busy").code("overloaded"), out);
        });
        assert_eq!(wire, event("error", r#","error":{"type":"overloaded_error","message":"busy"}"#));
    }
}
