//! From a turn's events to an answer: the half that both wires share.

use claude_exec::protocol::{Event, Outcome, Retry, Usage};

use crate::error::ApiError;
use crate::failure;
use crate::finish::FinishReason;
use crate::limits::Limits;
use crate::schema::Schema;

/// What an event means for the answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// The model is at work: the request was accepted, and what fails from now on fails in the middle.
    Began,
    /// A piece of the answer.
    Text {
        /// The piece.
        text: String,
        /// Tools ran since the last piece: a blank line stands before this one.
        paragraph: bool,
    },
    /// A piece of what the model thinks.
    Reasoning {
        /// The piece.
        text: String,
    },
    /// A call of a tool of the client's begins.
    Call {
        /// The call's id.
        id: String,
        /// The tool's name, as the client calls it.
        name: String,
    },
    /// A piece of a call's arguments; the pieces of one id concatenate to them.
    Arguments {
        /// The call's id.
        id: String,
        /// A piece of JSON text.
        json: String,
    },
    /// The end of the message under way is void, calls begun in it too; others follow in their place.
    Void {
        /// How much of the text. Counted over the pieces' own text, without blank lines between them.
        bytes: usize,
        /// How much of the reasoning.
        reasoning_bytes: usize,
    },
    /// The model finished a message: the text up to here is never void any more.
    Settled,
    /// The answer is whole.
    Done(Done),
    /// There is no answer.
    Failed(ApiError),
    /// What the model API said about the account's limits.
    Limits(Limits),
}

/// The end of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Done {
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// The turn's tokens; `None` when it was ended before the CLI told them.
    pub usage: Option<Usage>,
    /// The whole answer, when none of it came before.
    pub text: Option<String>,
    /// The text that ended the answer, of those that the request names.
    pub stop_sequence: Option<String>,
}

impl Done {
    /// The end of an answer whose text has come.
    pub fn new(finish_reason: FinishReason, usage: Option<Usage>) -> Self {
        Self { finish_reason, usage, text: None, stop_sequence: None }
    }
}

/// Follows one turn. After [`Step::Done`] or [`Step::Failed`] it has nothing more to say, and the turn is to be
/// dropped.
#[derive(Debug)]
pub struct Answer {
    one_message: bool,
    schema: Option<Schema>,
    show_reasoning: bool,
    /// The client's tools, by the CLI's names and by its own.
    offered: Vec<(String, String)>,
    /// Their calls in the message under way: the id, and whether a piece of its arguments has come.
    calls: Vec<(String, bool)>,
    text_bytes: usize,
    tools: Tools,
    stop_reason: Option<String>,
    /// The retry that the CLI is in, if it is: the cause of a time limit that runs out meanwhile.
    retry: Option<Retry>,
    limits: Option<Limits>,
    stop_sequence: Option<String>,
    ended: bool,
}

impl Answer {
    /// Follows a turn; `one_message` for a model without tools, whose answer is one message of the API.
    ///
    /// Such an answer ends when a token limit cuts that message. The CLI would go on: it tells the model
    /// "Output token limit hit. Resume directly …", up to three times, and then fails the turn (measured on
    /// 2.1.330), so that `max_tokens` would be no limit and `length` never seen.
    pub fn new(one_message: bool) -> Self {
        Self {
            one_message,
            schema: None,
            show_reasoning: true,
            offered: Vec::new(),
            calls: Vec::new(),
            text_bytes: 0,
            tools: Tools::default(),
            stop_reason: None,
            retry: None,
            limits: None,
            stop_sequence: None,
            ended: false,
        }
    }

    /// Expects JSON that fits `schema`, which comes whole at the turn's end: what the model says besides is not
    /// the answer, and a turn without such JSON has failed.
    #[must_use]
    pub fn expecting(mut self, schema: Option<Schema>) -> Self {
        self.schema = schema;
        self
    }

    /// Whether thinking is told; it is, by default. Otherwise it only shows that the model is at work.
    #[must_use]
    pub fn showing_reasoning(mut self, show: bool) -> Self {
        self.show_reasoning = show;
        self
    }

