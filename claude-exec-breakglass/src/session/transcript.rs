//! What the CLI says in one turn, as the session's events. Pure: the clock is an argument.

use std::collections::HashMap;

use claude_exec::protocol::{self, Failure, Outcome};
use serde_json::Value;

use super::event::{
    CliSession, Ended, Event, Left, Piece, Retract, Retry, ToolCall, ToolResult, TurnError, TurnResult, Usage,
};
use super::text::{Capped, cap, printable};

/// What of a tool's output is shown. A screen holds 2 KiB; the rest is for scrolling back.
const RESULT_BYTES: usize = 16 * 1024;

/// What of a tool's input is shown. What waits for leave is shown whole or refused.
pub(super) const INPUT_BYTES: usize = 16 * 1024;

/// Takes secrets out of a text.
pub(super) type Redact = dyn Fn(&str) -> String + Send + Sync;

/// Follows one turn.
pub(super) struct Transcript<'a> {
    turn: u64,
    redact: &'a Redact,
    /// The number of the block that text goes on with.
    block: u64,
    open: Option<Kind>,
    /// The blocks of the message under way, which a restart shortens.
    message: Vec<Block>,
    /// When each tool was called.
    calls: HashMap<String, u64>,
    streamed: bool,
    ended: Option<Ended>,
}

struct Block {
    number: u64,
    kind: Kind,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
}

/// Calls remembered for their duration; a turn of more has other worries.
const MAX_CALLS: usize = 1024;

impl<'a> Transcript<'a> {
    pub(super) fn new(turn: u64, redact: &'a Redact) -> Self {
        Self {
            turn,
            redact,
            block: 0,
            open: None,
            message: Vec::new(),
            calls: HashMap::new(),
            streamed: false,
            ended: None,
        }
    }

    /// How the turn has ended, as far as the CLI has told.
    pub(super) fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// What one event of the CLI's means for the readers of the session.
    pub(super) fn take(&mut self, event: &protocol::Event, at: u64) -> Option<Event> {
        let turn = self.turn;
        Some(match event {
            protocol::Event::Session(session) => Event::Session(CliSession {
                at,
                turn,
                session_id: session.session_id.as_str().to_owned(),
                model: session.model.clone(),
            }),
            protocol::Event::Text(text) if text.parent.is_none() => {
                self.streamed = true;
                Event::Delta(self.piece(Kind::Text, &text.text, at))
            }
            protocol::Event::Thinking(text) if text.parent.is_none() => {
                Event::Thinking(self.piece(Kind::Thinking, &text.text, at))
            }
            protocol::Event::MessageEnd(end) if end.parent.is_none() => {
                self.close_block();
                self.message.clear();
                return None;
            }
            protocol::Event::Restarted(restarted) if restarted.parent.is_none() => {
                let mut blocks = self.shorten(Kind::Text, restarted.text_bytes);
                blocks.extend(self.shorten(Kind::Thinking, restarted.thinking_bytes));
                self.close_block();
                if blocks.is_empty() {
                    return None;
                }
                Event::Retract(Retract { at, turn, blocks })
            }
            protocol::Event::Tool(tool) => {
                if tool.parent.is_none() {
                    self.close_block();
                }
                if self.calls.len() < MAX_CALLS {
                    self.calls.insert(tool.id.clone(), at);
                }
                Event::Tool(self.tool(tool, at))
            }
            protocol::Event::ToolResult(result) => Event::ToolResult(self.tool_result(result, at)),
            protocol::Event::Retry(retry) => Event::Retry(Retry {
                at,
                turn,
                attempt: retry.attempt,
                max_retries: retry.max_retries,
                delay_ms: retry.delay_ms,
                status: retry.status,
                error: (self.redact)(&retry.error),
            }),
            protocol::Event::Finished(outcome) => {
                self.ended = Some(match outcome.failure() {
                    None => Ended::Done,
                    Some(Failure::Interrupted) => Ended::Cancelled,
                    Some(_) => Ended::Failed,
                });
                Event::Result(self.result(outcome, at))
            }
            protocol::Event::Cancelled => {
                self.ended = Some(Ended::Cancelled);
                return None;
            }
            protocol::Event::Error(error) => {
                self.ended = Some(Ended::Failed);
                Event::Error(self.error(error, at))
            }
            _ => return None,
        })
    }

    pub(super) fn error(&self, error: &claude_exec::Error, at: u64) -> TurnError {
        let tail = error.stderr_tail();
        let text = if tail.is_empty() { error.to_string() } else { format!("{error}: {}", tail.trim()) };
        TurnError { at, turn: self.turn, error: (self.redact)(&cap(&printable(&text), RESULT_BYTES).text) }
    }

