//! Admission: a number of slots, and a bounded queue in front of them, first come first served.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Sleep;

use crate::error::{Error, Result};

/// Hands out slots in the order of arrival and refuses at once when its queue is full.
///
/// `depth` bounds those that wait, not those that run: with 0 nobody waits. Clones share the same slots.
#[derive(Clone)]
pub struct Gate(Arc<Shared>);

struct Shared {
    capacity: usize,
    depth: usize,
    wait_limit: Option<Duration>,
    state: Mutex<State>,
    moved: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    active: usize,
    next: u64,
    /// Ascending by id. Whoever is no longer in it was given a slot.
    queue: VecDeque<Ticket>,
}

struct Ticket {
    id: u64,
    waker: Option<Waker>,
}

/// How full a [`Gate`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GateStatus {
    /// Slots in use.
    pub active: usize,
    /// Callers that wait.
    pub queued: usize,
    /// Slots in all.
    pub capacity: usize,
    /// How many may wait.
    pub depth: usize,
}

impl GateStatus {
    /// True when whoever comes now has to wait.
    pub fn is_busy(&self) -> bool {
        self.active >= self.capacity
    }
}

impl Gate {
    /// A gate with `capacity` slots and room for `depth` callers that wait, for as long as they like.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) with the field `max_concurrency` for 0 slots: nothing would ever run.
    pub fn new(capacity: usize, depth: usize) -> Result<Self> {
        Self::with_wait_limit(capacity, depth, None)
    }

