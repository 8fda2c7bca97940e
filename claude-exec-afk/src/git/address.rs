//! Where repositories are.

use std::fmt;

use crate::error::{Error, Result};
use crate::names::Repo;

/// The address of repositories, with a place for `owner/name`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address(String);

impl Address {
    /// Takes an address in which `{}` stands for `owner/name`.
    pub(crate) fn new(url: impl Into<String>) -> Result<Self> {
        let url = url.into();
        let refuse = |reason| Err(Error::invalid("AFK_GIT_URL", reason));
        if !url.contains("{}") {
            return refuse("must hold {} where the repository's owner/name belongs");
        }
        if url.starts_with('-') {
            return refuse("must be an address");
        }
        let secret = url.split_once("://").and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@'));
        if secret.is_some_and(|(user, _)| user.contains(':')) {
            return refuse("must hold no password; give it to git's credential helper");
        }
        Ok(Self(url))
    }

    /// The address of one.
    pub(crate) fn of(&self, repo: &Repo) -> String {
        self.0.replace("{}", repo.as_str())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
