//! Several named bearer tokens, kept as digests and compared in constant time.

use std::fmt;
use std::time::SystemTime;

use http::header::{AUTHORIZATION, HeaderValue};
use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::{Key, KeyName};
use crate::{Error, Result};

/// The shortest secret a keyring takes: 32 bytes of text hold at least 128 random bits in every usual
/// encoding, hexadecimal included.
pub const MIN_SECRET_BYTES: usize = 32;

/// Bounds the work of one comparison; a service with more callers than this wants an identity provider.
const MAX_KEYS: usize = 256;

/// Keeps names fit for a log line and a metric's label.
const MAX_NAME_BYTES: usize = 64;

/// The name a token without one gets.
const DEFAULT_NAME: &str = "default";

const FIELD: &str = "API_BEARER_TOKEN";

/// The tokens that open a service. Never empty; holds digests, no secret.
///
/// Two secrets may share a name, which is how one is rotated: add the new one, move the callers, drop the
/// old one.
///
/// ```
/// use claude_exec::http::Keyring;
/// let keyring = Keyring::builder().token("n8n", "0123456789abcdef0123456789abcdef").build()?;
/// let mut headers = http::HeaderMap::new();
/// headers.insert("authorization", "Bearer 0123456789abcdef0123456789abcdef".parse()?);
/// assert_eq!(keyring.authenticate(&headers)?.as_str(), "n8n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Keyring {
    keys: Vec<Key>,
}

impl Keyring {
    /// A keyring to be filled.
    pub fn builder() -> KeyringBuilder {
        KeyringBuilder { tokens: Vec::new(), keys: Vec::new() }
    }

    /// Reads tokens from configuration text: `SECRET`, or `NAME:SECRET`, several separated by commas.
    ///
    /// A plain secret gets the name `default`. Neither `:` nor `,` occurs in a bearer token (RFC 6750
    /// section 2.1), so every plain token reads as itself. Blanks and newlines around an entry are dropped.
    ///
    /// # Errors
    ///
    /// As [`KeyringBuilder::build`].
    pub fn parse(text: &str) -> Result<Self> {
        Self::builder().tokens(text).build()
    }

    /// The names in the order given.
    pub fn names(&self) -> impl Iterator<Item = &KeyName> {
        self.keys.iter().map(Key::name)
    }

    /// As [`authenticate`](Self::authenticate), and takes the bare token from `header` when there is no
    /// `Authorization`, as in `x-api-key: TOKEN`.
    ///
    /// # Errors
    ///
    /// As [`authenticate`](Self::authenticate).
    pub fn authenticate_or(&self, headers: &HeaderMap, header: &HeaderName) -> Result<&KeyName, AuthError> {
        let mut values = headers.get_all(header).iter();
        match values.next() {
            Some(_) if values.next().is_some() => Err(AuthError::Ambiguous),
            Some(value) if !headers.contains_key(AUTHORIZATION) => {
                self.matching(value.as_bytes().trim_ascii(), SystemTime::now()).map(Key::name)
            }
            _ => self.authenticate(headers),
        }
    }

    /// Tells who is calling from the `Authorization` header.
    ///
    /// The scheme's case does not matter (RFC 9110 section 11.1); exactly one header is taken. The time it
    /// takes does not depend on which key fits or on how much of one does: digests are compared, and always
    /// all of them.
    ///
    /// # Errors
    ///
    /// Any [`AuthError`]; each is a 401, whatever bytes the header holds.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<&KeyName, AuthError> {
        self.find(headers, SystemTime::now()).map(Key::name)
    }

    /// Tells which key the `Authorization` header holds, at the time `now`. Otherwise as
    /// [`authenticate`](Self::authenticate).
    ///
    /// # Errors
    ///
    /// Any [`AuthError`].
    pub fn find(&self, headers: &HeaderMap, now: SystemTime) -> Result<&Key, AuthError> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next().ok_or(AuthError::Missing)?;
        if values.next().is_some() {
            return Err(AuthError::Ambiguous);
        }
        let presented = bearer(value.as_bytes()).ok_or(AuthError::Missing)?;
        self.matching(presented, now)
    }

    /// Finds the key with this secret; always compares with all of them.
    fn matching(&self, presented: &[u8], now: SystemTime) -> Result<&Key, AuthError> {
        let digest: [u8; 32] = Sha256::digest(presented).into();
        let mut found = Choice::from(0);
        let mut index = 0u32;
        for (at, key) in (0u32..).zip(&self.keys) {
            let same = key.digest.ct_eq(&digest);
            index.conditional_assign(&at, same);
            found |= same;
        }
        let key = &self.keys[index as usize];
        if !bool::from(found) {
            Err(AuthError::Invalid)
        } else if key.is_expired(now) {
            Err(AuthError::Expired)
        } else {
            Ok(key)
        }
    }
}

