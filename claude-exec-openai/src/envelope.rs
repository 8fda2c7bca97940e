//! The half of a wire that writes: one answer in one format.

use bytes::BytesMut;

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

/// Writes a JSON string, escaped, without a copy of its own.
pub(crate) fn put_json(out: &mut BytesMut, value: &impl serde::Serialize) {
    use bytes::BufMut;
    serde_json::to_writer(out.writer(), value).expect("a buffer takes every byte");
}
