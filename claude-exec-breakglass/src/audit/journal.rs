//! Lines that are durable, or have not happened. Where they go is a parameter.

use std::collections::VecDeque;
use std::io;

use claude_exec::jobs::Timestamp;

use super::chain::Head;
use super::record::{Actor, Event};

/// A file is not continued beyond this.
pub(super) const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// Records kept in memory while the disk takes none; then verbs are refused after all.
const WAITING: usize = 4096;

/// What a journal is written on.
pub(crate) trait Medium: std::fmt::Debug + Send {
    /// Writes at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns once everything written survives a power cut.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts off what is beyond `length`.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    /// Goes on in a new file, whose first record has this number.
    fn next(&mut self, seq: u64) -> io::Result<()>;
}

/// A chain on a medium.
#[derive(Debug)]
pub(super) struct Journal {
    medium: Box<dyn Medium>,
    head: Head,
    /// Bytes of the current file that are durable.
    length: u64,
    /// There may be more in it than that.
    untidy: bool,
    /// Sealed, and not written yet.
    waiting: VecDeque<String>,
}

/// A record that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) line: String,
    pub(super) head: Head,
    pub(super) durable: bool,
}

impl Journal {
    pub(super) fn new(medium: impl Medium + 'static, head: Head, length: u64) -> Self {
        Self { medium: Box::new(medium), head, length, untidy: false, waiting: VecDeque::new() }
    }

    /// Records an event. When the disk does not take it, it has not happened; with `keep` it is kept in memory
    /// then, and is written before anything later is.
    pub(super) fn append(
        &mut self,
        at: Timestamp,
        actor: Actor,
        event: Event,
        keep: bool,
    ) -> io::Result<Taken> {
        let (line, head) = self.head.seal(at, actor, event);
        let written = self.write(&line, head.seq);
        let durable = match written {
            Ok(()) => {
                self.waiting.clear();
                true
            }
            Err(_) if keep && self.waiting.len() < WAITING => {
                self.waiting.push_back(line.clone());
                false
            }
            Err(error) => return Err(error),
        };
        self.head = head.clone();
        Ok(Taken { line, head, durable })
    }

    /// True when records wait for the disk.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn write(&mut self, line: &str, seq: u64) -> io::Result<()> {
        if self.untidy {
            self.medium.truncate(self.length)?;
            self.untidy = false;
        }
        let first = seq - self.waiting.len() as u64;
        if self.length > SEGMENT_BYTES {
            self.medium.next(first)?;
            self.length = 0;
        }
        let mut bytes: Vec<u8> = Vec::with_capacity(line.len());
        for waiting in &self.waiting {
            bytes.extend_from_slice(waiting.as_bytes());
        }
        bytes.extend_from_slice(line.as_bytes());
        self.untidy = true;
        let written = self.medium.append(&bytes).and_then(|()| self.medium.sync());
        if written.is_ok() {
            self.length += bytes.len() as u64;
            self.untidy = false;
        } else if self.medium.truncate(self.length).is_ok() {
            self.untidy = false;
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::{Disk, Shared, lock};
    use super::*;

    fn journal() -> (Journal, Shared) {
        let disk = Disk::with_room();
        (Journal::new(disk.clone(), Head::default(), 0), disk)
    }

    fn event(text: &str) -> Event {
        Event::Prompt { session: String::new(), text: text.to_owned() }
    }

    fn append(journal: &mut Journal, text: &str, keep: bool) -> io::Result<bool> {
        let taken = journal.append(Timestamp::from_micros(0), Actor::server(), event(text), keep)?;
        Ok(taken.durable)
    }

    /// How many whole, chained records there are.
    fn count(disk: &Shared) -> u64 {
        let mut head = Head::default();
        for file in &lock(disk).files {
            let text = String::from_utf8(file.clone()).unwrap();
            assert!(text.is_empty() || text.ends_with('\n'), "a torn line");
            for line in text.lines() {
                head = head.follow(line).unwrap();
            }
        }
        head.seq
    }

    #[test]
    fn a_record_is_durable_or_has_not_happened() {
        let (mut journal, disk) = journal();
        assert!(append(&mut journal, "a", false).unwrap());
        for room in [0, 1, 100] {
            lock(&disk).room = room;
            assert!(append(&mut journal, "lost", false).is_err());
            assert_eq!(count(&disk), 1, "with room for {room} bytes");
        }
        lock(&disk).room = usize::MAX;
        lock(&disk).sync_fails = true;
        assert!(append(&mut journal, "lost", false).is_err());
        lock(&disk).sync_fails = false;
        assert!(append(&mut journal, "b", false).unwrap());
        assert_eq!(count(&disk), 2);
        let disk = lock(&disk);
        assert_eq!(disk.synced, disk.files[0].len());
    }

    #[test]
    fn half_a_line_that_stays_is_cut_before_the_next_one() {
        let (mut journal, disk) = journal();
        lock(&disk).room = 7;
        lock(&disk).truncate_fails = true;
        assert!(append(&mut journal, "lost", false).is_err());
        assert_eq!(lock(&disk).files[0].len(), 7);
        lock(&disk).room = usize::MAX;
        assert!(append(&mut journal, "lost too", false).is_err(), "nothing is written behind half a line");
        lock(&disk).truncate_fails = false;
        assert!(append(&mut journal, "a", false).unwrap());
        assert_eq!(count(&disk), 1);
    }

    #[test]
    fn what_was_kept_in_memory_is_written_first_and_in_order() {
        let (mut journal, disk) = journal();
        lock(&disk).room = 0;
        for _ in 0..3 {
            assert!(!append(&mut journal, "kept", true).unwrap());
        }
        assert!(journal.is_waiting() && count(&disk) == 0);
        lock(&disk).room = usize::MAX;
        assert!(append(&mut journal, "after", false).unwrap());
        assert!(!journal.is_waiting());
        assert_eq!(count(&disk), 4);
    }

    #[test]
    fn memory_is_bounded_too() {
        let (mut journal, disk) = journal();
        lock(&disk).room = 0;
        for _ in 0..WAITING {
            append(&mut journal, "k", true).unwrap();
        }
        assert!(append(&mut journal, "one too many", true).is_err());
    }

    #[test]
    fn a_full_file_is_followed_by_another() {
        let (mut journal, disk) = journal();
        journal.length = SEGMENT_BYTES + 1;
        append(&mut journal, "a", false).unwrap();
        assert_eq!(lock(&disk).files.len(), 2);
        assert_eq!(count(&disk), 1);
    }
}
