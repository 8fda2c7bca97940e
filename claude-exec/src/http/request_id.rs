//! The id that ties a request to its log lines.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header it travels in, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ids than those of known proxies (at most 55 characters) are somebody's attempt to fill a log.
const MAX_BYTES: usize = 128;

/// The id of one request: the caller's or its proxy's when sane, one of ours otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// Takes the id that came with the request, or makes one.
    ///
    /// Sane is exactly one header of 1 to 128 letters, digits, `-`, `_`, `.`, `:`, `/`, `+` or `=`: it goes
    /// into log lines and comes back in a response header.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(REQUEST_ID).iter();
        match (values.next(), values.next()) {
            (Some(value), None) if is_sane(value.as_bytes()) => {
                Self(value.to_str().unwrap_or_default().to_owned())
            }
            _ => Self(format!("req_{}", uuid::Uuid::new_v4().simple())),
        }
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value for the response's header.
    pub fn to_header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static("invalid"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_sane(id: &[u8]) -> bool {
    let fit = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    (1..=MAX_BYTES).contains(&id.len()) && id.iter().all(fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(values: &[&[u8]]) -> RequestId {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
        }
        RequestId::of(&headers)
    }

    #[test]
    fn a_sane_id_is_kept_and_anything_else_is_replaced() {
        let long = [b'a'; MAX_BYTES + 1];
        assert_eq!(id(&[b"01-ab/C_d.e:f+g="]).as_str(), "01-ab/C_d.e:f+g=");
        let table: [&[&[u8]]; 6] = [&[], &[b""], &[b"a b"], &[b"\xff"], &[&long], &[b"a", b"a"]];
        for values in table {
            let made = id(values);
            assert!(made.as_str().starts_with("req_") && made.as_str().len() == 36, "{made}");
            assert_eq!(made.to_header(), made.as_str());
        }
        assert_ne!(id(&[]), id(&[]));
    }
}
