//! The client: one service, one account.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use reqwest::Url;
use reqwest::redirect::Policy;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::cache::{Cache, Kept, Key};
use super::call::{Answer, Call, Target, said};
use super::limit::{Standing, date, standing};
use super::link;
use crate::adapter::held::held;
use crate::adapter::{Secret, Token};
use crate::error::{Error, Result};

/// For a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// For one request with its answer.
const REQUEST: Duration = Duration::from_secs(25);
/// For all the requests of one call of a port, which promises to end within a minute.
const CALL: Duration = Duration::from_secs(55);
/// The largest answer: a page of a hundred issues of 64 KiB each, as JSON.
const BODY_LIMIT: usize = 16 * 1024 * 1024;
/// The most pages of one list: ten thousand issues.
const PAGES: usize = 100;

/// How a token is said in `Authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// `Bearer …`
    Bearer,
    /// `token …`: Forgejo's and Gitea's own.
    Token,
}

/// A service as one account sees it. Cheap to clone: clones share limits and kept answers.
#[derive(Clone)]
pub(crate) struct Client(Arc<Inner>);

struct Inner {
    what: &'static str,
    base: Url,
    client: reqwest::Client,
    token: Option<Token>,
    scheme: Scheme,
    /// Sent with everything.
    headers: HeaderMap,
    /// The least time between two changes.
    pace: Duration,
    /// The path of its address lets one in, so it is in no log line.
    hushed: bool,
    cache: Mutex<Cache>,
    pause: Mutex<Pause>,
    /// When the last change was made. Who holds it makes one: changes are one after another.
    changed: tokio::sync::Mutex<Option<Instant>>,
}

/// Whether the service wants to be left alone.
#[derive(Default)]
struct Pause {
    until: Option<Instant>,
    /// The limits that were met in a row.
    strikes: u32,
}

