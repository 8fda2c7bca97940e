//! The times of trackers.

use serde::{Deserialize, Deserializer};

/// A tracker's own time, in milliseconds since 1970; on the wire a text as RFC 3339 has it, with any offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) u64);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self(u64::try_from(time.as_millisecond()).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_whatever_its_offset() {
        let read = |text: &str| serde_json::from_str::<Moment>(text);
        for text in
            ["\"2026-11-24T12:00:00Z\"", "\"2026-11-24T13:00:00+01:00\"", "\"2026-11-24T12:00:00.000Z\""]
        {
            assert_eq!(read(text).unwrap(), Moment(1_795_521_600_000), "{text}");
        }
        assert_eq!(read("\"0001-01-01T00:00:00Z\"").unwrap(), Moment(0), "Go's zero");
        assert!(read("\"yesterday\"").is_err() && read("7").is_err());
    }
}
