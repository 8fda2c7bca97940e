//! From a turn's events to an answer: the half that both wires share.

use claude_exec::protocol::{Event, Outcome, RateLimit, Retry};

use crate::error::ApiError;
use crate::failure;
use crate::finish::FinishReason;
use crate::response::TokenUsage;

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
    /// The last so many bytes of text are void; others follow in their place.
    Void {
        /// Counted over the pieces' own text, without blank lines between them.
        bytes: usize,
    },
    /// The model finished a message: the text up to here is never void any more.
    Settled,
    /// The answer is whole.
    Done(Done),
    /// There is no answer.
    Failed(ApiError),
}

/// The end of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Done {
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// The turn's tokens; `None` when it was ended before the CLI told them.
    pub usage: Option<TokenUsage>,
    /// The whole answer, when none of it came before.
    pub text: Option<String>,
}

/// Follows one turn. After [`Step::Done`] or [`Step::Failed`] it has nothing more to say, and the turn is to be
/// dropped.
#[derive(Debug)]
pub struct Answer {
    one_message: bool,
    text_bytes: usize,
    tools_ran: bool,
    stop_reason: Option<String>,
    /// The retry that the CLI is in, if it is: the cause of a time limit that runs out meanwhile.
    retry: Option<Retry>,
    resets_at: Option<u64>,
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
            text_bytes: 0,
            tools_ran: false,
            stop_reason: None,
            retry: None,
            resets_at: None,
            ended: false,
        }
    }

    /// Takes the turn's next event; `now` is the Unix time in seconds.
    pub fn take(&mut self, event: Event, now: impl Fn() -> u64) -> Option<Step> {
        if self.ended {
            return None;
        }
        match event {
            Event::Text(text) if text.parent.is_none() => {
                self.retry = None;
                let paragraph = std::mem::take(&mut self.tools_ran) && self.text_bytes > 0;
                self.text_bytes += text.text.len();
                Some(Step::Text { text: text.text, paragraph })
            }
            Event::Thinking(_) | Event::ToolStart(_) => {
                self.retry = None;
                Some(Step::Began)
            }
            Event::Tool(tool) => {
                self.tools_ran |= tool.parent.is_none();
                Some(Step::Began)
            }
            Event::Restarted(restarted) if restarted.parent.is_none() => {
                self.text_bytes = self.text_bytes.saturating_sub(restarted.text_bytes);
                (restarted.text_bytes > 0).then_some(Step::Void { bytes: restarted.text_bytes })
            }
            Event::MessageEnd(end) if end.parent.is_none() => {
                self.stop_reason = end.stop_reason;
                let cut = ["max_tokens", "model_context_window_exceeded"];
                if self.one_message && self.stop_reason.as_deref().is_some_and(|reason| cut.contains(&reason))
                {
                    let finish_reason = FinishReason::Length;
                    return Some(self.done(Done { finish_reason, usage: None, text: None }));
                }
                Some(Step::Settled)
            }
            Event::Retry(retry) => {
                self.retry = Some(retry);
                None
            }
            Event::RateLimit(limit) => {
                self.resets_at = reset_of(&limit);
                None
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
        let text = Some(outcome.text).filter(|text| success && self.text_bytes == 0 && !text.is_empty());
        self.done(Done { finish_reason, usage: Some(outcome.usage.into()), text })
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
        Step::Failed(failure::with_reset(error, self.resets_at, now))
    }
}

/// Only a rejection stops a turn; `allowed_warning` is news.
fn reset_of(limit: &RateLimit) -> Option<u64> {
    limit.resets_at.filter(|_| limit.status == "rejected")
}

/// Collects the text of an answer that is sent whole: void text is gone as if it had never been.
#[derive(Default)]
pub struct Collected(String);

impl Collected {
    /// Adds a piece.
    pub fn push(&mut self, text: &str, paragraph: bool) {
        if paragraph {
            self.0.push_str(PARAGRAPH);
        }
        self.0.push_str(text);
    }

    /// Takes back the last `bytes` of text.
    pub fn void(&mut self, bytes: usize) {
        // A message's text is contiguous, so its bytes are the string's last ones.
        let keep = self.0.len().saturating_sub(bytes);
        let keep = (0..=keep).rev().find(|&at| self.0.is_char_boundary(at)).unwrap_or(0);
        self.0.truncate(keep);
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True before the first piece.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The answer.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl std::fmt::Debug for Collected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Collected({} bytes)", self.0.len())
    }
}

/// What stands between texts with tool calls between them: they are separate utterances of the model.
pub(crate) const PARAGRAPH: &str = "\n\n";