/// Shows names only: even a digest is nothing for a log.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names().map(KeyName::as_str)).finish()
    }
}

/// The credentials of a `Bearer` header; `None` for another scheme or none.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(6)?;
    let token = rest.trim_ascii();
    let separated = rest.first().is_some_and(|byte| *byte == b' ');
    (scheme.eq_ignore_ascii_case(b"bearer") && separated && !token.is_empty()).then_some(token)
}

/// Collects tokens for a [`Keyring`].
#[derive(Clone)]
#[must_use]
pub struct KeyringBuilder {
    tokens: Vec<(String, String)>,
    keys: Vec<Key>,
}

impl KeyringBuilder {
    /// Adds a token under a name.
    pub fn token(mut self, name: impl Into<String>, secret: impl Into<String>) -> Self {
        self.tokens.push((name.into(), secret.into()));
        self
    }

    /// Adds the tokens of configuration text, as [`Keyring::parse`] reads it.
    pub fn tokens(mut self, text: &str) -> Self {
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (name, secret) = entry.split_once(':').unwrap_or((DEFAULT_NAME, entry));
            self = self.token(name.trim(), secret.trim());
        }
        self
    }

    /// Adds a key of which only the digest is known.
    pub fn key(mut self, key: Key) -> Self {
        self.keys.push(key);
        self
    }

    /// Checks all of it and forgets the secrets.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](crate::Error::is_invalid), saying what to do, for no token at all, a secret under
    /// [`MIN_SECRET_BYTES`] or with bytes that no header carries, one secret under two names, and names that
    /// are not 1 to 64 letters, digits, `-`, `_` or `.`. No secret is shown.
    pub fn build(self) -> Result<Keyring> {
        let count = self.tokens.len() + self.keys.len();
        if count == 0 {
            return Err(refuse("no token given; make one with `openssl rand -hex 32`".into()));
        }
        if count > MAX_KEYS {
            return Err(refuse(format!("more than {MAX_KEYS} tokens")));
        }
        for (name, secret) in &self.tokens {
            check_name(name)?;
            check_secret(name, secret)?;
        }
        let mut keys: Vec<Key> = Vec::with_capacity(count);
        let of_tokens = self.tokens.iter().map(|(name, secret)| Key::of_secret(name, secret));
        for key in of_tokens.chain(self.keys) {
            let name = key.name();
            check_name(name.as_str())?;
            if let Some(other) = keys.iter().find(|other| other.digest == key.digest && *other != &key) {
                return Err(refuse(format!("`{name}` and `{}` have the same secret", other.name())));
            }
            keys.push(key);
        }
        Ok(Keyring { keys })
    }
}

/// Shows names only.
impl fmt::Debug for KeyringBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.tokens.iter().map(|(name, _)| name.as_str());
        f.debug_set().entries(names.chain(self.keys.iter().map(|key| key.name().as_str()))).finish()
    }
}

fn check_name(name: &str) -> Result<()> {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(fit) {
        // The text is not shown: with a colon in the wrong place it may be a piece of a secret.
        return Err(refuse(format!(
            "a token's name is 1 to {MAX_NAME_BYTES} letters, digits, `-`, `_` or `.` (NAME:SECRET)"
        )));
    }
    Ok(())
}

