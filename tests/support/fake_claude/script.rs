//! What to do for a message, written as markers.
//!
//! | marker | effect |
//! | --- | --- |
//! | `[[words N delay_ms=D]]`, `[[text ANY]]` | text deltas |
//! | `[[long_line BYTES]]` | one delta of that size |
//! | `[[thinking N]]`, `[[block]]` | a thinking block; what follows is a block of its own |
//! | `[[tool NAME JSON]]` | a tool call, its result, and a new message for what follows |
//! | `[[permission NAME JSON]]` | the same, but the host is asked first (`can_use_tool`) and waited for |
//! | `[[echo]]`, `[[recall]]`, `[[system]]` | answers with the text, all earlier texts, the system prompt |
//! | `[[report]]` | answers with argv, cwd, env, open files and the messages received, as JSON |
//! | `[[sleep MS]]`, `[[pace MS]]`, `[[wait_file PATH]]`, `[[touch PATH]]` | time and rendezvous |
//! | `[[silence]]` | nothing more, but `interrupt` is answered; `[[hang]]`: nothing at all |
//! | `[[restart N TEXT]]` | N deltas that are void, then TEXT as a whole message with a new id (no stream) |
//! | `[[abandon N]]` | N deltas that are void; what follows is streamed again, in a new message |
//! | `[[api_retry STATUS times=N]]`, `[[rate_limit]]` | the announcements |
//! | `[[subagent N]]` | N deltas and a message of a subagent, mixed in |
//! | `[[is_error STATUS TEXT]]`, `[[result SUBTYPE]]` | how the turn ends |
//! | `[[empty_result]]`, `[[no_result]]`, `[[structured JSON]]`, `[[stop REASON]]` | what the `result` holds |
//! | `[[stderr BYTES]]`, `[[stderr_text ANY]]` | written before going on |
//! | `[[raw ANY]]` | a line as it is |
//! | `[[not_objects]]`, `[[bad_utf8]]`, `[[null_message]]`, `[[string_content ANY]]`, `[[unknown_types]]`, `[[crlf]]` | odd lines |
//! | `[[flood]]` | deltas without end |
//! | `[[exit CODE]]`, `[[abort]]`, `[[close_stdout]]` | ends here, by itself or by a signal; or only stdout does |
//! | `[[grandchild]]`, `[[detached]]` | a child that holds the pipes; one in a session of its own |
//! | `[[ignore_sigterm]]`, `[[ignore_initialize]]`, `[[ignore_interrupt]]` | from here on |
//! | `[[play PATH]]` | the lines of a recording |
//! | `[[next]]` | in `FAKE_CLAUDE`: what follows is for the next turn; the last section stays |

use crate::marker::{self, markers, named, number, pieces, plain};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Text(Vec<String>),
    Words(usize),
    Thinking(usize),
    Block,
    Tool { name: String, input: String, ask: bool },
    Echo,
    Recall,
    System,
    Report,
    Sleep(u64),
    Pace(u64),
    WaitFile(String),
    Touch(String),
    Silence,
    Hang,
    Restart(usize, String),
    Abandon(usize),
    ApiRetry { status: u16, times: u64 },
    RateLimit,
    Subagent(usize),
    IsError { status: u16, text: String },
    Result(String),
    EmptyResult,
    NoResult,
    Structured(String),
    Stop(String),
    Stderr(usize),
    StderrText(String),
    Raw(String),
    NotObjects,
    BadUtf8,
    NullMessage,
    StringContent(String),
    UnknownTypes,
    Crlf,
    Flood,
    Exit(i32),
    Abort,
    CloseStdout,
    Grandchild,
    Detached,
    IgnoreSigterm,
    IgnoreInitialize,
    IgnoreInterrupt,
    Play(String),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    sections: Vec<Vec<Step>>,
}

impl Script {
    /// What is played before stdin is read.
    pub(crate) fn start() -> Vec<Step> {
        let text = std::env::var("FAKE_CLAUDE_START").unwrap_or_default();
        Self::parse(&text).sections.concat()
    }

