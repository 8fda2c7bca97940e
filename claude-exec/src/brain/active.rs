//! The turn under way, as the driver of its process keeps it.

use std::collections::VecDeque;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::limits::Clock;
use super::order::{Ending, Saying, Wish};
use crate::error::{Error, Result};
use crate::invocation::Held;
use crate::protocol::{Event, Outcome};
use crate::text;

/// How much of an answer is kept for the history: a long book.
const MAX_SAID_BYTES: usize = 4 * 1024 * 1024;

pub(super) struct Active {
    pub(super) events: mpsc::Sender<Event>,
    pub(super) wishes: watch::Receiver<Wish>,
    pub(super) clock: Clock,
    pub(super) held: Option<Held>,
    pub(super) message_id: String,
    ended: Option<oneshot::Sender<Ending>>,
    said: String,
    result: Option<Result<Box<Outcome>>>,
    pending: VecDeque<Event>,
    settled: bool,
    /// The last word was the CLI's own.
    has_result: bool,
    over: bool,
}

/// Events still to be taken when nothing of the turn runs any more.
pub(super) struct Rest {
    events: mpsc::Sender<Event>,
    pending: VecDeque<Event>,
}

impl Rest {
    /// Hands the rest over, for as long as the caller is there.
    pub(super) async fn deliver(self) {
        for event in self.pending {
            if self.events.send(event).await.is_err() {
                return;
            }
        }
    }
}

impl Active {
    pub(super) fn new(saying: Saying, now: Instant) -> Self {
        Self {
            events: saying.events,
            wishes: saying.wishes,
            clock: Clock::new(saying.deadlines, now),
            held: saying.held,
            message_id: saying.message_id,
            ended: saying.ended,
            said: String::new(),
            result: None,
            pending: VecDeque::new(),
            settled: false,
            has_result: false,
            over: false,
        }
    }

    /// Adds an event, while the turn has not had its last word.
    pub(super) fn pass_on(&mut self, event: Event) {
        if self.settled {
            return;
        }
        match &event {
            _ if self.ended.is_none() => {}
            Event::Text(said) if said.parent.is_none() && self.said.len() < MAX_SAID_BYTES => {
                self.said += &said.text;
            }
            Event::Restarted(void) if void.parent.is_none() => {
                let kept = self.said.len().saturating_sub(void.text_bytes);
                self.said.truncate(text::start(&self.said, kept).len());
            }
            _ => {}
        }
        self.pending.push_back(event);
    }

    /// The turn's last word: a result, an error, or its cancellation; only the first one counts. A result that comes
    /// after one of the others is passed on as what it is.
    pub(super) fn settle(&mut self, event: Event) {
        let is_result = matches!(event, Event::Finished(_));
        let had_result = self.has_result;
        self.has_result |= is_result;
        if self.settled {
            if let Event::Finished(outcome) = event
                && !had_result
                && !self.over
            {
                self.pending.push_back(Event::Late(outcome));
            }
            return;
        }
        if self.ended.is_some() {
            self.result = Some(match &event {
                Event::Finished(outcome) => Ok(outcome.clone()),
                Event::Error(error) => Err(error.clone()),
                _ => Err(Error::stopped()),
            });
        }
        self.pass_on(event);
        self.settled = true;
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Nothing of the turn runs any more.
    pub(super) fn end(&mut self) {
        if !self.over {
            self.settled = true;
            self.over = true;
            self.pending.push_back(Event::TurnEnd);
            if let Some(ended) = self.ended.take() {
                let result = self.result.take().unwrap_or_else(|| Err(Error::stopped()));
                let _left = ended.send(Ending { result, said: std::mem::take(&mut self.said) });
            }
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn is_handed_over(&self) -> bool {
        self.pending.is_empty()
    }

    /// A turn that is settled is read on, though nobody takes its events: they are none.
    pub(super) fn holds_back(&self) -> bool {
        !self.pending.is_empty() && !self.settled
    }

    /// Hands over what fits, without waiting.
    pub(super) fn hand_over(&mut self, now: Instant) {
        while let Some(event) = self.pending.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(event)) => {
                    self.pending.push_front(event);
                    return self.clock.stalled(now);
                }
                Err(mpsc::error::TrySendError::Closed(_)) => return self.pending.clear(),
            }
        }
    }

    pub(super) fn into_rest(self) -> Rest {
        Rest { events: self.events, pending: self.pending }
    }
}
