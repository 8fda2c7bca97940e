//! The names of things: checked once, cheap to clone.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::Error;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $field:literal, $want:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Its text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.into()))
                } else {
                    let shown: String = text.chars().take(80).collect();
                    Err(Error::invalid($field, format!("`{}` is not {}", shown.escape_debug(), $want)))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

name! {
    /// A repository as `owner/name`, always both: a bare name is refused, so that no tool guesses an owner.
    Repo, "repository", "a repository as owner/name", |text| {
        let mut parts = text.split('/');
        let (Some(owner), Some(name), None) = (parts.next(), parts.next(), parts.next()) else { return false };
        [owner, name].into_iter().all(segment)
    }
}

name! {
    /// A run: one attempt at one issue, by one deployment. Its text is made of letters, digits, `.`, `_` and
    /// `-`, so it fits in a path, a branch name and a commit's trailer.
    RunId, "run", "a run id", segment
}

name! {
    /// A commit by its hash, in lowercase hexadecimal, in full.
    Sha, "commit", "a full commit hash", |text| {
        [40, 64].contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }
}

name! {
    /// The SHA-256 of a text, in lowercase hexadecimal: what an issue said when it was trusted.
    Digest, "digest", "a SHA-256 in hexadecimal", |text| {
        text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }
}

impl Repo {
    /// The part before the slash.
    pub fn owner(&self) -> &str {
        self.0.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// The part after the slash.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
}

impl Digest {
    /// The digest of an issue's title and body, which the agent is given both.
    pub fn of(title: &str, body: &str) -> Self {
        let mut hash = Sha256::new();
        // The length first: moving a line from the title into the body is a change.
        hash.update((title.len() as u64).to_be_bytes());
        hash.update(title);
        hash.update(body);
        Self(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
    }
}

impl RunId {
    /// The id of a deployment's `generation`th run of an issue: the same whoever computes it.
    ///
    /// # Errors
    ///
    /// When `deployment` holds other characters than letters, digits, `.`, `_` and `-`.
    pub fn of(issue: &IssueKey, deployment: &str, generation: u32) -> Result<Self, Error> {
        let (owner, name) = (issue.repo.owner(), issue.repo.name());
        format!("{owner}.{name}.{}.{deployment}.{generation}", issue.number).parse()
    }
}

/// An issue: its repository and its number there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IssueKey {
    /// Where it is.
    pub repo: Repo,
    /// Its number, as in `#7`.
    pub number: u64,
}

impl IssueKey {
    /// The issue `number` of `repo`.
    pub fn new(repo: Repo, number: u64) -> Self {
        Self { repo, number }
    }
}

/// As `owner/name#7`.
impl fmt::Display for IssueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.repo, self.number)
    }
}

impl fmt::Debug for IssueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads `owner/name#7`.
impl FromStr for IssueKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = || Error::invalid("issue", "must be given as owner/name#7");
        let (repo, number) = text.split_once('#').ok_or_else(refused)?;
        let number = number.parse().ok().filter(|number| *number > 0).ok_or_else(refused)?;
        Ok(Self::new(repo.parse()?, number))
    }
}

/// Which holder of a lock this is, counted up with every takeover: whoever holds an older one does nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub u64);

/// The most bytes of one part of a name: what a file name can hold, with room for what we put around it.
const SEGMENT_LIMIT: usize = 200;

/// Safe as one component of a path and as a word of an argument vector: never `.`, `..`, nor a flag.
fn segment(text: &str) -> bool {
    let ordinary = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !text.is_empty()
        && text.len() <= SEGMENT_LIMIT
        && !text.starts_with(['.', '-'])
        && text.bytes().all(ordinary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_always_owner_and_name() {
        let repo: Repo = "kubernetes/test-infra".parse().unwrap();
        assert_eq!((repo.owner(), repo.name()), ("kubernetes", "test-infra"));
        for text in ["infra", "a/b/c", "/b", "a/", "../b", "a/-b", "a/b c", "a/b\n", "", "a/.."] {
            assert!(text.parse::<Repo>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_issue_is_read_as_it_is_shown() {
        let key: IssueKey = "a/b#7".parse().unwrap();
        assert_eq!(key.to_string(), "a/b#7");
        for text in ["a/b", "a/b#0", "a/b#x", "b#7", "a/b#-1"] {
            assert!(text.parse::<IssueKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_run_is_named_by_what_it_is() {
        let key: IssueKey = "a/b#7".parse().unwrap();
        assert_eq!(RunId::of(&key, "home", 2).unwrap().as_str(), "a.b.7.home.2");
        assert!(RunId::of(&key, "my home", 2).is_err());
    }

    #[test]
    fn a_digest_tells_title_from_body() {
        assert_ne!(Digest::of("ab", "c"), Digest::of("a", "bc"));
    }
}
