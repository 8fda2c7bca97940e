//! The task behind a process: what it says to events, what it is told to lines, with the time limits.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::active::{Active, Rest};
use super::limits::Limit;
use super::order::{Order, Question, Reins, Saying, Status, Wish};
use super::questions::{Asked, Questions};
use super::tally::Tally;
use crate::error::{Error, Result};
use crate::executor::{Exit, Frame, Process, Stop, Tail};
use crate::protocol::{Event, McpServer, Reply, Request, Translator};
use crate::time::after;

/// How long the CLI may take to end after its last result, with stdin closed. It takes 16 to 65 ms; with shells in
/// the background it waits about 5 s for them.
pub(super) const EXIT_LIMIT: Duration = Duration::from_secs(8);

/// How long an interrupted turn may take to end. It takes 10 to 70 ms, and on a machine that is short of processors
/// a second.
const INTERRUPT_LIMIT: Duration = Duration::from_secs(4);

/// How long the CLI may take to answer a change of settings. It takes 12 ms.
const SETTINGS_LIMIT: Duration = Duration::from_secs(30);

/// Stops after which a process that gives no exit is given up: one graceful, one firm, one in case.
const MAX_STOPS: u32 = 3;

/// Lines that may wait to be written; answers beyond them are not sent.
const MAX_WRITES: usize = 256;

/// The id of the control request that interrupts.
pub(super) const INTERRUPT_ID: &str = "interrupt";

pub(super) struct Driver {
    pub(super) process: Process,
    translator: Translator,
    stderr: Tail,
    owner: mpsc::Receiver<Saying>,
    owned: bool,
    orders: mpsc::Receiver<Order>,
    /// Stdin closes with the first result, and the turn ends with the process.
    pub(super) once: bool,
    pub(super) servers: Vec<McpServer>,
    pub(super) turn: Option<Active>,
    pub(super) tally: Tally,
    pub(super) questions: Questions,
    /// Control requests of the CLI's that the caller has, and by when they must be answered.
    pub(super) open: HashMap<String, (Instant, Reply)>,
    writes: VecDeque<Bytes>,
    writing: Option<BoxFuture<'static, io::Result<()>>>,
    /// The turn or the process was told to end, and by when it must have.
    pub(super) ending: Option<Instant>,
    /// Why the process will end, when that is known before it does.
    pub(super) reason: Option<Error>,
    status: watch::Sender<Status>,
    stops: u32,
}

/// What happens next.
enum Next {
    Wish,
    Said(Option<Saying>),
    Order(Order),
    /// The caller has taken an event.
    Room,
    Written,
    Frame(Option<Result<Frame>>),
    Due,
}

/// What runs out next.
enum Due {
    End,
    Turn(Limit),
    Question(String),
    Answer(String),
    Nothing,
}

impl Driver {
    pub(super) fn new(process: Process, reins: Reins) -> Self {
        Self {
            process,
            translator: Translator::new(),
            stderr: Tail::default(),
            owner: reins.owner,
            owned: true,
            orders: reins.orders,
            once: false,
            servers: Vec::new(),
            turn: None,
            tally: Tally::default(),
            questions: Questions::default(),
            open: HashMap::new(),
            writes: VecDeque::new(),
            writing: None,
            ending: None,
            reason: None,
            status: reins.status,
            stops: 0,
        }
    }

    /// A driver of a process that was started for one turn.
    pub(super) fn once(process: Process, reins: Reins, servers: Vec<McpServer>, saying: Saying) -> Self {
        let mut driver = Self::new(process, reins);
        (driver.once, driver.servers) = (true, servers);
        driver.begin(saying);
        driver
    }

