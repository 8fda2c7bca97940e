//! A streamed response: the events of OpenAI's `response.*`.
//!
//! 1. Each event's `event:` line is its `type`, and `sequence_number` counts from 0 without a gap.
//! 2. `response.created` and `response.in_progress` come once the model is at work.
//! 3. An item begins by `output_item.added`, empty: text that stood in it would be said twice. Its parts begin,
//!    grow by deltas, are told whole when they end, and then the item is.
//! 4. The last event is `response.completed`, `response.incomplete` or `response.failed`, with the whole response;
//!    then the body ends, without a `[DONE]`.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};

use super::object::{Echo, Item, Object, Status, part, summary};
use crate::answer::Done;
use crate::envelope::{Envelope, TextEvent, put_json};
use crate::error::ApiError;
use crate::stamp::Stamp;

/// Encodes one response's events into a buffer of the caller's.
#[derive(Debug)]
pub struct ResponseEvents {
    stamp: Stamp,
    echo: Echo,
    /// Whether the response can be fetched again; known by the time it ends.
    stored: Arc<AtomicBool>,
    sequence: u64,
    begun: bool,
    items: Vec<Item>,
    /// The last item still grows.
    open: bool,
    /// A piece of the last item.
    delta: Delta,
}

impl ResponseEvents {
    /// The events of one response. `stored` is read when the response ends.
    pub fn new(stamp: Stamp, echo: Echo, stored: Arc<AtomicBool>) -> Self {
        Self {
            stamp,
            echo,
            stored,
            sequence: 0,
            begun: false,
            items: Vec::new(),
            open: false,
            delta: Delta::default(),
        }
    }

    /// Writes an event, `fields` after its type and number.
    fn event(&mut self, kind: &str, fields: Value, out: &mut BytesMut) {
        let mut event = json!({"type": kind, "sequence_number": self.sequence});
        self.sequence += 1;
        if let (Some(event), Value::Object(fields)) = (event.as_object_mut(), fields) {
            event.extend(fields);
        }
        put_event(kind, &event, out);
    }

    /// Writes an event that carries the response itself.
    fn lifecycle(&mut self, kind: &str, status: Status<'_>, out: &mut BytesMut) {
        let stored = self.stored.load(Ordering::Relaxed);
        let output = match status {
            Status::InProgress => Vec::new(),
            _ => {
                let last = self.items.len().saturating_sub(1);
                let value = |(at, item): (usize, &Item)| {
                    // Those before the last one were whole before anything failed.
                    let status = if at < last { "completed" } else { status.of_items() };
                    item.to_value(&self.stamp, at, status)
                };
                self.items.iter().enumerate().map(value).collect()
            }
        };
        let response = Object::new(&self.stamp, &self.echo, stored, status, output);
        let event = Lifecycle { kind, sequence_number: self.sequence, response };
        put_event(kind, &event, out);
        self.sequence += 1;
    }

