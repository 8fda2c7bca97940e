//! The loop's own time, which never goes back.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point of the loop's own time, in milliseconds since 1970 by the ledger's clock.
///
/// Not the wall clock: the ledger's never goes back and never leaps, whatever the machine's does. Differences
/// never underflow: what lies in the future is zero ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Now(u64);

impl Now {
    /// The point `millis` milliseconds after 1970.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// The day it lies in, counted from 1970: what daily budgets are kept by.
    pub const fn day(self) -> u64 {
        self.0 / 86_400_000
    }

    /// The time from `earlier` to here; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Now {
    type Output = Self;

    fn add(self, after: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// Keeps the ledger's time: persisted, so that it goes on after a restart.
///
/// Within one process it follows a monotonic clock. Across a restart there is only the wall clock, which may
/// have been set: it is believed forwards, up to [`LEAP_LIMIT`], and never backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timekeeper {
    now: Now,
    /// The wall clock at that time, in milliseconds since 1970.
    wall: u64,
}

/// The most that the ledger's time moves over a restart: longer than every deadline's default, shorter than what
/// a wrong clock would do to daily budgets.
pub const LEAP_LIMIT: Duration = Duration::from_secs(86_400);

impl Timekeeper {
    /// A clock that starts where the wall clock, in milliseconds since 1970, is now.
    pub const fn new(wall: u64) -> Self {
        Self { now: Now(wall), wall }
    }

    /// The time that was last told.
    pub const fn now(&self) -> Now {
        self.now
    }

    /// Moves on: by `elapsed` of a monotonic clock, or over a restart by what the wall clock says.
    pub fn advance(&mut self, wall: u64, elapsed: Option<Duration>) -> Now {
        let by =
            elapsed.unwrap_or_else(|| Duration::from_millis(wall.saturating_sub(self.wall)).min(LEAP_LIMIT));
        self.now = self.now + by;
        self.wall = wall;
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn f14_the_clock_never_goes_back_and_never_leaps() {
        let mut keeper = Timekeeper::new(1_000_000);
        let start = keeper.now();
        // Within a process the wall clock does not matter at all.
        assert_eq!(keeper.advance(0, Some(HOUR)).since(start), HOUR);
        assert_eq!(keeper.advance(u64::MAX / 2, Some(HOUR)).since(start), 2 * HOUR);
        // Over a restart it is believed, within reason.
        let mut keeper = Timekeeper::new(1_000_000);
        assert_eq!(keeper.advance(1_000_000 + 3_600_000, None).since(start), HOUR);
        assert_eq!(keeper.advance(0, None).since(start), HOUR, "set back");
        assert_eq!(keeper.advance(u64::MAX / 2, None).since(start), HOUR + LEAP_LIMIT, "set forward by ages");
    }
}
