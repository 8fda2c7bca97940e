//! The power routes: what a request asks for, and what is done about it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use claude_exec::http::{Body, BodyLimit, detail, json, read_body};
use http::header::{ALLOW, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json as object;

use super::operations::Refusal;
use super::{Power, Verb, answers};
use crate::access::{Principal, Scope};

/// The largest body of these routes: a verb and a reason.
const BODY_BYTES: u64 = 16 * 1024;

/// How long a commit is waited for when the request does not say: shorter than any proxy's patience.
const WAIT: Duration = Duration::from_secs(25);

/// The longest that a request may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The longest idempotency key.
const KEY_BYTES: usize = 255;

/// What is recorded for a verb that came in one step without a reason.
const NO_REASON: &str = "(none given: one step)";

/// A power route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Route<'p> {
    /// `GET /api/pve/verbs`
    Verbs,
    /// `GET /api/pve/status`
    Overview,
    /// `POST /api/pve/{verb}`, in the original's way.
    Verb(&'p str),
    /// `POST /api/pve/prepare`
    Prepare,
    /// `POST /api/pve/commit`
    Commit,
    /// `GET /api/pve/operations/{id}`
    Operation(&'p str),
    /// A path of these with another method, and the methods it has.
    Method(&'static str),
}

impl<'p> Route<'p> {
    /// The route of a request, when it is one of these.
    pub fn find(method: &Method, path: &'p str) -> Option<Self> {
        let rest = path.strip_prefix("/api/pve/")?;
        let (get, post) = match rest {
            "verbs" => (Some(Self::Verbs), None),
            "status" => (Some(Self::Overview), Some(Self::Verb(rest))),
            "prepare" => (None, Some(Self::Prepare)),
            "commit" => (None, Some(Self::Commit)),
            _ => match rest.strip_prefix("operations/") {
                Some(id) if !id.is_empty() && !id.contains('/') => (Some(Self::Operation(id)), None),
                _ if rest.is_empty() || rest.contains('/') => return None,
                _ => (None, Some(Self::Verb(rest))),
            },
        };
        let route = match *method {
            Method::GET | Method::HEAD => get,
            Method::POST => post,
            _ => None,
        };
        Some(route.unwrap_or(Self::Method(match (get, post) {
            (Some(_), Some(_)) => "GET, HEAD, POST",
            (Some(_), None) => "GET, HEAD",
            _ => "POST",
        })))
    }

    /// What its caller has to be allowed.
    pub fn scope(self) -> Scope {
        match self {
            Self::Prepare | Self::Commit => Scope::Power,
            Self::Verb(name) if name.parse().is_ok_and(Verb::is_mutating) => Scope::Power,
            _ => Scope::Read,
        }
    }

    /// A name for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verbs => "/api/pve/verbs",
            Self::Overview => "/api/pve/status",
            Self::Verb(_) => "/api/pve/{verb}",
            Self::Prepare => "/api/pve/prepare",
            Self::Commit => "/api/pve/commit",
            Self::Operation(_) => "/api/pve/operations/{id}",
            Self::Method(_) => "method",
        }
    }
}

/// Answers a request to one of these routes, of a caller who was admitted with its [`scope`](Route::scope).
///
/// # Cancel safety
///
/// Dropping the future never stops an operation that was committed.
pub async fn respond<B>(
    power: &Power,
    route: Route<'_>,
    caller: &Principal,
    request: Request<B>,
) -> Response<Body>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    match route {
        Route::Verbs => verbs(power),
        Route::Overview => json(StatusCode::OK, &power.overview().await),
        Route::Verb(name) => match name.parse() {
            Ok(Verb::Status) => answers::reading(Verb::Status, &power.status().await),
            Ok(Verb::Forensics) => answers::reading(Verb::Forensics, &power.forensics().await),
            Ok(verb) => one_step(power, verb, caller, request).await,
            Err(_) => detail(StatusCode::BAD_REQUEST, &format!("unknown verb '{}'", shown(name))),
        },
        Route::Prepare => prepare(power, caller, request).await,
        Route::Commit => commit(power, caller, request).await,
        Route::Operation(id) => match power.wait(id, wait(request.headers()).unwrap_or_default()).await {
            Some(operation) => answers::operation(&operation),
            None => detail(StatusCode::NOT_FOUND, "no such operation"),
        },
        Route::Method(allowed) => {
            let mut response = detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
            response
        }
    }
}

