//! No phone at all: what would have rung is in the log and on the status page.

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::error::Result;
use crate::port::{Bell, Notice, Receipt};
use crate::seen::Seen;

/// Writes each notice into the log, for deployments that watch that.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct LogBell;

impl LogBell {
    /// A bell that only writes.
    pub const fn new() -> Self {
        Self
    }
}

impl Bell for LogBell {
    fn ring<'a>(&'a self, notice: &'a Notice, _again: bool) -> BoxFuture<'a, Result<Receipt>> {
        tracing::warn!(key = notice.key, issue = %notice.issue, "{}", notice.title);
        futures::future::ready(Ok(Receipt::default())).boxed()
    }

    fn acknowledged<'a>(&'a self, _receipt: &'a Receipt) -> BoxFuture<'a, Seen<bool>> {
        futures::future::ready(Seen::Absent).boxed()
    }
}
