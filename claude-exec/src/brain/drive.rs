//! The task behind a turn: process to events, with the time limits.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::limits::{Clock, Limit};
use crate::error::{Error, Result};
use crate::executor::{Exit, Frame, Process, Stop, Tail};
use crate::invocation::{Deadlines, Held, INITIALIZE_ID};
use crate::protocol::{
    Ask, ControlRequest, ControlResponse, Event, Outcome, Reply, Request, Retry, Translator,
};

/// How long the CLI may take to end after its result, with stdin closed. It takes 16 to 65 ms; with shells in
/// the background it waits about 5 s for them.
const EXIT_LIMIT: Duration = Duration::from_secs(8);

/// How long an interrupted turn may take to end. It takes 10 to 70 ms.
const INTERRUPT_LIMIT: Duration = Duration::from_secs(2);

/// Stops after which a process that gives no exit is given up: one graceful, one firm, one in case.
const MAX_STOPS: u32 = 3;

/// Lines that may wait to be written; refusals beyond them are not sent.
const MAX_WRITES: usize = 64;

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
    clock: Clock,
    held: Option<Held>,
    writes: VecDeque<Bytes>,
    writing: Option<BoxFuture<'static, io::Result<()>>>,
    /// The turn has had its last word: a result, an error, or its cancellation.
    settled: bool,
    stops: u32,
}

/// What happens next in a turn.
enum Next {
    Wish,
    /// The caller has dropped the turn.
    Left,
    /// The caller has taken an event.
    Room,
    Written,
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
        held: Option<Held>,
    ) -> Self {
        Self {
            process,
            translator: Translator::new(),
            stderr: Tail::default(),
            events,
            wishes,
            pending: VecDeque::new(),
            clock: Clock::new(deadlines, Instant::now()),
            held,
            writes: VecDeque::new(),
            writing: None,
            settled: false,
            stops: 0,
        }
    }

    /// Runs the process to its end and gives what its caller has not taken yet.
    pub(super) async fn run(mut self) -> Rest {
        let mut left = false;
        while self.stops <= MAX_STOPS {
            self.hand_over();
            self.write_next();
            let (due, limit) = self.clock.next();
            // Nothing is awaited outside of this: a child that does not read holds back no stop.
            let next = tokio::select! {
                biased;
                Ok(()) = self.wishes.changed() => Next::Wish,
                () = self.events.closed(), if !left => Next::Left,
                _ = self.events.reserve(), if !self.pending.is_empty() && !left => Next::Room,
                _ = written(&mut self.writing), if self.writing.is_some() => Next::Written,
                // A turn that is over is read on, though nobody takes its events: they are none.
                frame = self.process.output.next(), if self.pending.is_empty() || self.settled => {
                    Next::Frame(frame)
                }
                () = sleep_until(due) => Next::Due,
            };
            match next {
                Next::Wish => self.obey(),
                Next::Left => {
                    left = true;
                    self.leave();
                }
                Next::Room => self.clock.flowing(Instant::now()),
                Next::Written => self.writing = None,
                Next::Frame(frame) => {
                    if self.take(frame) {
                        break;
                    }
                    let (due, limit) = self.clock.next();
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
                return self.clock.stalled(Instant::now());
            }
        }
    }

    fn write(&mut self, line: Bytes) {
        if self.writes.len() < MAX_WRITES {
            self.writes.push_back(line);
        }
    }

    fn write_next(&mut self) {
        if self.writing.is_none()
            && let Some(line) = self.writes.pop_front()
        {
            let control = Arc::clone(&self.process.control);
            self.writing = Some(async move { control.write(line).await }.boxed());
        }
    }

    fn expire(&mut self, limit: Limit) {
        if limit != Limit::End {
            self.settle(Event::Error(self.clock.error(limit)));
        }
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
        let how = if self.stops == 0 { Stop::GRACEFUL } else { Stop::Now };
        self.stops += 1;
        self.process.control.close_stdin();
        self.process.control.stop(how);
        self.clock.end_within(Instant::now(), EXIT_LIMIT);
    }

    fn obey(&mut self) {
        let wish = *self.wishes.borrow_and_update();
        match wish {
            Wish::Interrupt if !self.settled => {
                self.settle(Event::Cancelled);
                self.write(Request::Interrupt.to_line("interrupt"));
                self.clock.end_within(Instant::now(), INTERRUPT_LIMIT);
            }
            Wish::GoOn | Wish::Interrupt => {}
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
        let exit = match frame {
            Some(Ok(Frame::Stdout(bytes))) => {
                self.clock.output(Instant::now());
                self.translator.push(&bytes);
                self.translate();
                return false;
            }
            Some(Ok(Frame::Stderr(bytes))) => {
                self.stderr.push(&bytes);
                return false;
            }
            Some(Ok(Frame::Exit(exit))) => Ok(exit),
            Some(Err(error)) => Err(error),
            None => Ok(Exit::default()),
        };
        self.translator.finish();
        self.translate();
        let error = exit.map_or_else(|error| error, |exit| Error::exited(exit, self.stderr.to_text()));
        self.settle(Event::Error(error));
        true
    }

    fn translate(&mut self) {
        while let Some(event) = self.translator.poll_event() {
            match event {
                Event::Finished(outcome) => {
                    self.settle(Event::Finished(outcome));
                    self.process.control.close_stdin();
                    if !self.clock.is_ending() {
                        self.clock.end_within(Instant::now(), EXIT_LIMIT);
                    }
                }
                _ if self.settled => {} // the CLI's own ending of a turn that is over
                event => self.pass_on(event),
            }
        }
    }

    fn pass_on(&mut self, event: Event) {
        match &event {
            Event::Retry(retry) if retry.is_hopeless() => {
                let outcome = hopeless(retry);
                self.pending.push_back(event);
                self.settle(Event::Finished(Box::new(outcome)));
                return self.stop();
            }
            Event::ControlResponse(response) if response.request_id == INITIALIZE_ID => {
                if let Some(held) = self.held.take() {
                    match know_agent(response, &held.agent_name) {
                        Ok(()) => self.write(held.message),
                        Err(error) => {
                            self.settle(Event::Error(error));
                            return self.stop();
                        }
                    }
                }
            }
            // Nobody above knows what it means, and the CLI would wait for ever.
            Event::ControlRequest(ControlRequest { request_id, ask: Ask::Other { subtype, .. } }) => {
                let refusal = Reply::Error(format!("{subtype} is not supported here"));
                self.write(refusal.to_line(request_id));
            }
            _ => {}
        }
        self.pending.push_back(event);
    }
}

async fn written(writing: &mut Option<BoxFuture<'static, io::Result<()>>>) -> io::Result<()> {
    match writing {
        Some(writing) => writing.await,
        None => std::future::pending().await,
    }
}

/// Refuses to go on with an agent that the CLI did not list: it would run as no agent, with every tool.
fn know_agent(response: &ControlResponse, name: &str) -> Result<()> {
    let known = response.agent_names()?;
    if known.iter().any(|known| known == name) {
        return Ok(());
    }
    Err(Error::not_found(format!("agent {name:?} (the CLI knows {})", known.join(", "))))
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