fn check_secret(name: &str, secret: &str) -> Result<()> {
    if secret.len() < MIN_SECRET_BYTES {
        return Err(refuse(format!(
            "the token `{name}` has {} bytes, at least {MIN_SECRET_BYTES} are needed; make one with \
             `openssl rand -hex 32`",
            secret.len()
        )));
    }
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refuse(format!("the token `{name}` has blanks or characters that no header carries")));
    }
    Ok(())
}

fn refuse(reason: String) -> Error {
    Error::invalid(FIELD, reason)
}

/// Why a caller is not known. Each is a 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthError {
    /// No `Authorization` header, or none with a bearer token.
    Missing,
    /// More than one `Authorization` header: a proxy and we might not pick the same one.
    Ambiguous,
    /// A token that is not ours.
    Invalid,
    /// A token that was ours.
    Expired,
}

impl AuthError {
    /// The `WWW-Authenticate` header that belongs to the 401 (RFC 6750 section 3: no error code when the
    /// request carried no token at all).
    pub fn challenge(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Missing => r#"Bearer realm="claude-exec""#,
            Self::Ambiguous | Self::Invalid | Self::Expired => {
                r#"Bearer realm="claude-exec", error="invalid_token""#
            }
        })
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "Missing bearer token",
            Self::Ambiguous => "More than one Authorization header",
            Self::Invalid => "Invalid token",
            Self::Expired => "Expired token",
        })
    }
}

