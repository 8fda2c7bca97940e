//! What the routes answer: statuses and bodies.

use claude_exec::http::{Body, json};
use http::header::{HeaderValue, LOCATION, RETRY_AFTER};
use http::{Response, StatusCode};
use serde_json::{Value, json as object};

use super::operations::{Operation, Refusal};
use super::{Outcome, Reading, State, Verb};

/// When to come back after too many verbs, in seconds.
const COME_BACK: &str = "300";

/// The original's object, and what was seen beside it.
pub(super) fn reading(verb: Verb, reading: &Reading) -> Response<Body> {
    let said = reading.observed.is_some();
    let code = reading.exit_code;
    let stderr = if said { reading.stderr.clone() } else { reading.verdict.detail.clone() };
    let advice = reading.observed.as_ref().map(super::Observed::advice);
    let body = object!({
        "verb": verb,
        "exit_code": code,
        "stdout": reading.text,
        "stderr": stderr,
        "rejected": false,
        "vm": reading.observed,
        "advice": advice.map(|(words, _)| words),
        "advised": advice.and_then(|(_, verb)| verb),
        "truncated": reading.truncated,
        "age_s": reading.at.elapsed().as_secs(),
    });
    json(by_code(code), &body)
}

/// The original's object for a verb that was done in one step.
pub(super) fn one_step(operation: &Operation) -> Response<Body> {
    let code = match operation.outcome {
        None | Some(Outcome::Unknown) => None,
        // What ssh itself ends with.
        Some(Outcome::NotSent) => Some(255),
        Some(_) => operation.rc,
    };
    let detail = operation.detail.clone().unwrap_or_default();
    let (stdout, stderr) = match code {
        Some(0) => (operation.stdout.clone(), String::new()),
        _ => (operation.stdout.clone(), detail.clone()),
    };
    let body = object!({
        "verb": operation.verb,
        "exit_code": code,
        "stdout": stdout,
        "stderr": stderr,
        "rejected": false,
        "operation": operation.id,
        "outcome": operation.outcome,
        "detail": detail,
        "recorded": operation.recorded,
    });
    json(by_code(code), &body)
}

fn by_code(code: Option<i32>) -> StatusCode {
    if code == Some(0) { StatusCode::OK } else { StatusCode::BAD_GATEWAY }
}

/// An operation: 200 once it has ended, whatever came of it, and 202 before.
pub(super) fn operation(operation: &Operation) -> Response<Body> {
    let ended = operation.state == State::Ended;
    let mut response = json(if ended { StatusCode::OK } else { StatusCode::ACCEPTED }, operation);
    if !ended && let Ok(place) = HeaderValue::from_str(&format!("/api/pve/operations/{}", operation.id)) {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}

/// A refusal, with a word that programs can read.
pub(crate) fn refusal(refusal: &Refusal) -> Response<Body> {
    let (status, code, more) = match refusal {
        Refusal::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", None),
        Refusal::Busy(operation) => (StatusCode::CONFLICT, "busy", Some(("operation", object!(operation)))),
        Refusal::InFlight(operation) => {
            (StatusCode::CONFLICT, "in_flight", Some(("operation", object!(operation))))
        }
        Refusal::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "key_reused", None),
        Refusal::Expired => (StatusCode::CONFLICT, "expired", None),
        Refusal::WrongPhrase => (StatusCode::UNPROCESSABLE_ENTITY, "phrase", None),
        Refusal::Changed(observed) => {
            (StatusCode::CONFLICT, "changed", Some(("observed", object!(observed))))
        }
        Refusal::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too_many", None),
        Refusal::NotSeen(_) => (StatusCode::BAD_GATEWAY, "not_seen", None),
    };
    let mut body = object!({ "detail": refusal.to_string(), "code": code });
    if let (Some((name, value)), Value::Object(fields)) = (more, &mut body) {
        fields.insert(name.to_owned(), value);
    }
    let mut response = json(status, &body);
    if *refusal == Refusal::TooMany {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(COME_BACK));
    }
    response
}
