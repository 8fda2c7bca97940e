//! How long a process is kept: pure, time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// What is known of a process between two turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Vitals {
    /// When it was started.
    pub started: Instant,
    /// When its last turn ended; when it was initialized, before the first.
    pub last_used: Instant,
    /// Turns it has had, replayed ones not counted.
    pub turns: u32,
    /// The memory it holds in bytes (PSS), where the executor can tell.
    pub memory: Option<u64>,
}

/// When to end a process between turns. Its session goes on in another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Without a turn. Default is 15 minutes: who comes back later can wait for a start.
    pub idle: Duration,
    /// Since it was started. Default is 12 hours: what leaks, leaks slowly.
    pub age: Duration,
    /// Turns. Default is 500.
    pub turns: u32,
    /// Memory in bytes. Default is 600 MB: a fresh process holds about 90 MB and a used one 140 MB; ones of
    /// gigabytes were reported.
    pub memory: u64,
}

/// Why a process is ended between turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Retirement {
    /// No turn for too long.
    Idle,
    /// Too old.
    Age,
    /// Too many turns.
    Turns,
    /// Too much memory.
    Memory,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(15 * 60),
            age: Duration::from_secs(12 * 60 * 60),
            turns: 500,
            memory: 600_000_000,
        }
    }
}

impl Limits {
    /// Why a process with these vitals is to be ended at `now`; `None` when it is not.
    pub fn verdict(&self, vitals: &Vitals, now: Instant) -> Option<Retirement> {
        let table = [
            (vitals.memory.is_some_and(|memory| memory > self.memory), Retirement::Memory),
            (vitals.turns >= self.turns, Retirement::Turns),
            (now.saturating_duration_since(vitals.started) >= self.age, Retirement::Age),
            (now.saturating_duration_since(vitals.last_used) >= self.idle, Retirement::Idle),
        ];
        table.into_iter().find_map(|(reached, retirement)| reached.then_some(retirement))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_ends_a_process_when_it_is_reached() {
        let start = Instant::now();
        let limits =
            Limits { idle: Duration::from_secs(10), age: Duration::from_secs(100), turns: 5, memory: 1000 };
        let at = |seconds| start + Duration::from_secs(seconds);
        let table = [
            (5, 4, Some(1000), 14, None),
            (5, 4, None, 15, Some(Retirement::Idle)),
            (95, 4, None, 99, None),
            (95, 4, None, 100, Some(Retirement::Age)),
            (5, 5, None, 6, Some(Retirement::Turns)),
            (5, 5, Some(1001), 6, Some(Retirement::Memory)),
        ];
        for (last_used, turns, memory, now, verdict) in table {
            let vitals = Vitals { started: start, last_used: at(last_used), turns, memory };
            assert_eq!(limits.verdict(&vitals, at(now)), verdict, "{vitals:?} at {now}");
        }
    }
}
