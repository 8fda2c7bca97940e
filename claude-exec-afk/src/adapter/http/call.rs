//! A request before it is sent, and what came of it.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::adapter::Secret;
use crate::error::{Error, Result};

/// The most of a service's own words that is repeated.
const SAID_LIMIT: usize = 200;
/// What stands for itself in a segment of a path (RFC 3986, "unreserved").
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One part of a path, such as a label's name.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, &UNRESERVED).to_string()
}

/// A request, as a value.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(super) method: Method,
    pub(super) target: Target,
    pub(super) headers: HeaderMap,
    pub(super) secret: Option<Secret>,
    pub(super) body: Option<Bytes>,
    pub(super) conditional: bool,
}

/// Where a request goes.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// Below the base address: a path that begins with `/`, and a query.
    Path(String, Vec<(&'static str, String)>),
    /// A page that the service itself named, checked already.
    Page(Url),
}

impl Call {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let target = Target::Path(path.into(), Vec::new());
        Self { method, target, headers, secret: None, body: None, conditional: false }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn patch(path: impl Into<String>) -> Self {
        Self::new(Method::PATCH, path)
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// The same below `place`.
    pub(crate) fn below(mut self, place: &str) -> Self {
        if let Target::Path(path, _) = &mut self.target {
            path.insert_str(0, place);
        }
        self
    }

    pub(crate) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Target::Path(_, query) = &mut self.target {
            query.push((name, value.into()));
        }
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Another secret than the client's, for this request alone.
    #[allow(dead_code, reason = "for services whose tokens are exchanged")]
    pub(crate) fn secret(mut self, secret: Secret) -> Self {
        self.secret = Some(secret);
        self
    }

    /// A body of JSON.
    pub(crate) fn json(self, value: &impl Serialize) -> Result<Self> {
        let text = serde_json::to_vec(value).map_err(|error| Error::invalid("body", error.to_string()))?;
        Ok(self.body("application/json", text))
    }

    pub(crate) fn body(mut self, kind: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        self.body = Some(body.into());
        self
    }

    /// Asks whether the answer is still the one that is kept: then it costs the service little, us less, and the
    /// account's rate limit nothing.
    pub(crate) fn conditional(mut self) -> Self {
        self.conditional = true;
        self
    }

    pub(super) fn page(&self, url: Url) -> Self {
        Self { target: Target::Page(url), ..self.clone() }
    }

    /// True for what changes nothing at the service.
    pub(super) fn is_read(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }
}

/// What a service answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(super) what: &'static str,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The address of the next page.
    pub(super) next: Option<Url>,
    /// The service's own time, in milliseconds since 1970.
    pub(super) date: Option<u64>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    pub(crate) fn is_success(&self) -> bool {
        self.status.is_success()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// True when the service names a next page.
    pub(crate) fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// The service's own time when it answered, in milliseconds since 1970.
    pub(crate) fn date(&self) -> Option<u64> {
        self.date
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// This answer, when its status is 2xx.
    ///
    /// # Errors
    ///
    /// Refused otherwise: the service understood and said no.
    pub(crate) fn ok(self) -> Result<Self> {
        if self.is_success() { Ok(self) } else { Err(self.refused()) }
    }

    /// That the service said no, in its own words.
    pub(crate) fn refused(&self) -> Error {
        Error::refused(self.what, self.told())
    }

    /// That trying later may help, in the service's own words.
    pub(crate) fn unavailable(&self) -> Error {
        Error::unavailable(self.what, self.told(), None)
    }

    /// The status and what the service said with it.
    pub(crate) fn told(&self) -> String {
        let said = said(&self.headers, &self.body);
        if said.is_empty() { self.status.to_string() } else { format!("{}: {said}", self.status) }
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    ///
    /// Unavailable when it is something else, such as a proxy's page: nothing is known then.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        if !is_json(&self.headers) {
            let kind = self.header("content-type").unwrap_or("nothing").chars().take(60).collect::<String>();
            let reason = format!("answered {} instead of JSON; is its address right?", kind.escape_debug());
            return Err(Error::unavailable(self.what, reason, None));
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            Error::unavailable(self.what, format_args!("its answer cannot be read: {error}"), None)
        })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The service's own words in an error: `message` (GitHub, Forgejo) or `error` (Slack, ntfy), in one line.
pub(super) fn said(headers: &HeaderMap, body: &[u8]) -> String {
    if !is_json(headers) {
        return String::new();
    }
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = ["message", "error"].iter().find_map(|name| value[name].as_str()).unwrap_or("");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.chars().take(SAID_LIMIT).filter(|c| !c.is_control()).collect()
}
