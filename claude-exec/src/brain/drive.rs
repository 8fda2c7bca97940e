//! The task behind a turn: process to events, with the time limits.

use std::collections::VecDeque;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::error::{Error, Result};
use crate::executor::{Exit, Frame, Process, Stop, Tail};
use crate::invocation::Deadlines;
use crate::protocol::{Event, Outcome, Request, Retry, Translator};

/// How long the CLI may take to end after its result, with stdin closed. It takes 16 to 65 ms, and more when
/// it has MCP servers to end.
const EXIT_LIMIT: Duration = Duration::from_secs(5);

/// How long an interrupted turn may take to end. It takes 10 to 70 ms.
const INTERRUPT_LIMIT: Duration = Duration::from_secs(2);

/// What the caller wants; it only ever gets firmer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    GoOn,
    Interrupt,
    Stop,
}

pub(super) struct Driver {
    process: Process,
    translator: Translator,
    stderr: Tail,
    events: mpsc::Sender<Event>,
    wishes: watch::Receiver<Wish>,
    pending: VecDeque<Event>,
    deadlines: Deadlines,
    started: Instant,
    last_frame: Option<Instant>,
    stalled_since: Option<Instant>,
    /// The turn has had its last word: a result, an error, or its cancellation.
    settled: bool,
    /// The process was told to end, and by when it must have.
    end_by: Option<Instant>,
    stopping: bool,
}

/// What happens next in a turn.
enum Next {
    Wish,
    /// The caller has dropped the turn.
    Left,
    /// The caller has taken an event.
    Room,
    Frame(Option<Result<Frame>>),
    Due,
}

/// Events still to be taken when the process is gone.
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

impl Driver {
    pub(super) fn new(
        process: Process,
        events: mpsc::Sender<Event>,
        wishes: watch::Receiver<Wish>,
        deadlines: Deadlines,
    ) -> Self {
        Self {
            process,
            translator: Translator::new(),
            stderr: Tail::default(),
            events,
            wishes,
            pending: VecDeque::new(),
            deadlines,
            started: Instant::now(),
            last_frame: None,
            stalled_since: None,
            settled: false,
            end_by: None,
            stopping: false,
        }
    }

    /// Runs the process to its end and gives what its caller has not taken yet.
    pub(super) async fn run(mut self) -> Rest {
        let mut left = false;
        loop {
            self.hand_over();
            let (due, limit) = self.next_deadline();
            let next = tokio::select! {
                biased;
                Ok(()) = self.wishes.changed() => Next::Wish,
                () = self.events.closed(), if !left => Next::Left,
                _ = self.events.reserve(), if !self.pending.is_empty() && !left => Next::Room,
                frame = self.process.output.next(), if self.pending.is_empty() || self.stopping => {
                    Next::Frame(frame)
                }
                () = sleep_until(due) => Next::Due,
            };
            match next {
                Next::Wish => self.obey().await,
                Next::Left => {
                    left = true;
                    self.leave();
                }
                Next::Room => self.stalled_since = None,
                Next::Frame(frame) => {
                    if self.take(frame) {
                        break;
                    }
                    if Instant::now() >= due {
                        self.expire(limit); // a flood of output must not outrun the clock
                    }
                }
                Next::Due => self.expire(limit),
            }
            if left {
                self.pending.clear();
            }
        }
        self.pending.push_back(Event::TurnEnd);
        Rest { events: self.events, pending: self.pending }
    }

    /// Hands over what fits, without waiting.
    fn hand_over(&mut self) {
        while let Some(event) = self.pending.pop_front() {
            if let Err(refused) = self.events.try_send(event) {
                self.pending.push_front(refused.into_inner());
                self.stalled_since.get_or_insert_with(Instant::now);
                return;
            }
        }
        self.stalled_since = None;
    }

    /// The next time limit to run out.
    fn next_deadline(&self) -> (Instant, Limit) {
        if let Some(end_by) = self.end_by {
            return (end_by, Limit::End);
        }
        let total = (self.started + self.deadlines.total, Limit::Total);
        let silence = match (self.stalled_since, self.last_frame) {
            (Some(since), _) => (since + self.deadlines.stall, Limit::Stall),
            (None, Some(last)) => (last + self.deadlines.idle, Limit::Idle),
            (None, None) => (self.started + self.deadlines.first_byte, Limit::FirstByte),
        };
        if silence.0 < total.0 { silence } else { total }
    }

