//! Chunks of a streamed answer, as the bytes that go on the wire.
//!
//! The rules are those that openai-python, openai-node, Pipecat, LangChain, LiteLLM and the Vercel SDK were
//! seen to rely on:
//!
//! 1. One `data:` line per event, then a blank line. No `event:` (openai-node would wrap the object), no `id:`
//!    and no bare `retry:` (openai-python would parse an empty event).
//! 2. `choices` is always an array; it is empty in the usage chunk alone, which comes only when asked for.
//! 3. The role comes with the first token, so that a client's time to the first token is true.
//! 4. Thinking is `reasoning_content`, which the clients of other servers read; OpenAI's own ignore it.
//! 5. A tool call's first chunk has its `index`, id and name, later ones the index and a piece of the arguments;
//!    each chunk has one call (Pipecat reads the first alone), and indexes count from 0.
//! 6. The last delta is empty and carries the finish reason; then the usage chunk, when asked for; then
//!    `[DONE]`; then the body ends.

use bytes::{BufMut, BytesMut};

use crate::answer::Done;
use crate::envelope::{Envelope, TextEvent, put_json};
use crate::error::ApiError;
use crate::stamp::Stamp;
use crate::usage::TokenUsage;

/// Encodes one answer's chunks into a buffer of the caller's.
///
/// Everything that does not change is encoded once: a delta costs three copies.
///
/// ```
/// use claude_exec_openai::{Done, Envelope, FinishReason, Stamp, chat::Chunker};
/// let stamp = Stamp { id: "chatcmpl-1".into(), created: 7, model: "haiku".into() };
/// let mut chunker = Chunker::new(&stamp, false);
/// let mut wire = bytes::BytesMut::new();
/// chunker.text("Hi", &mut wire);
/// chunker.finish(&Done::new(FinishReason::Stop, None), &mut wire);
/// assert!(wire.ends_with(b"data: [DONE]\n\n"));
/// ```
#[derive(Debug)]
pub struct Chunker {
    /// `data: {"id":…,"choices":[`
    head: Vec<u8>,
    /// A piece of the answer.
    text: TextEvent,
    /// From the end of a delta to the end of the event.
    tail: &'static [u8],
    include_usage: bool,
    begun: bool,
    /// The ids of the calls so far: their places are their indexes.
    calls: Vec<String>,
}

