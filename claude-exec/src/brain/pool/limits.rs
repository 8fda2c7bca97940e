//! What a pool may use.

use crate::brain::live;

/// The bounds of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limits {
    /// Processes in all: spares, sessions between turns, turns under way, and those that end.
    pub(super) processes: usize,
    /// Bytes of memory that they may hold together.
    pub(super) memory: u64,
    /// Spares of one key.
    pub(super) spares: usize,
    /// Processes that may start at a time.
    pub(super) starts: usize,
    /// When a process is ended between two turns whatever room there is.
    pub(super) each: live::Limits,
    /// Claims that may wait.
    pub(super) waiting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            processes: 6,
            memory: 1_500_000_000, // six CLIs as they are after some turns (120 to 200 MB each), with a margin
            spares: 1,
            starts: 2, // eight at a time take 3 s each on two cores, two take hardly longer than one
            each: live::Limits::default(),
            waiting: 64,
        }
    }
}
