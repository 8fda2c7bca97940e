//! `/execute` and `/jobs`: agents as jobs, in the original's shapes.

use claude_exec::Error;
use claude_exec::http::{Body, detail, event_stream, json, read_body, sse, validation};
use claude_exec::jobs::{Followed, JobId, JobRequest};
use futures::StreamExt;
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use super::request::{self, Execute};
use crate::app::App;

/// Says that the same request with the same key is the same job (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// No limit of a key counts jobs, so a key with limits starts none.
const LIMITED: &str = "this key has limits, and jobs have none: use a key without limits";

/// Room for a UUID and a name before it.
const MAX_KEY_BYTES: usize = 128;

/// `POST /execute`.
pub async fn execute(app: &App, caller: &str, request: Request<Incoming>) -> Response<Body> {
    if let Some(reason) = app.no_jobs {
        return detail(StatusCode::SERVICE_UNAVAILABLE, reason);
    }
    if app.ledger.limits(caller).is_none_or(|limits| limits.is_limited()) {
        return detail(StatusCode::FORBIDDEN, LIMITED);
    }
    let (head, body) = request.into_parts();
    let key = match key(&head.headers, caller) {
        Ok(key) => key,
        Err(reason) => return detail(StatusCode::BAD_REQUEST, reason),
    };
    let body = match read_body(&head.headers, body, app.body_limit).await {
        Ok(body) => body,
        Err(error) => return detail(error.status(), &error.to_string()),
    };
    let wanted = match request::parse(&body) {
        Ok(wanted) => asked(wanted),
        Err(fault) => return validation(fault.field, fault.kind, &fault.message),
    };
    match app.registry.submit(wanted, key.as_deref()).await {
        Ok(submitted) => {
            let record = submitted.record;
            tracing::info!(job = %record.job_id, agent = record.request.agent, new = submitted.created, "job");
            json(StatusCode::ACCEPTED, &json!({ "job_id": record.job_id, "status": record.status }))
        }
        Err(error) => refused(&error),
    }
}

/// `GET /jobs`: summaries, the newest first. A prompt is shown to those who know the job's id.
pub async fn list(app: &App) -> Response<Body> {
    match app.registry.list().await {
        Ok(jobs) => json(StatusCode::OK, &json!({ "jobs": jobs })),
        Err(error) => refused(&error),
    }
}

/// `GET /jobs/{id}`.
pub async fn get(app: &App, id: &str) -> Response<Body> {
    let record = match JobId::parse(id) {
        Ok(id) => app.registry.get(&id).await,
        Err(error) => Err(error),
    };
    match record {
        Ok(record) => json(StatusCode::OK, &record),
        Err(error) => refused(&error),
    }
}

/// `POST /jobs/{id}/cancel`: answers when nothing of the job runs any more. An ended job stays as it is.
pub async fn cancel(app: &App, id: &str) -> Response<Body> {
    let record = match JobId::parse(id) {
        Ok(id) => app.registry.cancel(&id).await,
        Err(error) => Err(error),
    };
    match record {
        Ok(record) => json(StatusCode::OK, &json!({ "job_id": record.job_id, "status": record.status })),
        Err(error) => refused(&error),
    }
}

/// `GET /jobs/{id}/events`.
pub async fn events(app: &App, id: &str, headers: &HeaderMap) -> Response<Body> {
    match follow(app, id, seen(headers)).await {
        Ok(response) => response,
        Err(error) => refused(&error),
    }
}

