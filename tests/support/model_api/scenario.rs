//! What to answer: a list of actions, written as markers.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::support::marker::{markers, named, number, pieces, plain, words};

/// The answer to a text without a marker.
pub(crate) const DEFAULT_ANSWER: &str = "Hello from the model.";
/// The answer after a tool's result.
pub(crate) const TOOL_ANSWER: &str = "done";
/// The answer to the non-streaming request that follows a broken stream; unlike anything streamed before it.
pub(crate) const RETRIED_ANSWER: &str = "ok";

/// One thing the stand-in does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// An HTTP error instead of an answer, the first `times` times this request comes.
    Status {
        code: u16,
        times: usize,
        retry_after: Option<u64>,
        message: String,
    },
    /// No response head, for ever.
    Hang,
    /// Text deltas, one per piece; they continue the open text block.
    Text(Vec<String>),
    /// A thinking block.
    Thinking(Vec<String>),
    /// A tool call.
    Tool {
        name: String,
        input: Value,
    },
    /// What follows is a content block of its own.
    Block,
    /// Answers with the last user text.
    Echo,
    /// Answers with every earlier user text, joined by ` | `.
    Recall,
    /// Waits for [`ModelApi::release`](super::ModelApi::release).
    Hold,
    Sleep(Duration),
    /// Between the deltas that follow.
    Pace(Duration),
    /// The `stop_reason` of the answer.
    Stop(String),
    /// Merged into the answer's usage.
    Usage(Map<String, Value>),
    /// The connection is cut in mid-stream, the first `times` times; what came before it is then left out.
    Cut {
        times: usize,
    },
    /// An `error` event in mid-stream, likewise.
    ErrorEvent {
        kind: String,
        times: usize,
    },
    /// Nothing more, for ever.
    Silence,
}

/// The answer to one request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Scenario {
    pub(crate) actions: Vec<Action>,
}

impl Scenario {
    /// A plain text, a delta per word.
    pub(crate) fn text(text: &str) -> Self {
        Self::default().then(Action::Text(pieces(text)))
    }

    /// An HTTP error, every time.
    pub(crate) fn status(code: u16) -> Self {
        Self::default().then(Action::Status {
            code,
            times: usize::MAX,
            retry_after: None,
            message: String::new(),
        })
    }

    /// One tool call.
    pub(crate) fn tool(name: &str, input: Value) -> Self {
        Self::default().then(Action::Tool { name: name.to_owned(), input })
    }

