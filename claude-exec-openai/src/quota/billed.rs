//! A turn with its bill: whoever leaves it early still pays.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use claude_exec::brain::live::LiveTurn;
use claude_exec::brain::{ConversationTurn, Turn, TurnHandle};
use claude_exec::protocol::Event;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};

use super::Spent;
use super::bill::Bill;

/// How long an interrupted CLI may take to tell what the turn has cost. It takes 10 to 70 ms, and on a machine that is
/// short of processors a second; then it is stopped, and the cost stays unknown.
const COST_LIMIT: Duration = Duration::from_secs(2);

/// A turn whose cost its events tell.
pub trait Billable: Stream<Item = Event> + Unpin + Send + 'static {
    /// The process has this turn only, so that its sums are the turn's.
    const IS_ALONE: bool;

    /// A handle to end it by.
    fn handle(&self) -> TurnHandle;

    /// Waits until nothing of an ended turn's process runs any more.
    fn end(self) -> BoxFuture<'static, ()>;
}

impl Billable for Turn {
    const IS_ALONE: bool = true;

    fn handle(&self) -> TurnHandle {
        self.handle()
    }

    fn end(self) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

impl Billable for LiveTurn {
    const IS_ALONE: bool = false;

    fn handle(&self) -> TurnHandle {
        self.handle()
    }

    fn end(self) -> BoxFuture<'static, ()> {
        async move {
            if let (_, Some(live)) = self.finish().await {
                live.close().await;
            }
        }
        .boxed()
    }
}

impl Billable for ConversationTurn {
    const IS_ALONE: bool = false;

    fn handle(&self) -> TurnHandle {
        self.handle()
    }

    fn end(self) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

/// A turn that pays its bill when its result comes. A stream of the turn's events.
///
/// Dropping it before ends the turn. Where the cost matters, the CLI is interrupted first, and given 2 s to tell what the
/// turn has cost so far; otherwise it is stopped at once.
pub struct Billed<T: Billable> {
    /// `None` once it was taken out.
    turn: Option<T>,
    bill: Bill,
}

impl<T: Billable> Billed<T> {
    /// Begins the bill of this turn.
    pub fn new(turn: T, mut bill: Bill) -> Self {
        bill.begin();
        Self { turn: Some(turn), bill }
    }

    /// The turn alone; its bill is left as it is.
    pub fn into_parts(mut self) -> (Option<T>, Bill) {
        (self.turn.take(), std::mem::take(&mut self.bill))
    }

    /// The turn, to answer it or to change its options.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.turn.as_mut()
    }

    /// Goes on with this turn for another request, whose bill takes over.
    pub fn join(&mut self, mut bill: Bill) {
        bill.join(std::mem::take(&mut self.bill));
        self.bill = bill;
    }

    /// As dropping it, and drops `guard` when nothing of the turn runs any more.
    pub fn leave<G: Send + 'static>(mut self, guard: G) {
        if let Some(turn) = self.turn.take() {
            leave(turn, std::mem::take(&mut self.bill), guard);
        }
    }
}

impl<T: Billable> Stream for Billed<T> {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let Some(turn) = &mut self.turn else { return Poll::Ready(None) };
        let event = ready!(turn.poll_next_unpin(cx));
        if let Some(event) = &event {
            pay::<T>(&mut self.bill, event);
        }
        Poll::Ready(event)
    }
}

impl<T: Billable> Drop for Billed<T> {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.take() {
            leave(turn, std::mem::take(&mut self.bill), ());
        }
    }
}

fn pay<T: Billable>(bill: &mut Bill, event: &Event) {
    if let Event::Finished(outcome) | Event::Late(outcome) = event {
        bill.pay(&Spent::of(outcome, T::IS_ALONE));
    }
}

fn leave<T: Billable, G: Send + 'static>(mut turn: T, mut bill: Bill, guard: G) {
    let handle = turn.handle();
    match (bill.is_paid(), bill.is_open()) {
        // It has its result: it ends by itself.
        (true, _) => {}
        (_, true) => handle.interrupt(),
        _ => handle.stop(),
    }
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    runtime.spawn(async move {
        let told = async {
            while let Some(event) = turn.next().await {
                pay::<T>(&mut bill, &event);
            }
        };
        let is_told = tokio::time::timeout(COST_LIMIT, told).await.is_ok();
        if !is_told {
            if !bill.is_paid() {
                handle.stop();
            }
            while turn.next().await.is_some() {}
        }
        drop(bill);
        turn.end().await;
        drop(guard);
    });
}

impl<T: Billable> fmt::Debug for Billed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Billed").field("bill", &self.bill).finish_non_exhaustive()
    }
}