impl Chunker {
    /// A chunker for one answer; `include_usage` is the request's `stream_options.include_usage`.
    pub fn new(stamp: &Stamp, include_usage: bool) -> Self {
        let json = |text: &str| serde_json::to_string(text).expect("a string always serializes");
        let head = format!(
            r#"data: {{"id":{},"object":"chat.completion.chunk","created":{},"model":{},"choices":["#,
            json(&stamp.id),
            stamp.created,
            json(&stamp.model)
        )
        .into_bytes();
        let after: &[u8] = if include_usage {
            b"\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n"
        } else {
            b"\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n"
        };
        let text = TextEvent::new([&head[..], br#"{"index":0,"delta":{"content":""#].concat(), after);
        Self { head, text, tail: &after[1..], include_usage, begun: false, calls: Vec::new() }
    }

    /// True once a chunk has been written.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Writes a chunk whose choice goes on from `{"index":0,"delta":{` by `delta`.
    fn delta(&mut self, out: &mut BytesMut, delta: impl FnOnce(&mut BytesMut)) {
        self.begin(out);
        out.put_slice(&self.head);
        out.put_slice(br#"{"index":0,"delta":{"#);
        delta(out);
        out.put_slice(self.tail);
    }

    fn begin(&mut self, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.begun, true) {
            out.put_slice(&self.head);
            out.put_slice(br#"{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]"#);
            self.no_usage(out);
        }
    }

    fn no_usage(&self, out: &mut BytesMut) {
        out.put_slice(if self.include_usage { b",\"usage\":null}\n\n" } else { b"}\n\n" });
    }
}

impl Envelope for Chunker {
    /// Writes a piece of the answer; the first one with the role chunk before it.
    fn text(&mut self, text: &str, out: &mut BytesMut) {
        self.begin(out);
        self.text.put(text, out);
    }

    fn reasoning(&mut self, text: &str, out: &mut BytesMut) {
        self.delta(out, |out| {
            out.put_slice(br#""reasoning_content":"#);
            put_json(out, &text);
        });
    }

    fn tool_call(&mut self, id: &str, name: &str, out: &mut BytesMut) {
        let index = self.calls.len();
        self.calls.push(id.to_owned());
        self.delta(out, |out| {
            out.put_slice(br#""tool_calls":[{"index":"#);
            put_json(out, &index);
            out.put_slice(br#","id":"#);
            put_json(out, &id);
            out.put_slice(br#","type":"function","function":{"name":"#);
            put_json(out, &name);
            out.put_slice(br#","arguments":""}}]"#);
        });
    }

    fn tool_input(&mut self, id: &str, json: &str, out: &mut BytesMut) {
        let Some(index) = self.calls.iter().rposition(|call| call == id) else { return };
        self.delta(out, |out| {
            out.put_slice(br#""tool_calls":[{"index":"#);
            put_json(out, &index);
            out.put_slice(br#","function":{"arguments":"#);
            put_json(out, &json);
            out.put_slice(b"}}]");
        });
    }

    /// Writes the end of a good answer: the finish reason, the usage when asked for and known, and `[DONE]`.
    fn finish(&mut self, done: &Done, out: &mut BytesMut) {
        self.begin(out);
        out.put_slice(&self.head);
        out.put_slice(br#"{"index":0,"delta":{},"logprobs":null,"finish_reason":""#);
        out.put_slice(done.finish_reason.as_str().as_bytes());
        out.put_slice(b"\"}]");
        self.no_usage(out);
        if let Some(usage) = done.usage.filter(|_| self.include_usage) {
            out.put_slice(&self.head);
            out.put_slice(br#"],"usage":"#);
            put_json(out, &TokenUsage::from(usage));
            out.put_slice(b"}\n\n");
        }
        out.put_slice(b"data: [DONE]\n\n");
    }

    /// Writes the end of a failed answer: the error object alone.
    ///
    /// openai-python and openai-node raise their `APIError` at it. Neither a finish reason nor `[DONE]`
    /// follows: a client that overlooks the object must not take the answer for a whole one.
    fn fail(&mut self, error: &ApiError, out: &mut BytesMut) {
        out.put_slice(b"data: ");
        out.put_slice(&error.to_json());
        out.put_slice(b"\n\n");
    }
}

#[cfg(test)]
mod tests {
    use claude_exec::protocol::Usage;

    use super::*;
    use crate::finish::FinishReason;

    fn chunker(include_usage: bool) -> Chunker {
        Chunker::new(&Stamp { id: "chatcmpl-1".into(), created: 7, model: "so\"net".into() }, include_usage)
    }

    const HEAD: &str = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,"model":"so\"net","choices":["#;

    fn wire(out: BytesMut) -> String {
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn an_answer_without_usage_is_openais_to_the_byte() {
        let (mut chunker, mut out) = (chunker(false), BytesMut::new());
        assert!(!chunker.has_begun());
        chunker.text("tok", &mut out);
        chunker.text("\"\n\u{1}ж\u{2028}", &mut out);
        chunker.finish(&Done::new(FinishReason::Stop, Some(Usage::default())), &mut out);
        let rest = r#""logprobs":null,"finish_reason":null}]}"#;
        let expected = [
            format!("{HEAD}{{\"index\":0,\"delta\":{{\"role\":\"assistant\",\"content\":\"\"}},{rest}\n\n"),
            format!("{HEAD}{{\"index\":0,\"delta\":{{\"content\":\"tok\"}},{rest}\n\n"),
            format!("{HEAD}{{\"index\":0,\"delta\":{{\"content\":\"\\\"\\n\\u0001ж\u{2028}\"}},{rest}\n\n"),
            format!(
                "{HEAD}{{\"index\":0,\"delta\":{{}},\"logprobs\":null,\"finish_reason\":\"stop\"}}]}}\n\n"
            ),
            "data: [DONE]\n\n".to_owned(),
        ];
        assert_eq!(wire(out), expected.concat());
    }

    #[test]
    fn usage_is_null_until_its_own_chunk() {
        let (mut chunker, mut out) = (chunker(true), BytesMut::new());
        chunker.text("tok", &mut out);
        let usage: Usage = serde_json::from_str(r#"{"input_tokens":3,"output_tokens":4}"#).unwrap();
        chunker.finish(&Done::new(FinishReason::Length, Some(usage)), &mut out);
        let rest = r#""logprobs":null,"finish_reason":null}],"usage":null}"#;
        let details = r#""prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}"#;
        let expected = [
            format!("{HEAD}{{\"index\":0,\"delta\":{{\"role\":\"assistant\",\"content\":\"\"}},{rest}\n\n"),
            format!("{HEAD}{{\"index\":0,\"delta\":{{\"content\":\"tok\"}},{rest}\n\n"),
            format!(
                "{HEAD}{{\"index\":0,\"delta\":{{}},\"logprobs\":null,\"finish_reason\":\"length\"}}],\"usage\":null}}\n\n"
            ),
            format!(
                "{HEAD}],\"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7,{details}}}}}\n\n"
            ),
            "data: [DONE]\n\n".to_owned(),
        ];
        assert_eq!(wire(out), expected.concat());
    }

    #[test]
    fn reasoning_and_calls_have_chunks_of_their_own() {
        let (mut chunker, mut out) = (chunker(false), BytesMut::new());
        chunker.reasoning("h\"m", &mut out);
        for (id, name) in [("c1", "f"), ("c2", "g")] {
            chunker.tool_call(id, name, &mut out);
            chunker.tool_input(id, "{\"a\"", &mut out);
            chunker.tool_input(id, ":1}", &mut out);
        }
        chunker.tool_input("unknown", "x", &mut out);
        chunker.finish(&Done::new(FinishReason::ToolCalls, None), &mut out);
        let event = |delta: &str, finish: &str| {
            format!(
                "{HEAD}{{\"index\":0,\"delta\":{{{delta}}},\"logprobs\":null,\"finish_reason\":{finish}}}]}}\n\n"
            )
        };
        let call = |index: u32, id: &str, name: &str| {
            let function = format!(r#""function":{{"name":"{name}","arguments":""}}"#);
            event(
                &format!(r#""tool_calls":[{{"index":{index},"id":"{id}","type":"function",{function}}}]"#),
                "null",
            )
        };
        let input = |index: u32, json: &str| {
            event(
                &format!(r#""tool_calls":[{{"index":{index},"function":{{"arguments":"{json}"}}}}]"#),
                "null",
            )
        };
        let expected = [
            event(r#""role":"assistant","content":"""#, "null"),
            event(r#""reasoning_content":"h\"m""#, "null"),
            call(0, "c1", "f"),
            input(0, r#"{\"a\""#),
            input(0, ":1}"),
            call(1, "c2", "g"),
            input(1, r#"{\"a\""#),
            input(1, ":1}"),
            event("", r#""tool_calls""#),
            "data: [DONE]\n\n".to_owned(),
        ];
        assert_eq!(wire(out), expected.concat());
    }

    #[test]
    fn an_empty_answer_still_says_its_role() {
        let (mut chunker, mut out) = (chunker(false), BytesMut::new());
        chunker.finish(&Done::new(FinishReason::Stop, Some(Usage::default())), &mut out);
        assert_eq!(wire(out).matches("\"role\":\"assistant\"").count(), 1);
    }

    #[test]
    fn a_failure_is_one_object_and_nothing_after_it() {
        let (mut chunker, mut out) = (chunker(false), BytesMut::new());
        chunker.fail(&ApiError::new(502, "server_error", "a\nb").code("x"), &mut out);
        let expected = "data: {\"error\":{\"message\":\"a\\nb\",\"type\":\"server_error\",\"param\":null,\"code\":\"x\"}}\n\n";
        assert_eq!(wire(out), expected);
    }

    #[test]
    fn every_event_is_one_data_line_whatever_the_text() {
        let (mut chunker, mut out) = (chunker(true), BytesMut::new());
        for text in ["\r\n", "\ndata: [DONE]\n\n", "id: 1\n", "\u{85}\u{2029}"] {
            chunker.text(text, &mut out);
        }
        let wire = wire(out);
        let events: Vec<&str> = wire.split_terminator("\n\n").collect();
        assert_eq!(events.len(), 5);
        assert!(events.iter().all(|event| event.starts_with("data: {") && !event.contains(['\n', '\r'])));
    }
}
