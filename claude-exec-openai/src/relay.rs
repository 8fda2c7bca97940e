//! A streamed answer: steps in, the bytes of the wire out.

use bytes::BytesMut;

use crate::answer::{Done, PARAGRAPH, Step};
use crate::envelope::Envelope;
use crate::error::ApiError;
use crate::failure;
use crate::sent::Sent;

/// Writes one answer's steps on a wire, and never leaves void text as the answer.
#[derive(Debug)]
pub struct Relay<E> {
    envelope: E,
    sent: Sent,
    begun: bool,
    /// A call was begun in the message under way: it cannot be taken back.
    calling: bool,
    /// Reasoning of the message under way is void. It stays as it was sent, and its replacement is not: it is not
    /// the answer, so saying it twice would be worse.
    mute: bool,
}

/// What a step did to the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Nothing that the client could see.
    Quiet,
    /// The model is at work: from here on a failure is one in the middle of the answer.
    Began,
    /// The answer is over, good or bad, and so is the body.
    Ended(Result<Done, ApiError>),
}

impl<E: Envelope> Relay<E> {
    /// A relay that encodes by `envelope`.
    pub fn new(envelope: E) -> Self {
        Self { envelope, sent: Sent::default(), begun: false, calling: false, mute: false }
    }

    /// Takes a step, and writes what it means to `out`.
    ///
    /// A failure is written only when it comes in the middle, so that an earlier one can still be a status;
    /// `held` says that no byte has left yet.
    pub fn take(&mut self, step: Step, held: bool, out: &mut BytesMut) -> Progress {
        let silent = matches!(step, Step::Failed(_) | Step::Void { .. } | Step::Limits(_));
        if !silent && !std::mem::replace(&mut self.begun, true) {
            self.envelope.began(out);
        }
        match self.write(step, out) {
            Ok(progress) => progress,
            Err(error) => {
                if !held {
                    self.envelope.fail(&error, out);
                }
                Progress::Ended(Err(error))
            }
        }
    }

    fn write(&mut self, step: Step, out: &mut BytesMut) -> Result<Progress, ApiError> {
        let contradicted = |_| failure::restarted();
        match step {
            Step::Began => {}
            Step::Text { text, paragraph } => {
                let rest = self.sent.push(&text).map_err(contradicted)?;
                if paragraph {
                    self.envelope.text(PARAGRAPH, out);
                }
                if !rest.is_empty() {
                    self.envelope.text(rest, out);
                }
            }
            Step::Reasoning { text } => {
                if !self.mute {
                    self.envelope.reasoning(&text, out);
                }
            }
            Step::Call { id, name } => {
                self.calling = true;
                self.envelope.tool_call(&id, &name, out);
            }
            Step::Arguments { id, json } => self.envelope.tool_input(&id, &json, out),
            Step::Void { bytes, reasoning_bytes } => {
                if self.calling {
                    return Err(failure::restarted());
                }
                self.mute |= reasoning_bytes > 0;
                self.sent.void(bytes).map_err(contradicted)?;
                return Ok(Progress::Quiet);
            }
            Step::Settled => {
                self.sent.settle().map_err(contradicted)?;
                (self.calling, self.mute) = (false, false);
            }
            Step::Done(done) => {
                self.sent.settle().map_err(contradicted)?;
                if let Some(text) = &done.text {
                    self.envelope.text(text, out);
                }
                self.envelope.finish(&done, out);
                return Ok(Progress::Ended(Ok(done)));
            }
            Step::Failed(error) => return Err(error),
            Step::Limits(_) => return Ok(Progress::Quiet),
        }
        Ok(Progress::Began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finish::FinishReason;

    /// Writes each call as a word.
    struct Words;

    impl Envelope for Words {
        fn began(&mut self, out: &mut BytesMut) {
            out.extend_from_slice(b"began ");
        }
        fn text(&mut self, text: &str, out: &mut BytesMut) {
            out.extend_from_slice(format!("text:{text} ").as_bytes());
        }
        fn reasoning(&mut self, text: &str, out: &mut BytesMut) {
            out.extend_from_slice(format!("reasoning:{text} ").as_bytes());
        }
        fn tool_call(&mut self, id: &str, name: &str, out: &mut BytesMut) {
            out.extend_from_slice(format!("call:{id},{name} ").as_bytes());
        }
        fn tool_input(&mut self, id: &str, json: &str, out: &mut BytesMut) {
            out.extend_from_slice(format!("input:{id},{json} ").as_bytes());
        }
        fn finish(&mut self, _: &Done, out: &mut BytesMut) {
            out.extend_from_slice(b"finish ");
        }
        fn fail(&mut self, error: &ApiError, out: &mut BytesMut) {
            out.extend_from_slice(error.code.unwrap_or("fail").as_bytes());
        }
    }

    fn relayed(steps: Vec<Step>) -> String {
        let (mut relay, mut out) = (Relay::new(Words), BytesMut::new());
        for step in steps {
            relay.take(step, false, &mut out);
        }
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn thought(text: &str) -> Step {
        Step::Reasoning { text: text.into() }
    }

    fn void(bytes: usize, reasoning_bytes: usize) -> Step {
        Step::Void { bytes, reasoning_bytes }
    }

    #[test]
    fn every_step_has_its_place_and_the_beginning_comes_once() {
        let steps = vec![
            Step::Began,
            thought("hm"),
            Step::Text { text: "a".into(), paragraph: false },
            Step::Call { id: "c".into(), name: "f".into() },
            Step::Arguments { id: "c".into(), json: "{}".into() },
            Step::Settled,
            Step::Done(Done::new(FinishReason::ToolCalls, None)),
        ];
        assert_eq!(relayed(steps), "began reasoning:hm text:a call:c,f input:c,{} finish ");
    }

    #[test]
    fn reasoning_that_starts_over_is_not_said_twice() {
        let steps = vec![thought("a"), void(0, 1), thought("b"), Step::Settled, thought("c")];
        assert_eq!(relayed(steps), "began reasoning:a reasoning:c ");
    }

    #[test]
    fn a_call_that_was_begun_cannot_start_over() {
        let call = || Step::Call { id: "c".into(), name: "f".into() };
        assert_eq!(relayed(vec![call(), void(0, 0)]), "began call:c,f answer_restarted");
        assert_eq!(relayed(vec![call(), Step::Settled, void(0, 0)]), "began call:c,f ");
    }
}
