//! Bearer keys of this role: a file of digests, or the original's variable.

use claude_exec::http::{Key, Keyring, MIN_SECRET_BYTES, read_key_file};
use claude_exec::{Error, Result};

use super::{Scope, Scopes};

const FILE: &str = "BREAKGLASS_KEYS_FILE";
const VARIABLE: &str = "API_BEARER_TOKEN";

/// Reads the keys that open this role; `None` when there is none.
///
/// `file` is the text of a file with one key a line; blank lines and lines that begin with `#` do not count:
///
/// ```text
/// phone   scopes=read,chat,power  expires=2027-01-01  sha256=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
/// ```
///
/// The digest is that of the secret: `printf %s "$KEY" | sha256sum`; `expires` may be left out, and means the
/// beginning of that day, UTC. Two lines may have one name, which is how a key is rotated. `variable` is the
/// original's: `SECRET` or `NAME:SECRET`, several separated by commas, each with every scope and no end.
///
/// ```
/// use claude_exec_breakglass::access::parse_keys;
/// let keys = parse_keys("", "0123456789abcdef0123456789abcdef")?.expect("there is one");
/// assert_eq!(keys.names().next().unwrap().as_str(), "default");
/// # Ok::<(), claude_exec::Error>(())
/// ```
///
/// # Errors
///
/// [`is_invalid`](Error::is_invalid) for a line that cannot be read, with its number and without the digest, and
/// for what a [`Keyring`] refuses.
pub fn parse_keys(file: &str, variable: &str) -> Result<Option<Keyring>> {
    let mut builder = Keyring::builder();
    let mut count = 0;
    for line in read_key_file(FILE, file, &["scopes"])? {
        let scopes = line.field("scopes");
        let scopes =
            scopes.ok_or_else(|| line.error("scopes is missing: read, chat, power, separated by commas"))?;
        let scopes: Scopes = scopes.parse().map_err(|error| line.error(&format!("{error}")))?;
        builder = builder.key(line.key().clone().scopes(scopes.names()));
        count += 1;
    }
    for entry in variable.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (name, secret) = entry.split_once(':').unwrap_or(("default", entry));
        let (name, secret) = (name.trim(), secret.trim());
        if secret.len() < MIN_SECRET_BYTES || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            let why = format!(
                "each secret is at least {MIN_SECRET_BYTES} visible characters; make one with `openssl rand -hex 32`"
            );
            return Err(Error::invalid(VARIABLE, why));
        }
        builder = builder.key(Key::of_secret(name, secret).scopes(Scopes::ALL.names()));
        count += 1;
    }
    if count == 0 { Ok(None) } else { builder.build().map(Some) }
}

/// What `key` may do.
pub(super) fn scopes(key: &Key) -> Scopes {
    let named = |scope: &Scope| key.get_scopes().any(|name| name == scope.name());
    Scope::ALL.into_iter().filter(named).fold(Scopes::NONE, Scopes::with)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use http::HeaderMap;

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn digest() -> String {
        use sha2::{Digest, Sha256};
        Sha256::digest(SECRET).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn find(keys: &Keyring, seconds: u64) -> Option<(String, Scopes)> {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {SECRET}").parse().unwrap());
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        keys.find(&headers, now).ok().map(|key| (key.name().as_str().to_owned(), scopes(key)))
    }

    #[test]
    fn keys_are_known_by_their_digest_with_scopes_and_an_end() {
        let digest = digest();
        let file = format!("# keys\n\n  phone scopes=read,power expires=2027-01-01 sha256={digest}\r\n");
        let keys = parse_keys(&file, "").unwrap().unwrap();
        let end = 1_798_761_600; // 2027-01-01T00:00:00Z
        let expected = Scopes::NONE.with(Scope::Read).with(Scope::Power);
        assert_eq!(find(&keys, end - 1), Some(("phone".to_owned(), expected)));
        assert_eq!(find(&keys, end), None);
        let keys = parse_keys("", &format!("old:{SECRET}")).unwrap().unwrap();
        assert_eq!(find(&keys, end), Some(("old".to_owned(), Scopes::ALL)));
    }

    #[test]
    fn no_key_is_no_keyring() {
        assert!(parse_keys("", "").unwrap().is_none());
        assert!(parse_keys("# none\n\n", " , ").unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line_and_without_the_digest() {
        let digest = digest();
        let table = [
            ("phone scopes=read".to_owned(), "sha256 is missing"),
            (format!("phone sha256={digest}"), "scopes is missing"),
            (format!("phone scopes= sha256={digest}"), "scopes are"),
            (format!("phone scopes=root sha256={digest}"), "scopes are"),
            (format!("phone scopes=read sha256={}", &digest[1..]), "64 hexadecimal"),
            (format!("phone scopes=read expires=2027-02-30 sha256={digest}"), "a day"),
            (format!("phone scopes=read expires=tomorrow sha256={digest}"), "a day"),
            (format!("phone scopes=read scope=read sha256={digest}"), "the fields are"),
            (format!("phone scopes=read scopes=power sha256={digest}"), "twice"),
            (format!("phone power sha256={digest}"), "NAME=VALUE"),
        ];
        for (line, expected) in table {
            let error = parse_keys(&format!("# x\n{line}\n"), "").unwrap_err();
            let shown = error.to_string();
            assert_eq!(error.field(), Some(FILE), "{line}");
            assert!(
                shown.contains("line 2") && shown.contains(expected) && !shown.contains(&digest[..8]),
                "{shown}"
            );
        }
        for variable in ["short", "phone:short", "a b c d e f g h i j k l m n o p q r"] {
            assert_eq!(parse_keys("", variable).unwrap_err().field(), Some(VARIABLE), "{variable}");
        }
        assert!(parse_keys(&format!("a!b scopes=read sha256={digest}"), "").unwrap_err().is_invalid());
    }
}
