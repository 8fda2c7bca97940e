//! Changes that happen together or not at all, and what they expect to find.

use std::fmt;

use bytes::Bytes;

/// Changes to a store that are applied all at once, after all its expectations were found true.
///
/// ```
/// use claude_exec::store::Batch;
/// let claim = Batch::new().expect_absent("lease", "issue-7").put("lease", "issue-7", "me");
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
#[must_use = "a batch does nothing until it is written"]
pub struct Batch {
    pub(super) expectations: Vec<Expectation>,
    pub(super) changes: Vec<Change>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Expectation {
    pub(super) space: &'static str,
    pub(super) key: String,
    pub(super) value: Option<Bytes>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) space: &'static str,
    pub(super) key: String,
    /// `None` removes.
    pub(super) value: Option<Bytes>,
}

/// Whether a batch was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a refused batch has changed nothing"]
pub enum Written {
    /// All of it, durably.
    Applied,
    /// None of it: an expectation was not met, so someone else was first.
    Refused,
}

impl Batch {
    /// A batch that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies the batch only when `key` holds exactly `value`.
    pub fn expect(mut self, space: &'static str, key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.expectations.push(Expectation { space, key: key.into(), value: Some(value.into()) });
        self
    }

    /// Applies the batch only when `key` does not exist.
    pub fn expect_absent(mut self, space: &'static str, key: impl Into<String>) -> Self {
        self.expectations.push(Expectation { space, key: key.into(), value: None });
        self
    }

    /// Sets `key` to `value`.
    pub fn put(mut self, space: &'static str, key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.changes.push(Change { space, key: key.into(), value: Some(value.into()) });
        self
    }

    /// Removes `key`; one that does not exist is fine.
    pub fn remove(mut self, space: &'static str, key: impl Into<String>) -> Self {
        self.changes.push(Change { space, key: key.into(), value: None });
        self
    }
}

/// Shows places and sizes: values carry prompts.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |space: &str, key: &str, value: &Option<Bytes>| match value {
            Some(value) => format!("{space}/{key}: {} bytes", value.len()),
            None => format!("{space}/{key}: none"),
        };
        f.debug_struct("Batch")
            .field(
                "expectations",
                &self.expectations.iter().map(|e| show(e.space, &e.key, &e.value)).collect::<Vec<_>>(),
            )
            .field(
                "changes",
                &self.changes.iter().map(|c| show(c.space, &c.key, &c.value)).collect::<Vec<_>>(),
            )
            .finish()
    }
}
