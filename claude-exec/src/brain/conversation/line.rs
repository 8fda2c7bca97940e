//! The line before a conversation: one turn at a time, and what becomes of the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedMutexGuard, watch};

use crate::brain::turn::TurnHandle;
use crate::error::{Error, Result};

/// Turns that may wait for one conversation, besides the one under way. A person does not talk faster.
const MAX_WAITING: usize = 8;

/// What to do when a turn of the same conversation is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Busy {
    /// Waits until it has ended; at most 8 wait, first come, first served.
    #[default]
    Wait,
    /// Interrupts it and goes on in its place, as a voice assistant must. One that was about to do the same is
    /// overtaken: the latest word counts. Both fail with [`is_stopped`](Error::is_stopped). Turns that wait in line
    /// go first.
    Interrupt,
    /// Fails at once, with [`is_conflict`](Error::is_conflict).
    Refuse,
}

/// All conversations with a turn under way.
#[derive(Default)]
pub(super) struct Lines(Mutex<HashMap<String, Arc<Room>>>);

struct Room {
    place: Arc<tokio::sync::Mutex<()>>,
    /// Counts the turns that came to interrupt.
    interruptions: watch::Sender<u64>,
    under_way: Mutex<Option<TurnHandle>>,
}

/// The right to the turn of one conversation. Dropping it gives it to the one who waits longest.
pub(super) struct Place {
    room: Arc<Room>,
    /// The interruptions there were when it was taken.
    taken_at: u64,
    _guard: OwnedMutexGuard<()>,
}

impl Lines {
    /// Takes the place, as `busy` says. Dropping the future leaves the line.
    pub(super) async fn enter(&self, id: &str, busy: Busy) -> Result<Place> {
        let room = self.room(id);
        match busy {
            Busy::Refuse => match Arc::clone(&room.place).try_lock_owned() {
                Ok(guard) => Ok(Place::new(room, guard)),
                Err(_) => Err(Error::conflict(
                    "a turn of this conversation is under way; wait for its end, or interrupt it",
                )),
            },
            Busy::Wait => {
                // One for the map, one for the turn under way, one for this caller, and the waiting ones.
                if Arc::strong_count(&room) > MAX_WAITING + 2 {
                    return Err(Error::queue_full(MAX_WAITING));
                }
                let guard = Arc::clone(&room.place).lock_owned().await;
                Ok(Place::new(room, guard))
            }
            Busy::Interrupt => {
                let mut ours = 0;
                room.interruptions.send_modify(|count| {
                    *count += 1;
                    ours = *count;
                });
                if let Some(turn) = lock(&room.under_way).as_ref() {
                    turn.interrupt();
                }
                let mut interruptions = room.interruptions.subscribe();
                let place = Arc::clone(&room.place).lock_owned();
                tokio::select! {
                    biased;
                    _ = interruptions.wait_for(|count| *count > ours) => Err(Error::stopped()),
                    guard = place => Ok(Place::new(room, guard)),
                }
            }
        }
    }

    /// Interrupts the turn under way; true when there was one.
    pub(super) fn interrupt(&self, id: &str) -> bool {
        let rooms = lock(&self.0);
        let Some(room) = rooms.get(id) else { return false };
        let under_way = lock(&room.under_way);
        under_way.as_ref().inspect(|turn| turn.interrupt()).is_some()
    }

    fn room(&self, id: &str) -> Arc<Room> {
        let mut rooms = lock(&self.0);
        // Nobody else can take a place that only the map holds: these are free.
        rooms.retain(|_, room| Arc::strong_count(room) > 1);
        let new = || {
            Arc::new(Room {
                place: Arc::default(),
                interruptions: watch::Sender::new(0),
                under_way: Mutex::new(None),
            })
        };
        Arc::clone(rooms.entry(id.to_owned()).or_insert_with(new))
    }
}

impl Place {
    fn new(room: Arc<Room>, guard: OwnedMutexGuard<()>) -> Self {
        let taken_at = *room.interruptions.borrow();
        Self { room, taken_at, _guard: guard }
    }

    /// Resolves when somebody wants to interrupt this turn.
    pub(super) fn overtaken(&self) -> impl Future<Output = ()> + Send + use<> {
        let (mut interruptions, taken_at) = (self.room.interruptions.subscribe(), self.taken_at);
        async move {
            if interruptions.wait_for(|count| *count > taken_at).await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Says by which handle the turn can be interrupted from now on.
    pub(super) fn begun(&self, turn: TurnHandle) {
        let mut under_way = lock(&self.room.under_way);
        if *self.room.interruptions.borrow() > self.taken_at {
            turn.interrupt();
        }
        *under_way = Some(turn);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *lock(&self.room.under_way) = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_line_is_bounded_and_a_place_in_it_is_given_back() {
        let lines = Lines::default();
        let place = lines.enter("kitchen", Busy::Wait).await.unwrap();
        let mut line: Vec<_> = (0..8).map(|_| Box::pin(lines.enter("kitchen", Busy::Wait))).collect();
        for waiting in &mut line {
            assert!(futures::poll!(waiting.as_mut()).is_pending());
        }
        assert!(lines.enter("kitchen", Busy::Wait).await.is_err_and(|error| error.is_queue_full()));
        assert!(lines.enter("kitchen", Busy::Refuse).await.is_err_and(|error| error.is_conflict()));
        assert!(lines.enter("bathroom", Busy::Refuse).await.is_ok(), "another one is free");
        line.pop();
        let mut ninth = Box::pin(lines.enter("kitchen", Busy::Wait));
        assert!(futures::poll!(ninth.as_mut()).is_pending());
        drop((place, line));
        drop(ninth.await.unwrap());
        assert!(lines.enter("kitchen", Busy::Refuse).await.is_ok());
    }

    #[tokio::test]
    async fn the_latest_word_counts() {
        let lines = Lines::default();
        let place = lines.enter("kitchen", Busy::Interrupt).await.unwrap();
        let mut overtaken = Box::pin(place.overtaken());
        assert!(futures::poll!(overtaken.as_mut()).is_pending());
        let mut second = Box::pin(lines.enter("kitchen", Busy::Interrupt));
        assert!(futures::poll!(second.as_mut()).is_pending());
        overtaken.await;
        let mut third = Box::pin(lines.enter("kitchen", Busy::Interrupt));
        assert!(futures::poll!(third.as_mut()).is_pending());
        assert!(second.await.is_err_and(|error| error.is_stopped()));
        drop(place);
        let place = third.await.unwrap();
        assert!(futures::poll!(Box::pin(place.overtaken()).as_mut()).is_pending());
    }
}
