//! One file of the page, and the response for it.

use bytes::Bytes;
use claude_exec::http::{Body, detail};
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, Method, Response, StatusCode};
use libdeflater::{CompressionLvl, Compressor};
use sha2::{Digest, Sha256};

use crate::access::{Served, protect};

/// How long a browser may keep a file without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// For ever: its name has its hash.
    Ever,
    /// For a day.
    Day,
    /// Not at all: it asks each time, and mostly hears 304.
    Ask,
}

/// A file of the page.
#[derive(Debug, Clone)]
pub struct Asset {
    path: String,
    content_type: &'static str,
    body: Bytes,
    gzip: Bytes,
    hash: String,
    keep: Keep,
}

impl Asset {
    pub(super) fn new(path: &str, content_type: &'static str, body: impl Into<Bytes>, keep: Keep) -> Self {
        let body = body.into();
        Self { path: path.to_owned(), content_type, gzip: gzip(&body), hash: hash(&body), body, keep }
    }

    /// A file that has its hash in its name.
    pub(super) fn hashed(name: &str, kind: &str, content_type: &'static str, text: &str) -> Self {
        let path = format!("/{name}.{}.{kind}", hash(text.as_bytes()));
        Self::new(&path, content_type, text.to_owned(), Keep::Ever)
    }

    /// Where it is served.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// It, as it is.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// It, compressed.
    pub fn gzip(&self) -> &Bytes {
        &self.gzip
    }

    /// The beginning of its SHA-256, in hexadecimal.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    fn respond(&self, method: &Method, asked: &HeaderMap) -> Response<Body> {
        if ![Method::GET, Method::HEAD].contains(method) {
            let mut response = detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        // Weak: one tag for both encodings.
        let tag = format!("W/\"{}\"", self.hash);
        let known = lists(asked, IF_NONE_MATCH).any(|one| one == tag || one == "*");
        let compressed = self.gzip.len() < self.body.len() && lists(asked, ACCEPT_ENCODING).any(takes_gzip);
        let body = if compressed { &self.gzip } else { &self.body };
        let mut response = match (known, method == Method::HEAD) {
            (true, _) => Response::new(Body::empty()),
            (false, true) => Response::new(Body::empty()),
            (false, false) => Response::new(Body::full(body.clone())),
        };
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(ETAG, tag);
        }
        if compressed && !known {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers.insert(
            CACHE_CONTROL,
            HeaderValue::from_static(match self.keep {
                Keep::Ever => "public, max-age=31536000, immutable",
                Keep::Day => "public, max-age=86400",
                Keep::Ask => "no-cache",
            }),
        );
        protect(&mut response, Served::Page);
        response
    }
}

/// Answers a request for a file of the page; `None` when `path` is none of them.
pub fn respond(method: &Method, path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let asset = super::assets().iter().find(|asset| asset.path == path)?;
    Some(asset.respond(method, headers))
}

/// The members of a header that is a list.
fn lists(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

fn takes_gzip(coding: &str) -> bool {
    let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
    let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
    ["gzip", "*"].contains(&name.trim()) && !refused
}

/// Enough of a SHA-256 to tell two builds apart.
pub(super) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn gzip(body: &[u8]) -> Bytes {
    let mut compressor = Compressor::new(CompressionLvl::best());
    let mut out = vec![0; compressor.gzip_compress_bound(body.len())];
    // It fits within its bound; if it did not, the file would be served as it is.
    match compressor.gzip_compress(body, &mut out) {
        Ok(length) => Bytes::copy_from_slice(&out[..length]),
        Err(_) => Bytes::copy_from_slice(body),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    async fn ask(
        method: Method,
        path: &str,
        asked: &[(HeaderName, &str)],
    ) -> Option<(u16, HeaderMap, Bytes)> {
        let response = respond(&method, path, &headers(asked))?;
        let (parts, body) = response.into_parts();
        let Ok(body) = body.collect().await;
        Some((parts.status.as_u16(), parts.headers, body.to_bytes()))
    }

    #[tokio::test]
    async fn every_file_comes_with_its_type_and_its_guards() {
        for asset in super::super::assets() {
            let (status, headers, body) = ask(Method::GET, asset.path(), &[]).await.unwrap();
            assert_eq!((status, &body), (200, asset.body()), "{}", asset.path());
            let policy = headers["content-security-policy"].to_str().unwrap();
            assert!(policy.contains("trusted-types breakglass-worker"), "{}", asset.path());
            assert!(headers.contains_key(CONTENT_TYPE) && !headers.contains_key(CONTENT_ENCODING));
            let immutable = headers[CACHE_CONTROL].to_str().unwrap().contains("immutable");
            assert_eq!(immutable, asset.path().contains(asset.hash()), "{}", asset.path());
        }
        assert!(ask(Method::GET, "/app.js", &[]).await.is_none());
        assert!(ask(Method::GET, "/../Cargo.toml", &[]).await.is_none());
    }

    #[tokio::test]
    async fn gzip_is_for_those_who_take_it() {
        let table = [
            ("gzip, deflate, br", true),
            ("*", true),
            ("br, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0, br", false),
            ("br", false),
            ("", false),
        ];
        for (accepted, compressed) in table {
            let (_, headers, body) = ask(Method::GET, "/", &[(ACCEPT_ENCODING, accepted)]).await.unwrap();
            assert_eq!(headers.contains_key(CONTENT_ENCODING), compressed, "{accepted}");
            assert_eq!(body.starts_with(&[0x1f, 0x8b]), compressed, "{accepted}");
        }
    }

    #[tokio::test]
    async fn what_is_known_is_not_sent_again() {
        let (_, headers, _) = ask(Method::GET, "/", &[]).await.unwrap();
        let tag = headers[ETAG].to_str().unwrap().to_owned();
        for (sent, status) in
            [(tag.as_str(), 304), ("*", 304), (&format!("\"x\", {tag}"), 304), ("\"x\"", 200)]
        {
            let (got, _, body) = ask(Method::GET, "/", &[(IF_NONE_MATCH, sent)]).await.unwrap();
            assert_eq!((got, body.is_empty()), (status, status == 304), "{sent}");
        }
        let (status, _, body) = ask(Method::HEAD, "/", &[]).await.unwrap();
        assert_eq!((status, body.len()), (200, 0));
        let (status, headers, _) = ask(Method::POST, "/", &[]).await.unwrap();
        assert_eq!((status, headers[ALLOW].to_str().unwrap()), (405, "GET, HEAD"));
    }
}
