//! The trait that every store implements.

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Batch, Written};
use crate::error::Result;

/// The most entries that one [`Store::scan`] hands back: a page, so that no caller holds a whole store.
pub const SCAN_LIMIT: usize = 256;

/// A key with its value.
pub type Entry = (String, Bytes);

/// Keeps bytes under keys (any text but `""`) in named spaces, durably.
///
/// # Contract
///
/// What every implementation owes, and [`conformance`] (feature `test-util`) checks:
///
/// 1. A [`write`](Store::write) that returned [`Written::Applied`] survives a crash of the process.
/// 2. A batch happens whole or not at all, and nobody sees half of it.
/// 3. Expectations are checked in the same atomic step: of two writers that expect the same key absent,
///    exactly one is applied.
/// 4. A read sees every write that returned before the read began.
/// 5. [`scan`](Store::scan) yields keys in ascending byte order.
/// 6. No method blocks the runtime's threads.
///
/// [`conformance`]: super::conformance
///
/// # Cancel safety
///
/// Dropping the future of a write leaves it done or not done, never half done.
pub trait Store: Send + Sync {
    /// Reads one value.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn get<'a>(&'a self, space: &'static str, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>>>;

    /// Reads the entries whose key is greater than `after` (all for `""`), at most [`SCAN_LIMIT`] of them;
    /// an empty answer is the end.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn scan<'a>(&'a self, space: &'static str, after: &'a str) -> BoxFuture<'a, Result<Vec<Entry>>>;

    /// Applies `batch` when all it expects is true.
    ///
    /// # Errors
    ///
    /// When the store cannot be written, such as on a full disk. The batch may turn out to have been applied
    /// all the same, whole: a commit whose confirmation fails can be on the disk. Whoever must know reads again.
    fn write(&self, batch: Batch) -> BoxFuture<'_, Result<Written>>;

    /// Sets one value, whatever was there.
    ///
    /// # Errors
    ///
    /// As for [`write`](Store::write).
    fn put<'a>(&'a self, space: &'static str, key: &'a str, value: Bytes) -> BoxFuture<'a, Result<()>> {
        self.write(Batch::new().put(space, key, value)).map(|written| written.map(drop)).boxed()
    }

    /// Sets one value that must not exist yet.
    ///
    /// # Errors
    ///
    /// As for [`write`](Store::write).
    fn put_new<'a>(
        &'a self,
        space: &'static str,
        key: &'a str,
        value: Bytes,
    ) -> BoxFuture<'a, Result<Written>> {
        self.write(Batch::new().expect_absent(space, key).put(space, key, value))
    }

    /// Removes one value; one that does not exist is fine.
    ///
    /// # Errors
    ///
    /// As for [`write`](Store::write).
    fn remove<'a>(&'a self, space: &'static str, key: &'a str) -> BoxFuture<'a, Result<()>> {
        self.write(Batch::new().remove(space, key)).map(|written| written.map(drop)).boxed()
    }
}