    fn piece(&mut self, kind: Kind, text: &str, at: u64) -> Piece {
        if self.open != Some(kind) {
            self.close_block();
            self.open = Some(kind);
            self.message.push(Block { number: self.block, kind, text: String::new() });
        }
        if let Some(block) = self.message.last_mut() {
            block.text.push_str(text);
        }
        Piece { at, turn: self.turn, block: self.block, text: text.to_owned() }
    }

    fn close_block(&mut self) {
        if self.open.take().is_some() {
            self.block += 1;
        }
    }

    /// Takes `bytes` off the end of the message's text of one kind.
    fn shorten(&mut self, kind: Kind, mut bytes: usize) -> Vec<Left> {
        let mut left = Vec::new();
        for block in
            self.message.iter_mut().rev().filter(|block| block.kind == kind && !block.text.is_empty())
        {
            if bytes == 0 {
                break;
            }
            let mut keep = block.text.len().saturating_sub(bytes);
            bytes -= (block.text.len() - keep).min(bytes);
            while !block.text.is_char_boundary(keep) {
                keep -= 1;
            }
            block.text.truncate(keep);
            left.push(Left { block: block.number, text: block.text.clone() });
        }
        left.reverse();
        left
    }

    fn tool(&self, tool: &protocol::Tool, at: u64) -> ToolCall {
        let shown = show_input(tool.input.get(), self.redact);
        ToolCall {
            at,
            turn: self.turn,
            tool_id: tool.id.clone(),
            name: tool.name.clone(),
            command: shown.command,
            input: shown.input,
            truncated: shown.truncated,
            parent: tool.parent.clone(),
        }
    }

    fn tool_result(&mut self, result: &protocol::ToolResult, at: u64) -> ToolResult {
        let text = result.content.as_ref().map_or_else(String::new, |content| plain(content.get()));
        let bytes = text.len() as u64;
        // A secret that the cut would leave half of is taken out before it.
        let Capped { text, truncated } = cap(&(self.redact)(&printable(&text)), RESULT_BYTES);
        ToolResult {
            at,
            turn: self.turn,
            tool_id: result.tool_use_id.clone(),
            is_error: result.is_error,
            text,
            bytes,
            truncated,
            ms: self.calls.remove(&result.tool_use_id).map(|called| at.saturating_sub(called)),
        }
    }

    fn result(&self, outcome: &Outcome, at: u64) -> TurnResult {
        let text = match outcome.failure() {
            // That it was interrupted is told as `cancelled`.
            Some(Failure::Interrupted) => String::new(),
            None if self.streamed => String::new(),
            None => outcome.text.clone(),
            Some(_) => outcome.error_message(),
        };
        let usage = outcome.usage;
        TurnResult {
            at,
            turn: self.turn,
            is_error: !matches!(outcome.failure(), None | Some(Failure::Interrupted)),
            result: (self.redact)(&text),
            duration_ms: outcome.duration_ms,
            cost_usd: outcome.cost_usd,
            total_cost_usd: outcome.total_cost_usd,
            usage: Usage {
                input_tokens: usage.input_tokens,
                output_tokens: usage.output_tokens,
                cache_read_input_tokens: usage.cache_read_input_tokens,
                cache_creation_input_tokens: usage.cache_creation_input_tokens,
            },
            num_turns: outcome.num_turns,
        }
    }
}

/// A tool's input as it is shown.
pub(super) struct Shown {
    pub(super) input: Value,
    pub(super) command: Option<String>,
    pub(super) truncated: bool,
}

/// The fields of an input that say what it does, in the order they are looked for.
const TELLING: [&str; 5] = ["command", "file_path", "path", "pattern", "url"];

/// Redacts and caps a tool's input, and finds the line to show.
pub(super) fn show_input(input: &str, redact: &Redact) -> Shown {
    let redacted = redact(input);
    let value: Option<Value> =
        if redacted.len() <= INPUT_BYTES { serde_json::from_str(&redacted).ok() } else { None };
    let truncated = value.is_none();
    let whole: Value = value.clone().or_else(|| serde_json::from_str(input).ok()).unwrap_or_default();
    let command = TELLING.iter().find_map(|field| whole[*field].as_str()).map(|text| {
        let Capped { text, .. } = cap(&redact(&printable(text)), INPUT_BYTES);
        text
    });
    let input = value.unwrap_or_else(|| Value::String(cap(&redacted, INPUT_BYTES).text));
    Shown { input, command, truncated }
}

