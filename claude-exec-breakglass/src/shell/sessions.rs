//! The handlers of the session routes.

use std::fmt;

use bytes::Bytes;
use claude_exec::Error;
use claude_exec::http::{Body, BodyLimit, detail, json, read_body, validation, with_json};
use http::header::{ALLOW, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::json as object;

use super::route::Route;
use super::{Breakglass, decide, events};
use crate::access::Principal;
use crate::audit;
use crate::session::{Begun, Found, Mode, Prompt, Session, event};

/// The largest body of these routes: the longest prompt, in whatever script and escapes.
const BODY_BYTES: u64 = 1024 * 1024;

/// The longest idempotency key.
const KEY_BYTES: usize = 128;

/// The longest name of a model.
const MODEL_BYTES: usize = 100;

/// When to come back after a refusal for want of a place.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");

type Answer = Result<Response<Body>, Response<Body>>;

/// Answers a request to one of these routes, of a caller who was admitted with its [`scope`](Route::scope).
pub(super) async fn respond<B>(
    shell: &Breakglass,
    route: Route<'_>,
    caller: &Principal,
    request: Request<B>,
) -> Response<Body>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let answer = match route {
        Route::List => shell
            .open_sessions()
            .map(|sessions| json(StatusCode::OK, &object!({ "sessions": sessions.list() }))),
        Route::Create => create(shell, caller, request).await,
        Route::Get(id) => find(shell, id).map(|session| json(StatusCode::OK, &session.summary())),
        Route::Patch(id) => patch(shell, caller, id, request).await,
        Route::Close(id) => close(shell, caller, id).await,
        Route::Delete(id) => delete(shell, caller, id).await,
        Route::Events(id) => events::follow(shell, caller, id, &request).await,
        Route::Log(id) => events::page(shell, id, request.uri().query()),
        Route::Prompt(id) => prompt(shell, caller, id, request).await,
        Route::Cancel(id, turn) => cancel(shell, caller, id, turn, request).await,
        Route::Decide(id, card) => decide::respond(shell, caller, id, card, request).await,
        Route::LegacyCreate => legacy_create(shell, caller).await,
        Route::LegacyPrompt(id) => legacy_prompt(shell, caller, id, request).await,
        Route::LegacyCancel(id) => find(shell, id).map(|session| {
            let cancelled = session.cancel(None, &caller.actor().who, false);
            json(StatusCode::OK, &object!({ "cancelled": cancelled }))
        }),
        Route::LegacyStream(id) => events::follow_legacy(shell, id, request.headers()),
        Route::Method(allowed) => {
            let mut response = detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
            Ok(response)
        }
    };
    answer.unwrap_or_else(|refusal| refusal)
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct CreateBody {
    name: Option<String>,
    mode: Mode,
    model: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct PatchBody {
    name: Option<String>,
    mode: Option<Mode>,
    /// `null` is the server's own, and nothing leaves it as it is.
    #[serde(deserialize_with = "given")]
    model: Option<Option<String>>,
}

fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptBody {
    prompt: String,
    #[serde(default)]
    model: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CancelBody {
    force: bool,
}

async fn create<B>(shell: &Breakglass, caller: &Principal, request: Request<B>) -> Answer
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let CreateBody { name, mode, model } = read_or_default(request).await?;
    check_model(model.as_deref())?;
    let session =
        shell.open_sessions()?.create(name.as_deref(), mode, model).await.map_err(|error| refused(&error))?;
    if mode == Mode::Unattended {
        note(shell, caller, session.id(), "unattended").await;
    }
    Ok(json(StatusCode::CREATED, &session.summary()))
}

async fn patch<B>(shell: &Breakglass, caller: &Principal, id: &str, request: Request<B>) -> Answer
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let session = find(shell, id)?;
    let PatchBody { name, mode, model } = read(request).await?;
    check_model(model.as_ref().and_then(Option::as_deref))?;
    let who = caller.actor().who;
    if let Some(name) = name {
        session.rename(&name, &who).await.map_err(|error| refused(&error))?;
    }
    if let Some(mode) = mode {
        note(shell, caller, id, if mode == Mode::Unattended { "unattended" } else { "asks" }).await;
        session.set_mode(mode, &who).await.map_err(|error| refused(&error))?;
    }
    if let Some(model) = model {
        session.set_model(model, &who).await.map_err(|error| refused(&error))?;
    }
    Ok(json(StatusCode::OK, &session.summary()))
}

async fn close(shell: &Breakglass, caller: &Principal, id: &str) -> Answer {
    let session = find(shell, id)?;
    session.close(&caller.actor().who).await.map_err(|error| refused(&error))?;
    Ok(json(StatusCode::OK, &session.summary()))
}

async fn delete(shell: &Breakglass, caller: &Principal, id: &str) -> Answer {
    find(shell, id)?;
    note(shell, caller, id, "deleted").await;
    shell.open_sessions()?.delete(id, &caller.actor().who).await.map_err(|error| refused(&error))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

async fn prompt<B>(shell: &Breakglass, caller: &Principal, id: &str, request: Request<B>) -> Answer
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let session = find(shell, id)?;
    let key = idempotency_key(request.headers())?;
    let begun = begin(caller, &session, key, request).await?;
    let status = if begun.is_new { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok(json(status, &object!({ "turn": begun.turn, "id": begun.id.to_string() })))
}

async fn begin<B>(
    caller: &Principal,
    session: &Session,
    key: Option<String>,
    request: Request<B>,
) -> Result<Begun, Response<Body>>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let PromptBody { prompt: text, model } = read(request).await?;
    check_model(model.as_deref())?;
    let mut prompt = Prompt::new(text, caller.actor().who);
    prompt.model = model;
    prompt.key = key;
    prompt.actor = Some(caller.actor());
    session.prompt(prompt).await.map_err(|error| refused(&error))
}

async fn cancel<B>(
    shell: &Breakglass,
    caller: &Principal,
    id: &str,
    turn: &str,
    request: Request<B>,
) -> Answer
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let session = find(shell, id)?;
    let turn = turn.parse().map_err(|_| detail(StatusCode::NOT_FOUND, "turn not found"))?;
    let CancelBody { force } = read_or_default(request).await?;
    let cancelled = session.cancel(Some(turn), &caller.actor().who, force);
    Ok(json(StatusCode::OK, &object!({ "cancelled": cancelled })))
}