impl Client {
    /// A client of `what` at `base`, which is the value of `setting`. No connection is made.
    ///
    /// # Errors
    ///
    /// When `base` is no address, or holds a password, a query or a fragment.
    pub(crate) fn new(
        what: &'static str,
        setting: &'static str,
        base: &str,
        token: Option<Token>,
        scheme: Scheme,
    ) -> Result<Self> {
        let refuse = |reason| Error::invalid(setting, reason);
        let base: Url =
            base.parse().map_err(|_| refuse("must be an address such as https://example.org/api"))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(refuse("must begin with https:// or http://"));
        }
        if base.password().is_some() || !base.username().is_empty() {
            return Err(refuse("must hold no password; tokens have a setting of their own"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(refuse("must have no `?` and no `#`"));
        }
        let client = reqwest::Client::builder()
            .user_agent(concat!("claude-exec-afk/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .timeout(REQUEST)
            .build()
            .map_err(|error| Error::unavailable(what, without_address(error), None))?;
        Ok(Self(Arc::new(Inner {
            what,
            base,
            client,
            token,
            scheme,
            headers: HeaderMap::new(),
            pace: Duration::ZERO,
            hushed: false,
            cache: Mutex::default(),
            pause: Mutex::default(),
            changed: tokio::sync::Mutex::default(),
        })))
    }

    /// Sends `headers` with everything, and leaves at least `pace` between two changes. To be called before the
    /// client is cloned.
    pub(crate) fn with(mut self, headers: HeaderMap, pace: Duration) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            (inner.headers, inner.pace) = (headers, pace);
        }
        self
    }

    /// Has the path in no log line, where an address lets one in. To be called before the client is cloned.
    pub(crate) fn hushed(mut self) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.hushed = true;
        }
        self
    }

    /// The service's name in errors.
    #[allow(dead_code, reason = "the first that use it are being built")]
    pub(crate) fn what(&self) -> &'static str {
        self.0.what
    }

    /// Sends a request and gives the answer, whatever its status.
    ///
    /// # Errors
    ///
    /// Unavailable when there is none: no connection, no time, a limit, a failure of the service, a credential that
    /// it does not know. Refused when what was asked for has moved.
    ///
    /// # Cancel safety
    ///
    /// A change that was sent may have been made.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer> {
        self.left_alone()?;
        if call.is_read() || self.0.pace.is_zero() {
            return self.ask(call).await;
        }
        let mut changed = self.0.changed.lock().await;
        if let Some(last) = *changed {
            tokio::time::sleep_until(last + self.0.pace).await;
        }
        self.left_alone()?;
        let answer = self.ask(call).await;
        *changed = Some(Instant::now());
        answer
    }

    /// Reads a list, page after page. An answer to the first page that is not 2xx is given back alone.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), and when one of the later pages could not be read: a part is not the whole.
    pub(crate) async fn pages(&self, call: &Call) -> Result<Vec<Answer>> {
        let first = self.send(call).await?;
        let mut next = first.next.clone();
        let mut pages = vec![first];
        while let Some(url) = next.take() {
            if pages.len() == PAGES {
                let reason = format!("a list has more than {PAGES} pages; it was not read whole");
                return Err(Error::unavailable(self.0.what, reason, None));
            }
            let page = self.send(&call.page(url)).await?;
            if !page.is_success() {
                return Err(page.unavailable());
            }
            next.clone_from(&page.next);
            pages.push(page);
        }
        Ok(pages)
    }

    /// Ends `work` within the minute that ports promise.
    pub(crate) async fn within<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        match tokio::time::timeout(CALL, work).await {
            Ok(done) => done,
            Err(_) => Err(Error::unavailable(self.0.what, format_args!("no answer within {CALL:?}"), None)),
        }
    }

    /// One request, now.
    async fn ask(&self, call: &Call) -> Result<Answer> {
        let secret = match &call.secret {
            Some(secret) => Some(secret.clone()),
            None => self.0.token.as_ref().map(Token::read).transpose()?,
        };
        let url = self.url(&call.target);
        let key = call.conditional.then(|| (secret.as_ref().map_or([0; 32], Secret::digest), url.clone()));
        let kept = key.as_ref().and_then(|key| held(&self.0.cache).get(key));
        let mut request = self.0.client.request(call.method.clone(), url.clone());
        request = request.headers(self.0.headers.clone()).headers(call.headers.clone());
        if let Some(secret) = &secret {
            request = request.header(AUTHORIZATION, self.authorization(secret)?);
        }
        if let Some(kept) = &kept {
            request = request.header(IF_NONE_MATCH, kept.etag.clone());
        }
        if let Some(body) = &call.body {
            request = request.body(body.clone());
        }
        let (status, headers, body) = self
            .exchange(request)
            .await
            .map_err(|reason| Error::unavailable(self.0.what, redacted(&secret, &reason), None))?;
        let path = if self.0.hushed { "" } else { url.path() };
        tracing::debug!(service = self.0.what, method = %call.method, path, %status, "asked");
        let date = date(&headers).and_then(|date| date.duration_since(UNIX_EPOCH).ok());
        let date = date.and_then(|date| u64::try_from(date.as_millis()).ok());
        if status == StatusCode::NOT_MODIFIED
            && let Some(Kept { status, headers, body, next, .. }) = kept
        {
            self.went_well();
            return Ok(Answer { what: self.0.what, status, headers, body, next, date });
        }
        self.judge(status, &headers, &body, &secret)?;
        let next = link::next(&headers, &url);
        if let Some(key) = key {
            self.keep(key, status, &headers, &body, next.clone());
        }
        let body = if status.is_success() { body } else { redacted_body(&secret, body) };
        Ok(Answer { what: self.0.what, status, headers, body, next, date })
    }

    fn url(&self, target: &Target) -> Url {
        match target {
            Target::Page(url) => url.clone(),
            Target::Path(path, query) => {
                let mut url = self.0.base.clone();
                url.set_path(&format!("{}{path}", self.0.base.path().trim_end_matches('/')));
                if !query.is_empty() {
                    url.query_pairs_mut().extend_pairs(query);
                }
                url
            }
        }
    }

    fn authorization(&self, secret: &Secret) -> Result<HeaderValue> {
        let text = match self.0.scheme {
            Scheme::Bearer => format!("Bearer {}", secret.expose()),
            Scheme::Token => format!("token {}", secret.expose()),
        };
        let value = HeaderValue::from_str(&text);
        let mut value = value.map_err(|_| Error::invalid("token", "does not fit a header"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The answer to a request, its body bounded; or why there is none, in one line.
    async fn exchange(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<(StatusCode, HeaderMap, Bytes), String> {
        let mut response = request.send().await.map_err(without_address)?;
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(without_address)? {
            if body.len() + chunk.len() > BODY_LIMIT {
                return Err(format!("its answer is larger than {BODY_LIMIT} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((response.status(), std::mem::take(response.headers_mut()), body.freeze()))
    }

    /// Tells an answer from what is none.
    fn judge(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        secret: &Option<Secret>,
    ) -> Result<()> {
        let what = self.0.what;
        let told = || {
            let said = redacted(secret, &said(headers, body));
            if said.is_empty() { status.to_string() } else { format!("{status}: {said}") }
        };
        let strikes = held(&self.0.pause).strikes;
        match standing(status.as_u16(), headers, &said(headers, body), strikes) {
            Standing::Answered => {
                self.went_well();
                Ok(())
            }
            Standing::LeaveAlone(wait) => {
                let mut pause = held(&self.0.pause);
                let until = Instant::now() + wait;
                pause.until = pause.until.max(Some(until));
                pause.strikes = pause.strikes.saturating_add(1);
                tracing::warn!(service = what, seconds = wait.as_secs(), %status, "asks to be left alone");
                Err(Error::unavailable(what, told(), Some(wait)))
            }
            Standing::Failed(wait) => Err(Error::unavailable(what, told(), wait)),
            Standing::NotKnown => {
                let reason = format!("its token is not accepted ({}); give it one that is valid", told());
                Err(Error::unavailable(what, reason, None))
            }
            Standing::Moved => Err(Error::refused(
                what,
                format_args!("{status}: it has moved; give the new address, or the repository's new name"),
            )),
        }
    }

    /// Refuses to ask while the service wants to be left alone.
    fn left_alone(&self) -> Result<()> {
        let until = held(&self.0.pause).until;
        let left = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Ok(());
        }
        Err(Error::unavailable(self.0.what, "asked to be left alone", Some(left)))
    }

    fn went_well(&self) {
        held(&self.0.pause).strikes = 0;
    }

    fn keep(&self, key: Key, status: StatusCode, headers: &HeaderMap, body: &Bytes, next: Option<Url>) {
        let mut cache = held(&self.0.cache);
        let Some(etag) = headers.get(ETAG).cloned().filter(|_| status == StatusCode::OK) else {
            return cache.forget(&key);
        };
        let kept = [CONTENT_TYPE, ETAG].into_iter();
        let headers = kept.filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))).collect();
        cache.keep(key, Kept { etag, status, headers, body: body.clone(), next });
    }
}

/// The items of all pages.
///
/// # Errors
///
/// When a page is not 2xx or cannot be read.
pub(crate) fn whole<T: DeserializeOwned>(pages: &[Answer]) -> Result<Vec<T>> {
    let mut items = Vec::new();
    for page in pages {
        if !page.is_success() {
            return Err(page.refused());
        }
        items.extend(page.json::<Vec<T>>()?);
    }
    Ok(items)
}

/// What went wrong, down to its cause, without the address: a query may hold what is nobody's business.
fn without_address(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn redacted(secret: &Option<Secret>, text: &str) -> String {
    secret.as_ref().map_or_else(|| text.to_owned(), |secret| secret.redacted(text))
}

/// The body of an error, which is shown to people, should it repeat the credential.
fn redacted_body(secret: &Option<Secret>, body: Bytes) -> Bytes {
    match (secret, std::str::from_utf8(&body)) {
        (Some(secret), Ok(text)) if text.contains(secret.expose()) => secret.redacted(text).into(),
        _ => body,
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.0.base.as_str();
        f.debug_struct("Client").field("what", &self.0.what).field("base", &base).finish_non_exhaustive()
    }
}
