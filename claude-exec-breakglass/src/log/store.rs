//! What a durable log owes.

use claude_exec::Result;
use claude_exec::store::Written;
use futures::future::BoxFuture;

use super::entry::Entry;

/// A log as it was found.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The events that are kept, in order.
    pub entries: Vec<Entry>,
    /// Who owned it last; 0 for a log that has no writer yet.
    pub epoch: u64,
}

/// Keeps event logs durably, by name. Small, so that an engine fits behind it: in Redis Streams a log is a
/// stream, an event's id its entry id, [`claim`](Self::claim) an `XADD` of `<epoch>-0`, and a writer of an older
/// epoch is refused by the engine itself.
///
/// # Contract
///
/// 1. An [`append`](Self::append) that returned [`Written::Applied`] survives a crash of the process.
/// 2. It happens whole or not at all.
/// 3. Of two writers, the one that claimed later wins: the other's appends are [`Written::Refused`].
/// 4. An epoch is given out once, over all logs.
///
/// # Cancel safety
///
/// Dropping the future of a write leaves it done or not done, never half done.
pub trait LogStore: Send + Sync {
    /// Reads a log; one that does not exist is empty.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn load<'a>(&'a self, log: &'a str) -> BoxFuture<'a, Result<Loaded>>;

    /// Makes the caller the log's only writer, under a new epoch, which is greater than all before it.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    fn claim<'a>(&'a self, log: &'a str) -> BoxFuture<'a, Result<u64>>;

    /// Adds events of one epoch; those before `first` may go.
    ///
    /// # Errors
    ///
    /// When the store cannot be written, such as on a full disk. They may turn out to have been added all the
    /// same, whole: whoever must know loads again.
    fn append<'a>(&'a self, log: &'a str, entries: &'a [Entry], first: u64)
    -> BoxFuture<'a, Result<Written>>;

    /// Removes a log.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    fn delete<'a>(&'a self, log: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Which log an epoch was given out for.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn owner(&self, epoch: u64) -> BoxFuture<'_, Result<Option<String>>>;
}