    /// Runs the process to its end and gives what the caller of its last turn has not taken yet.
    pub(super) async fn run(mut self) -> Option<Rest> {
        while self.stops <= MAX_STOPS {
            let now = Instant::now();
            if let Some(turn) = &mut self.turn {
                turn.hand_over(now);
                if turn.is_over() && turn.is_handed_over() {
                    self.turn = None;
                }
            }
            self.write_next();
            let (due, _) = self.due();
            let reads = self.turn.as_ref().is_none_or(|turn| !turn.holds_back());
            let (wishes, waits) = match &mut self.turn {
                Some(turn) => {
                    let waits = (!turn.is_handed_over()).then_some(&turn.events);
                    (Some(&mut turn.wishes), waits)
                }
                None => (None, None),
            };
            // Nothing is awaited outside of this: a child that does not read holds back no stop.
            let next = tokio::select! {
                biased;
                Ok(()) = wish(wishes) => Next::Wish,
                said = self.owner.recv(), if self.owned => Next::Said(said),
                Some(order) = self.orders.recv() => Next::Order(order),
                () = room(waits), if waits.is_some() => Next::Room,
                _ = written(&mut self.writing), if self.writing.is_some() => Next::Written,
                frame = self.process.output.next(), if reads => Next::Frame(frame),
                () = sleep_until(due) => Next::Due,
            };
            match next {
                Next::Wish => self.obey(),
                Next::Said(Some(saying)) => self.begin(saying),
                Next::Said(None) => {
                    self.owned = false;
                    self.leave();
                }
                Next::Order(Order::Ask(question)) => self.ask(question),
                Next::Order(Order::Reply { request_id, line, done }) => {
                    let _left = done.send(self.reply(&request_id, line));
                }
                Next::Room => {
                    if let Some(turn) = &mut self.turn {
                        turn.clock.flowing(Instant::now());
                    }
                }
                Next::Written => self.writing = None,
                Next::Frame(frame) => {
                    if self.take(frame) {
                        break;
                    }
                    if Instant::now() >= self.due().0 {
                        self.expire(); // a flood of output must not outrun the clock
                    }
                }
                Next::Due => self.expire(),
            }
        }
        let end = self.reason.clone().unwrap_or_else(Error::stopped);
        self.questions.fail(&end);
        self.status.send_modify(|status| {
            status.retired.get_or_insert(end);
            status.gone = true;
        });
        let mut turn = self.turn?;
        turn.end();
        Some(turn.into_rest())
    }

    pub(super) fn is_owned(&self) -> bool {
        self.owned
    }

    fn begin(&mut self, saying: Saying) {
        for line in &saying.lines {
            self.writes.push_back(line.clone());
        }
        let now = Instant::now();
        if let Some(id) = &saying.settings {
            self.questions.add(id.clone(), Asked::settings(now, SETTINGS_LIMIT));
        }
        if let Some(before) = self.turn.replace(Active::new(saying, now)) {
            // It is over, and its caller has not taken all of it yet.
            tokio::spawn(before.into_rest().deliver());
        }
        if let (Some(reason), Some(turn)) = (&self.reason, &mut self.turn) {
            turn.settle(Event::Error(reason.clone())); // it retired while the message was on its way
        }
    }

    fn ask(&mut self, question: Question) {
        self.servers.extend(question.servers);
        let asked = Asked::by(question.answer, Instant::now(), question.limit);
        self.questions.add(question.request_id, asked);
        self.write(question.line);
    }

    fn reply(&mut self, request_id: &str, line: Bytes) -> Result<()> {
        if self.open.remove(request_id).is_none() {
            return Err(Error::not_found(format!("a control request {request_id} that waits for an answer")));
        }
        if let Some(turn) = &mut self.turn {
            turn.clock.output(Instant::now()); // from here on its silence counts again
        }
        self.write(line);
        Ok(())
    }

