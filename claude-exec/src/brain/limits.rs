//! Which time limit runs out next: pure, time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;
use crate::invocation::Deadlines;
use crate::time::after;

/// What is known of a turn's times.
#[derive(Debug)]
pub(super) struct Clock {
    deadlines: Deadlines,
    started: Instant,
    last_output: Option<Instant>,
    stalled_since: Option<Instant>,
}

/// A time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    FirstByte,
    Idle,
    Total,
    Stall,
}

impl Clock {
    pub(super) fn new(deadlines: Deadlines, now: Instant) -> Self {
        Self { deadlines, started: now, last_output: None, stalled_since: None }
    }

    /// The process said something.
    pub(super) fn output(&mut self, now: Instant) {
        self.last_output = Some(now);
    }

    /// The caller has no room for an event.
    pub(super) fn stalled(&mut self, now: Instant) {
        self.stalled_since.get_or_insert(now);
    }

    /// The caller takes events. The process was not read meanwhile, so its silence begins now.
    pub(super) fn flowing(&mut self, now: Instant) {
        if self.stalled_since.take().is_some() {
            self.last_output = Some(now);
        }
    }

    /// How long the CLI may wait for an answer.
    pub(super) fn answer(&self) -> Duration {
        self.deadlines.answer
    }

    /// The next time limit to run out, and when. While `asked`, the CLI waits for us, and its silence is no limit.
    pub(super) fn next(&self, asked: bool) -> (Instant, Limit) {
        let total = (after(self.started, self.deadlines.total), Limit::Total);
        let silence = match (self.stalled_since, self.last_output) {
            (Some(since), _) => (after(since, self.deadlines.stall), Limit::Stall),
            (None, _) if asked => total,
            (None, Some(last)) => (after(last, self.deadlines.idle), Limit::Idle),
            (None, None) => (after(self.started, self.deadlines.first_byte), Limit::FirstByte),
        };
        if silence.0 < total.0 { silence } else { total }
    }

    /// What to tell the caller when `limit` has run out.
    pub(super) fn error(&self, limit: Limit) -> Error {
        match limit {
            Limit::FirstByte => Error::timed_out("the first output", self.deadlines.first_byte),
            Limit::Idle => Error::timed_out("the next event", self.deadlines.idle),
            Limit::Total => Error::timed_out("the turn", self.deadlines.total),
            Limit::Stall => Error::timed_out("reading the events", self.deadlines.stall),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn deadlines() -> Deadlines {
        let mut deadlines = Deadlines::within(seconds(100));
        (deadlines.first_byte, deadlines.idle, deadlines.stall) = (seconds(10), seconds(20), seconds(30));
        deadlines
    }

    #[test]
    fn the_nearest_limit_comes_next() {
        let start = Instant::now();
        let at = |s| start + seconds(s);
        let mut clock = Clock::new(deadlines(), start);
        assert_eq!(clock.next(false), (at(10), Limit::FirstByte));
        clock.output(at(5));
        assert_eq!(clock.next(false), (at(25), Limit::Idle));
        clock.output(at(95));
        assert_eq!(clock.next(false), (at(100), Limit::Total));
        clock.output(at(5));
        assert_eq!(clock.next(true), (at(100), Limit::Total), "the CLI waits for us");
    }

    #[test]
    fn a_pause_of_the_reader_is_no_silence_of_the_process() {
        let start = Instant::now();
        let at = |s| start + seconds(s);
        let mut clock = Clock::new(deadlines(), start);
        clock.output(at(1));
        clock.stalled(at(2));
        clock.stalled(at(9));
        assert_eq!(clock.next(false), (at(32), Limit::Stall));
        clock.flowing(at(27));
        assert_eq!(clock.next(false), (at(47), Limit::Idle));
        clock.flowing(at(40));
        assert_eq!(clock.next(false), (at(47), Limit::Idle));
    }

    #[test]
    fn no_limit_is_a_limit_far_away() {
        let clock = Clock::new(Deadlines::within(Duration::MAX), Instant::now());
        assert_eq!(clock.next(false).1, Limit::FirstByte);
    }
}
