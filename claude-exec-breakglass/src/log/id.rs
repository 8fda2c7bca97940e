//! The id of an event, which is the cursor of whoever has seen it.

use std::fmt;
use std::str::FromStr;

/// The id of an event: `<epoch>-<seq>`, as Redis Streams writes its entry ids.
///
/// The epoch names the writer that owned the log, and is unique over all logs of a store. The sequence number
/// is dense over the log's whole life, across epochs: `7-41` may be followed by `9-42`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventId {
    /// Which writer wrote it; 0 is before all writers.
    pub epoch: u64,
    /// The how-manieth event of the log it is, from 1; 0 is before all events.
    pub seq: u64,
}

impl EventId {
    /// Before everything.
    pub const ORIGIN: Self = Self { epoch: 0, seq: 0 };

    /// The id `<epoch>-<seq>`.
    pub const fn new(epoch: u64, seq: u64) -> Self {
        Self { epoch, seq }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

/// A cursor that is no event's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CursorError;

impl fmt::Display for CursorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cursor must be an event's id, such as 7-41")
    }
}

impl std::error::Error for CursorError {}

impl FromStr for EventId {
    type Err = CursorError;

    /// Takes what [`Display`](fmt::Display) writes and nothing else: no sign, no blank, no leading zero.
    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (epoch, seq) = text.split_once('-').ok_or(CursorError)?;
        Ok(Self { epoch: number(epoch)?, seq: number(seq)? })
    }
}

fn number(text: &str) -> Result<u64, CursorError> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().map_err(|_| CursorError) } else { Err(CursorError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_is_read() {
        for id in [EventId::ORIGIN, EventId::new(7, 4182), EventId::new(u64::MAX, u64::MAX)] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        let hostile = [
            "",
            "-",
            "7",
            "7-",
            "-7",
            "7-41-2",
            "+7-41",
            "7--41",
            "7- 41",
            " 7-41",
            "7-41\n",
            "07-41",
            "7-041",
            "1_0-1",
            "7-1_0",
            "-3-1",
            "7-18446744073709551616",
            "٧-١",
            "7-41\0",
            "0x7-1",
            "earliest",
        ];
        for text in hostile {
            assert_eq!(text.parse::<EventId>(), Err(CursorError), "{text:?}");
        }
    }
}
