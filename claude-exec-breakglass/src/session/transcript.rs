//! What the CLI says in one turn, as the session's events. Pure: the clock is an argument.

use std::collections::HashMap;

use claude_exec::protocol::{self, Failure, Outcome};
use serde_json::Value;

use super::event::{
    CliSession, Ended, Event, Left, Piece, Retract, Retry, ToolCall, ToolResult, TurnError, TurnResult, Usage,
};
use super::text::{Capped, cap, visible};
use crate::redact::{Redacting, Redactor, plain};

/// What of a tool's output is shown. A screen holds 2 KiB; the rest is for scrolling back.
const RESULT_BYTES: usize = 16 * 1024;

/// What of a tool's input is shown. What waits for leave is shown whole or refused.
const INPUT_BYTES: usize = 16 * 1024;

/// Calls remembered for their duration; a turn of more has other worries.
const MAX_CALLS: usize = 1024;

/// Follows one turn.
pub(super) struct Transcript {
    turn: u64,
    redactor: Redactor,
    /// The number of the next block.
    next: u64,
    /// What takes the secrets out of the block that text goes on with, which is the message's last.
    open: Option<Redacting>,
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
    /// As it came.
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
}

impl Transcript {
    pub(super) fn new(turn: u64, redactor: Redactor) -> Self {
        Self {
            turn,
            redactor,
            next: 0,
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
    pub(super) fn take(&mut self, event: &protocol::Event, at: u64) -> Vec<Event> {
        let mut events = Vec::new();
        let told = match event {
            protocol::Event::Text(text) if text.parent.is_none() => {
                self.streamed = true;
                return self.piece(Kind::Text, &text.text, at);
            }
            protocol::Event::Thinking(text) if text.parent.is_none() => {
                return self.piece(Kind::Thinking, &text.text, at);
            }
            protocol::Event::Restarted(restarted) if restarted.parent.is_none() => {
                return self
                    .restart(restarted.text_bytes, restarted.thinking_bytes, at)
                    .into_iter()
                    .collect();
            }
            protocol::Event::MessageEnd(end) if end.parent.is_none() => {
                events.extend(self.close_block(at));
                self.message.clear();
                return events;
            }
            protocol::Event::Tool(tool) => {
                if tool.parent.is_none() {
                    events.extend(self.close_block(at));
                }
                if self.calls.len() < MAX_CALLS {
                    self.calls.insert(tool.id.clone(), at);
                }
                Event::Tool(self.tool(tool, at))
            }
            protocol::Event::Finished(outcome) => {
                events.extend(self.close_block(at));
                self.ended = Some(match outcome.failure() {
                    None => Ended::Done,
                    Some(Failure::Interrupted) => Ended::Cancelled,
                    Some(_) => Ended::Failed,
                });
                Event::Result(self.result(outcome, at))
            }
            protocol::Event::Cancelled => {
                self.ended = Some(Ended::Cancelled);
                return self.close_block(at).into_iter().collect();
            }
            protocol::Event::Error(error) => {
                events.extend(self.close_block(at));
                self.ended = Some(Ended::Failed);
                Event::Error(self.error(error, at))
            }
            other => return self.aside(other, at).into_iter().collect(),
        };
        events.push(told);
        events
    }

    /// What stands beside the text, and ends no block.
    fn aside(&mut self, event: &protocol::Event, at: u64) -> Option<Event> {
        let turn = self.turn;
        Some(match event {
            protocol::Event::Session(session) => Event::Session(CliSession {
                at,
                turn,
                session_id: session.session_id.as_str().to_owned(),
                model: session.model.clone(),
            }),
            protocol::Event::ToolResult(result) => Event::ToolResult(self.tool_result(result, at)),
            protocol::Event::Retry(retry) => Event::Retry(Retry {
                at,
                turn,
                attempt: retry.attempt,
                max_retries: retry.max_retries,
                delay_ms: retry.delay_ms,
                status: retry.status,
                error: self.redactor.text(&retry.error).into_owned(),
            }),
            _ => return None,
        })
    }

    pub(super) fn error(&self, error: &claude_exec::Error, at: u64) -> TurnError {
        let tail = error.stderr_tail();
        let text = if tail.is_empty() { error.to_string() } else { format!("{error}: {}", tail.trim()) };
        let error = cap(&self.redactor.text(&plain(&text)), RESULT_BYTES).text;
        TurnError { at, turn: self.turn, error }
    }

    fn piece(&mut self, kind: Kind, text: &str, at: u64) -> Vec<Event> {
        let mut events = Vec::new();
        if self.open.is_none() || self.message.last().is_none_or(|block| block.kind != kind) {
            events.extend(self.close_block(at));
            self.open = Some(self.redactor.streamed());
            self.message.push(Block { number: self.next, kind, text: String::new() });
            self.next += 1;
        }
        let (Some(block), Some(redacting)) = (self.message.last_mut(), self.open.as_mut()) else {
            return events;
        };
        block.text.push_str(text);
        let told = redacting.push(text);
        events.extend(told_of(block, self.turn, told, at));
        events
    }

    /// Ends the block under way, and tells the word that was held back.
    fn close_block(&mut self, at: u64) -> Option<Event> {
        let told = self.open.take()?.finish();
        told_of(self.message.last()?, self.turn, told, at)
    }

    fn restart(&mut self, text_bytes: usize, thinking_bytes: usize, at: u64) -> Option<Event> {
        // What was held back is void, or told with what is left.
        self.open = None;
        let mut blocks = self.shorten(Kind::Text, text_bytes);
        blocks.extend(self.shorten(Kind::Thinking, thinking_bytes));
        (!blocks.is_empty()).then_some(Event::Retract(Retract { at, turn: self.turn, blocks }))
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
            left.push(Left { block: block.number, text: self.redactor.text(&block.text).into_owned() });
        }
        left.reverse();
        left
    }

    fn tool(&self, tool: &protocol::Tool, at: u64) -> ToolCall {
        let shown = show_input(tool.input.get(), &self.redactor);
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
        let text = result.content.as_ref().map_or_else(String::new, |content| text_of(content.get()));
        let bytes = text.len() as u64;
        // A secret that the cut would leave half of is taken out before it.
        let Capped { text, truncated } = cap(&self.redactor.text(&plain(&text)), RESULT_BYTES);
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
            result: self.redactor.text(&text).into_owned(),
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

fn told_of(block: &Block, turn: u64, text: String, at: u64) -> Option<Event> {
    let piece = Piece { at, turn, block: block.number, text };
    (!piece.text.is_empty()).then_some(match block.kind {
        Kind::Text => Event::Delta(piece),
        Kind::Thinking => Event::Thinking(piece),
    })
}

/// A tool's input as it is shown.
pub(super) struct Shown {
    pub(super) input: Value,
    pub(super) command: Option<String>,
    pub(super) truncated: bool,
}

/// The fields of an input that say what it does, in the order they are looked for.
const TELLING: [&str; 5] = ["command", "file_path", "path", "pattern", "url"];

/// Takes the secrets out of a tool's input, caps it, and finds the line to show: every character of it that a
/// screen would not show, or show elsewhere, is written as its escape, since a person decides by what they see.
pub(super) fn show_input(input: &str, redactor: &Redactor) -> Shown {
    let mut value: Value = serde_json::from_str(input).unwrap_or_else(|_| Value::from(input));
    redactor.json(&mut value);
    let command = TELLING.iter().find_map(|field| value[*field].as_str());
    let command = command.map(|text| cap(&visible(text), INPUT_BYTES));
    let text = value.to_string();
    let truncated = text.len() > INPUT_BYTES || command.as_ref().is_some_and(|command| command.truncated);
    let input = if truncated { Value::String(cap(&text, INPUT_BYTES).text) } else { value };
    Shown { input, command: command.map(|command| command.text), truncated }
}

/// The text of a tool's result: a JSON string, or the text of content blocks.
fn text_of(content: &str) -> String {
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

    /// What readers see of what the CLI has written.
    fn follow(lines: &[&str]) -> Vec<String> {
        let mut translator = Translator::new();
        let mut transcript = Transcript::new(1, Redactor::new());
        lines.iter().for_each(|line| translator.push(format!("{line}\n").as_bytes()));
        translator.finish();
        let mut seen = Vec::new();
        while let Some(event) = translator.poll_event() {
            let told = transcript.take(&event, 7);
            seen.extend(told.iter().map(|event| format!("{} {}", event.name(), event.data())));
        }
        seen
    }

    #[test]
    fn s3_a_long_result_is_shown_capped_and_counted_whole() {
        let mut transcript = Transcript::new(1, Redactor::new());
        let raw =
            serde_json::value::RawValue::from_string(Value::from("x".repeat(3 << 20)).to_string()).unwrap();
        let shown = transcript.tool_result_of("t", Some(raw), 7);
        assert_eq!((shown.bytes, shown.text.len(), shown.truncated), (3 << 20, RESULT_BYTES, true));
    }

    #[test]
    fn what_a_person_is_asked_shows_no_secret() {
        let input = r#"{"command":"mysql --password=hunter2","more":{"note":"token: abc123"}}"#;
        let shown = show_input(input, &Redactor::new());
        assert_eq!(shown.command.as_deref(), Some("mysql --password=[redacted]"));
        let whole = shown.input.to_string();
        assert!(!whole.contains("hunter2") && !whole.contains("abc123"), "{whole}");
    }

    #[test]
    fn hostile_output_is_plain_text_and_secrets_are_gone_before_the_cut() {
        let mut transcript = Transcript::new(1, Redactor::new().secret("hunter2-secret"));
        let text =
            format!("\u{1b}[31mred\u{1b}[0m\u{202e}evil\r\n{} hunter2-secret", "x".repeat(RESULT_BYTES - 16));
        let raw = serde_json::value::RawValue::from_string(Value::from(text).to_string()).unwrap();
        let shown = transcript.tool_result_of("t", Some(raw), 7);
        assert!(shown.text.starts_with("redevil\n"), "{:?}", &shown.text[..20]);
        assert!(!shown.text.contains("hunter"), "{:?}", &shown.text[shown.text.len() - 20..]);
    }

    #[test]
    fn blocks_are_numbered_and_a_restart_takes_back_what_is_void() {
        let mut transcript = Transcript::new(1, Redactor::new());
        let mut blocks = Vec::new();
        for (kind, text) in
            [(Kind::Text, "one "), (Kind::Text, "twö"), (Kind::Thinking, "hm"), (Kind::Text, "three")]
        {
            transcript.piece(kind, text, 1);
            blocks.push(transcript.message.last().unwrap().number);
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
    fn text_comes_word_by_word_and_no_secret_comes_in_pieces() {
        let mut transcript = Transcript::new(1, Redactor::new().secret("hunter2-secret"));
        let mut told = Vec::new();
        for piece in ["the key", " is hun", "ter2-", "secret", ", ", "see"] {
            told.extend(transcript.piece(Kind::Text, piece, 1));
        }
        told.extend(transcript.close_block(1));
        let texts = told.iter().map(|event| match event {
            Event::Delta(piece) => piece.text.clone(),
            other => panic!("{other:?}"),
        });
        let texts: Vec<String> = texts.collect();
        assert_eq!(texts.concat(), "the key is [redacted], see");
        assert!(texts.len() > 2, "{texts:?}");
    }

    #[test]
    fn what_a_person_is_asked_for_hides_nothing() {
        let input =
            serde_json::json!({"command": "rm \u{202e}x\u{202c}\ta\nb\u{1b}[2K\r\u{200b}"}).to_string();
        let shown = show_input(&input, &Redactor::new());
        assert_eq!(shown.command.unwrap(), "rm \\u{202e}x\\u{202c}\ta\nb\\u{1b}[2K\\r\\u{200b}");
    }

    #[test]
    fn big_inputs_still_show_their_command() {
        let input =
            serde_json::json!({"command": "df -h", "description": "x".repeat(INPUT_BYTES)}).to_string();
        let shown = show_input(&input, &Redactor::new());
        assert_eq!((shown.command.as_deref(), shown.truncated), (Some("df -h"), true));
        let shown = show_input(r#"{"file_path":"/etc/hosts"}"#, &Redactor::new());
        assert_eq!((shown.command.as_deref(), shown.truncated), (Some("/etc/hosts"), false));
    }

    impl Transcript {
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
                std::iter::from_fn(|| translator.poll_event()).find_map(|event| self.take(&event, at).pop());
            match event {
                Some(Event::ToolResult(result)) => result,
                other => panic!("{other:?}"),
            }
        }
    }
}
