//! The body of a streamed answer.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use tokio::time::Instant;

use super::record::Record;
use super::wire::Steps;
use crate::answer::Step;
use crate::envelope::Envelope;
use crate::error::ApiError;
use crate::limits::Limits;
use crate::relay::{Progress, Relay};

/// How long the status is held back for the first sign of the model. Beyond it a client is told 200 and kept
/// awake with comments, since proxies give up on silence after 60 s; an error then comes in the stream.
const HOLD_LIMIT: Duration = Duration::from_secs(45);

/// Bytes of one frame, at most: chunks that are ready together travel together.
const MAX_FRAME: usize = 16 * 1024;

/// Chunks as they become ready; several that are ready at once are one item. Dropping it ends the turn.
pub(super) struct Frames {
    steps: Steps,
    relay: Relay<Box<dyn Envelope + Send>>,
    buffer: BytesMut,
    held: bool,
    ended: bool,
    record: Record,
    limits: Option<Limits>,
}

impl Frames {
    /// Waits for what the status depends on: the first sign that the model works, or a failure. What is known of
    /// the account's limits by then goes to `limits`.
    ///
    /// # Errors
    ///
    /// What the turn failed of, before any of it was shown; `record` has it then.
    pub(super) async fn open(
        steps: Steps,
        relay: Relay<Box<dyn Envelope + Send>>,
        record: Record,
        limits: &mut Option<Limits>,
    ) -> Result<Self, ApiError> {
        let buffer = BytesMut::new();
        let mut frames = Self { steps, relay, buffer, held: true, ended: false, record, limits: None };
        let opened = poll_fn(|cx| frames.poll_open(cx));
        let opened = tokio::time::timeout_at(Instant::now() + HOLD_LIMIT, opened).await;
        frames.held = false;
        *limits = frames.limits.take();
        opened.unwrap_or(Ok(()))?;
        Ok(frames)
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ApiError>> {
        loop {
            match std::task::ready!(self.poll_progress(cx)) {
                Some(Progress::Quiet) => {}
                Some(Progress::Ended(Err(error))) => return Poll::Ready(Err(error)),
                _ => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Takes the next step into the buffer.
    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<Option<Progress>> {
        let step = std::task::ready!(self.steps.poll_next_unpin(cx));
        if let Some(Step::Limits(limits)) = &step {
            self.limits = Some(limits.clone());
        }
        let progress = step.map(|step| self.relay.take(step, self.held, &mut self.buffer));
        match &progress {
            Some(Progress::Ended(end)) => {
                self.record.end(end);
                self.ended = true;
            }
            None => self.ended = true,
            Some(_) => {}
        }
        Poll::Ready(progress)
    }
}

impl Stream for Frames {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        while !self.ended && self.buffer.len() < MAX_FRAME {
            if self.poll_progress(cx).is_pending() {
                break;
            }
        }
        if !self.buffer.is_empty() {
            Poll::Ready(Some(self.buffer.split().freeze()))
        } else if self.ended {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    }
}