async fn legacy_create(shell: &Breakglass, caller: &Principal) -> Answer {
    let session =
        shell.open_sessions()?.create(None, Mode::Ask, None).await.map_err(|error| refused(&error))?;
    tracing::debug!(session = session.id(), who = caller.actor().who, "session");
    Ok(json(StatusCode::OK, &object!({ "session_id": session.id() })))
}

async fn legacy_prompt<B>(shell: &Breakglass, caller: &Principal, id: &str, request: Request<B>) -> Answer
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let session = find(shell, id)?;
    begin(caller, &session, None, request).await?;
    Ok(json(StatusCode::OK, &object!({ "status": "started" })))
}

/// The session of this id.
#[expect(clippy::result_large_err, reason = "the refusal is the response itself")]
pub(super) fn find(shell: &Breakglass, id: &str) -> Result<Session, Response<Body>> {
    match shell.open_sessions()?.find(id) {
        Found::Session(session) => Ok(session),
        Found::Deleted => Err(detail(StatusCode::GONE, "the session was deleted")),
        Found::Unknown => Err(detail(StatusCode::NOT_FOUND, "session not found")),
    }
}

/// The answer to what a session refuses.
pub(super) fn refused(error: &Error) -> Response<Body> {
    let status = match error {
        error if error.is_invalid() => {
            let field = error.field().unwrap_or_default();
            return validation(field, "value_error", &error.to_string());
        }
        error if error.is_not_found() => StatusCode::NOT_FOUND,
        error if error.is_conflict() => StatusCode::CONFLICT,
        error if error.is_queue_full() => StatusCode::TOO_MANY_REQUESTS,
        // A full disk, or the server's end: nothing was begun.
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = detail(status, &error.to_string());
    if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
    }
    response
}

/// Reads a JSON body of the right shape.
pub(super) async fn read<T: DeserializeOwned, B>(request: Request<B>) -> Result<T, Response<Body>>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let body = bytes(request).await?;
    serde_json::from_slice(&body).map_err(|error| unfit(&error))
}

/// The same, where the body may be left out.
async fn read_or_default<T: DeserializeOwned + Default, B>(request: Request<B>) -> Result<T, Response<Body>>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let body = bytes(request).await?;
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&body).map_err(|error| unfit(&error))
}

async fn bytes<B>(request: Request<B>) -> Result<Bytes, Response<Body>>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let (parts, body) = request.into_parts();
    let body = read_body(&parts.headers, body, BodyLimit::default().bytes(BODY_BYTES)).await;
    body.map_err(|error| detail(error.status(), &error.to_string()))
}

/// Says what is wrong without echoing it: it may be a prompt.
fn unfit(error: &serde_json::Error) -> Response<Body> {
    let message = error.to_string();
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    match missing {
        Some(field) => validation(field, "missing", "Field required"),
        None if error.is_data() => {
            validation("", "value_error", "has a field that is unknown or of the wrong type")
        }
        None => validation("", "json_invalid", "JSON decode error"),
    }
}

#[expect(clippy::result_large_err, reason = "the refusal is the response itself")]
fn check_model(model: Option<&str>) -> Result<(), Response<Body>> {
    // It stands in argv.
    let fits = |model: &str| {
        (1..=MODEL_BYTES).contains(&model.len())
            && !model.starts_with('-')
            && model.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:@[]".contains(&byte))
    };
    if model.is_none_or(fits) {
        return Ok(());
    }
    Err(validation("model", "value_error", "must be a model's name, such as `sonnet`"))
}

/// The one idempotency key, with or without its quotes (draft-ietf-httpapi-idempotency-key-header-07).
#[expect(clippy::result_large_err, reason = "the refusal is the response itself")]
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Response<Body>> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let value = value.to_str().unwrap_or_default();
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let sane = (1..=KEY_BYTES).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic());
    if sane && values.next().is_none() {
        return Ok(Some(value.to_owned()));
    }
    Err(detail(StatusCode::BAD_REQUEST, "Idempotency-Key must be one value of 1 to 128 visible characters"))
}

/// Records what is no power verb: it is done all the same when the record cannot be made, and the log says so.
pub(super) async fn record(shell: &Breakglass, caller: &Principal, event: audit::Event) {
    if let Err(error) = shell.audit().record(caller.actor(), event).await {
        tracing::error!(%error, "the audit could not be written");
    }
}

async fn note(shell: &Breakglass, caller: &Principal, session: &str, what: &str) {
    let event = audit::Event::Session { session: session.to_owned(), what: what.to_owned() };
    record(shell, caller, event).await;
}

/// An answer whose text is ready.
pub(super) fn ready(text: String) -> Response<Body> {
    with_json(StatusCode::OK, text)
}

/// The word for a verdict.
pub(super) fn word(verdict: event::Verdict) -> serde_json::Value {
    serde_json::to_value(verdict).unwrap_or_default()
}
