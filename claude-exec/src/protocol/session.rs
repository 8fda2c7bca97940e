//! The name of a session.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The id of a CLI session: a UUID, as the CLI demands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

impl TryFrom<String> for SessionId {
    type Error = crate::Error;

    fn try_from(text: String) -> crate::Result<Self> {
        Self::parse(&text)
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

impl SessionId {
    /// Takes a UUID in its hyphenated form.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](crate::Error::is_invalid) with the field `session_id` for anything else: the CLI exits
    /// with an error message on stderr only.
    pub fn parse(text: &str) -> crate::Result<Self> {
        match uuid::Uuid::try_parse(text) {
            Ok(_) if text.len() == 36 => Ok(Self(text.to_ascii_lowercase())),
            _ => Err(crate::Error::invalid("session_id", "must be a UUID, as in `uuidgen`'s output")),
        }
    }

    /// Takes the id as the CLI reported it, whatever its form.
    pub(crate) fn reported(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<uuid::Uuid> for SessionId {
    fn from(id: uuid::Uuid) -> Self {
        Self(id.hyphenated().to_string())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