    pub(super) fn write(&mut self, line: Bytes) {
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

    /// What runs out next, and when.
    fn due(&self) -> (Instant, Due) {
        if let Some(ending) = self.ending {
            return (ending, Due::End);
        }
        let turn = self.turn.as_ref().filter(|turn| !turn.is_settled());
        let turn = turn.map(|turn| {
            let (due, limit) = turn.clock.next(!self.open.is_empty());
            (due, Due::Turn(limit))
        });
        let question = self.questions.next().map(|(due, id)| (due, Due::Question(id.to_owned())));
        let answer = self.open.iter().map(|(id, (due, _))| (*due, id)).min();
        let answer = answer.map(|(due, id)| (due, Due::Answer(id.clone())));
        let all = [turn, question, answer].into_iter().flatten();
        all.min_by_key(|(due, _)| *due)
            .unwrap_or_else(|| (after(Instant::now(), Duration::MAX), Due::Nothing))
    }

    fn expire(&mut self) {
        match self.due().1 {
            Due::Nothing => {}
            Due::End => self.stop(),
            Due::Turn(limit) => {
                if let Some(turn) = &self.turn {
                    let error = turn.clock.error(limit);
                    self.fail(error);
                }
            }
            Due::Question(id) => {
                let error = self.questions.expire(&id);
                self.fail(error);
            }
            Due::Answer(id) => {
                if let Some((_, refusal)) = self.open.remove(&id) {
                    self.write(refusal.to_line(&id));
                }
                if let Some(turn) = &mut self.turn {
                    turn.clock.output(Instant::now());
                    turn.pass_on(Event::ControlCancel(id));
                }
            }
        }
    }

    pub(super) fn settle(&mut self, event: Event) {
        if let Some(turn) = &mut self.turn {
            turn.settle(event);
        }
    }

    /// Ends the turn with an error, and the process with it: after any doubt it is not used again.
    pub(super) fn fail(&mut self, error: Error) {
        self.settle(Event::Error(error.clone()));
        self.retire(error);
        self.stop();
    }

    /// Takes no further turn.
    pub(super) fn retire(&mut self, reason: Error) {
        self.reason.get_or_insert_with(|| reason.clone());
        self.status.send_if_modified(|status| {
            let first = status.retired.is_none();
            status.retired.get_or_insert(reason);
            first
        });
    }

    pub(super) fn stop(&mut self) {
        let how = if self.stops == 0 { Stop::GRACEFUL } else { Stop::Now };
        self.stops += 1;
        self.process.control.close_stdin();
        self.process.control.stop(how);
        self.retire(Error::stopped());
        self.end_within(EXIT_LIMIT);
    }

    pub(super) fn end_within(&mut self, limit: Duration) {
        self.ending = Some(after(Instant::now(), limit));
    }

    /// Lets the process end by itself.
    pub(super) fn close(&mut self) {
        self.process.control.close_stdin();
        if self.ending.is_none() {
            self.end_within(EXIT_LIMIT);
        }
    }

    fn obey(&mut self) {
        let Some(turn) = &mut self.turn else { return };
        let wish = *turn.wishes.borrow_and_update();
        match wish {
            Wish::Interrupt if !turn.is_settled() => {
                turn.settle(Event::Cancelled);
                self.write(Request::Interrupt.to_line(INTERRUPT_ID));
                self.end_within(INTERRUPT_LIMIT);
            }
            Wish::Stop if !turn.is_over() => {
                turn.settle(Event::Cancelled);
                self.stop();
            }
            _ => {}
        }
    }

    /// The owner has left. A turn that has its result may end by itself, since a signal now could cut what
    /// the CLI still writes to its session file.
    fn leave(&mut self) {
        match &mut self.turn {
            Some(turn) if !turn.is_settled() => {
                turn.settle(Event::Cancelled);
                self.stop();
            }
            Some(turn) if !turn.is_over() => {}
            _ => {
                self.retire(Error::stopped());
                self.close();
            }
        }
    }

    /// Takes one frame; true when it was the last.
    fn take(&mut self, frame: Option<Result<Frame>>) -> bool {
        let exit = match frame {
            Some(Ok(Frame::Stdout(bytes))) => {
                if let Some(turn) = &mut self.turn {
                    turn.clock.output(Instant::now());
                }
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
        self.settle(Event::Error(error.clone()));
        self.retire(error);
        true
    }

    fn translate(&mut self) {
        while let Some(event) = self.translator.poll_event() {
            self.hear(event);
        }
    }
}

async fn wish(wishes: Option<&mut watch::Receiver<Wish>>) -> Result<(), watch::error::RecvError> {
    match wishes {
        Some(wishes) => wishes.changed().await,
        None => std::future::pending().await,
    }
}

/// Waits until the caller has taken an event, or has left.
async fn room(events: Option<&mpsc::Sender<Event>>) {
    match events {
        Some(events) => {
            let _left = events.reserve().await;
        }
        None => std::future::pending().await,
    }
}

async fn written(writing: &mut Option<BoxFuture<'static, io::Result<()>>>) -> io::Result<()> {
    match writing {
        Some(writing) => writing.await,
        None => std::future::pending().await,
    }
}
