//! The state machine from the CLI's bytes to events.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::decode;
use super::event::{Event, MessageEnd, Noise, NoiseReason, Other, Text, ToolInput, ToolStart};
use super::line::{Line, LineFramer, MAX_LINE_BYTES};
use super::message::{BlockKind, Messages, Stop};
use super::outcome::Outcome;
use super::repair::repair;
use super::session::SessionId;
use super::wire::{Bare, Block, Head, MessageLine, StreamEvent};

/// Turns what the CLI writes on stdout into [`Event`]s.
///
/// It knows no clock, no socket and no runtime. **After every [`push`](Self::push) and after
/// [`finish`](Self::finish), call [`poll_event`](Self::poll_event) until it returns `None`.** The events are
/// the same for every way of cutting the bytes.
///
/// 1. Push what was read.
/// 2. Drain the events.
/// 3. At the end of the input, finish and drain once more.
///
/// ```
/// use claude_exec::protocol::{Event, Translator};
///
/// let mut translator = Translator::new();
/// let mut answer = String::new();
/// for piece in [&b"{\"type\":\"assistant\",\"message\":{\"id\":\"m\",\"content\":[{\"type\":"[..],
///               b"\"text\",\"text\":\"Hi\"}]}}\n"] {
///     translator.push(piece);                          // 1
///     while let Some(event) = translator.poll_event() { // 2
///         if let Event::Text(text) = event { answer += &text.text }
///     }
/// }
/// translator.finish();                                 // 3
/// assert!(translator.poll_event().is_none());
/// assert_eq!(answer, "Hi");
/// ```
#[derive(Debug)]
pub struct Translator {
    framer: LineFramer,
    events: VecDeque<Event>,
    messages: Messages,
    session_id: Option<SessionId>,
}

impl Default for Translator {
    fn default() -> Self {
        Self::new()
    }
}

impl Translator {
    /// A translator that takes lines of up to [`MAX_LINE_BYTES`].
    pub fn new() -> Self {
        Self::with_line_limit(MAX_LINE_BYTES)
    }

    /// A translator that drops lines of more than `limit` bytes, each with one [`Event::Noise`].
    pub fn with_line_limit(limit: usize) -> Self {
        Self {
            framer: LineFramer::new(limit),
            events: VecDeque::new(),
            messages: Messages::default(),
            session_id: None,
        }
    }

    /// Takes the next piece of the CLI's stdout.
    pub fn push(&mut self, bytes: &[u8]) {
        self.framer.push(bytes);
    }

    /// Says that stdout has ended.
    pub fn finish(&mut self) {
        self.framer.finish();
    }

    /// The next event, or `None` until more bytes come.
    pub fn poll_event(&mut self) -> Option<Event> {
        while self.events.is_empty() {
            match self.framer.next_line()? {
                Line::Whole(line) => self.line(&line, false),
                Line::Unfinished(line) => self.line(&line, true),
                Line::TooLong(bytes) => self.noise(NoiseReason::TooLong, bytes),
            }
        }
        self.events.pop_front()
    }

    /// The session's id, once the CLI has told it.
    pub fn session_id(&self) -> Option<&SessionId> {
        self.session_id.as_ref()
    }

    fn noise(&mut self, reason: NoiseReason, bytes: u64) {
        self.events.push_back(Event::Noise(Noise { reason, bytes }));
    }

    /// Takes a line; the input may have ended before its newline, and it may be whole all the same.
    fn line(&mut self, line: &[u8], unfinished: bool) {
        let trimmed = line.trim_ascii();
        if trimmed.is_empty() {
            return;
        }
        if trimmed[0] != b'{' {
            return self.noise(NoiseReason::NotJson, line.len() as u64);
        }
        let Err(first) = self.object(trimmed) else { return };
        // Either the text is not quite JSON, or a field has a shape of its own.
        let repaired = repair(trimmed);
        if repaired.as_bytes() != trimmed && self.object(repaired.as_bytes()).is_ok() {
            return;
        }
        let Ok(raw) = RawValue::from_string(repaired) else {
            let reason = if unfinished { NoiseReason::CutOff } else { NoiseReason::NotJson };
            return self.noise(reason, line.len() as u64);
        };
        match serde_json::from_str::<Bare>(raw.get()) {
            Ok(Bare { kind, .. }) if kind == "result" => match self.outcome(raw.get().as_bytes()) {
                Ok(outcome) => self.events.push_back(Event::Finished(Box::new(outcome))),
                Err(error) => self.noise(NoiseReason::Malformed(error.to_string()), line.len() as u64),
            },
            Ok(Bare { kind, subtype }) if !is_interpreted(&kind, subtype.as_deref()) => {
                self.events.push_back(Event::Other(Other { kind, subtype, raw }));
            }
            _ => self.noise(NoiseReason::Malformed(first.to_string()), line.len() as u64),
        }
    }