    /// Offers tools of the client's, by the CLI's names and by its own. A message that calls any of them ends the
    /// answer.
    #[must_use]
    pub fn offering(mut self, tools: Vec<(String, String)>) -> Self {
        self.offered = tools;
        self
    }

    /// The client's name of a tool of its own.
    fn client_name(&self, name: &str, parent: Option<&String>) -> Option<&str> {
        let offered = self.offered.iter().find(|(ours, _)| parent.is_none() && ours == name);
        offered.map(|(_, theirs)| theirs.as_str())
    }

    /// A call of the client's, whole: what of it has not come in pieces.
    fn called(&mut self, id: String, input: &str) -> Option<Step> {
        match self.calls.iter_mut().find(|(known, _)| *known == id) {
            Some((_, true)) => None,
            Some((_, begun)) => {
                *begun = true;
                Some(Step::Arguments { id, json: input.to_owned() })
            }
            // It takes the place of a message that was cut, of which the client may have seen a call.
            None => {
                self.ended = true;
                Some(Step::Failed(failure::restarted()))
            }
        }
    }

    /// Takes the turn's next event; `now` is the Unix time in seconds.
    pub fn take(&mut self, event: Event, now: impl Fn() -> u64) -> Option<Step> {
        if self.ended {
            return None;
        }
        match event {
            Event::Session(session) if self.schema.is_some() => {
                let offered = session.tools.iter().any(|tool| tool == OUTPUT_TOOL);
                (!offered).then(|| self.fail(failure::schema_dropped(), now()))
            }
            Event::ToolStart(start) if self.client_name(&start.name, start.parent.as_ref()).is_some() => {
                self.retry = None;
                let name = self.client_name(&start.name, None).unwrap_or_default().to_owned();
                self.calls.push((start.id.clone(), false));
                Some(Step::Call { id: start.id, name })
            }
            Event::ToolInput(input) if self.calls.iter().any(|(id, _)| *id == input.id) => {
                let begun = self.calls.iter_mut().filter(|(id, _)| *id == input.id);
                begun.for_each(|(_, begun)| *begun |= !input.partial_json.is_empty());
                let step = Step::Arguments { id: input.id, json: input.partial_json };
                Some(step).filter(|step| !matches!(step, Step::Arguments { json, .. } if json.is_empty()))
            }
            Event::Tool(tool) if self.client_name(&tool.name, tool.parent.as_ref()).is_some() => {
                self.called(tool.id, tool.input.get())
            }
            Event::Text(_) | Event::ToolStart(_) | Event::Tool(_) if self.schema.is_some() => {
                self.retry = None;
                None
            }
            Event::Text(text) if text.parent.is_none() => {
                self.retry = None;
                let paragraph = std::mem::take(&mut self.tools.are_over) && self.text_bytes > 0;
                self.text_bytes += text.text.len();
                Some(Step::Text { text: text.text, paragraph })
            }
            Event::Thinking(text) if text.parent.is_none() && self.show_reasoning => {
                self.retry = None;
                Some(Step::Reasoning { text: text.text })
            }
            Event::Thinking(_) | Event::ToolStart(_) => {
                self.retry = None;
                Some(Step::Began)
            }
            Event::Tool(tool) => {
                self.tools.are_called |= tool.parent.is_none();
                Some(Step::Began)
            }
            Event::ToolResult(result) if result.parent.is_none() && self.tools.come_whole => {
                self.tools.end_message();
                None
            }
            Event::Restarted(restarted) if restarted.parent.is_none() => {
                self.text_bytes = self.text_bytes.saturating_sub(restarted.text_bytes);
                self.calls.clear();
                self.tools = Tools { come_whole: true, are_called: false, ..self.tools };
                let bytes = if self.schema.is_some() { 0 } else { restarted.text_bytes };
                Some(Step::Void { bytes, reasoning_bytes: restarted.thinking_bytes })
            }
            Event::MessageEnd(end) if end.parent.is_none() => {
                self.tools.end_message();
                self.stop_reason = end.stop_reason;
                self.stop_sequence = end.stop_sequence;
                let cut = ["max_tokens", "model_context_window_exceeded"];
                if self.one_message && self.stop_reason.as_deref().is_some_and(|reason| cut.contains(&reason))
                {
                    return Some(self.done(Done::new(FinishReason::Length, end.usage)));
                }
                if !self.calls.is_empty() {
                    return Some(self.done(Done::new(FinishReason::ToolCalls, end.usage)));
                }
                // A schema's answer is not known to be one before the turn's end.
                self.schema.is_none().then_some(Step::Settled)
            }
            Event::Retry(retry) => {
                self.retry = Some(retry);
                None
            }
            Event::RateLimit(limit) => {
                let limits = Limits::of(&limit);
                self.limits = Some(limits.clone());
                Some(Step::Limits(limits))
            }
            Event::Finished(outcome) => Some(self.finished(*outcome, now)),
            Event::Error(error) => {
                let error = match self.retry.as_ref().and_then(|retry| retry.status) {
                    Some(status) if !error.is_stopped() => {
                        failure::from_upstream(status, "the model API refused")
                    }
                    _ => failure::from_error(&error),
                };
                Some(self.fail(error, now()))
            }
            Event::Cancelled => Some(self.fail(failure::from_error(&claude_exec::Error::stopped()), now())),
            Event::TurnEnd => Some(self.fail(failure::no_result(), now())),
            _ => None,
        }
    }

