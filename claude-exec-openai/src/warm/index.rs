//! What waits for the next turn of its conversation, by transcript. Bounded in number and in time; pure, time is an
//! argument.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::transcript::Transcript;

/// What waits, the latest last. Two that have come to the same transcript wait beside each other: who asks gets one
/// of them, and it is then nobody else's.
#[derive(Debug)]
pub(crate) struct Index<T> {
    entries: VecDeque<Entry<T>>,
    limit: usize,
}

#[derive(Debug)]
struct Entry<T> {
    transcript: Transcript,
    until: Instant,
    value: T,
}

impl<T> Index<T> {
    /// An index of at most `limit` entries.
    pub(crate) fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), limit }
    }

    /// Adds what waits for `ttl` under this transcript. Gives what there is no room for any more, and what nobody has
    /// asked for in its time.
    #[must_use = "what is dropped here is dropped under the caller's lock"]
    pub(crate) fn insert(&mut self, now: Instant, transcript: Transcript, ttl: Duration, value: T) -> Vec<T> {
        let mut left = self.expire(now);
        self.entries.push_back(Entry { transcript, until: now + ttl, value });
        while self.entries.len() > self.limit {
            left.extend(self.entries.pop_front().map(|entry| entry.value));
        }
        left
    }

    /// Takes what waits under this transcript, the latest of several, so that it is nobody else's.
    pub(crate) fn take(&mut self, now: Instant, transcript: &Transcript) -> Option<T> {
        let at =
            self.entries.iter().rposition(|entry| entry.transcript == *transcript && entry.until > now)?;
        self.entries.remove(at).map(|entry| entry.value)
    }

    /// Takes out what has waited for its whole time.
    #[must_use = "what is dropped here is dropped under the caller's lock"]
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<T> {
        let (left, waiting) =
            std::mem::take(&mut self.entries).into_iter().partition(|entry| entry.until <= now);
        self.entries = waiting;
        let left: VecDeque<Entry<T>> = left;
        left.into_iter().map(|entry| entry.value).collect()
    }

    /// When the next entry has waited for its whole time.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.entries.iter().map(|entry| entry.until).min()
    }

    /// Takes out all of them.
    #[must_use = "what is dropped here is dropped under the caller's lock"]
    pub(crate) fn clear(&mut self) -> Vec<T> {
        std::mem::take(&mut self.entries).into_iter().map(|entry| entry.value).collect()
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    fn transcript(name: u8) -> Transcript {
        Transcript::open(&name)
    }

    #[test]
    fn an_entry_is_given_once_and_only_under_its_own_transcript() {
        let now = Instant::now();
        let mut index = Index::new(4);
        assert!(index.insert(now, transcript(1), TTL, "one").is_empty());
        assert!(index.insert(now, transcript(2), TTL, "two").is_empty());
        assert_eq!(index.take(now, &transcript(3)), None);
        assert_eq!(index.take(now, &transcript(1)), Some("one"));
        assert_eq!(index.take(now, &transcript(1)), None);
        assert_eq!((index.take(now, &transcript(2)), index.len()), (Some("two"), 0));
    }

    #[test]
    fn the_latest_of_equal_ones_comes_first() {
        let now = Instant::now();
        let mut index = Index::new(4);
        let _none =
            (index.insert(now, transcript(1), TTL, "old"), index.insert(now, transcript(1), TTL, "new"));
        let taken = [(); 3].map(|()| index.take(now, &transcript(1)));
        assert_eq!(taken, [Some("new"), Some("old"), None]);
    }

    #[test]
    fn what_is_old_and_what_is_too_much_is_left() {
        let start = Instant::now();
        let mut index = Index::new(2);
        for name in [1, 2] {
            assert!(index.insert(start, transcript(name), TTL, name).is_empty());
        }
        assert_eq!(index.insert(start, transcript(3), TTL * 2, 3), [1]);
        assert_eq!(index.next_expiry(), Some(start + TTL));
        assert_eq!(index.take(start + TTL, &transcript(2)), None, "its time is over");
        assert_eq!(index.expire(start + TTL), [2]);
        assert_eq!((index.len(), index.take(start + TTL, &transcript(3))), (1, Some(3)));
    }

    proptest! {
        /// Values are never duplicated, never given under another's transcript, and never more than the limit.
        #[test]
        fn one_value_has_one_owner(moves in prop::collection::vec((any::<bool>(), 0u8..4, 0u64..5), 0..200)) {
            let (mut now, mut index, mut next) = (Instant::now(), Index::new(3), 0u32);
            let mut inside: Vec<(u8, u32)> = Vec::new();
            for (inserts, name, pause) in moves {
                now += Duration::from_secs(pause);
                let left = if inserts {
                    inside.push((name, next));
                    next += 1;
                    index.insert(now, transcript(name), TTL, (name, next - 1))
                } else {
                    index.take(now, &transcript(name)).into_iter().inspect(|taken| assert_eq!(taken.0, name)).collect()
                };
                for value in left {
                    let at = inside.iter().position(|held| *held == value);
                    inside.swap_remove(at.expect("it was inside, once"));
                }
                prop_assert_eq!(index.len(), inside.len());
                prop_assert!(index.len() <= 3);
            }
        }
    }
}