    #[must_use]
    pub(crate) fn then(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    /// Reads the markers of `text`, section `round` of it (sections are parted by `[[next]]`; one per request of
    /// the same turn, so the second answers the first tool's result).
    ///
    /// | marker | effect |
    /// | --- | --- |
    /// | `[[words N delay_ms=D]]` | N deltas `word0 `, `word1 ` …, D ms between them |
    /// | `[[text ANY WORDS]]` | a delta per word |
    /// | `[[long_line BYTES]]` | one delta of that many bytes |
    /// | `[[thinking N]]` | a thinking block of N deltas |
    /// | `[[tool NAME JSON]]` | a tool call; several are allowed |
    /// | `[[block]]` | begin another content block |
    /// | `[[echo]]`, `[[recall]]` | the last user text; all earlier ones |
    /// | `[[status CODE times=N retry_after=S MESSAGE]]` | an HTTP error N times (for ever without `times`), then the rest |
    /// | `[[cut times=N]]`, `[[error_event TYPE times=N]]` | the stream breaks or fails, after three words if nothing came before; once that happened N times, what follows is the whole answer |
    /// | `[[silence]]` | nothing more, for ever |
    /// | `[[hang]]` | not even a response head |
    /// | `[[hold]]`, `[[sleep MS]]`, `[[pace MS]]` | wait for the test; wait; wait between the deltas that follow |
    /// | `[[stop REASON]]`, `[[usage KEY=N …]]` | what the last events say |
    /// | `[[next]]` | the section for the next request of this turn |
    pub(crate) fn parse(text: &str, round: usize) -> Self {
        let mut sections = vec![Self::default()];
        let mut marked = false;
        for (name, args) in markers(text) {
            if name == "next" {
                sections.push(Self::default());
                marked = true;
            } else if let Some(actions) = actions(name, args) {
                let section = &mut sections.last_mut().expect("one was pushed").actions;
                if matches!(actions[..], [Action::Cut { .. } | Action::ErrorEvent { .. }])
                    && section.is_empty()
                {
                    section.push(Action::Text(words(3))); // a stream that breaks has begun
                }
                section.extend(actions);
                marked = true;
            }
        }
        let scenario = sections.into_iter().nth(round).unwrap_or_default();
        match (scenario.actions.is_empty(), round) {
            (false, _) => scenario,
            (true, 0) if !marked => Self::text(DEFAULT_ANSWER),
            (true, _) => Self::text(TOOL_ANSWER),
        }
    }
}

impl Scenario {
    /// What is left to do when this has been played `given` times already, and whether that breaks again.
    pub(super) fn after(self, mut given: usize) -> (Self, bool) {
        let mut left = Vec::new();
        let mut breaks = false;
        for action in self.actions {
            match action {
                Action::Status { times, .. } | Action::Cut { times } | Action::ErrorEvent { times, .. } => {
                    if given >= times {
                        given -= times;
                        left.clear();
                        continue;
                    }
                    given = 0;
                    breaks = true;
                }
                _ => {}
            }
            left.push(action);
        }
        (Self { actions: left }, breaks)
    }
}

fn actions(name: &str, args: &str) -> Option<Vec<Action>> {
    let (plain, number) = (plain(args), number(args));
    let times = named(args, "times").map_or(usize::MAX, |times| times as usize);
    Some(match name {
        "words" => {
            let mut actions = vec![Action::Text(words(number.unwrap_or(3)))];
            if let Some(delay) = named(args, "delay_ms") {
                actions.insert(0, Action::Pace(Duration::from_millis(delay)));
            }
            actions
        }
        "text" => vec![Action::Text(pieces(args))],
        "long_line" => vec![Action::Text(vec!["x".repeat(number?)])],
        "thinking" => vec![Action::Thinking(words(number.unwrap_or(2)))],
        "tool" => {
            let (tool, input) = args.split_once(char::is_whitespace)?;
            vec![Action::Tool { name: tool.to_owned(), input: serde_json::from_str(input).ok()? }]
        }
        "block" => vec![Action::Block],
        "echo" => vec![Action::Echo],
        "recall" => vec![Action::Recall],
        "status" => {
            let code = u16::try_from(number?).ok()?;
            let words = args.split_whitespace().skip(1).filter(|word| !word.contains('='));
            let message = words.collect::<Vec<_>>().join(" ");
            vec![Action::Status { code, times, retry_after: named(args, "retry_after"), message }]
        }
        "cut" => vec![Action::Cut { times }],
        "error_event" => {
            vec![Action::ErrorEvent { kind: plain.unwrap_or("overloaded_error").to_owned(), times }]
        }
        "silence" => vec![Action::Silence],
        "hang" => vec![Action::Hang],
        "hold" => vec![Action::Hold],
        "sleep" => vec![Action::Sleep(Duration::from_millis(number? as u64))],
        "pace" => vec![Action::Pace(Duration::from_millis(number? as u64))],
        "stop" => vec![Action::Stop(plain?.to_owned())],
        "usage" => {
            let pairs = args.split_whitespace().filter_map(|arg| arg.split_once('='));
            let numbers = pairs.filter_map(|(key, n)| Some((key.to_owned(), json!(n.parse::<u64>().ok()?))));
            vec![Action::Usage(numbers.collect())]
        }
        _ => return None,
    })
}