    fn begin(&mut self, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.begun, true) {
            self.lifecycle("response.created", Status::InProgress, out);
            self.lifecycle("response.in_progress", Status::InProgress, out);
        }
    }

    /// Where the last item stands, and its id.
    fn place(&self) -> (usize, String) {
        let index = self.items.len().saturating_sub(1);
        (index, self.items.last().map_or_else(String::new, |item| item.id(&self.stamp, index)))
    }

    fn open(&mut self, item: Item, out: &mut BytesMut) {
        self.begin(out);
        self.close("completed", out);
        self.items.push(item);
        self.open = true;
        let (index, id) = self.place();
        let item = &self.items[index];
        let added = item.to_value(&self.stamp, index, "in_progress");
        // The event of its deltas, what they have beside their place, and the event by which their part begins.
        let (kind, place, begins) = match item {
            Item::Message(_) => {
                let at = json!({"item_id": id, "output_index": index, "content_index": 0, "part": part("")});
                let place = ",\"content_index\":0,\"logprobs\":[]";
                ("response.output_text.delta", place, Some(("response.content_part.added", at)))
            }
            Item::Reasoning(_) => {
                let at =
                    json!({"item_id": id, "output_index": index, "summary_index": 0, "part": summary("")});
                let added = "response.reasoning_summary_part.added";
                ("response.reasoning_summary_text.delta", ",\"summary_index\":0", Some((added, at)))
            }
            Item::Call { .. } => ("response.function_call_arguments.delta", "", None),
        };
        self.delta = Delta::new(kind, &format!("\"item_id\":\"{id}\",\"output_index\":{index}{place}"));
        self.event("response.output_item.added", json!({"output_index": index, "item": added}), out);
        if let Some((kind, at)) = begins {
            self.event(kind, at, out);
        }
    }

    fn delta(&mut self, text: &str, out: &mut BytesMut) {
        self.delta.put(self.sequence, text, out);
        self.sequence += 1;
    }

    fn close(&mut self, status: &str, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        let (index, id) = self.place();
        let item = self.items[index].clone();
        match &item {
            Item::Reasoning(text) => {
                let at = json!({"item_id": id, "output_index": index, "summary_index": 0, "text": text});
                self.event("response.reasoning_summary_text.done", at, out);
                let at =
                    json!({"item_id": id, "output_index": index, "summary_index": 0, "part": summary(text)});
                self.event("response.reasoning_summary_part.done", at, out);
            }
            Item::Message(text) => {
                let at = json!({"item_id": id, "output_index": index, "content_index": 0, "text": text,
                    "logprobs": []});
                self.event("response.output_text.done", at, out);
                let at =
                    json!({"item_id": id, "output_index": index, "content_index": 0, "part": part(text)});
                self.event("response.content_part.done", at, out);
            }
            Item::Call { name, arguments, .. } => {
                let at = json!({"item_id": id, "output_index": index, "name": name, "arguments": arguments});
                self.event("response.function_call_arguments.done", at, out);
            }
        }
        let item = item.to_value(&self.stamp, index, status);
        self.event("response.output_item.done", json!({"output_index": index, "item": item}), out);
    }
}

impl Envelope for ResponseEvents {
    fn began(&mut self, out: &mut BytesMut) {
        self.begin(out);
    }

    fn text(&mut self, text: &str, out: &mut BytesMut) {
        if !self.open || !matches!(self.items.last(), Some(Item::Message(_))) {
            self.open(Item::Message(String::new()), out);
        }
        self.delta(text, out);
        if let Some(Item::Message(said)) = self.items.last_mut() {
            said.push_str(text);
        }
    }

    fn reasoning(&mut self, text: &str, out: &mut BytesMut) {
        if !self.open || !matches!(self.items.last(), Some(Item::Reasoning(_))) {
            self.open(Item::Reasoning(String::new()), out);
        }
        if let Some(Item::Reasoning(said)) = self.items.last_mut() {
            said.push_str(text);
        }
        self.delta(text, out);
    }

    fn tool_call(&mut self, id: &str, name: &str, out: &mut BytesMut) {
        let call = Item::Call { call_id: id.to_owned(), name: name.to_owned(), arguments: String::new() };
        self.open(call, out);
    }

    fn tool_input(&mut self, id: &str, json: &str, out: &mut BytesMut) {
        match self.items.last_mut() {
            Some(Item::Call { call_id, arguments, .. }) if self.open && call_id == id => {
                arguments.push_str(json)
            }
            _ => return,
        }
        self.delta(json, out);
    }

    fn finish(&mut self, done: &Done, out: &mut BytesMut) {
        self.begin(out);
        let status = Status::Done(done);
        // An answer of nothing is a message of nothing.
        if !self.items.iter().any(|item| !matches!(item, Item::Reasoning(_))) {
            self.open(Item::Message(String::new()), out);
        }
        self.close(status.of_items(), out);
        self.lifecycle(&format!("response.{}", status.word()), status, out);
    }

    fn fail(&mut self, error: &ApiError, out: &mut BytesMut) {
        self.begin(out);
        self.open = false;
        let cancelled = error.code == Some(crate::failure::CANCELLED);
        let status = if cancelled { Status::Cancelled } else { Status::Failed(error) };
        self.lifecycle("response.failed", status, out);
    }
}

/// The deltas of one item. Their sequence number is counted up in place: they come one after the other.
#[derive(Debug, Default)]
struct Delta {
    event: TextEvent,
    /// Where the number's digits stand.
    digits: Range<usize>,
    /// The number that stands there.
    sequence: u64,
}

impl Delta {
    /// Deltas of this type; `place` has the members that say where they belong.
    fn new(kind: &str, place: &str) -> Self {
        let head = format!("event: {kind}\ndata: {{\"type\":\"{kind}\",{place},\"sequence_number\":0");
        let digits = head.len() - 1..head.len();
        let event = TextEvent::new([head.as_bytes(), b",\"delta\":\""].concat(), b"\"}\n\n");
        Self { event, digits, sequence: 0 }
    }