    /// A gate like [`new`](Self::new) whose callers wait at most `wait_limit`.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_wait_limit(capacity: usize, depth: usize, wait_limit: Option<Duration>) -> Result<Self> {
        if capacity == 0 {
            return Err(Error::invalid("max_concurrency", "must be at least 1: with 0 nothing ever runs"));
        }
        let (state, moved) = (Mutex::default(), watch::Sender::new(()));
        Ok(Self(Arc::new(Shared { capacity, depth, wait_limit, state, moved })))
    }

    /// Waits for a slot.
    ///
    /// # Errors
    ///
    /// [`is_queue_full`](Error::is_queue_full) at once, or [`is_timeout`](Error::is_timeout) after the wait limit.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the place back.
    pub async fn enter(&self) -> Result<Slot> {
        self.join()?.await
    }

    /// Takes a slot or a place in the queue now; the slot comes from awaiting what it returns.
    ///
    /// # Errors
    ///
    /// [`is_queue_full`](Error::is_queue_full).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, when the gate has a wait limit.
    pub fn join(&self) -> Result<Waiting> {
        let mut state = self.0.lock();
        let id = state.next;
        let queued = state.active >= self.0.capacity;
        if !queued {
            state.active += 1;
        } else if state.queue.len() < self.0.depth {
            state.queue.push_back(Ticket { id, waker: None });
        } else {
            return Err(Error::queue_full(self.0.depth));
        }
        state.next += 1;
        drop(state);
        let limit = self.0.wait_limit.filter(|_| queued).map(|limit| Box::pin(tokio::time::sleep(limit)));
        Ok(Waiting { shared: Some(Arc::clone(&self.0)), id, limit })
    }

    /// How full the gate is now.
    pub fn status(&self) -> GateStatus {
        let state = self.0.lock();
        GateStatus {
            active: state.active,
            queued: state.queue.len(),
            capacity: self.0.capacity,
            depth: self.0.depth,
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gate").field(&self.status()).finish()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a slot that is in use to the first in the queue, or puts it back.
    fn release(&self) {
        let mut state = self.lock();
        let first = state.queue.pop_front();
        if first.is_none() {
            state.active -= 1;
        }
        drop(state);
        if let Some(waker) = first.and_then(|ticket| ticket.waker) {
            waker.wake();
        }
        self.moved.send_replace(());
    }
}

impl State {
    fn index(&self, id: u64) -> Option<usize> {
        self.queue.binary_search_by_key(&id, |ticket| ticket.id).ok()
    }
}

/// A place in the queue, or a slot not yet picked up; a future of the [`Slot`].
///
/// Dropping it gives the place, or the slot, back.
#[must_use = "dropping it gives the place back"]
pub struct Waiting {
    /// `None` once the slot was picked up.
    shared: Option<Arc<Shared>>,
    id: u64,
    limit: Option<Pin<Box<Sleep>>>,
}

impl Waiting {
    /// The place in the queue, 1 for the next one; `None` once there is a slot.
    pub fn position(&self) -> Option<usize> {
        let shared = self.shared.as_ref()?;
        shared.lock().index(self.id).map(|index| index + 1)
    }

    /// A signal for each time that the queue moved, to ask for the [`position`](Self::position) again.
    pub fn moves(&self) -> Moves {
        Moves(self.shared.as_ref().map(|shared| shared.moved.subscribe()))
    }

    /// Leaves the queue; `false` when a slot was given before.
    fn leave(&self, shared: &Shared) -> bool {
        let mut state = shared.lock();
        let Some(index) = state.index(self.id) else { return false };
        state.queue.remove(index);
        drop(state);
        shared.moved.send_replace(());
        true
    }
}

impl Future for Waiting {
    type Output = Result<Slot>;

    /// # Panics
    ///
    /// When it is polled again after it was done.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Slot>> {
        let shared = Arc::clone(self.shared.as_ref().expect("polled after it was done"));
        let expired = self.limit.as_mut().is_some_and(|limit| limit.as_mut().poll(cx).is_ready());
        if !expired {
            let mut state = shared.lock();
            if let Some(index) = state.index(self.id) {
                state.queue[index].waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
        } else if self.leave(&shared) {
            self.shared = None;
            let limit = shared.wait_limit.unwrap_or_default();
            return Poll::Ready(Err(Error::timed_out("waiting for a free slot", limit)));
        }
        self.shared = None;
        Poll::Ready(Ok(Slot(shared)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take()
            && !self.leave(&shared)
        {
            shared.release();
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("position", &self.position()).finish_non_exhaustive()
    }
}

/// Tells that the queue moved.
#[derive(Debug)]
pub struct Moves(Option<watch::Receiver<()>>);

impl Moves {
    /// Waits for the next move; for ever once there is nothing to wait for.
    pub async fn next(&mut self) {
        if let Some(moves) = &mut self.0
            && moves.changed().await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

/// The right to run one process; dropping it lets the next one in.
#[must_use = "dropping it lets the next one in"]
pub struct Slot(Arc<Shared>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn counts(gate: &Gate) -> (usize, usize) {
        let status = gate.status();
        (status.active, status.queued)
    }

    #[test]
    fn a_gate_without_slots_is_refused_by_name() {
        assert_eq!(Gate::new(0, 9).unwrap_err().field(), Some("max_concurrency"));
    }

    #[test]
    fn the_bound_is_on_those_who_wait() {
        let gate = Gate::new(2, 1).unwrap();
        let _running = [gate.join().unwrap(), gate.join().unwrap()];
        let waiting = gate.join().unwrap();
        assert!(gate.join().unwrap_err().is_queue_full());
        assert_eq!((counts(&gate), waiting.position()), ((2, 1), Some(1)));
        assert!(gate.status().is_busy());
    }

    #[test]
    fn depth_0_means_no_queue() {
        let gate = Gate::new(1, 0).unwrap();
        let slot = gate.enter().now_or_never().unwrap().unwrap();
        assert!(gate.enter().now_or_never().unwrap().unwrap_err().is_queue_full());
        drop(slot);
        assert!(gate.enter().now_or_never().unwrap().is_ok());
    }

    #[tokio::test]
    async fn slots_go_in_the_order_of_arrival() {
        let gate = Gate::new(1, 3).unwrap();
        let slot = gate.enter().await.unwrap();
        let mut waiting = [gate.join().unwrap(), gate.join().unwrap(), gate.join().unwrap()];
        // The last one asks first; that must not matter.
        assert!((&mut waiting[2]).now_or_never().is_none());
        drop(slot);
        assert_eq!(waiting.each_ref().map(Waiting::position), [None, Some(1), Some(2)]);
        let mut waiting = waiting.into_iter();
        let slot = waiting.next().unwrap().await.unwrap();
        assert_eq!(counts(&gate), (1, 2));
        drop(slot);
        drop(waiting.next().unwrap().await.unwrap());
        drop(waiting.next().unwrap().await.unwrap());
        assert_eq!(counts(&gate), (0, 0));
    }

    #[tokio::test]
    async fn whoever_leaves_gives_the_place_back() {
        let gate = Gate::new(1, 2).unwrap();
        let slot = gate.enter().await.unwrap();
        let first = gate.join().unwrap();
        let second = gate.join().unwrap();
        let mut moves = second.moves();
        assert!(moves.next().now_or_never().is_none());
        drop(first);
        moves.next().await;
        assert_eq!((second.position(), counts(&gate)), (Some(1), (1, 1)));
        // A slot that was given but not picked up goes on to the next.
        let third = gate.join().unwrap();
        drop(slot);
        assert_eq!((second.position(), third.position()), (None, Some(1)));
        drop(second);
        assert_eq!((third.position(), counts(&gate)), (None, (1, 0)));
        drop(third);
        assert_eq!(counts(&gate), (0, 0));
    }

    #[tokio::test]
    async fn a_waiting_task_is_woken() {
        let gate = Gate::new(1, 1).unwrap();
        let slot = gate.enter().await.unwrap();
        let task = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter().await.map(drop) }
        });
        while gate.status().queued == 0 {
            tokio::task::yield_now().await;
        }
        drop(slot);
        task.await.unwrap().unwrap();
        assert_eq!(counts(&gate), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_has_its_limit() {
        let gate = Gate::with_wait_limit(1, 1, Some(Duration::from_secs(5))).unwrap();
        let _slot = gate.enter().await.unwrap();
        let error = gate.enter().await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        assert_eq!(counts(&gate), (1, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn under_a_crowd_the_bounds_hold_and_nothing_is_lost() {
        let gate = Gate::new(3, 200).unwrap();
        let tasks = (0..150).map(|n| {
            let gate = gate.clone();
            tokio::spawn(async move {
                let waiting = gate.join().unwrap();
                if n % 3 == 0 {
                    tokio::task::yield_now().await;
                    return drop(waiting);
                }
                let _slot = waiting.await.unwrap();
                assert!(gate.status().active <= 3);
                tokio::task::yield_now().await;
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!(counts(&gate), (0, 0));
    }
}