fn verbs(power: &Power) -> Response<Body> {
    let mutating: Vec<Verb> = Verb::ALL.into_iter().filter(|verb| verb.is_mutating()).collect();
    json(StatusCode::OK, &object!({ "verbs": Verb::ALL, "mutating": mutating, "vmid": power.vmid() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrepareBody {
    verb: Verb,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommitBody {
    nonce: String,
    #[serde(default)]
    phrase: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OneStepBody {
    reason: Option<String>,
}

async fn prepare<B>(power: &Power, caller: &Principal, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let PrepareBody { verb, reason } = match body(request).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    match power.prepare(&caller.actor(), verb, &reason).await {
        Ok(prepared) => json(StatusCode::OK, &prepared),
        Err(refusal) => answers::refusal(&refusal),
    }
}

async fn commit<B>(power: &Power, caller: &Principal, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let Some(key) = key(request.headers()) else {
        let hint = "one Idempotency-Key of 1 to 255 visible characters is needed: a new one for each press";
        return detail(StatusCode::BAD_REQUEST, hint);
    };
    let patience = wait(request.headers()).unwrap_or(WAIT);
    let CommitBody { nonce, phrase } = match body(request).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    match power.commit(&caller.actor(), &nonce, phrase.as_deref(), &key).await {
        Ok(operation) => match power.wait(&operation.id, patience).await {
            Some(operation) => answers::operation(&operation),
            None => answers::operation(&operation),
        },
        Err(refusal) => answers::refusal(&refusal),
    }
}

/// The original's way: no preparing. Only for programs that hold a key: a person in a browser sees first what it
/// does, and what a browser sends by itself must not be enough.
async fn one_step<B>(power: &Power, verb: Verb, caller: &Principal, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    if caller.is_ambient() {
        let hint = "prepare and commit it: /api/pve/prepare; one step is for bearer keys";
        return detail(StatusCode::FORBIDDEN, hint);
    }
    let limit = BodyLimit::default().bytes(BODY_BYTES);
    let (parts, body) = request.into_parts();
    let body = match read_body(&parts.headers, body, limit).await {
        Ok(body) => body,
        Err(error) => return detail(error.status(), &error.to_string()),
    };
    // The original takes any body and looks at none.
    let reason = serde_json::from_slice::<OneStepBody>(&body).ok().and_then(|body| body.reason);
    match power.begin(&caller.actor(), verb, reason.as_deref().unwrap_or(NO_REASON)).await {
        Ok(operation) => match power.wait(&operation.id, Duration::MAX).await {
            Some(operation) => answers::one_step(&operation),
            None => answers::one_step(&operation),
        },
        Err(refusal) => answers::refusal(&refusal),
    }
}

/// Reads a JSON body of the right shape.
async fn body<T: DeserializeOwned, B>(request: Request<B>) -> Result<T, Response<Body>>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let limit = BodyLimit::default().bytes(BODY_BYTES);
    let (parts, body) = request.into_parts();
    let body = read_body(&parts.headers, body, limit).await;
    let body = body.map_err(|error| detail(error.status(), &error.to_string()))?;
    serde_json::from_slice(&body)
        .map_err(|error| answers::refusal(&Refusal::Invalid(format!("the body cannot be used: {error}"))))
}

/// The one idempotency key (draft-ietf-httpapi-idempotency-key-header-07, with or without its quotes).
fn key(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all("idempotency-key").iter();
    let (value, more) = (values.next()?.to_str().ok()?, values.next());
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let sane = (1..=KEY_BYTES).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic());
    (sane && more.is_none()).then(|| value.to_owned())
}

/// How long the caller prefers to wait (RFC 7240 section 4.3).
pub(crate) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = preferences.flat_map(|value| value.split([',', ';'])).map(str::trim);
    let seconds = preferences.find_map(|preference| preference.strip_prefix("wait=")?.parse().ok())?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

fn shown(name: &str) -> String {
    crate::redact::plain(name).chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_found_with_their_scope() {
        let table = [
            ("GET", "/api/pve/verbs", Some(Route::Verbs), Scope::Read),
            ("GET", "/api/pve/status", Some(Route::Overview), Scope::Read),
            ("POST", "/api/pve/status", Some(Route::Verb("status")), Scope::Read),
            ("POST", "/api/pve/forensics", Some(Route::Verb("forensics")), Scope::Read),
            ("POST", "/api/pve/reset", Some(Route::Verb("reset")), Scope::Power),
            ("POST", "/api/pve/cycle", Some(Route::Verb("cycle")), Scope::Power),
            ("POST", "/api/pve/destroy", Some(Route::Verb("destroy")), Scope::Read),
            ("POST", "/api/pve/prepare", Some(Route::Prepare), Scope::Power),
            ("POST", "/api/pve/commit", Some(Route::Commit), Scope::Power),
            ("GET", "/api/pve/operations/x", Some(Route::Operation("x")), Scope::Read),
            ("GET", "/api/pve/reset", Some(Route::Method("POST")), Scope::Read),
            ("HEAD", "/api/pve/verbs", Some(Route::Verbs), Scope::Read),
            ("DELETE", "/api/pve/status", Some(Route::Method("GET, HEAD, POST")), Scope::Read),
            ("OPTIONS", "/api/pve/commit", Some(Route::Method("POST")), Scope::Read),
            ("POST", "/api/pve/verbs", Some(Route::Method("GET, HEAD")), Scope::Read),
            ("GET", "/api/pve/", None, Scope::Read),
            ("GET", "/api/pve/operations/", None, Scope::Read),
            ("POST", "/api/pve/reset/now", None, Scope::Read),
            ("POST", "/api/session", None, Scope::Read),
        ];
        for (method, path, route, scope) in table {
            let found = Route::find(&method.parse().unwrap(), path);
            assert_eq!(found, route, "{method} {path}");
            assert!(found.is_none_or(|found| found.scope() == scope), "{method} {path}");
        }
    }

    #[test]
    fn one_sane_key_and_a_bounded_wait() {
        let headers = |pairs: &[(&str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
            }
            headers
        };
        let long = "k".repeat(KEY_BYTES + 1);
        let keys = [
            (vec!["a-b"], Some("a-b")),
            (vec!["\"a-b\""], Some("a-b")),
            (vec![], None),
            (vec![""], None),
            (vec!["a b"], None),
            (vec!["a", "a"], None),
            (vec![long.as_str()], None),
        ];
        for (values, expected) in keys {
            let pairs: Vec<_> = values.iter().map(|value| ("idempotency-key", *value)).collect();
            assert_eq!(key(&headers(&pairs)).as_deref(), expected, "{values:?}");
        }
        let waits = [
            ("wait=5", Some(5)),
            ("respond-async, wait=7", Some(7)),
            ("wait=99999", Some(60)),
            ("wait=x", None),
            ("wait=-1", None),
            ("", None),
        ];
        for (value, expected) in waits {
            assert_eq!(wait(&headers(&[("prefer", value)])), expected.map(Duration::from_secs), "{value}");
        }
    }
}
