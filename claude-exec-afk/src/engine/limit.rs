//! No call to the outside holds a tick for ever, whatever an adapter does.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::seen::Seen;

/// The longest that one call may take. Ports promise a minute of their own accord; an agent's start may have to
/// fetch a repository first.
const CALL: Duration = Duration::from_secs(300);

/// A look that takes too long is unknown.
pub(super) async fn look<T>(what: &'static str, look: impl Future<Output = Seen<T>>) -> Seen<T> {
    match tokio::time::timeout(CALL, look).await {
        Ok(seen) => seen,
        Err(_) => Seen::unknown(format_args!("{what} did not answer within {CALL:?}")),
    }
}

/// A change that takes too long may have been made or not.
pub(super) async fn call<T>(what: &'static str, call: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(CALL, call).await {
        Ok(done) => done,
        Err(_) => Err(Error::unavailable(what, format_args!("no answer within {CALL:?}"), None)),
    }
}
