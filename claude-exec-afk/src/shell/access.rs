//! Who asks.

use claude_exec::http::{AuthError, KeyName, Keyring};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

/// The longest `Authorization` value that is looked into.
const LIMIT: usize = 4096;

/// A bearer key; or, for whoever only reads, the text of one as the password of Basic (RFC 7617), which every
/// browser can ask for. The user's name there is not looked at.
pub(super) fn reader(keyring: &Keyring, headers: &HeaderMap) -> Result<KeyName, AuthError> {
    let Some(secret) = headers.get(AUTHORIZATION).and_then(password) else {
        return keyring.authenticate(headers).cloned();
    };
    let mut bearer = HeaderMap::new();
    bearer.insert(AUTHORIZATION, secret);
    keyring.authenticate(&bearer).cloned()
}

fn password(value: &HeaderValue) -> Option<HeaderValue> {
    let text = value.to_str().ok().filter(|text| text.len() <= LIMIT)?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = data_encoding::BASE64.decode(encoded.trim().as_bytes()).ok()?;
    let (_, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    let mut bearer = HeaderValue::from_str(&format!("Bearer {secret}")).ok()?;
    bearer.set_sensitive(true);
    Some(bearer)
}
