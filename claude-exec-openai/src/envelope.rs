//! The half of a wire that writes: one answer in one format.

use bytes::{BufMut, BytesMut};

use crate::answer::Done;
use crate::error::ApiError;

/// Writes one answer, piece by piece, as the events of a wire.
///
/// The calls come in this order: [`began`](Self::began) at most once and first; then pieces; then either
/// [`finish`](Self::finish) or [`fail`](Self::fail), once and last.
pub trait Envelope {
    /// The model is at work.
    fn began(&mut self, out: &mut BytesMut) {
        let _ = out;
    }

    /// A piece of the answer's text.
    fn text(&mut self, text: &str, out: &mut BytesMut);

    /// A piece of what the model thinks.
    fn reasoning(&mut self, text: &str, out: &mut BytesMut);

    /// A call of a tool of the client's begins.
    fn tool_call(&mut self, id: &str, name: &str, out: &mut BytesMut);

    /// A piece of a call's arguments, as JSON text.
    fn tool_input(&mut self, id: &str, json: &str, out: &mut BytesMut);

    /// The answer is whole.
    fn finish(&mut self, done: &Done, out: &mut BytesMut);

    /// The answer has failed in the middle.
    fn fail(&mut self, error: &ApiError, out: &mut BytesMut);
}

impl<E: Envelope + ?Sized> Envelope for Box<E> {
    fn began(&mut self, out: &mut BytesMut) {
        (**self).began(out);
    }

    fn text(&mut self, text: &str, out: &mut BytesMut) {
        (**self).text(text, out);
    }

    fn reasoning(&mut self, text: &str, out: &mut BytesMut) {
        (**self).reasoning(text, out);
    }

    fn tool_call(&mut self, id: &str, name: &str, out: &mut BytesMut) {
        (**self).tool_call(id, name, out);
    }

    fn tool_input(&mut self, id: &str, json: &str, out: &mut BytesMut) {
        (**self).tool_input(id, json, out);
    }

    fn finish(&mut self, done: &Done, out: &mut BytesMut) {
        (**self).finish(done, out);
    }

    fn fail(&mut self, error: &ApiError, out: &mut BytesMut) {
        (**self).fail(error, out);
    }
}

/// An event of which only one text differs from the others of its kind: what stands before it and after it, with its
/// quotes, is written once.
#[derive(Debug, Default)]
pub(crate) struct TextEvent {
    before: Vec<u8>,
    after: &'static [u8],
}

impl TextEvent {
    /// An event that begins by `before` and ends by `after`, JSON but for the text between them.
    pub(crate) fn new(before: impl Into<Vec<u8>>, after: &'static [u8]) -> Self {
        let before = before.into();
        debug_assert!(before.ends_with(b"\"") && after.starts_with(b"\""), "the quotes are theirs");
        Self { before, after }
    }

    /// Writes the event with this text: three copies, and no memory but the buffer's own.
    pub(crate) fn put(&self, text: &str, out: &mut BytesMut) {
        let Self { before, after } = self;
        out.reserve(before.len() + text.len() + after.len());
        if is_plain(text) {
            out.put_slice(before);
            out.put_slice(text.as_bytes());
            out.put_slice(after);
        } else {
            out.put_slice(&before[..before.len() - 1]);
            put_json(out, &text);
            out.put_slice(&after[1..]);
        }
    }

    /// What stands before the text.
    pub(crate) fn before_mut(&mut self) -> &mut Vec<u8> {
        &mut self.before
    }
}

/// True for a text that JSON writes as it is (RFC 8259 section 7), as most deltas are. Looks at all of it, which the
/// compiler does many bytes at a time.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\'))
}

/// Writes JSON, without a copy of its own.
pub(crate) fn put_json(out: &mut BytesMut, value: &impl serde::Serialize) {
    serde_json::to_writer(out.writer(), value).expect("a buffer takes every byte");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_the_same_json_whatever_its_text() {
        let event = TextEvent::new(*b"{\"a\":\"", b"\"}\n");
        for text in ["", " token", "a\"b", "\\", "\u{1f}", "\n", "ж\u{2028}\u{7f}", &"x".repeat(1000)] {
            let mut out = BytesMut::new();
            event.put(text, &mut out);
            let expected = format!("{}\n", serde_json::json!({ "a": text }));
            assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
        }
    }
}
