//! Which route answers, and how.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use claude_exec::http::{self as shared, Body, BodyLimit, Keyring, read_body};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use serde::Deserialize;

use super::{access, page, webhook};
use crate::engine::Engine;
use crate::error::Error;
use crate::names::IssueKey;
use crate::run::Mode;

/// The largest body: GitHub sends at most 25 MB, but what wakes a loop may be much smaller, and nothing of it is
/// read.
const BODY_LIMIT: u64 = 25 * 1024 * 1024;

/// The loop's HTTP side. Cheap to clone.
#[derive(Clone)]
pub struct Shell {
    engine: Arc<Engine>,
    keyring: Arc<Keyring>,
    secret: Option<Bytes>,
    banner: Option<&'static str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetMode {
    mode: Mode,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfIssue {
    issue: String,
}

impl Shell {
    /// A shell over `engine` for whoever holds a key; without `secret` there are no webhooks.
    pub fn new(engine: Arc<Engine>, keyring: Keyring, secret: Option<Bytes>) -> Self {
        Self { engine, keyring: Arc::new(keyring), secret, banner: None }
    }

    /// Sets a line above everything on the page, such as that all of it is simulated.
    #[must_use]
    pub fn banner(mut self, text: &'static str) -> Self {
        self.banner = Some(text);
        self
    }

    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: fmt::Display + Send,
    {
        let (head, body) = request.into_parts();
        let read = head.method == Method::GET || head.method == Method::HEAD;
        match head.uri.path() {
            "/health" if read => shared::json(StatusCode::OK, &serde_json::json!({ "status": "ok" })),
            "/afk/style.css" if read => text("text/css", page::STYLE.into()),
            "/afk" | "/afk/status" | "/afk/explain" if read => {
                if let Err(error) = access::reader(&self.keyring, &head.headers) {
                    let mut response = shared::unauthorized(error);
                    let basic = HeaderValue::from_static("Basic realm=\"afk\", charset=\"UTF-8\"");
                    response.headers_mut().append(WWW_AUTHENTICATE, basic);
                    return response;
                }
                self.show(head.uri.path(), head.uri.query().unwrap_or_default()).await.unwrap_or_else(failed)
            }
            "/afk/webhook" if head.method == Method::POST => {
                let Some(secret) = &self.secret else { return not_found() };
                match self.read(&head.headers, body).await {
                    Ok(bytes) if webhook::is_signed(&head.headers, &bytes, secret) => {
                        self.engine.wake();
                        webhook::woken()
                    }
                    Ok(_) => {
                        shared::detail(StatusCode::UNAUTHORIZED, "no signature with the webhook's secret")
                    }
                    Err(response) => response,
                }
            }
            path @ ("/afk/mode" | "/afk/forgive" | "/afk/acknowledge") if head.method == Method::POST => {
                let who = match self.keyring.authenticate(&head.headers) {
                    Ok(who) => who.clone(),
                    Err(error) => return shared::unauthorized(error),
                };
                let bytes = match self.read(&head.headers, body).await {
                    Ok(bytes) => bytes,
                    Err(response) => return response,
                };
                tracing::info!(key = %who, path, "asked");
                self.change(path, &bytes).await.unwrap_or_else(failed)
            }
            "/health" | "/afk" | "/afk/status" | "/afk/explain" | "/afk/style.css" | "/afk/webhook"
            | "/afk/mode" | "/afk/forgive" | "/afk/acknowledge" => {
                shared::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
            }
            _ => not_found(),
        }
    }

    async fn show(&self, path: &str, query: &str) -> Result<Response<Body>, Error> {
        match path {
            "/afk/explain" => {
                let issue: IssueKey = parameter(query, "issue").unwrap_or_default().parse()?;
                let why = self.engine.explain(&issue).await?.to_string();
                Ok(shared::json(StatusCode::OK, &serde_json::json!({ "issue": issue, "why": why })))
            }
            "/afk/status" => Ok(shared::json(StatusCode::OK, &self.engine.status().await?)),
            _ => {
                let status = self.engine.status().await?;
                Ok(text("text/html", page::render(&status, self.engine.config(), self.banner)))
            }
        }
    }

    async fn change(&self, path: &str, body: &[u8]) -> Result<Response<Body>, Error> {
        let unread = |error: serde_json::Error| Error::invalid("body", error.to_string());
        let done = serde_json::json!({ "done": true });
        if path == "/afk/mode" {
            let SetMode { mode } = serde_json::from_slice(body).map_err(unread)?;
            self.engine.set_mode(mode).await?;
            return Ok(shared::json(StatusCode::OK, &done));
        }
        let OfIssue { issue } = serde_json::from_slice(body).map_err(unread)?;
        let issue: IssueKey = issue.parse()?;
        if path == "/afk/forgive" {
            self.engine.forgive(&issue).await?;
        } else if !self.engine.ledger().acknowledge_bell(&issue).await? {
            return Ok(shared::detail(StatusCode::NOT_FOUND, "no bell rang for this issue"));
        }
        Ok(shared::json(StatusCode::OK, &done))
    }

    async fn read<B>(&self, headers: &HeaderMap, body: B) -> Result<Bytes, Response<Body>>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: fmt::Display + Send,
    {
        let limit = BodyLimit::default().bytes(BODY_LIMIT);
        read_body(headers, body, limit)
            .await
            .map_err(|error| shared::detail(error.status(), &error.to_string()))
    }
}

fn not_found() -> Response<Body> {
    shared::detail(StatusCode::NOT_FOUND, "Not Found")
}

fn failed(error: Error) -> Response<Body> {
    let status =
        if error.is_invalid() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::SERVICE_UNAVAILABLE };
    shared::detail(status, &error.to_string())
}

/// A value of a query, percent-decoded.
fn parameter(query: &str, name: &str) -> Option<String> {
    let found = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?;
    percent_encoding::percent_decode_str(found.1).decode_utf8().ok().map(|text| text.into_owned())
}

fn text(kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    let headers = response.headers_mut();
    let kind = if kind == "text/css" { "text/css; charset=utf-8" } else { "text/html; charset=utf-8" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
    );
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response
}

impl fmt::Debug for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shell").field("keyring", &self.keyring).finish_non_exhaustive()
    }
}