    fn expire(&mut self, limit: Limit) {
        let error = match limit {
            Limit::End => return self.stop(),
            Limit::Total => Error::timed_out("the turn", self.deadlines.total),
            Limit::Idle => Error::timed_out("the next event", self.deadlines.idle),
            Limit::FirstByte => Error::timed_out("the first output", self.deadlines.first_byte),
            Limit::Stall => Error::timed_out("reading the events", self.deadlines.stall),
        };
        self.settle(Event::Error(error));
        self.stop();
    }

    /// Ends the turn with its last word, once.
    fn settle(&mut self, event: Event) {
        if !self.settled {
            self.settled = true;
            self.pending.push_back(event);
        }
    }

    fn stop(&mut self) {
        self.stopping = true;
        // The executor bounds its own ladder; asking again is asking firmly.
        let how = if self.end_by.is_some() { Stop::Now } else { Stop::GRACEFUL };
        self.process.control.stop(how);
        self.end_by = Some(Instant::now() + EXIT_LIMIT);
    }

    async fn obey(&mut self) {
        let wish = *self.wishes.borrow_and_update();
        match wish {
            Wish::GoOn => {}
            Wish::Interrupt if !self.settled => {
                let line = Request::Interrupt.to_line("interrupt");
                let control = std::sync::Arc::clone(&self.process.control);
                // A child that no longer reads must not hold the driver: the stop below ends it.
                let write = tokio::time::timeout(INTERRUPT_LIMIT, control.write(line)).await;
                self.settle(Event::Cancelled);
                match write {
                    Ok(Ok(())) => self.end_by = Some(Instant::now() + INTERRUPT_LIMIT),
                    _ => self.stop(),
                }
            }
            Wish::Interrupt => {}
            Wish::Stop => {
                self.settle(Event::Cancelled);
                self.stop();
            }
        }
    }

    /// The caller has left. A turn that has its result may end by itself, since a signal now could cut what
    /// the CLI still writes to its session file.
    fn leave(&mut self) {
        if !self.settled {
            self.settled = true;
            self.stop();
        }
    }

    /// Takes one frame; true when it was the last.
    fn take(&mut self, frame: Option<Result<Frame>>) -> bool {
        match frame {
            Some(Ok(Frame::Stdout(bytes))) => {
                self.last_frame = Some(Instant::now());
                self.translator.push(&bytes);
                self.translate();
                false
            }
            Some(Ok(Frame::Stderr(bytes))) => {
                self.stderr.push(&bytes);
                false
            }
            Some(Ok(Frame::Exit(exit))) => {
                self.ended(Ok(exit));
                true
            }
            Some(Err(error)) => {
                self.ended(Err(error));
                true
            }
            None => {
                self.ended(Ok(Exit::default()));
                true
            }
        }
    }

    fn translate(&mut self) {
        while let Some(event) = self.translator.poll_event() {
            match event {
                Event::Finished(outcome) => {
                    self.settle(Event::Finished(outcome));
                    self.process.control.close_stdin();
                    self.end_by.get_or_insert(Instant::now() + EXIT_LIMIT);
                }
                _ if self.settled => {} // the CLI's own ending of a turn that is over
                Event::Retry(retry) if retry.is_hopeless() => {
                    let outcome = hopeless(&retry);
                    self.pending.push_back(Event::Retry(retry));
                    self.settle(Event::Finished(Box::new(outcome)));
                    self.stop();
                }
                event => self.pending.push_back(event),
            }
        }
    }

    fn ended(&mut self, exit: Result<Exit>) {
        self.translator.finish();
        self.translate();
        match exit {
            Ok(exit) => self.settle(Event::Error(Error::exited(exit, self.stderr.to_text()))),
            Err(error) => self.settle(Event::Error(error)),
        }
    }
}

/// Which limit ran out.
#[derive(Clone, Copy)]
enum Limit {
    FirstByte,
    Idle,
    Total,
    Stall,
    /// The process was told to end and has not.
    End,
}

/// What a turn comes to whose retries cannot help.
fn hopeless(retry: &Retry) -> Outcome {
    let message = format!("the model API refused the credential: {}", retry.error);
    Outcome {
        subtype: "error_during_execution".to_owned(),
        is_error: true,
        terminal_reason: Some("api_error".to_owned()),
        api_error_status: retry.status,
        errors: vec![message],
        ..Outcome::default()
    }
}
