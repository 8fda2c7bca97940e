//! One key of a keyring: a name, a digest, and what it is good for.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

/// The name of a token: what logs and job records say instead of the secret. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyName(Arc<str>);

impl KeyName {
    pub(super) fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key: the digest of a secret under a name, with its end and its scopes. Holds no secret.
///
/// A key without scopes is good for whatever its service does not divide into scopes.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    name: KeyName,
    pub(super) digest: [u8; 32],
    expires: Option<SystemTime>,
    scopes: Arc<[Box<str>]>,
}

impl Key {
    /// The key whose secret has this SHA-256.
    pub fn of_digest(name: &str, digest: [u8; 32]) -> Self {
        Self { name: KeyName::new(name), digest, expires: None, scopes: Arc::default() }
    }

    /// The key with this secret, which is forgotten. Whether it is long enough is the caller's to check.
    pub fn of_secret(name: &str, secret: &str) -> Self {
        Self::of_digest(name, Sha256::digest(secret).into())
    }

    /// Sets the moment from which it opens nothing.
    #[must_use]
    pub fn expires(mut self, at: SystemTime) -> Self {
        self.expires = Some(at);
        self
    }

    /// Sets its scopes.
    #[must_use]
    pub fn scopes<'s>(mut self, scopes: impl IntoIterator<Item = &'s str>) -> Self {
        self.scopes = scopes.into_iter().map(Box::from).collect();
        self
    }

    /// Its name.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// Its scopes.
    pub fn get_scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(|scope| &**scope)
    }

    /// The moment from which it opens nothing, when there is one.
    pub fn get_expires(&self) -> Option<SystemTime> {
        self.expires
    }

    pub(super) fn is_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|end| now >= end)
    }
}

/// Shows no digest: even that is nothing for a log.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("name", &self.name.as_str())
            .field("expires", &self.expires)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}