/// The text of a tool's result: a JSON string, or the text of content blocks.
fn plain(content: &str) -> String {
    match serde_json::from_str(content) {
        Ok(Value::String(text)) => text,
        Ok(Value::Array(blocks)) => {
            let texts = blocks.iter().map(|block| match block["text"].as_str() {
                Some(text) => text.to_owned(),
                None => format!("[{}]", block["type"].as_str().unwrap_or("something else")),
            });
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => content.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use claude_exec::protocol::Translator;

    use super::*;

    fn keep(text: &str) -> String {
        text.to_owned()
    }

    /// What readers see of what the CLI has written.
    fn follow(lines: &[&str]) -> Vec<String> {
        let mut translator = Translator::new();
        let mut transcript = Transcript::new(1, &keep);
        lines.iter().for_each(|line| translator.push(format!("{line}\n").as_bytes()));
        translator.finish();
        let mut seen = Vec::new();
        while let Some(event) = translator.poll_event() {
            seen.extend(transcript.take(&event, 7).map(|event| format!("{} {}", event.name(), event.data())));
        }
        seen
    }

    #[test]
    fn s3_a_long_result_is_shown_capped_and_counted_whole() {
        let mut transcript = Transcript::new(1, &keep);
        let raw =
            serde_json::value::RawValue::from_string(Value::from("x".repeat(3 << 20)).to_string()).unwrap();
        let shown = transcript.tool_result_of("t", Some(raw), 7);
        assert_eq!((shown.bytes, shown.text.len(), shown.truncated), (3 << 20, RESULT_BYTES, true));
    }

    #[test]
    fn hostile_output_is_plain_text_and_secrets_are_gone_before_the_cut() {
        let hide = |text: &str| text.replace("hunter2", "[redacted]");
        let mut transcript = Transcript::new(1, &hide);
        let text = format!("\u{1b}[31mred\u{1b}[0m\u{202e}evil\r\n{}hunter2", "x".repeat(RESULT_BYTES - 16));
        let raw = serde_json::value::RawValue::from_string(Value::from(text).to_string()).unwrap();
        let shown = transcript.tool_result_of("t", Some(raw), 7);
        assert!(shown.text.starts_with("redevil\n"), "{:?}", &shown.text[..20]);
        assert!(!shown.text.contains("hunter"), "{:?}", &shown.text[shown.text.len() - 20..]);
    }

    #[test]
    fn blocks_are_numbered_and_a_restart_takes_back_what_is_void() {
        let mut transcript = Transcript::new(1, &keep);
        let mut blocks = Vec::new();
        for (kind, text) in
            [(Kind::Text, "one "), (Kind::Text, "twö"), (Kind::Thinking, "hm"), (Kind::Text, "three")]
        {
            blocks.push(transcript.piece(kind, text, 1).block);
        }
        assert_eq!(blocks, [0, 0, 1, 2]);
        let left = transcript.shorten(Kind::Text, "three".len() + "ö".len());
        assert_eq!(left, [Left { block: 0, text: "one tw".into() }, Left { block: 2, text: String::new() }]);
        assert_eq!(transcript.shorten(Kind::Thinking, 99), [Left { block: 1, text: String::new() }]);
        assert_eq!(transcript.shorten(Kind::Thinking, 99), []);
    }

    #[test]
    fn a_recorded_tool_turn_reads_as_its_story() {
        let recorded = include_str!("../../../tests/data/tool_turn-2.1.330.jsonl");
        let seen = follow(&recorded.lines().collect::<Vec<_>>());
        let names: Vec<&str> = seen.iter().map(|event| event.split(' ').next().unwrap()).collect();
        let mut told = names.clone();
        told.dedup();
        assert_eq!(told, ["session", "tool", "tool_result", "delta", "result"], "{seen:#?}");
    }

    #[test]
    fn big_inputs_still_show_their_command() {
        let input =
            serde_json::json!({"command": "df -h", "description": "x".repeat(INPUT_BYTES)}).to_string();
        let shown = show_input(&input, &keep);
        assert_eq!((shown.command.as_deref(), shown.truncated), (Some("df -h"), true));
        let shown = show_input(r#"{"file_path":"/etc/hosts"}"#, &keep);
        assert_eq!((shown.command.as_deref(), shown.truncated), (Some("/etc/hosts"), false));
    }

    impl Transcript<'_> {
        fn tool_result_of(
            &mut self,
            id: &str,
            content: Option<Box<serde_json::value::RawValue>>,
            at: u64,
        ) -> ToolResult {
            let mut translator = Translator::new();
            let content = content.map_or_else(|| "null".to_owned(), |content| content.get().to_owned());
            let line = format!(
                r#"{{"type":"user","message":{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"{id}","content":{content}}}]}},"parent_tool_use_id":null,"session_id":"s"}}"#
            );
            translator.push(format!("{line}\n").as_bytes());
            let event =
                std::iter::from_fn(|| translator.poll_event()).find_map(|event| self.take(&event, at));
            match event {
                Some(Event::ToolResult(result)) => result,
                other => panic!("{other:?}"),
            }
        }
    }
}
