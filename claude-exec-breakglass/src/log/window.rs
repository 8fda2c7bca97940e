//! What of a log is kept, and what a reader at a cursor gets next. Pure.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::entry::Entry;
use super::id::EventId;

/// How much of a log is kept. The oldest events go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most events.
    pub events: usize,
    /// The most bytes of blocks.
    pub bytes: usize,
}

impl Default for Bounds {
    /// 20,000 events and 4 MiB: hours of an agent's talk and tools, and 64 sessions of it fit a small machine.
    fn default() -> Self {
        Self { events: 20_000, bytes: 4 * 1024 * 1024 }
    }
}

/// The events of one log that are kept, in order, without a hole.
#[derive(Debug)]
pub struct Window {
    entries: VecDeque<Entry>,
    bytes: usize,
    bounds: Bounds,
    /// The id of the event before the first one that is kept.
    before: EventId,
}

/// The verdict on a cursor: told first, so that a reader knows what the rest stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// No cursor: from the first event on.
    Start,
    /// From the event after the cursor on.
    Ok(EventId),
    /// Events after the cursor are no longer kept.
    Gap {
        /// The cursor.
        from: EventId,
        /// How many events are lost.
        lost: u64,
    },
    /// The log never had such an event.
    Reset(EventId),
    /// The cursor is beyond the head: the log has lost what the reader saw.
    Ahead(EventId),
}

impl Resume {
    /// The word for it on the wire.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Ok(_) => "ok",
            Self::Gap { .. } => "gap",
            Self::Reset(_) => "reset",
            Self::Ahead(_) => "ahead",
        }
    }

    /// The reader's cursor.
    pub fn cursor(&self) -> Option<EventId> {
        match *self {
            Self::Start => None,
            Self::Ok(id) | Self::Gap { from: id, .. } | Self::Reset(id) | Self::Ahead(id) => Some(id),
        }
    }
}

/// What a reader gets next.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// Blocks, and the cursor after them.
    Blocks(Bytes, EventId),
    /// Nothing yet.
    AtHead,
    /// The events after the cursor are gone.
    Overtaken {
        /// How many events are lost.
        lost: u64,
    },
}