async fn follow(app: &App, id: &str, after: u64) -> Result<Response<Body>, Error> {
    let id = JobId::parse(id)?;
    let record = app.registry.get(&id).await?;
    if record.status.is_final() && after > 0 && after == record.last_event {
        // A browser reconnects after every end; 204 tells it to stop (WHATWG HTML section 9.2).
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    let frames = app.registry.follow(&id, after).await?.map(|followed| match followed {
        Followed::Event(event) => sse::Event::data(&event.json).id(event.seq).to_bytes(),
        Followed::Missed(events) => {
            sse::Event::data(&json!({ "kind": "missed", "events": events }).to_string()).to_bytes()
        }
        // The enum may grow; a comment is no event.
        _ => sse::KEEP_ALIVE.into(),
    });
    Ok(event_stream(sse::keep_alive(frames, sse::KEEP_ALIVE_INTERVAL)))
}

/// The number of the last event that the client has seen; anything but a plain number is none.
fn seen(headers: &HeaderMap) -> u64 {
    let digits = |id: &&str| id.bytes().all(|byte| byte.is_ascii_digit());
    sse::last_event_id(headers).filter(digits).and_then(|id| id.parse().ok()).unwrap_or(0)
}

/// The key of an idempotent submission, kept apart by caller.
fn key(headers: &HeaderMap, caller: &str) -> Result<Option<String>, &'static str> {
    const REFUSED: &str = "Idempotency-Key must be one header of 1 to 128 visible ASCII characters";
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().map_err(|_| REFUSED)?.trim();
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if values.next().is_some() || key.is_empty() || key.len() > MAX_KEY_BYTES || !visible {
        return Err(REFUSED);
    }
    Ok(Some(format!("{caller}:{key}")))
}

fn asked(wanted: Execute) -> JobRequest {
    let mut request = JobRequest::new(wanted.agent, wanted.prompt);
    request.max_budget_usd = wanted.max_budget_usd.unwrap_or(request.max_budget_usd);
    request.timeout_seconds = wanted.timeout_seconds.unwrap_or(request.timeout_seconds);
    request.metadata = wanted.metadata;
    request
}

fn refused(error: &Error) -> Response<Body> {
    if let Some(fault) = request::refused(error) {
        return validation(fault.field, fault.kind, &fault.message);
    }
    let (status, text) = if error.is_not_found() {
        (StatusCode::NOT_FOUND, "Job not found")
    } else if error.is_queue_full() {
        let mut response = detail(StatusCode::TOO_MANY_REQUESTS, "Queue full");
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
        return response;
    } else if error.is_conflict() {
        (StatusCode::CONFLICT, "Idempotency-Key was used for another request")
    } else if error.is_stopped() {
        (StatusCode::SERVICE_UNAVAILABLE, "Shutting down")
    } else if error.is_unsupported() {
        (StatusCode::CONFLICT, "Another server runs this job")
    } else {
        tracing::error!(%error, "jobs");
        (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    };
    detail(status, text)
}

#[cfg(test)]
mod tests {
    use claude_exec::http::sse::LAST_EVENT_ID;

    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn a_cursor_is_a_plain_number() {
        let table =
            [("7", 7), ("0", 0), ("-1", 0), ("+1", 0), ("1_0", 0), ("99999999999999999999999", 0), ("x", 0)];
        for (id, expected) in table {
            assert_eq!(seen(&headers(LAST_EVENT_ID, &[id])), expected, "{id}");
        }
        assert_eq!(seen(&HeaderMap::new()), 0);
    }

    #[test]
    fn a_key_is_its_callers_own() {
        let long = "k".repeat(MAX_KEY_BYTES + 1);
        let found = |values: &[&str]| key(&headers(IDEMPOTENCY_KEY, values), "n8n").map_err(drop);
        assert_eq!(found(&[]), Ok(None));
        assert_eq!(found(&["abc"]), Ok(Some("n8n:abc".to_owned())));
        for refused in [&[""][..], &["a b"], &["é"], &[&long], &["a", "a"]] {
            assert_eq!(found(refused), Err(()), "{refused:?}");
        }
    }

    #[test]
    fn each_refusal_has_the_originals_status() {
        let table = [
            (Error::queue_full(3), 429),
            (Error::not_found("job"), 404),
            (Error::conflict("x"), 409),
            (Error::stopped(), 503),
            (Error::unsupported("x"), 409),
            (Error::invalid("prompt", "x"), 422),
            (Error::store("writing the store", "disk full"), 500),
        ];
        for (error, status) in table {
            assert_eq!(refused(&error).status().as_u16(), status, "{error}");
        }
    }
}
