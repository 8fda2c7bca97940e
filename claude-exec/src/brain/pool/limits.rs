//! What a pool may use.

use std::time::Duration;

/// The bounds of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limits {
    /// Processes in all: spares, sessions between turns, turns under way, and those that end.
    pub(super) processes: usize,
    /// Bytes of memory that they may hold together.
    pub(super) memory: u64,
    /// Bytes above which a process is replaced between two turns.
    pub(super) memory_each: u64,
    /// Spares of one key.
    pub(super) spares: usize,
    /// Processes that may start at a time.
    pub(super) starts: usize,
    /// How long a session may stay without a turn.
    pub(super) idle: Duration,
    /// The age at which a process is replaced between two turns.
    pub(super) age: Duration,
    /// Claims that may wait.
    pub(super) waiting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            processes: 6,
            memory: 1_500_000_000, // six CLIs as they are after some turns (120 to 200 MB each), with a margin
            memory_each: 600_000_000, // three times what a CLI holds after many turns
            spares: 1,
            starts: 2, // eight at a time take 3 s each on two cores, two take hardly longer than one
            idle: Duration::from_secs(10 * 60),
            age: Duration::from_secs(4 * 60 * 60), // credentials and the CLI itself are renewed
            waiting: 64,
        }
    }
}
