//! What a session needs of the power verbs: to look by itself, and to know which of them a person commits.

use claude_exec::Result;
use futures::future::BoxFuture;

/// The power verbs, as far as an agent may ask for them.
pub trait PowerLook: Send + Sync {
    /// All verbs.
    fn verbs(&self) -> &[&'static str];

    /// Whether a verb changes something, so that only a person may commit it.
    fn is_mutating(&self, verb: &str) -> bool;

    /// Runs a verb that only looks, and tells what was seen.
    ///
    /// # Errors
    ///
    /// When it could not look.
    fn look<'a>(&'a self, verb: &'a str, reason: &'a str, session: &'a str) -> BoxFuture<'a, Result<String>>;
}