    fn finished(&mut self, outcome: Outcome, now: impl Fn() -> u64) -> Step {
        let success = outcome.is_success();
        let finish_reason = match failure::from_outcome(&outcome) {
            _ if success => self.finish_reason(outcome.stop_reason.as_deref()),
            None => FinishReason::Length,
            Some(error) => match (outcome.stop_reason.as_deref(), self.stop_reason.as_deref()) {
                // The CLI reports both as API errors, with prose of its own.
                (Some("refusal"), _) => FinishReason::ContentFilter,
                (_, Some("max_tokens")) if error.code == Some("upstream_error") => FinishReason::Length,
                _ => return self.fail(error, now()),
            },
        };
        let mut done = Done::new(finish_reason, Some(outcome.usage));
        done.stop_sequence = self.stop_sequence.take();
        done.text = match &self.schema {
            None => Some(outcome.text).filter(|text| success && self.text_bytes == 0 && !text.is_empty()),
            Some(_) if !success || finish_reason != FinishReason::Stop => None,
            Some(schema) => match outcome.structured_output {
                Some(json) if schema.is_met_by(json.get()) => Some(json.get().to_owned()),
                _ => return self.fail(failure::invalid_output(), now()),
            },
        };
        self.done(done)
    }

    fn finish_reason(&self, of_turn: Option<&str>) -> FinishReason {
        FinishReason::from_stop_reason(of_turn.or(self.stop_reason.as_deref()), false)
    }

    fn done(&mut self, done: Done) -> Step {
        self.ended = true;
        Step::Done(done)
    }

    fn fail(&mut self, error: ApiError, now: u64) -> Step {
        self.ended = true;
        let resets_at =
            self.limits.as_ref().filter(|limits| limits.rejected).and_then(|limits| limits.resets_at);
        Step::Failed(failure::with_reset(error, resets_at, now))
    }
}

/// Where tools stand between texts. A break belongs between two messages, never inside of one: a message that starts
/// over takes back its own text and nothing else.
#[derive(Debug, Clone, Copy, Default)]
struct Tools {
    /// In the message under way.
    are_called: bool,
    /// Since the last text, in a message before the one under way.
    are_over: bool,
    /// The message under way takes the place of one that was cut: it comes whole, and its end is not told.
    come_whole: bool,
}

impl Tools {
    fn end_message(&mut self) {
        *self = Self { are_called: false, are_over: self.are_over | self.are_called, come_whole: false };
    }
}

/// The CLI's tool by which the model gives an answer that fits a schema.
const OUTPUT_TOOL: &str = "StructuredOutput";

/// What stands between texts with tool calls between them: they are separate utterances of the model.
pub(crate) const PARAGRAPH: &str = "\n\n";
