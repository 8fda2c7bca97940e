//! The chain: how a record becomes a line, and how a line is checked. Pure.

use std::fmt;

use claude_exec::jobs::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::record::{Actor, Event, Record};

/// What the first record names as the one before.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where a line's own hash stands: `,"hash":"…64…"}`.
const HASH_OPENS: &str = ",\"hash\":\"";
const HASH_CLOSES: &str = "\"}";
const HASH_LENGTH: usize = 64;

/// Where a chain stands: the number and the hash of its last record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) seq: u64,
    pub(super) hash: String,
}

impl Default for Head {
    fn default() -> Self {
        Self { seq: 0, hash: GENESIS.to_owned() }
    }
}

impl Head {
    /// The line of the next record, with its end of line, and the head after it.
    pub(super) fn seal(&self, at: Timestamp, actor: Actor, event: Event) -> (String, Self) {
        let record = Record { seq: self.seq + 1, prev: self.hash.clone(), at, actor, event };
        // Strings and numbers under names: nothing that JSON cannot say.
        let mut line = serde_json::to_string(&record).unwrap_or_default();
        line.truncate(line.len().saturating_sub(1)); // its closing brace
        let hash = digest(line.as_bytes());
        line.push_str(HASH_OPENS);
        line.push_str(&hash);
        line.push_str(HASH_CLOSES);
        line.push('\n');
        (line, Self { seq: record.seq, hash })
    }

    /// Checks that `line`, without its end, comes next, and gives the head after it.
    pub(super) fn follow(&self, line: &str) -> Result<Self, Fault> {
        let next = read(line)?;
        if next.seq != self.seq + 1 {
            return Err(Fault::Number { expected: self.seq + 1, found: next.seq });
        }
        if next.prev != self.hash {
            return Err(Fault::Chain { seq: next.seq });
        }
        Ok(Self { seq: next.seq, hash: next.hash })
    }

    /// The head before `line`, for the first line that is left of a chain.
    pub(super) fn before(line: &str) -> Result<Self, Fault> {
        let first = read(line)?;
        Ok(Self { seq: first.seq.saturating_sub(1), hash: first.prev })
    }
}

/// Only what the chain is made of: a record of a newer version is checked like any other.
#[derive(Deserialize)]
struct Link {
    seq: u64,
    prev: String,
    hash: String,
}

fn read(line: &str) -> Result<Link, Fault> {
    let body = line.len().checked_sub(HASH_OPENS.len() + HASH_LENGTH + HASH_CLOSES.len());
    let body = body.and_then(|at| line.split_at_checked(at)).ok_or(Fault::Form)?;
    let link: Link = serde_json::from_str(line).map_err(|_| Fault::Form)?;
    let tail = format!("{HASH_OPENS}{}{HASH_CLOSES}", link.hash);
    if body.1 != tail {
        return Err(Fault::Form);
    }
    if digest(body.0.as_bytes()) != link.hash {
        return Err(Fault::Hash { seq: link.seq });
    }
    Ok(link)
}

pub(super) fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::with_capacity(HASH_LENGTH), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
        text
    })
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is no record.
    Form,
    /// It was changed after it was written.
    Hash {
        /// The number it bears.
        seq: u64,
    },
    /// The record before it is another one than it was written after.
    Chain {
        /// The number it bears.
        seq: u64,
    },
    /// Its number is not the next one: records are missing, or doubled.
    Number {
        /// The next one.
        expected: u64,
        /// The one it bears.
        found: u64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("not a record"),
            Self::Hash { seq } => write!(f, "record {seq} was changed after it was written"),
            Self::Chain { seq } => {
                write!(f, "the record before record {seq} is not the one it was written after")
            }
            Self::Number { expected, found } => {
                write!(f, "record {expected} should be here, this is {found}")
            }
        }
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<String> {
        let mut head = Head::default();
        let mut lines = Vec::new();
        for text in ["one", "two \" \n }", "three ü"] {
            let event = Event::Prompt { session: "s".into(), text: text.into() };
            let (line, next) =
                head.seal(Timestamp::from_micros(1), Actor::new("a", "bearer", "127.0.0.1"), event);
            lines.push(line.strip_suffix('\n').unwrap().to_owned());
            head = next;
        }
        lines
    }

    fn walk(lines: &[&str]) -> Result<u64, Fault> {
        let mut head = Head::default();
        for line in lines {
            head = head.follow(line)?;
        }
        Ok(head.seq)
    }

    #[test]
    fn every_change_shows_where_it_is() {
        let lines = lines();
        let [one, two, three] = [0, 1, 2].map(|at| lines[at].as_str());
        let changed = two.replace("two", "2wo");
        let resealed = {
            let body = changed.split(HASH_OPENS).next().unwrap();
            format!("{body}{HASH_OPENS}{}{HASH_CLOSES}", digest(body.as_bytes()))
        };
        let spaced = format!("{two} ");
        let table: [(&[&str], Result<u64, Fault>); 11] = [
            (&[one, two, three], Ok(3)),
            (&[one, two], Ok(2)),
            (&[one, &changed, three], Err(Fault::Hash { seq: 2 })),
            (&[one, &resealed, three], Err(Fault::Chain { seq: 3 })),
            (&[one, three], Err(Fault::Number { expected: 2, found: 3 })),
            (&[two], Err(Fault::Number { expected: 1, found: 2 })),
            (&[one, two, two], Err(Fault::Number { expected: 3, found: 2 })),
            (&[one, "", two], Err(Fault::Form)),
            (&[one, &spaced], Err(Fault::Form)),
            (&[one, "{}"], Err(Fault::Form)),
            (&[one, &two[1..]], Err(Fault::Form)),
        ];
        for (lines, expected) in table {
            assert_eq!(walk(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn every_single_byte_that_changes_is_a_fault() {
        let lines = lines();
        let two = &lines[1];
        for at in 0..two.len() {
            let mut bytes = two.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(text) = String::from_utf8(bytes) {
                assert!(walk(&[&lines[0], &text]).is_err(), "byte {at}: {text}");
            }
        }
    }

    #[test]
    fn a_record_is_read_back_as_it_was() {
        let lines = lines();
        let record: Record = serde_json::from_str(&lines[1]).unwrap();
        assert_eq!(record.event, Event::Prompt { session: "s".into(), text: "two \" \n }".into() });
        assert_eq!((record.seq, record.actor.identity()), (2, "bearer:a".to_owned()));
        assert_eq!(Head::before(&lines[1]).unwrap().follow(&lines[1]).unwrap().seq, 2);
    }
}