impl std::error::Error for AuthError {}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";
    const OLD: &str = "3333333333333333333333333333333333333333";

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn ask<'a>(keyring: &'a Keyring, values: &[&[u8]]) -> Result<&'a str, AuthError> {
        keyring.authenticate(&headers(values)).map(KeyName::as_str)
    }

    #[test]
    fn every_key_opens_under_its_name_and_nothing_else_does() {
        let keyring = Keyring::parse(&format!("a:{ONE}, b:{TWO},\nb:{OLD}\n")).unwrap();
        let bearer = |scheme: &str, token: &str| format!("{scheme} {token}").into_bytes();
        type Row = (Vec<Vec<u8>>, Result<&'static str, AuthError>);
        let table: [Row; 15] = [
            (vec![bearer("Bearer", ONE)], Ok("a")),
            (vec![bearer("Bearer", TWO)], Ok("b")),
            (vec![bearer("Bearer", OLD)], Ok("b")),
            (vec![bearer("bEaReR", ONE)], Ok("a")),
            (vec![bearer("Bearer  ", ONE)], Ok("a")),
            (vec![bearer("Bearer", &ONE[1..])], Err(AuthError::Invalid)),
            (vec![bearer("Bearer", &format!("{ONE}1"))], Err(AuthError::Invalid)),
            (vec![bearer("Bearer", &format!("a:{ONE}"))], Err(AuthError::Invalid)),
            (vec![b"Bearer \xff\xfe\xe9t\xe9".to_vec()], Err(AuthError::Invalid)),
            (vec![b"B\xe9arer x".to_vec()], Err(AuthError::Missing)),
            (vec![], Err(AuthError::Missing)),
            (vec![b"".to_vec()], Err(AuthError::Missing)),
            (vec![b"Bearer ".to_vec()], Err(AuthError::Missing)),
            (vec![format!("Bearer{ONE}").into_bytes()], Err(AuthError::Missing)),
            (vec![bearer("Bearer", ONE), bearer("Bearer", ONE)], Err(AuthError::Ambiguous)),
        ];
        for (values, expected) in table {
            let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            assert_eq!(ask(&keyring, &values), expected, "{values:?}");
        }
        assert_eq!(ask(&keyring, &[b"Basic dXNlcjpwYXNz"]), Err(AuthError::Missing));
    }

    #[test]
    fn another_header_is_taken_when_there_is_no_authorization() {
        let keyring = Keyring::builder().token("ann", "0123456789abcdef0123456789abcdef").build().unwrap();
        let key = HeaderName::from_static("x-api-key");
        let good = "0123456789abcdef0123456789abcdef";
        let bearer = "Bearer 0123456789abcdef0123456789abcdef";
        let table = [
            (vec![("x-api-key", good)], Ok("ann")),
            (vec![("x-api-key", "wrong")], Err(AuthError::Invalid)),
            (vec![("x-api-key", good), ("x-api-key", good)], Err(AuthError::Ambiguous)),
            (vec![("x-api-key", good), ("authorization", "Bearer wrong")], Err(AuthError::Invalid)),
            (vec![("authorization", bearer)], Ok("ann")),
            (vec![], Err(AuthError::Missing)),
        ];
        for (given, expected) in table {
            let mut headers = HeaderMap::new();
            for (name, value) in &given {
                headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
            }
            assert_eq!(keyring.authenticate_or(&headers, &key).map(KeyName::as_str), expected, "{given:?}");
        }
    }

    #[test]
    fn a_plain_token_is_named_default_with_padding_and_all() {
        let padded = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
        let keyring = Keyring::parse(&format!("{padded}\n")).unwrap();
        assert_eq!(ask(&keyring, &[format!("Bearer {padded}").as_bytes()]), Ok("default"));
    }

    #[test]
    fn unsafe_keyrings_are_refused_with_what_to_do_and_without_the_secret() {
        let short = "s3cret-but-short";
        let table = [
            (String::new(), "openssl rand -hex 32"),
            (" , ,".to_owned(), "no token given"),
            (short.to_owned(), "has 16 bytes, at least 32"),
            (format!("n8n:{short}"), "`n8n` has 16 bytes"),
            (format!("n8n:{}", "s3cret é ".repeat(4)), "no header carries"),
            (format!("s3cret!:{ONE}"), "a token's name is"),
            (format!(":{ONE}"), "a token's name is"),
            (format!("{}:{ONE}", "n".repeat(65)), "a token's name is"),
            (format!("a:{ONE},b:{ONE}"), "`b` and `a` have the same secret"),
        ];
        for (text, expected) in table {
            let error = Keyring::parse(&text).unwrap_err();
            let shown = error.to_string();
            assert_eq!(error.field(), Some("API_BEARER_TOKEN"), "{text}");
            assert!(shown.contains(expected) && !shown.contains("s3cret"), "{text}: {shown}");
        }
    }

    #[test]
    fn a_key_known_by_its_digest_opens_until_its_end_with_its_scopes() {
        let end = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000);
        let key = Key::of_digest("phone", Sha256::digest(ONE).into()).expires(end).scopes(["read", "power"]);
        let keyring = Keyring::builder().key(key.clone()).token("plain", TWO).build().unwrap();
        let presented = headers(&[format!("Bearer {ONE}").as_bytes()]);
        let at = |seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let found = keyring.find(&presented, at(999)).unwrap();
        assert_eq!((found, found.get_scopes().collect::<Vec<_>>()), (&key, vec!["read", "power"]));
        assert_eq!(keyring.find(&presented, at(1000)), Err(AuthError::Expired));
        let plain = headers(&[format!("Bearer {TWO}").as_bytes()]);
        assert_eq!(keyring.find(&plain, at(9999)).unwrap().get_expires(), None);
        assert!(format!("{key:?}").starts_with("Key { name: \"phone\", expires"));
        // One secret with two ends, or two sets of scopes, is a mistake of somebody's.
        let other = Key::of_digest("phone", Sha256::digest(ONE).into());
        assert!(Keyring::builder().key(key.clone()).key(other).build().unwrap_err().is_invalid());
        assert!(Keyring::builder().key(Key::of_digest("a b", [0; 32])).build().unwrap_err().is_invalid());
    }

    #[test]
    fn debug_shows_names_only() {
        let builder = Keyring::builder().token("a", ONE);
        let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
        assert_eq!(shown, r#"{"a"} {"a"}"#);
    }

    #[test]
    fn the_challenge_names_an_error_only_for_a_token_that_came() {
        assert_eq!(AuthError::Missing.challenge(), r#"Bearer realm="claude-exec""#);
        assert_eq!(AuthError::Invalid.challenge(), r#"Bearer realm="claude-exec", error="invalid_token""#);
    }
}
