//! The streams and pages of a session's events.

use std::time::Duration;

use claude_exec::http::{Body, detail, event_stream, json, sse};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode};
use serde_json::{json as object, value::RawValue};

use super::Breakglass;
use super::sessions::{find, ready};
use crate::access::Principal;
use crate::attach::{self, Attach, LegacyCursor};
use crate::log::{Entry, EventId, Resume};

/// Events of a page when the request does not say, and at most.
const PAGE: usize = 200;
const MAX_PAGE: usize = 500;

/// The original's silence between two comments.
const LEGACY_KEEPALIVE: Duration = Duration::from_secs(20);

const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

type Answer = Result<Response<Body>, Response<Body>>;

pub(super) async fn follow<B>(
    shell: &Breakglass,
    caller: &Principal,
    id: &str,
    request: &Request<B>,
) -> Answer {
    let session = find(shell, id)?;
    let query = request.uri().query().unwrap_or_default();
    let cursor = cursor(request.headers(), query)?;
    let resume = session.resume(cursor).await.map_err(|_| {
        detail(StatusCode::BAD_REQUEST, "the cursor is of another session; attach without one")
    })?;
    let head = session.journal().read(|window| window.head());
    if session.is_closed() && resume == Resume::Ok(head) && head != EventId::ORIGIN {
        // The only stop that an EventSource knows.
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    let attach = Attach::new(jitter()).pad(parameter(query, "pad") == Some("1"));
    let attach = shell.stream_for(caller, attach);
    let mut response = event_stream(attach::follow(&session, resume, attach));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
    Ok(response)
}

#[expect(clippy::result_large_err, reason = "the refusal is the response itself")]
pub(super) fn follow_legacy(shell: &Breakglass, id: &str, headers: &HeaderMap) -> Answer {
    let session = find(shell, id)?;
    let cursor = LegacyCursor::read(sse::last_event_id(headers));
    Ok(event_stream(attach::follow_legacy(&session, cursor, LEGACY_KEEPALIVE)))
}

#[expect(clippy::result_large_err, reason = "the refusal is the response itself")]
pub(super) fn page(shell: &Breakglass, id: &str, query: Option<&str>) -> Answer {
    let session = find(shell, id)?;
    let query = query.unwrap_or_default();
    let before = match parameter(query, "before") {
        Some(text) => Some(text.parse::<EventId>().map_err(|error| malformed(&error.to_string()))?),
        None => None,
    };
    let limit = match parameter(query, "limit") {
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=MAX_PAGE).contains(limit))
            .ok_or_else(|| malformed("limit must be a number from 1 to 500"))?,
        None => PAGE,
    };
    let (first, head) = session.journal().read(|window| (window.first(), window.head()));
    let events: Vec<_> = session.page(before, limit).iter().map(shown).collect();
    let page = object!({ "first": first.to_string(), "head": head.to_string(), "events": events });
    Ok(ready(page.to_string()))
}

fn shown(entry: &Entry) -> serde_json::Value {
    let data: Option<&RawValue> = serde_json::from_str(entry.data()).ok();
    object!({ "id": entry.id().to_string(), "event": entry.name(), "data": data })
}

/// The cursor of a request: the header wins, as an EventSource sends it with the URL it was first given.
#[expect(clippy::result_large_err, reason = "the refusal is the response itself")]
fn cursor(headers: &HeaderMap, query: &str) -> Result<Option<EventId>, Response<Body>> {
    let mut values = headers.get_all(sse::LAST_EVENT_ID).iter();
    let text = match (values.next(), values.next()) {
        (Some(_), Some(_)) => return Err(malformed("more than one Last-Event-ID")),
        (Some(value), None) => Some(value.to_str().map_err(|_| malformed("Last-Event-ID is no event's id"))?),
        (None, _) => parameter(query, "after"),
    };
    match text.filter(|text| !text.is_empty()) {
        Some(text) => text.parse().map(Some).map_err(|_: crate::log::CursorError| {
            malformed("the cursor must be an event's id, such as 7-41")
        }),
        None => Ok(None),
    }
}

fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn malformed(text: &str) -> Response<Body> {
    json(StatusCode::BAD_REQUEST, &object!({ "detail": text }))
}

/// From 0 to 1, different for each stream.
fn jitter() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_wins_and_what_is_no_cursor_is_refused() {
        let read = |headers: &[&str], query: &str| {
            let mut map = HeaderMap::new();
            for value in headers {
                map.append(sse::LAST_EVENT_ID, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            cursor(&map, query).map_err(|response| response.status().as_u16())
        };
        let id = |epoch, seq| Ok(Some(EventId::new(epoch, seq)));
        assert_eq!(read(&[], ""), Ok(None));
        assert_eq!(read(&[], "after=7-41"), id(7, 41));
        assert_eq!(read(&["7-42"], "after=7-41&pad=1"), id(7, 42));
        assert_eq!(read(&[""], "after=7-41"), Ok(None));
        for (headers, query) in [
            (&["-3"][..], ""),
            (&["1_0"], ""),
            (&["9999"], ""),
            (&["7-1", "7-2"], ""),
            (&["é"], ""),
            (&[], "after=x"),
            (&[], "after=7-41%20"),
        ] {
            assert_eq!(read(headers, query), Err(400), "{headers:?} {query}");
        }
    }
}