    /// `FAKE_CLAUDE`: a script, or the path of a recording.
    pub(crate) fn of_environment() -> Self {
        let text = std::env::var("FAKE_CLAUDE").unwrap_or_default();
        if !text.contains("[[") && !text.trim().is_empty() {
            return Self { sections: vec![vec![Step::Play(text.trim().to_owned())]] };
        }
        Self::parse(&text)
    }

    /// The steps of turn `turn`: the message's own markers, else this script's.
    pub(crate) fn steps(&self, turn: usize, text: &str) -> Vec<Step> {
        let own = Self::parse(text).sections.concat();
        if !own.is_empty() {
            return own;
        }
        let section = self.sections.get(turn).or(self.sections.last()).cloned().unwrap_or_default();
        if section.is_empty() { vec![Step::Text(pieces("Hello from the fake."))] } else { section }
    }

    fn parse(text: &str) -> Self {
        let mut sections = vec![Vec::new()];
        for (name, args) in markers(text) {
            if name == "next" {
                sections.push(Vec::new());
            } else if let Some(steps) = step(name, args)
                && let Some(section) = sections.last_mut()
            {
                section.extend(steps);
            }
        }
        Self { sections }
    }
}

fn step(name: &str, args: &str) -> Option<Vec<Step>> {
    let text = args.trim_end().to_owned();
    let number = number(args);
    let after_first = || args.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim()).to_owned();
    let step = match name {
        "words" => {
            let words = Step::Words(number.unwrap_or(3));
            return Some(match named(args, "delay_ms") {
                Some(delay) => vec![Step::Pace(delay), words],
                None => vec![words],
            });
        }
        "text" => Step::Text(pieces(args)),
        "long_line" => Step::Text(vec!["x".repeat(number?)]),
        "thinking" => Step::Thinking(number.unwrap_or(2)),
        "block" => Step::Block,
        "tool" | "permission" => {
            let (tool, input) = args.split_once(char::is_whitespace)?;
            Step::Tool { name: tool.to_owned(), input: input.trim().to_owned(), ask: name == "permission" }
        }
        "echo" => Step::Echo,
        "recall" => Step::Recall,
        "system" => Step::System,
        "report" => Step::Report,
        "sleep" => Step::Sleep(number? as u64),
        "pace" => Step::Pace(number? as u64),
        "wait_file" => Step::WaitFile(text),
        "touch" => Step::Touch(text),
        "silence" => Step::Silence,
        "hang" => Step::Hang,
        "restart" => {
            let text = after_first();
            Step::Restart(number.unwrap_or(3), if text.is_empty() { "ok".to_owned() } else { text })
        }
        "abandon" => Step::Abandon(number.unwrap_or(3)),
        "api_retry" => Step::ApiRetry { status: number? as u16, times: named(args, "times").unwrap_or(1) },
        "rate_limit" => Step::RateLimit,
        "subagent" => Step::Subagent(number.unwrap_or(2)),
        "is_error" => Step::IsError { status: number? as u16, text: after_first() },
        "result" => Step::Result(plain(args)?.to_owned()),
        "empty_result" => Step::EmptyResult,
        "no_result" => Step::NoResult,
        "structured" => Step::Structured(text),
        "stop" => Step::Stop(plain(args)?.to_owned()),
        "stderr" => Step::Stderr(number?),
        "stderr_text" => Step::StderrText(text),
        "raw" => Step::Raw(text),
        "not_objects" => Step::NotObjects,
        "bad_utf8" => Step::BadUtf8,
        "null_message" => Step::NullMessage,
        "string_content" => Step::StringContent(text),
        "unknown_types" => Step::UnknownTypes,
        "crlf" => Step::Crlf,
        "flood" => Step::Flood,
        "exit" => Step::Exit(plain(args)?.parse().ok()?),
        "abort" => Step::Abort,
        "close_stdout" => Step::CloseStdout,
        "grandchild" => Step::Grandchild,
        "detached" => Step::Detached,
        "ignore_sigterm" => Step::IgnoreSigterm,
        "ignore_initialize" => Step::IgnoreInitialize,
        "ignore_interrupt" => Step::IgnoreInterrupt,
        "play" => Step::Play(text),
        _ => return None,
    };
    Some(vec![step])
}

/// `word0 `, `word1 ` …, for a step that counts.
pub(crate) fn words(count: usize) -> impl Iterator<Item = String> {
    marker::words(count).into_iter()
}
