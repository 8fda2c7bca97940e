//! The events of a stream that are no events of the session: they carry no id, so no cursor moves.

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use crate::log::{EventId, Resume, Window};

/// What a client waits before it reconnects.
const RETRY: &str = "retry: 1000\n";

/// The heartbeat: a comment, which every client skips.
pub(super) const HEARTBEAT: &[u8] = b":\n\n";

/// 2 KiB, for proxies that hold back what is less.
pub(super) fn padding() -> Bytes {
    Bytes::from(format!(":{}\n", " ".repeat(2046)))
}

#[derive(Serialize)]
struct Hello<'a> {
    epoch: u64,
    first: String,
    head: String,
    resume: &'a str,
    from: Option<String>,
    heartbeat_s: u64,
    turn: &'a str,
    build: &'a str,
}

/// The first event of every stream: the verdict on the cursor.
pub(super) fn hello(
    epoch: u64,
    (first, head): (EventId, EventId),
    resume: Resume,
    heartbeat_s: u64,
    turn: &str,
) -> Bytes {
    let hello = Hello {
        epoch,
        first: first.to_string(),
        head: head.to_string(),
        resume: resume.as_str(),
        from: resume.cursor().map(|cursor| cursor.to_string()),
        heartbeat_s,
        turn,
        build: env!("CARGO_PKG_VERSION"),
    };
    // Strings and numbers are always JSON.
    let data = serde_json::to_string(&hello).unwrap_or_default();
    Bytes::from(format!("{RETRY}event: hello\ndata: {data}\n\n"))
}

/// Events are lost: what follows is a snapshot.
pub(super) fn gap(from: EventId, window: &Window, lost: u64) -> Bytes {
    let data = json!({"from": from.to_string(), "first": window.first().to_string(), "lost": lost});
    Bytes::from(format!("event: gap\ndata: {data}\n\n"))
}

/// The session in one event, under the id it stands for.
pub(super) fn snapshot(id: EventId, data: &str) -> Bytes {
    Bytes::from(format!("id: {id}\nevent: snapshot\ndata: {data}\n\n"))
}

/// There is nothing more, and there will not be.
pub(super) fn end() -> Bytes {
    Bytes::from_static(b"event: end\ndata: {\"reason\":\"closed\"}\n\n")
}

/// The stream is cut, not at its end: come back.
pub(super) fn bye(reason: &str) -> Bytes {
    Bytes::from(format!("event: bye\ndata: {{\"reason\":\"{reason}\"}}\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_as_the_contract_has_it() {
        let id = EventId::new;
        let bytes = hello(7, (id(7, 1), id(7, 4182)), Resume::Ok(id(7, 4100)), 15, "running");
        let build = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "retry: 1000\nevent: hello\ndata: {{\"epoch\":7,\"first\":\"7-1\",\"head\":\"7-4182\",\"resume\":\"ok\",\
             \"from\":\"7-4100\",\"heartbeat_s\":15,\"turn\":\"running\",\"build\":\"{build}\"}}\n\n"
        );
        assert_eq!(bytes, expected);
        assert_eq!(padding().len(), 2048);
        assert_eq!(
            gap(id(7, 2), &Window::new(crate::log::Bounds::default()), 897),
            "event: gap\ndata: {\"from\":\"7-2\",\"first\":\"0-1\",\"lost\":897}\n\n"
        );
    }
}
