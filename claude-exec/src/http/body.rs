//! The response body that all shells share.

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::{BoxStream, Stream, StreamExt};
use http_body::{Frame, SizeHint};

/// A response body: bytes known at once, or a stream of them.
///
/// A server drops it when the client hangs up, so whatever a stream holds (a turn, a slot) is given back
/// then; and it polls the stream only as fast as the client takes, which is how back-pressure gets to the
/// child.
pub struct Body(Repr, Option<Box<dyn Any + Send>>);

enum Repr {
    Full(Option<Bytes>),
    Stream(BoxStream<'static, Bytes>),
}

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self(Repr::Full(None), None)
    }

    /// These bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Repr::Full(Some(bytes.into()).filter(|bytes| !bytes.is_empty())), None)
    }

    /// The bytes of a stream, until it ends. It cannot fail: an error is told inside it.
    pub fn stream(frames: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self(Repr::Stream(frames.boxed()), None)
    }

    /// The same body, and `guard` is dropped with it: when it was sent, or nobody takes it any more.
    #[must_use]
    pub fn holding(self, guard: impl Send + 'static) -> Self {
        Self(self.0, Some(Box::new((self.1, guard))))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Full(bytes) => write!(f, "Body({} bytes)", bytes.as_ref().map_or(0, Bytes::len)),
            Repr::Stream(_) => f.write_str("Body(stream)"),
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Repr::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Repr::Stream(frames) => {
                frames.poll_next_unpin(cx).map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Repr::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Repr::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Repr::Stream(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body::Body as _;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn all_kinds_give_their_bytes_and_their_length() {
        let chunks = stream::iter([Bytes::from_static(b"a"), Bytes::from_static(b"b")]);
        let table = [
            (Body::empty(), Some(0), true, ""),
            (Body::full(""), Some(0), true, ""),
            (Body::full("abc"), Some(3), false, "abc"),
            (Body::stream(chunks), None, false, "ab"),
        ];
        for (body, length, ended, text) in table {
            assert_eq!((body.size_hint().exact(), body.is_end_stream()), (length, ended));
            let Ok(collected) = body.collect().await;
            assert_eq!(collected.to_bytes(), text);
        }
    }
}