    fn put(&mut self, sequence: u64, text: &str, out: &mut BytesMut) {
        let next = self.sequence.checked_add(1) == Some(sequence);
        let before = self.event.before_mut();
        if !(next && count_up(&mut before[self.digits.clone()])) {
            let number = sequence.to_string();
            before.splice(self.digits.clone(), number.bytes());
            self.digits.end = self.digits.start + number.len();
        }
        self.sequence = sequence;
        self.event.put(text, out);
    }
}

/// Adds one to a decimal number; `false` when it takes one more digit.
fn count_up(digits: &mut [u8]) -> bool {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return true;
        }
        *digit = b'0';
    }
    false
}

#[derive(serde::Serialize)]
struct Lifecycle<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    sequence_number: u64,
    response: Object<'a>,
}

fn put_event(kind: &str, event: &impl serde::Serialize, out: &mut BytesMut) {
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
    use crate::responses::ResponsesRequest;

    fn events() -> ResponseEvents {
        let stamp = Stamp { id: "resp_1".into(), created: 7, model: "sonnet".into() };
        let echo = ResponsesRequest::parse(br#"{"input":"hi"}"#).unwrap().echo;
        ResponseEvents::new(stamp, echo, Arc::new(AtomicBool::new(true)))
    }

    /// The events in order; each has its type twice and the next number.
    fn read(wire: &BytesMut) -> Vec<Value> {
        let text = std::str::from_utf8(wire).unwrap();
        let blocks: Vec<&str> = text.split_terminator("\n\n").collect();
        let events = blocks.iter().enumerate().map(|(number, block)| {
            let (name, data) = block.split_once('\n').unwrap();
            let event: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(name.strip_prefix("event: "), event["type"].as_str());
            assert_eq!(event["sequence_number"], json!(number));
            event
        });
        events.collect()
    }

    fn kinds(events: &[Value]) -> Vec<&str> {
        events
            .iter()
            .map(|event| {
                let kind = event["type"].as_str().unwrap();
                kind.strip_prefix("response.").unwrap_or(kind)
            })
            .collect()
    }

    #[test]
    fn a_text_is_openais_sequence_of_events() {
        let (mut events, mut out) = (events(), BytesMut::new());
        events.began(&mut out);
        events.text("Hel", &mut out);
        events.text("lo\n", &mut out);
        events.finish(&Done::new(FinishReason::Stop, None), &mut out);
        let read = read(&out);
        let expected = [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed",
        ];
        assert_eq!(kinds(&read), expected);
        assert_eq!(
            (&read[0]["response"]["status"], &read[0]["response"]["output"]),
            (&json!("in_progress"), &json!([]))
        );
        let item = json!({"id": "msg_1_0", "type": "message", "status": "in_progress", "role": "assistant", "content": []});
        assert_eq!((&read[2]["item"], &read[2]["output_index"]), (&item, &json!(0)));
        let delta = json!({"type": "response.output_text.delta", "sequence_number": 5, "item_id": "msg_1_0",
            "output_index": 0, "content_index": 0, "logprobs": [], "delta": "lo\n"});
        assert_eq!(read[5], delta);
        let part = json!({"type": "output_text", "text": "Hello\n", "annotations": [], "logprobs": []});
        let item = json!({"id": "msg_1_0", "type": "message", "status": "completed", "role": "assistant",
            "content": [part]});
        assert_eq!((&read[6]["text"], &read[7]["part"], &read[8]["item"]), (&json!("Hello\n"), &part, &item));
        let response = &read[9]["response"];
        assert_eq!((&response["output"], &response["status"]), (&json!([item]), &json!("completed")));
        assert_eq!((&response["store"], &response["error"]), (&json!(true), &Value::Null));
    }

    #[test]
    fn the_numbers_go_on_past_every_power_of_ten_and_past_other_events() {
        let (mut events, mut out) = (events(), BytesMut::new());
        for at in 0..2_000 {
            events.text("a", &mut out);
            if at % 700 == 0 {
                events.reasoning("hm", &mut out);
            }
        }
        events.finish(&Done::new(FinishReason::Stop, None), &mut out);
        assert!(read(&out).len() > 2_000);
    }

    #[test]
    fn reasoning_comes_first_and_calls_are_items() {
        let (mut events, mut out) = (events(), BytesMut::new());
        events.reasoning("h", &mut out);
        events.reasoning("m", &mut out);
        events.tool_call("c1", "f", &mut out);
        events.tool_input("c1", "{\"a\"", &mut out);
        events.tool_input("c1", ":1}", &mut out);
        events.tool_input("other", "x", &mut out);
        events.tool_call("c2", "g", &mut out);
        events.finish(&Done::new(FinishReason::ToolCalls, None), &mut out);
        let read = read(&out);
        let expected = [
            "created",
            "in_progress",
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.done",
            "output_item.done",
            "completed",
        ];
        assert_eq!(kinds(&read), expected);
        let output = json!([
            {"id": "rs_1_0", "type": "reasoning", "status": "completed",
                "summary": [{"type": "summary_text", "text": "hm"}]},
            {"id": "fc_1_1", "type": "function_call", "status": "completed", "call_id": "c1", "name": "f",
                "arguments": "{\"a\":1}"},
            {"id": "fc_1_2", "type": "function_call", "status": "completed", "call_id": "c2", "name": "g",
                "arguments": ""},
        ]);
        assert_eq!(read[17]["response"]["output"], output);
    }

    #[test]
    fn an_answer_that_is_cut_is_incomplete_and_one_of_nothing_a_message() {
        for (reason, word) in
            [(FinishReason::Length, "max_output_tokens"), (FinishReason::ContentFilter, "content_filter")]
        {
            let (mut events, mut out) = (events(), BytesMut::new());
            events.finish(&Done::new(reason, None), &mut out);
            let read = read(&out);
            let last = read.last().unwrap();
            assert_eq!(last["type"], "response.incomplete");
            assert_eq!(last["response"]["incomplete_details"], json!({"reason": word}));
            assert_eq!(last["response"]["output"][0]["status"], "incomplete");
            assert_eq!(last["response"]["output"][0]["content"][0]["text"], "");
        }
    }

    #[test]
    fn a_failure_is_the_last_event_with_the_response() {
        let (mut events, mut out) = (events(), BytesMut::new());
        events.text("half", &mut out);
        events.fail(&ApiError::new(503, "server_error", "busy").code("overloaded"), &mut out);
        let read = read(&out);
        let last = read.last().unwrap();
        assert_eq!(
            (&last["type"], &last["response"]["status"]),
            (&json!("response.failed"), &json!("failed"))
        );
        assert_eq!(last["response"]["error"], json!({"code": "overloaded", "message": "busy"}));
        assert_eq!(last["response"]["output"][0]["status"], "incomplete");
        assert!(!kinds(&read).contains(&"output_text.done"));
    }

    #[test]
    fn the_streamed_response_is_the_one_that_is_sent_whole() {
        let usage = serde_json::from_str(
            r#"{"input_tokens":10,"output_tokens":5,"cache_creation_input_tokens":200,
                "cache_read_input_tokens":3000,"thinking_tokens":2}"#,
        );
        let (mut events, mut out) = (events(), BytesMut::new());
        let done = Done::new(FinishReason::Stop, Some(usage.unwrap()));
        events.text("Hi", &mut out);
        events.finish(&done, &mut out);
        let whole = crate::Whole::of_text("Hi", done);
        let whole = crate::responses::response(&events.stamp, &events.echo, true, &whole);
        let expected = concat!(
            r#"{"id":"resp_1","object":"response","created_at":7,"status":"completed","background":false,"error":null,"#,
            r#""incomplete_details":null,"model":"sonnet","output":[{"id":"msg_1_0","type":"message","status":"completed","#,
            r#""role":"assistant","content":[{"type":"output_text","text":"Hi","annotations":[],"logprobs":[]}]}],"#,
            r#""usage":{"input_tokens":3210,"input_tokens_details":{"cached_tokens":3000,"cache_write_tokens":200},"#,
            r#""output_tokens":5,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":3215},"store":true,"#,
            r#""service_tier":"default","truncation":"disabled","instructions":null,"max_output_tokens":null,"metadata":{},"#,
            r#""parallel_tool_calls":true,"previous_response_id":null,"reasoning":{"effort":null,"summary":null},"#,
            r#""temperature":1.0,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],"top_p":1.0,"user":null}"#,
        );
        assert_eq!(String::from_utf8(whole.clone()).unwrap(), expected);
        let whole: Value = serde_json::from_slice(&whole).unwrap();
        assert_eq!(read(&out).last().unwrap()["response"], whole);
    }
}
