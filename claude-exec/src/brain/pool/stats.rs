//! What a pool has done and holds, as plain values that a server can export.

use std::time::Duration;

use crate::brain::live::Retirement;

/// Where a claimed process came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The conversation's own, still there from the turn before.
    Live,
    /// A spare that had been started before anybody asked.
    Spare,
    /// Started for this claim.
    Cold,
    /// Started for this claim, to go on with a session whose process had been retired.
    Resumed,
}

impl Origin {
    /// True when the claim did not have to wait for a start.
    pub fn is_warm(self) -> bool {
        matches!(self, Self::Live | Self::Spare)
    }

    /// The label to count it under: `live`, `spare`, `cold` or `resumed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Spare => "spare",
            Self::Cold => "cold",
            Self::Resumed => "resumed",
        }
    }
}

/// Claims by where their process came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Claims {
    /// By the conversation's own process.
    pub live: u64,
    /// By a spare.
    pub spare: u64,
    /// By a process started for it.
    pub cold: u64,
    /// By a process started to resume its session.
    pub resumed: u64,
}

impl Claims {
    pub(super) fn count(&mut self, origin: Origin) {
        *match origin {
            Origin::Live => &mut self.live,
            Origin::Spare => &mut self.spare,
            Origin::Cold => &mut self.cold,
            Origin::Resumed => &mut self.resumed,
        } += 1;
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.live + self.spare + self.cold + self.resumed
    }

    /// The share that did not wait for a start, 0 to 1; 0 when there was none.
    pub fn warm_share(&self) -> f64 {
        (self.live + self.spare) as f64 / self.total().max(1) as f64
    }

    /// Each with its label.
    pub fn by_origin(&self) -> [(&'static str, u64); 4] {
        [
            (Origin::Live.as_str(), self.live),
            (Origin::Spare.as_str(), self.spare),
            (Origin::Cold.as_str(), self.cold),
            (Origin::Resumed.as_str(), self.resumed),
        ]
    }
}

/// Why a process left the pool. A conversation's goes on in another one, with its next turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Eviction {
    /// To make room for another; it was the one not used for longest.
    Room,
    /// The processes held more memory together than they may.
    Memory,
    /// It held more memory than one process may.
    Grown,
    /// Its session had no turn for too long.
    Idle,
    /// It was too old.
    Age,
    /// It had had too many turns.
    Turns,
    /// A spare of a key that is no longer asked for, or a start that nobody waited for any more.
    Unwanted,
    /// Its session goes on with other options.
    Replaced,
    /// Something about it was in doubt after a turn.
    Doubt,
    /// It ended by itself.
    Died,
    /// It ended while it started, or could not be started.
    Failed,
    /// The pool was shut down.
    Shutdown,
}

impl Eviction {
    const ALL: [Self; 12] = [
        Self::Room,
        Self::Memory,
        Self::Grown,
        Self::Idle,
        Self::Age,
        Self::Turns,
        Self::Unwanted,
        Self::Replaced,
        Self::Doubt,
        Self::Died,
        Self::Failed,
        Self::Shutdown,
    ];

    /// The label to count it under: the name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Memory => "memory",
            Self::Grown => "grown",
            Self::Idle => "idle",
            Self::Age => "age",
            Self::Turns => "turns",
            Self::Unwanted => "unwanted",
            Self::Replaced => "replaced",
            Self::Doubt => "doubt",
            Self::Died => "died",
            Self::Failed => "failed",
            Self::Shutdown => "shutdown",
        }
    }
}

impl From<Retirement> for Eviction {
    fn from(why: Retirement) -> Self {
        match why {
            Retirement::Idle => Self::Idle,
            Retirement::Age => Self::Age,
            Retirement::Turns => Self::Turns,
            Retirement::Memory => Self::Grown,
        }
    }
}

/// Processes that left, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evictions([u64; Eviction::ALL.len()]);

impl Evictions {
    pub(super) fn count(&mut self, why: Eviction) {
        self.0[why as usize] += 1;
    }

    /// How many left for this reason.
    pub fn of(&self, why: Eviction) -> u64 {
        self.0[why as usize]
    }

    /// Each reason with its number.
    pub fn iter(&self) -> impl Iterator<Item = (Eviction, u64)> + '_ {
        Eviction::ALL.into_iter().map(|why| (why, self.of(why)))
    }
}

/// How long starts took, from the spawn to the first answer, as a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StartTimes {
    buckets: [u64; StartTimes::BOUNDS.len() + 1],
    sum: Duration,
}

impl StartTimes {
    /// The upper bounds of the buckets, but for the last, which has none.
    pub const BOUNDS: [Duration; 8] = [
        Duration::from_millis(100),
        Duration::from_millis(250),
        Duration::from_millis(500),
        Duration::from_millis(750),
        Duration::from_secs(1),
        Duration::from_millis(2500),
        Duration::from_secs(5),
        Duration::from_secs(10),
    ];

    pub(super) fn record(&mut self, took: Duration) {
        let bucket = Self::BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(Self::BOUNDS.len());
        self.buckets[bucket] += 1;
        self.sum += took;
    }

    /// How many fell into each bucket, the last being those above all bounds.
    pub fn buckets(&self) -> &[u64] {
        &self.buckets
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How long they took together.
    pub fn sum(&self) -> Duration {
        self.sum
    }
}

/// What a pool has done since it was built, and what it holds now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PoolStats {
    /// Claims that got a process.
    pub claims: Claims,
    /// Claims that were refused, since too many waited or the pool was shut down.
    pub refused: u64,
    /// Claims that wait now.
    pub waiting: usize,
    /// Processes that left.
    pub evictions: Evictions,
    /// How long starts took.
    pub starts: StartTimes,
    /// Processes that start now.
    pub starting: usize,
    /// Spares that are ready now.
    pub spares: usize,
    /// Processes that somebody has now.
    pub claimed: usize,
    /// Sessions that wait for their next turn now.
    pub idle: usize,
    /// Processes that end now.
    pub retiring: usize,
    /// Bytes that all processes held when each was last measured.
    pub memory: u64,
    /// The most that `memory` ever was.
    pub peak_memory: u64,
    /// Kinds of processes that are remembered as asked for.
    pub keys: usize,
}

impl PoolStats {
    /// Processes there are, in whatever state.
    pub fn processes(&self) -> usize {
        self.starting + self.spares + self.claimed + self.idle + self.retiring
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_count() {
        let mut counts = Evictions::default();
        for (n, why) in Eviction::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, n);
            counts.count(why);
        }
        assert!(counts.iter().all(|(_, count)| count == 1));
    }

    #[test]
    fn a_start_falls_into_one_bucket() {
        let mut starts = StartTimes::default();
        for millis in [1, 100, 101, 60_000] {
            starts.record(Duration::from_millis(millis));
        }
        assert_eq!(starts.buckets(), [2, 1, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((starts.count(), starts.sum()), (4, Duration::from_millis(60_202)));
    }
}
