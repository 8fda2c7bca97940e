//! Credentials, which nothing shows.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::config::Settings;
use crate::error::{Error, Result};

/// The longest credential: a signed token of a GitHub App has about a thousand bytes.
const LIMIT: usize = 16 * 1024;

/// A credential. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// The text itself, for the header it belongs in.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// What answers are kept by: two accounts never see each other's, and etags are for one token alone.
    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// `text` without this secret, should a service repeat it.
    pub(crate) fn redacted(&self, text: &str) -> String {
        text.replace(&*self.0, "[secret]")
    }
}

/// Reads it as it is in a variable or a file; white space around it is not part of it.
impl FromStr for Secret {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let fits =
            !text.is_empty() && text.len() <= LIMIT && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(Error::invalid("token", format!("must be 1 to {LIMIT} visible ASCII characters")))
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Where a credential comes from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Token {
    /// It is this one.
    Fixed(Secret),
    /// It is in this file, which is read again for every request: whoever renews a token that expires (a GitHub
    /// App's after an hour, T3's too) writes the file anew.
    File(PathBuf),
}

impl Token {
    /// Takes a token from the setting `name`, or its file's path from the setting `file`.
    ///
    /// # Errors
    ///
    /// When both are set, or it is no token. The file is read only when it is needed.
    pub fn take(settings: &mut Settings, name: &'static str, file: &'static str) -> Result<Option<Self>> {
        match (settings.text(name), settings.text(file)) {
            (None, None) => Ok(None),
            (Some(text), None) => match text.parse() {
                Ok(secret) => Ok(Some(Self::Fixed(secret))),
                Err(_) => Err(Error::invalid(name, format!("must be 1 to {LIMIT} visible ASCII characters"))),
            },
            (None, Some(path)) => Ok(Some(Self::File(path.into()))),
            (Some(_), Some(_)) => Err(Error::invalid(name, format!("cannot be set together with {file}"))),
        }
    }

    /// The credential as it is now.
    pub(crate) fn read(&self) -> Result<Secret> {
        let unread = |path: &PathBuf, reason: String| {
            Error::unavailable("the token", format_args!("{}: {reason}", path.display()), None)
        };
        match self {
            Self::Fixed(secret) => Ok(secret.clone()),
            // A file of a few bytes, on a disk or in memory.
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| unread(path, error.to_string()))?;
                text.parse().map_err(|error: Error| unread(path, error.to_string()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_by_nothing() {
        let secret: Secret = " ghp_0123\n".parse().unwrap();
        assert_eq!(secret.expose(), "ghp_0123");
        assert_eq!(format!("{secret:?} {:?}", Token::Fixed(secret.clone())), "Secret(..) Fixed(Secret(..))");
        assert_eq!(secret.redacted("bad ghp_0123!"), "bad [secret]!");
        for text in ["", "  ", "a b", "a\nb", "schlüssel"] {
            let error = text.parse::<Secret>().unwrap_err().to_string();
            assert!(!error.contains("schl"), "{error}");
        }
    }

    #[test]
    fn a_token_is_set_once() {
        let take = |entries: &[(&str, &str)]| {
            Token::take(&mut Settings::new(entries.iter().copied()), "AFK_T", "AFK_T_FILE")
        };
        assert!(take(&[]).unwrap().is_none());
        assert!(matches!(take(&[("AFK_T", "a")]), Ok(Some(Token::Fixed(_)))));
        assert!(matches!(take(&[("AFK_T_FILE", "/run/t")]), Ok(Some(Token::File(_)))));
        assert_eq!(take(&[("AFK_T", "a b")]).unwrap_err().field(), Some("AFK_T"));
        assert!(take(&[("AFK_T", "a"), ("AFK_T_FILE", "/run/t")]).is_err());
    }

    #[test]
    fn a_file_is_read_again_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let token = Token::File(dir.path().join("token"));
        assert!(token.read().unwrap_err().is_transient(), "it may come");
        for text in ["one\n", "two"] {
            std::fs::write(dir.path().join("token"), text).unwrap();
            assert_eq!(token.read().unwrap().expose(), text.trim());
        }
    }
}