    fn object(&mut self, line: &[u8]) -> serde_json::Result<()> {
        let head = head(line)?;
        let subtype = head.subtype.as_ref().map(|subtype| subtype.as_str()).unwrap_or_default();
        let event = match (head.kind.as_str(), subtype) {
            ("stream_event", _) => {
                let parent = head.parent_tool_use_id.map(|id| id.into_string());
                if let Some(abandoned) = head.abandoned_blocks {
                    let void = self.messages.abandon(abandoned.from_block_index, parent.as_deref());
                    self.events.extend(void.map(Event::Restarted));
                } else if let Some(event) = head.event {
                    self.stream_event(event, parent);
                }
                return Ok(());
            }
            ("assistant" | "user", _) => {
                return self.message(line, &head);
            }
            ("system", "init") => {
                let session = decode::session(line)?;
                self.session_id = Some(session.session_id.clone());
                self.messages.begin_turn();
                Event::Session(session)
            }
            ("system", "api_retry") => Event::Retry(decode::retry(line)?),
            ("rate_limit_event", _) => Event::RateLimit(decode::rate_limit(line)?),
            ("control_request", _) => Event::ControlRequest(decode::control_request(line)?),
            ("control_response", _) => Event::ControlResponse(decode::control_response(line)?),
            ("control_cancel_request", _) => Event::ControlCancel(decode::control_cancel(line)?),
            ("result", _) => Event::Finished(Box::new(self.outcome(line)?)),
            _ => other(line, &head)?,
        };
        self.events.push_back(event);
        Ok(())
    }

    fn outcome(&mut self, line: &[u8]) -> serde_json::Result<Outcome> {
        let mut outcome = decode::outcome(line)?;
        let seen = self.messages.take_answer();
        if outcome.text.is_empty() && !outcome.is_error {
            outcome.text = seen;
        }
        if let Some(id) = &outcome.session_id {
            self.session_id = Some(id.clone());
        }
        Ok(outcome)
    }

    fn stream_event(&mut self, event: StreamEvent<'_>, parent: Option<String>) {
        match event.kind.as_str() {
            "content_block_delta" => {
                let Some(delta) = event.delta else { return };
                if let Some(text) = delta.text {
                    self.delta(BlockKind::Text, text.into_string(), parent);
                } else if let Some(thinking) = delta.thinking {
                    self.delta(BlockKind::Thinking, thinking.into_string(), parent);
                } else if let Some(json) = delta.partial_json
                    && let Some(id) = self.messages.open_tool(parent.as_deref())
                    && !json.as_str().is_empty()
                {
                    let input = ToolInput { id, partial_json: json.into_string(), parent };
                    self.events.push_back(Event::ToolInput(input));
                }
            }
            "message_start" => {
                let message = event.message.unwrap_or_default();
                let usage = message.usage.map(|usage| usage.to_usage());
                let void = self.messages.start(message.id.into_string(), usage, parent.as_deref());
                self.events.extend(void.map(Event::Restarted));
            }
            "content_block_start" => {
                let Some(block) = event.content_block else { return };
                let id = block.id.map(|id| id.into_string()).unwrap_or_default();
                let kind = BlockKind::named(block.kind.as_str());
                self.messages.open_block(event.index, kind, &id, parent.as_deref());
                if let (Some(name), BlockKind::Tool) = (block.name, kind) {
                    let start = ToolStart { id, name: name.into_string(), parent };
                    self.events.push_back(Event::ToolStart(start));
                } else if let Some(text) = block.text {
                    self.delta(BlockKind::Text, text.into_string(), parent);
                }
            }
            "content_block_stop" => self.messages.close_block(parent.as_deref()),
            "message_delta" => {
                let delta = event.delta.unwrap_or_default();
                let stop = Stop {
                    reason: delta.stop_reason.map(|reason| reason.into_string()),
                    sequence: delta.stop_sequence.map(|sequence| sequence.into_string()),
                };
                let usage = event.usage.map(|usage| usage.to_usage());
                self.messages.end(stop, usage, parent.as_deref());
            }
            "message_stop" => {
                let (stop, usage) = self.messages.stop(parent.as_deref());
                let Stop { reason: stop_reason, sequence: stop_sequence } = stop;
                let end = MessageEnd { stop_reason, stop_sequence, usage, parent };
                self.events.push_back(Event::MessageEnd(end));
            }
            _ => {}
        }
    }

