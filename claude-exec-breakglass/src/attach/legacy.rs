//! The original service's stream: integer ids from 0, its event kinds, its bytes.
//!
//! What it had no word for comes under new kinds, which its page ignores.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use crate::log::{Entry, EventId, Read};
use crate::session::{Event, Session};

/// Between the replay and what is new; carries no id.
const CAUGHT_UP: &[u8] = b"event: caught-up\ndata: {}\n\n";

const KEEPALIVE: &[u8] = b": keepalive\n\n";

/// Where a reader of this stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegacyCursor(u64);

impl LegacyCursor {
    /// Reads a `Last-Event-ID`: the number of the last event seen. Anything else is a replay from the start, as in
    /// the original; so is, other than there, a number below 0, or with an underscore, or beyond the log.
    pub fn read(text: Option<&str>) -> Self {
        let number = text.filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
        Self(number.and_then(|text| text.parse::<u64>().ok()).map_or(0, |last| last.saturating_add(1)))
    }
}

/// Follows `session` from a cursor on. It ends when the session is closed or the server drains.
pub fn follow(
    session: &Session,
    cursor: LegacyCursor,
    keepalive: Duration,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let journal = session.journal();
    let head = journal.head();
    let (newest, first) = journal.read(|window| (window.head().seq, window.first().seq));
    let seq = if cursor.0 > newest { 0 } else { cursor.0 }.max(first.saturating_sub(1));
    let session = session.clone();
    let state = (session, head, seq, false);
    futures::stream::unfold(state, move |(session, mut head, mut seq, mut caught_up)| async move {
        loop {
            head.borrow_and_update();
            let is_over = session.is_finished() || session.is_draining();
            let read = session.journal().read(|window| match window.read(EventId { epoch: 0, seq }, 1) {
                Read::Blocks(..) => window.after(EventId { epoch: 0, seq }).next().cloned(),
                Read::Overtaken { .. } => window.entries().next().cloned(),
                Read::AtHead => None,
            });
            let bytes = match read {
                Some(entry) => {
                    seq = entry.id().seq;
                    block(&entry)
                }
                None if !caught_up => {
                    caught_up = true;
                    Bytes::from_static(CAUGHT_UP)
                }
                None if is_over => return None,
                None => {
                    if timeout(keepalive, head.changed()).await.is_ok() {
                        continue;
                    }
                    Bytes::from_static(KEEPALIVE)
                }
            };
            return Some((bytes, (session, head, seq, caught_up)));
        }
    })
}

/// One event as the original writes it: its data, `kind` first and `id` last.
fn block(entry: &Entry) -> Bytes {
    let id = entry.id().seq.saturating_sub(1);
    let (kind, fields) = translate(entry);
    let mut data = String::from("{\"kind\": ");
    write_json(&mut data, &json!(kind));
    for (name, value) in fields {
        data.push_str(", ");
        write_json(&mut data, &json!(name));
        data.push_str(": ");
        write_json(&mut data, &value);
    }
    Bytes::from(format!("id: {id}\ndata: {data}, \"id\": {id}}}\n\n"))
}

/// The original's words for an event.
fn translate(entry: &Entry) -> (String, Vec<(&'static str, Value)>) {
    let (kind, fields) = match Event::of(entry) {
        Some(Event::User(user)) => ("user", vec![("text", json!(user.text))]),
        Some(Event::Session(session)) => ("session", vec![("session_id", json!(session.session_id))]),
        Some(Event::Delta(piece)) => ("text", vec![("text", json!(piece.text))]),
        Some(Event::Tool(tool)) => ("tool", vec![("name", json!(tool.name)), ("input", tool.input)]),
        Some(Event::Result(result)) => (
            "result",
            vec![
                ("is_error", json!(result.is_error)),
                ("result", json!(result.result)),
                ("duration_ms", json!(result.duration_ms)),
            ],
        ),
        Some(Event::Error(error)) => ("error", vec![("error", json!(error.error))]),
        Some(Event::Cancelled(_)) => ("cancelled", vec![]),
        Some(Event::TurnEnd(_)) => ("turn_end", vec![]),
        _ => {
            let data = serde_json::from_str::<Value>(entry.data()).unwrap_or_default();
            return (entry.name().to_owned(), vec![("data", data)]);
        }
    };
    (kind.to_owned(), fields)
}

/// JSON as Python's `json.dumps` writes it by default: blanks after `,` and `:`, and only ASCII.
fn write_json(out: &mut String, value: &Value) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                write_json(out, item);
            }
            out.push(']');
        }
        Value::Object(fields) => write_object(out, fields),
        Value::String(text) => write_text(out, text),
        plain => {
            let _ = write!(out, "{plain}");
        }
    }
}

fn write_object(out: &mut String, fields: &Map<String, Value>) {
    out.push('{');
    for (at, (name, value)) in fields.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { ", " });
        write_text(out, name);
        out.push_str(": ");
        write_json(out, value);
    }
    out.push('}');
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            c => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::event::{Piece, User};

    fn written(seq: u64, event: &Event) -> Bytes {
        block(&Entry::new(EventId::new(3, seq), event.name(), &event.data()))
    }

    #[test]
    fn frames_are_the_originals_to_the_byte() {
        let user = User { at: 1, turn: 1, text: "да \"x\"\n\u{1f600}".into(), by: "me".into(), key: None };
        assert_eq!(
            written(1, &Event::User(user)),
            "id: 0\ndata: {\"kind\": \"user\", \"text\": \"\\u0434\\u0430 \\\"x\\\"\\n\\ud83d\\ude00\", \"id\": 0}\n\n"
        );
        let piece = Piece { at: 1, turn: 1, block: 0, text: "hi".into() };
        assert_eq!(
            written(5, &Event::Delta(piece)),
            "id: 4\ndata: {\"kind\": \"text\", \"text\": \"hi\", \"id\": 4}\n\n"
        );
        let unknown = Entry::new(EventId::new(1, 2), "retract", r#"{"b":[1,{"x":null}],"a":true}"#);
        assert_eq!(
            block(&unknown),
            "id: 1\ndata: {\"kind\": \"retract\", \"data\": {\"b\": [1, {\"x\": null}], \"a\": true}, \"id\": 1}\n\n"
        );
    }

    #[test]
    fn c26_only_a_number_is_a_cursor() {
        let table =
            [(None, 0), (Some("0"), 1), (Some("41"), 42), (Some("-3"), 0), (Some("1_0"), 0), (Some("x"), 0)];
        for (text, expected) in table {
            assert_eq!(LegacyCursor::read(text), LegacyCursor(expected), "{text:?}");
        }
    }
}