impl Window {
    /// An empty log.
    pub fn new(bounds: Bounds) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bounds, before: EventId::ORIGIN }
    }

    /// A log as it was kept. What does not follow on the event before it ends what can be trusted, and what
    /// comes before such a hole is left out.
    pub fn of(entries: impl IntoIterator<Item = Entry>, bounds: Bounds) -> Self {
        let mut window = Self::new(bounds);
        for entry in entries {
            if entry.id().seq != window.head().seq + 1 || entry.id().epoch < window.head().epoch {
                window.entries.clear();
                window.bytes = 0;
                window.before = match entry.id() {
                    EventId { seq: 1, .. } => EventId::ORIGIN,
                    EventId { epoch, seq } => EventId { epoch, seq: seq.saturating_sub(1) },
                };
            }
            window.push(entry);
        }
        window
    }

    /// The id of the newest event; [`EventId::ORIGIN`] when there was none yet.
    pub fn head(&self) -> EventId {
        self.entries.back().map_or(self.before, Entry::id)
    }

    /// The id of the oldest event that is kept; when none is, the one the next event would have at least.
    pub fn first(&self) -> EventId {
        self.entries.front().map_or(EventId { seq: self.before.seq + 1, ..self.before }, Entry::id)
    }

    /// True when events have gone already.
    pub fn is_trimmed(&self) -> bool {
        self.before.seq > 0
    }

    /// The events that are kept.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.entries.iter()
    }

    /// The events after a cursor that are kept.
    pub fn after(&self, cursor: EventId) -> impl Iterator<Item = &Entry> {
        let skip = cursor.seq.saturating_sub(self.before.seq);
        self.entries.range(usize::try_from(skip).unwrap_or(usize::MAX).min(self.entries.len())..)
    }

    /// Adds the next event and lets the oldest go that are over the bounds. The newest is always kept.
    ///
    /// # Panics
    ///
    /// In a debug build, when `entry` is not the next one.
    pub fn push(&mut self, entry: Entry) {
        debug_assert_eq!(entry.id().seq, self.head().seq + 1, "ids are dense");
        self.bytes += entry.block().len();
        self.entries.push_back(entry);
        while self.entries.len() > 1
            && (self.entries.len() > self.bounds.events || self.bytes > self.bounds.bytes)
        {
            if let Some(gone) = self.entries.pop_front() {
                self.bytes -= gone.block().len();
                self.before = gone.id();
            }
        }
    }

    /// The verdict on a reader's cursor.
    pub fn resume(&self, cursor: Option<EventId>) -> Resume {
        let Some(cursor) = cursor else { return Resume::Start };
        if cursor.seq > self.head().seq {
            return Resume::Ahead(cursor);
        }
        if cursor == EventId::ORIGIN && !self.is_trimmed() {
            return Resume::Ok(cursor);
        }
        if cursor.seq < self.before.seq {
            // What is gone cannot be compared; a writer that came later cannot have written it.
            return if cursor.epoch > self.before.epoch {
                Resume::Reset(cursor)
            } else {
                Resume::Gap { from: cursor, lost: self.before.seq - cursor.seq }
            };
        }
        let known = match self.at(cursor.seq) {
            Some(entry) => entry.id() == cursor,
            // Just before the first one: a log read back from a store may know its epoch only by its successor.
            None => cursor.epoch <= self.first().epoch && (cursor.seq > 0 || cursor == EventId::ORIGIN),
        };
        if known { Resume::Ok(cursor) } else { Resume::Reset(cursor) }
    }

    /// What comes after `cursor`, up to `most` bytes, but at least one block.
    pub fn read(&self, cursor: EventId, most: usize) -> Read {
        if cursor.seq < self.before.seq {
            return Read::Overtaken { lost: self.before.seq - cursor.seq };
        }
        let mut entries = self.after(cursor);
        let Some(first) = entries.next() else { return Read::AtHead };
        let Some(second) = entries.next() else { return Read::Blocks(first.block().clone(), first.id()) };
        let mut blocks = BytesMut::with_capacity(first.block().len() + second.block().len());
        blocks.extend_from_slice(first.block());
        let mut cursor = first.id();
        for entry in std::iter::once(second).chain(entries) {
            if blocks.len() + entry.block().len() > most {
                break;
            }
            blocks.extend_from_slice(entry.block());
            cursor = entry.id();
        }
        Read::Blocks(blocks.freeze(), cursor)
    }

    fn at(&self, seq: u64) -> Option<&Entry> {
        let index = seq.checked_sub(self.before.seq + 1)?;
        self.entries.get(usize::try_from(index).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(epoch: u64, seq: u64) -> Entry {
        Entry::new(EventId::new(epoch, seq), "delta", &format!("{{\"n\":{seq}}}"))
    }

    fn window(events: usize, epochs: &[(u64, u64)]) -> Window {
        let mut window = Window::new(Bounds { events, bytes: usize::MAX });
        for (epoch, seq) in epochs {
            window.push(entry(*epoch, *seq));
        }
        window
    }

    /// Two epochs, 3-1 to 3-4 and 5-5 to 5-8, of which the last five are kept.
    fn trimmed() -> Window {
        let ids: Vec<_> = (1..=4).map(|seq| (3, seq)).chain((5..=8).map(|seq| (5, seq))).collect();
        window(5, &ids)
    }

    #[test]
    fn the_verdict_on_every_kind_of_cursor() {
        let id = EventId::new;
        let table: [(Option<EventId>, Resume); 11] = [
            (None, Resume::Start),
            (Some(id(5, 8)), Resume::Ok(id(5, 8))),
            (Some(id(5, 6)), Resume::Ok(id(5, 6))),
            (Some(id(3, 4)), Resume::Ok(id(3, 4))),
            (Some(id(3, 3)), Resume::Ok(id(3, 3))),
            (Some(id(3, 1)), Resume::Gap { from: id(3, 1), lost: 2 }),
            (Some(EventId::ORIGIN), Resume::Gap { from: EventId::ORIGIN, lost: 3 }),
            (Some(id(4, 6)), Resume::Reset(id(4, 6))),
            (Some(id(9, 2)), Resume::Reset(id(9, 2))),
            (Some(id(5, 9)), Resume::Ahead(id(5, 9))),
            (Some(id(u64::MAX, u64::MAX)), Resume::Ahead(id(u64::MAX, u64::MAX))),
        ];
        for (cursor, expected) in table {
            assert_eq!(trimmed().resume(cursor), expected, "{cursor:?}");
        }
        let empty = Window::new(Bounds::default());
        assert_eq!((empty.first(), empty.head()), (id(0, 1), EventId::ORIGIN));
        assert_eq!(empty.resume(Some(EventId::ORIGIN)), Resume::Ok(EventId::ORIGIN));
        assert_eq!(empty.resume(Some(id(0, 1))), Resume::Ahead(id(0, 1)));
        assert_eq!(empty.resume(Some(id(4, 0))), Resume::Reset(id(4, 0)));
    }

    #[test]
    fn bounds_hold_by_number_and_by_bytes_and_the_newest_stays() {
        assert_eq!((trimmed().first(), trimmed().head()), (EventId::new(3, 4), EventId::new(5, 8)));
        let mut window = Window::new(Bounds { events: 100, bytes: 10 });
        for seq in 1..=3 {
            window.push(entry(1, seq));
            assert_eq!(window.entries().len(), 1);
        }
        assert_eq!(window.read(EventId::new(1, 1), 10), Read::Overtaken { lost: 1 });
    }

    #[test]
    fn what_was_kept_with_a_hole_begins_after_it() {
        let kept = [entry(1, 4), entry(1, 5), entry(2, 9), entry(2, 10)];
        let window = Window::of(kept, Bounds::default());
        assert_eq!((window.first(), window.head()), (EventId::new(2, 9), EventId::new(2, 10)));
        assert_eq!(window.resume(Some(EventId::new(2, 8))), Resume::Ok(EventId::new(2, 8)));
        assert!(matches!(window.resume(Some(EventId::new(1, 5))), Resume::Gap { lost: 3, .. }));
    }

    /// Reads as a client does, and gives the numbers of all events.
    fn ids(blocks: &[u8]) -> Vec<u64> {
        let text = std::str::from_utf8(blocks).unwrap();
        let ids = text.lines().filter_map(|line| line.strip_prefix("id: "));
        ids.map(|id| id.parse::<EventId>().unwrap().seq).collect()
    }

    proptest! {
        /// A reader that is cut off anywhere, any number of times, has each event exactly once, in order, and a
        /// reader that was overtaken is told exactly how many it has lost.
        #[test]
        fn each_event_comes_once_however_a_reader_is_cut(
            appends in proptest::collection::vec((1usize..8, 0usize..400, any::<bool>()), 1..60),
            keep in 1usize..40,
        ) {
            let mut window = Window::new(Bounds { events: keep, bytes: usize::MAX });
            let (mut cursor, mut epoch) = (None, 1);
            let (mut seen, mut lost) = (Vec::new(), 0);
            for (count, most, restart) in appends {
                epoch += u64::from(restart);
                for _ in 0..count {
                    window.push(entry(epoch, window.head().seq + 1));
                }
                // The client comes back with its cursor, reads once, and is cut.
                let mut at = match window.resume(cursor) {
                    Resume::Start => EventId::ORIGIN,
                    Resume::Ok(at) | Resume::Gap { from: at, .. } => at,
                    verdict => return Err(TestCaseError::fail(format!("{verdict:?}"))),
                };
                if let Read::Overtaken { lost: count } = window.read(at, most) {
                    lost += count;
                    at = EventId { seq: at.seq + count, ..at };
                }
                match window.read(at, most) {
                    Read::Blocks(blocks, next) => {
                        seen.extend(ids(&blocks));
                        cursor = Some(next);
                    }
                    other => return Err(TestCaseError::fail(format!("{other:?}"))),
                }
            }
            let mut expected = seen.clone();
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(&seen, &expected);
            let reached = cursor.map_or(0, |cursor: EventId| cursor.seq);
            prop_assert_eq!(seen.len() as u64 + lost, reached);
        }

        /// A log that is read back from its rows is the same log.
        #[test]
        fn a_log_read_back_is_the_same(count in 1u64..50, keep in 1usize..60, cut in 0u64..50) {
            let mut window = Window::new(Bounds { events: keep, bytes: usize::MAX });
            for seq in 1..=count {
                window.push(entry(1 + seq / 7, seq));
            }
            let mut rows = String::new();
            window.entries().for_each(|entry| entry.write_row(&mut rows));
            let again = Window::of(rows.lines().filter_map(Entry::read_row), window.bounds);
            prop_assert_eq!(again.head(), window.head());
            prop_assert_eq!(again.first(), window.first());
            let cursor = EventId::new(1 + cut / 7, cut);
            prop_assert_eq!(again.read(cursor, 1000), window.read(cursor, 1000));
            prop_assert_eq!(
                std::mem::discriminant(&again.resume(Some(cursor))),
                std::mem::discriminant(&window.resume(Some(cursor)))
            );
        }
    }
}
