//! The one way every request goes: id, route, caller, answer, log line.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use claude_exec::Error;
use claude_exec::http::{AuthError, Body, KeyName, REQUEST_ID, RequestId, detail, unauthorized};
use claude_exec_openai::{AnswerEnd, ApiError, from_error, refusal};
use futures::FutureExt;
use http::header::{ALLOW, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tower_service::Service;
use tracing::Instrument;

use super::table::Route;
use super::{conversational, jobs, status};
use crate::app::App;
use crate::phase::Phase;

/// Where Anthropic's clients put their key.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Answers a request.
pub async fn answer(app: Arc<App>, mut request: Request<Incoming>) -> Response<Body> {
    let id = RequestId::of(request.headers());
    let header = id.to_header();
    // What is mounted finds the same id.
    request.headers_mut().insert(REQUEST_ID, header.clone());
    let path = request.uri().path().to_owned();
    let route = Route::find(request.method(), &path);
    let mut account = Account::open(app.clone(), id.clone(), request.method(), route);
    let span = account.span();
    let mut response = match admit(&app, route, &path, request.headers(), &account.id) {
        Ok(caller) => {
            account.caller = caller;
            let caller = account.caller.as_ref().map_or("", KeyName::as_str);
            let answered = AssertUnwindSafe(respond(&app, route, caller, request, &id).instrument(span));
            // A bug in one request is a 500 there, and nobody else's matter.
            answered.catch_unwind().await.unwrap_or_else(|_| broken(&path, &id))
        }
        Err(refusal) => refusal,
    };
    response.headers_mut().insert(REQUEST_ID, header);
    account.head(response.status());
    // A stream's status line says nothing about its end.
    match response.extensions_mut().remove::<AnswerEnd>() {
        None => response,
        Some(end) => {
            account.end = Some(end);
            response.map(|body| body.holding(account))
        }
    }
}

/// Who is calling; whoever is not known learns nothing, not even which paths there are.
#[expect(clippy::result_large_err, reason = "the refusal is the response itself")]
fn admit(
    app: &App,
    route: Route<'_>,
    path: &str,
    headers: &HeaderMap,
    id: &RequestId,
) -> Result<Option<KeyName>, Response<Body>> {
    let open = match route {
        Route::Health | Route::Ready => true,
        Route::Metrics => app.config.public_metrics,
        _ => false,
    };
    if open {
        return Ok(None);
    }
    let keyring = &app.config.keyring;
    let known = match route {
        Route::OpenAi => keyring.authenticate_or(headers, &API_KEY),
        _ => keyring.authenticate(headers),
    };
    match known {
        Ok(name) => Ok(Some(name.clone())),
        Err(error) if path.starts_with("/v1") => Err(openai_unauthorized(path, error, id)),
        Err(error) => Err(unauthorized(error)),
    }
}

async fn respond(
    app: &Arc<App>,
    route: Route<'_>,
    caller: &str,
    request: Request<Incoming>,
    id: &RequestId,
) -> Response<Body> {
    let path = request.uri().path();
    let draining = app.phases.now() > Phase::Serving;
    match route {
        Route::Health => status::health(app),
        Route::Ready => status::ready(app),
        Route::Metrics => status::metrics(app),
        Route::OpenApi => status::openapi(),
        // Who cancels helps to drain.
        Route::Conversational | Route::OpenAi
            if draining && request.method() == Method::POST && !path.ends_with("/cancel") =>
        {
            refusal(path, &from_error(&Error::stopped()), id)
        }
        Route::Execute if draining => detail(StatusCode::SERVICE_UNAVAILABLE, "Shutting down"),
        Route::Execute => jobs::execute(app, caller, request).await,
        Route::Jobs => jobs::list(app).await,
        Route::Job(id) => jobs::get(app, id).await,
        Route::CancelJob(id) => jobs::cancel(app, id).await,
        Route::JobEvents(id) => jobs::events(app, id, request.headers()).await,
        Route::Conversational => conversational::turn(app, caller, request).await,
        Route::OpenAi => {
            let Ok(response) = app.openai.clone().call(request).await;
            response
        }
        Route::Method(allowed) => wrong_method(path, allowed),
        Route::Unknown => detail(StatusCode::NOT_FOUND, "Not Found"),
    }
}

fn broken(path: &str, id: &RequestId) -> Response<Body> {
    tracing::error!("a request panicked");
    if path.starts_with("/v1") {
        refusal(path, &ApiError::new(500, "server_error", "internal error").code("internal_error"), id)
    } else {
        detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    }
}

fn wrong_method(path: &str, allowed: &'static str) -> Response<Body> {
    let mut response = if path.starts_with("/v1") {
        ApiError::new(405, "invalid_request_error", format!("this path takes {allowed}")).to_response()
    } else {
        detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
    };
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn openai_unauthorized(path: &str, error: AuthError, id: &RequestId) -> Response<Body> {
    let answer = ApiError::new(401, "invalid_request_error", error.to_string()).code("invalid_api_key");
    let mut response = refusal(path, &answer, id);
    response.headers_mut().insert(WWW_AUTHENTICATE, error.challenge());
    response
}

/// What becomes of one request, told once: when it is answered, or when its caller leaves before.
struct Account {
    app: Arc<App>,
    id: RequestId,
    method: Method,
    route: &'static str,
    caller: Option<KeyName>,
    began: Instant,
    status: Option<StatusCode>,
    /// What becomes of a stream.
    end: Option<AnswerEnd>,
}

impl Account {
    fn open(app: Arc<App>, id: RequestId, method: &Method, route: Route<'_>) -> Self {
        let (method, route) = (method.clone(), route.name());
        Self { app, id, method, route, caller: None, began: Instant::now(), status: None, end: None }
    }

    fn span(&self) -> tracing::Span {
        tracing::info_span!("request", id = %self.id, route = self.route)
    }

    fn head(&mut self, status: StatusCode) {
        self.status = Some(status);
        self.app.metrics.head(self.route, self.began.elapsed());
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        // 499, as nginx writes it: the caller hung up before there was an answer, or before a stream's end.
        let status = match &self.end {
            Some(end) => end.status(),
            None => self.status.map(|status| status.as_u16()),
        };
        let status = status.unwrap_or(499);
        let took = self.began.elapsed();
        self.app.metrics.answered(self.route, status);
        tracing::info!(
            id = %self.id,
            method = %self.method,
            route = self.route,
            status,
            caller = self.caller.as_ref().map(KeyName::as_str),
            ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "request"
        );
    }
}