    fn delta(&mut self, kind: BlockKind, text: String, parent: Option<String>) {
        if !text.is_empty() {
            self.messages.delta(parent.as_deref());
            self.text(kind, text, parent);
        }
    }

    /// A delta, or a text that came whole.
    fn text(&mut self, kind: BlockKind, text: String, parent: Option<String>) {
        if text.is_empty() {
            return;
        }
        self.messages.said(kind, &text, parent.as_deref());
        let text = Text { text, parent };
        self.events.push_back(if kind == BlockKind::Text {
            Event::Text(text)
        } else {
            Event::Thinking(text)
        });
    }

    fn message(&mut self, line: &[u8], head: &Head<'_>) -> serde_json::Result<()> {
        let from_model = head.kind.as_str() == "assistant";
        let parent = head.parent_tool_use_id.as_ref().map(|id| id.as_str().to_owned());
        let view: MessageLine<'_> = serde_json::from_slice(line)?;
        let message = view.message.unwrap_or_default();
        let blocks: Vec<Block<'_>> = match message.content {
            Some(content) if content.get().starts_with('[') => Deserialize::deserialize(content)?,
            _ => Vec::new(),
        };
        if view.is_replay || view.error.is_some_and(|error| error.get() != "null") || blocks.is_empty() {
            // A failed request's prose is no answer: the outcome tells it.
            self.events.push_back(other(line, head)?);
            return Ok(());
        }
        if from_model {
            let id = message.id.map(|id| id.into_string()).unwrap_or_default();
            let void = self.messages.whole(id, parent.as_deref());
            self.events.extend(void.map(Event::Restarted));
        }
        let mut all_known = true;
        for block in blocks {
            match block.kind.as_str() {
                kind @ ("text" | "thinking") if from_model => {
                    let kind = BlockKind::named(kind);
                    let text = if kind == BlockKind::Text { block.text } else { block.thinking };
                    if !self.messages.came_as_deltas(kind, parent.as_deref()) {
                        self.text(kind, text.unwrap_or_default().into_string(), parent.clone());
                    }
                }
                "tool_use" if from_model => self.events.push_back(decode::tool(block, parent.clone())),
                "tool_result" => self.events.push_back(decode::tool_result(block, parent.clone())),
                _ => all_known = false,
            }
        }
        if !all_known {
            self.events.push_back(other(line, head)?);
        }
        Ok(())
    }
}

/// True for the lines that become events of their own: one that does not fit is damaged, not new.
fn is_interpreted(kind: &str, subtype: Option<&str>) -> bool {
    match kind {
        "system" => matches!(subtype, Some("init" | "api_retry")),
        "stream_event" | "assistant" | "user" | "result" | "rate_limit_event" => true,
        "control_request" | "control_response" | "control_cancel_request" => true,
        _ => false,
    }
}

/// Reads what every line has. To look at the whole line's UTF-8 once is cheaper than at each string of it; a
/// line that is not all UTF-8 may be so in all that is read of it.
fn head(line: &[u8]) -> serde_json::Result<Head<'_>> {
    match std::str::from_utf8(line) {
        Ok(line) => serde_json::from_str(line),
        Err(_) => serde_json::from_slice(line),
    }
}

fn other(line: &[u8], head: &Head<'_>) -> serde_json::Result<Event> {
    Ok(Event::Other(Other {
        kind: head.kind.as_str().to_owned(),
        subtype: head.subtype.as_ref().map(|subtype| subtype.as_str().to_owned()),
        raw: serde_json::from_slice(line)?,
    }))
}
