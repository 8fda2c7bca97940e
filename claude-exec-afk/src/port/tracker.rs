//! Issues, labels and comments.

use futures::future::BoxFuture;

use crate::error::Result;
use crate::issue::Issue;
use crate::names::{IssueKey, Repo};
use crate::seen::Seen;

/// Reads issues and makes them say what became of them.
///
/// # Contract
///
/// 1. [`ready`](Self::ready) gives every open issue that carries the ready label, by exact name, and nothing
///    else: no pull request, no issue of another label (Forgejo drops a filter on a label that does not exist),
///    all pages. It may leave [`Issue::labelling`] and [`Issue::blockers`] unknown.
/// 2. When nothing changed since the last complete list, [`Listing::Unchanged`] saves reading it: at most one
///    conditional request for a repository with nothing new.
/// 3. [`issue`](Self::issue) reads one issue whole, by its own endpoint and never from a search: labels, who
///    labelled it and what they may do, blockers with their real state. What it cannot read is unknown, field
///    by field.
/// 4. A labelling by our own account is reported with [`Permission::None`](crate::issue::Permission::None): the
///    loop must not authorise itself.
/// 5. Labels, comment and closing are set to a state, not changed by a step: repeating is harmless.
pub trait Tracker: Send + Sync {
    /// Lists the open issues with the ready label.
    ///
    /// # Errors
    ///
    /// When the list could not be read whole.
    fn ready<'a>(&'a self, repo: &'a Repo) -> BoxFuture<'a, Result<Listing>>;

    /// Reads one issue whole; absent when the tracker says that it was deleted.
    fn issue<'a>(&'a self, key: &'a IssueKey) -> BoxFuture<'a, Seen<Issue>>;

    /// Reads its title and body, as the agent will be given them.
    ///
    /// # Errors
    ///
    /// When they could not be read.
    fn text<'a>(&'a self, key: &'a IssueKey) -> BoxFuture<'a, Result<IssueText>>;

    /// Puts labels on and takes labels off, and confirms it: a tracker that silently drops a label for want of
    /// permission has refused.
    ///
    /// # Errors
    ///
    /// When they are not as wanted, or that is unknown.
    fn label<'a>(&'a self, key: &'a IssueKey, change: &'a LabelChange) -> BoxFuture<'a, Result<()>>;

    /// Makes the one comment that contains `marker` be `body` (which contains it), writing it when there is
    /// none. Only comments of our own account count.
    ///
    /// # Errors
    ///
    /// When it is not, or that is unknown.
    fn comment<'a>(&'a self, key: &'a IssueKey, marker: &'a str, body: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Closes the issue as completed; one that is closed is fine.
    ///
    /// # Errors
    ///
    /// When it is not closed, or that is unknown. Forgejo answers 412 while a dependency is open: refused.
    fn close<'a>(&'a self, key: &'a IssueKey) -> BoxFuture<'a, Result<()>>;
}

/// A repository's open issues with the ready label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// The same as the last complete list that this adapter gave for the repository.
    Unchanged,
    /// All of them.
    Issues(Vec<Issue>),
}

/// What an issue says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueText {
    /// Its title.
    pub title: String,
    /// Its body; empty when it has none.
    pub body: String,
}

/// Labels to put on and to take off, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelChange {
    /// To be there.
    pub add: Vec<String>,
    /// Not to be there.
    pub remove: Vec<String>,
}
