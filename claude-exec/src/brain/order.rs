//! What the driver of a process is told from outside.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::{Error, Result};
use crate::executor::Control;
use crate::invocation::{Deadlines, Held};
use crate::protocol::{Event, McpServer, Outcome};

/// Orders that may wait for the driver, which is never long away; then who gives one waits.
const ORDERS_AHEAD: usize = 16;

/// What the caller of a turn wants; it only ever gets firmer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    GoOn,
    Interrupt,
    Stop,
}

/// A turn to begin.
pub(super) struct Saying {
    /// What to write: settings when they changed, then the message. Empty for a turn that was written at the start.
    pub(super) lines: Vec<Bytes>,
    /// The request among the lines that changes settings.
    pub(super) settings: Option<String>,
    pub(super) held: Option<Held>,
    /// The message's `uuid`, by which its result is known.
    pub(super) message_id: String,
    pub(super) deadlines: Deadlines,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) wishes: watch::Receiver<Wish>,
    /// Who is told of the end, whether the events are read or not.
    pub(super) ended: Option<oneshot::Sender<Ending>>,
}

/// What a turn came to.
#[derive(Debug)]
#[cfg_attr(not(feature = "store"), expect(dead_code, reason = "conversations read it"))]
pub(super) struct Ending {
    pub(super) result: Result<Box<Outcome>>,
    /// The answer as far as it was said.
    pub(super) said: String,
}

/// What anyone with a handle may ask.
pub(super) enum Order {
    /// A control request, and who waits for its answer.
    Ask(Question),
    /// The answer to a control request of the CLI's.
    Reply { request_id: String, line: Bytes, done: oneshot::Sender<Result<()>> },
}

pub(super) struct Question {
    pub(super) request_id: String,
    pub(super) line: Bytes,
    pub(super) limit: Duration,
    pub(super) answer: oneshot::Sender<Answer>,
    /// The MCP servers that this request opens.
    pub(super) servers: Vec<McpServer>,
}

/// The ends by which the driver of a process is held: when [`owner`](Self::owner) is dropped, the process ends.
pub(super) struct Bridle {
    pub(super) owner: Option<mpsc::Sender<Saying>>,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) status: watch::Receiver<Status>,
    /// The handle of the process: it keeps nothing alive.
    pub(super) control: Arc<dyn Control>,
}

/// The driver's ends.
pub(super) struct Reins {
    pub(super) owner: mpsc::Receiver<Saying>,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) status: watch::Sender<Status>,
}

impl Bridle {
    pub(super) fn new(control: &Arc<dyn Control>) -> (Self, Reins) {
        let (owner, said) = mpsc::channel(1); // one turn at a time
        let (orders, ordered) = mpsc::channel(ORDERS_AHEAD);
        let (status, seen) = watch::channel(Status::default());
        let bridle = Self { owner: Some(owner), orders, status: seen, control: Arc::clone(control) };
        (bridle, Reins { owner: said, orders: ordered, status })
    }
}

/// What is known of a process from outside.
#[derive(Debug, Clone, Default)]
pub(super) struct Status {
    /// Why it takes no further turn.
    pub(super) retired: Option<Error>,
    /// It has ended, with all its descendants.
    pub(super) gone: bool,
}

/// The CLI's answer to a control request.
pub(super) type Answer = Result<Option<Box<RawValue>>>;

/// Asks the driver, and waits for the CLI's answer.
pub(super) async fn ask(
    orders: &mpsc::Sender<Order>,
    request_id: String,
    line: Bytes,
    limit: Duration,
) -> Answer {
    ask_serving(orders, request_id, line, limit, Vec::new()).await
}

/// As [`ask`], with MCP servers that the driver answers for from then on.
pub(super) async fn ask_serving(
    orders: &mpsc::Sender<Order>,
    request_id: String,
    line: Bytes,
    limit: Duration,
    servers: Vec<McpServer>,
) -> Answer {
    let (answer, answered) = oneshot::channel();
    let question = Question { request_id, line, limit, answer, servers };
    orders.send(Order::Ask(question)).await.map_err(|_| gone())?;
    answered.await.unwrap_or_else(|_| Err(gone()))
}

/// Has the driver answer a control request of the CLI's.
pub(super) async fn reply(orders: &mpsc::Sender<Order>, request_id: &str, line: Bytes) -> Result<()> {
    let (done, answered) = oneshot::channel();
    let order = Order::Reply { request_id: request_id.to_owned(), line, done };
    orders.send(order).await.map_err(|_| gone())?;
    answered.await.unwrap_or_else(|_| Err(gone()))
}

fn gone() -> Error {
    Error::io("speaking to the CLI", std::io::ErrorKind::BrokenPipe.into())
}
