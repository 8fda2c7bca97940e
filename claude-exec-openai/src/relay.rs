//! A streamed answer: steps in, the bytes of the wire out.

use bytes::BytesMut;

use crate::answer::{Done, PARAGRAPH, Step};
use crate::chunk::Chunker;
use crate::error::ApiError;
use crate::failure;
use crate::sent::Sent;

/// Writes one answer's steps as chunks, and never leaves void text as the answer.
#[derive(Debug)]
pub struct Relay {
    chunker: Chunker,
    sent: Sent,
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

impl Relay {
    /// A relay that encodes with `chunker`.
    pub fn new(chunker: Chunker) -> Self {
        Self { chunker, sent: Sent::default() }
    }

    /// Takes a step, and writes what it means to `out`.
    ///
    /// A failure is written only when it comes in the middle, so that an earlier one can still be a status;
    /// `held` says that no byte has left yet.
    pub fn take(&mut self, step: Step, held: bool, out: &mut BytesMut) -> Progress {
        let contradicted = |_| failure::restarted();
        let progress = match step {
            Step::Began => return Progress::Began,
            Step::Text { text, paragraph } => self.sent.push(&text).map_err(contradicted).map(|rest| {
                if paragraph {
                    self.chunker.text(PARAGRAPH, out);
                }
                if !rest.is_empty() {
                    self.chunker.text(rest, out);
                }
                None
            }),
            Step::Void { bytes } => match self.sent.void(bytes) {
                Ok(()) => return Progress::Quiet,
                Err(contradiction) => Err(contradicted(contradiction)),
            },
            Step::Settled => self.sent.settle().map_err(contradicted).map(|()| None),
            Step::Done(done) => self.sent.settle().map_err(contradicted).map(|()| {
                if let Some(text) = &done.text {
                    self.chunker.text(text, out);
                }
                self.chunker.finish(done.finish_reason, done.usage, out);
                Some(done)
            }),
            Step::Failed(error) => Err(error),
        };
        match progress {
            Ok(None) => Progress::Began,
            Ok(Some(done)) => Progress::Ended(Ok(done)),
            Err(error) => {
                if !held {
                    self.chunker.fail(&error, out);
                }
                Progress::Ended(Err(error))
            }
        }
    }
}
