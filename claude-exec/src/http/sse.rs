//! Server-sent events: framing, keep-alive and the resume header (WHATWG HTML section 9.2).

use std::fmt::{self, Display, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::{HeaderMap, HeaderName};
use tokio::time::{Instant, Sleep};

/// The media type.
pub const CONTENT_TYPE: &str = "text/event-stream; charset=utf-8";

/// The header with which a client says what it has seen last.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A comment, which every client skips; sent so that proxies do not take silence for death.
pub const KEEP_ALIVE: &str = ": keep-alive\n\n";

/// How long silence lasts before a comment: below the 20 to 60 s after which common proxies give up.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// One event to be framed.
///
/// ```
/// use claude_exec::http::sse::Event;
/// assert_eq!(Event::data("{}").to_string(), "data: {}\n\n");
/// assert_eq!(
///     Event::data("a\nb").id(7).name("log").to_string(),
///     "event: log\nid: 7\ndata: a\ndata: b\n\n"
/// );
/// ```
#[derive(Clone)]
#[must_use]
pub struct Event<'a> {
    data: &'a str,
    name: Option<&'a str>,
    id: Option<String>,
}

impl<'a> Event<'a> {
    /// An event with this data and neither name nor id, which is all that OpenAI's clients can stand.
    pub fn data(data: &'a str) -> Self {
        Self { data, name: None, id: None }
    }

    /// Names the event: clients deliver it to the listeners of that name instead of `message`.
    pub fn name(mut self, name: &'a str) -> Self {
        self.name = Some(name);
        self
    }

    /// Sets the id that a reconnecting client sends back as [`LAST_EVENT_ID`].
    pub fn id(mut self, id: impl Display) -> Self {
        self.id = Some(id.to_string());
        self
    }

    /// The frame as bytes.
    pub fn to_bytes(&self) -> Bytes {
        Bytes::from(self.to_string())
    }
}

/// Writes the frame. A line end inside the data starts another `data:` line; a name or an id cannot hold
/// one, so what would end the line is left out there.
impl Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.name {
            field(f, "event", name)?;
        }
        if let Some(id) = &self.id {
            field(f, "id", id)?;
        }
        for line in lines(self.data) {
            f.write_str("data: ")?;
            f.write_str(line)?;
            f.write_char('\n')?;
        }
        f.write_char('\n')
    }
}

/// Shows the size only: data carries answers.
impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("name", &self.name)
            .field("id", &self.id)
            .field("bytes", &self.data.len())
            .finish()
    }
}

fn field(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    write!(f, "{name}: ")?;
    // NUL: a client ignores an id that holds one.
    value.chars().filter(|c| !matches!(c, '\r' | '\n' | '\0')).try_for_each(|c| f.write_char(c))?;
    f.write_char('\n')
}

/// Splits at each of the three line ends there are: CR LF, LF, CR.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let whole = rest?;
        let Some(at) = whole.find(['\r', '\n']) else { return rest.take() };
        let end = if whole[at..].starts_with("\r\n") { 2 } else { 1 };
        rest = Some(&whole[at + end..]);
        Some(&whole[..at])
    })
}

/// What a reconnecting client has seen last; `None` when it says nothing, or nothing usable.
pub fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(LAST_EVENT_ID)?.to_str().ok()?.trim();
    (!id.is_empty()).then_some(id)
}

/// Fills each silence of `frames` that lasts `interval` with a [`KEEP_ALIVE`] comment.
///
/// Needs a tokio runtime with its clock. Ends when `frames` ends.
pub fn keep_alive<S>(frames: S, interval: Duration) -> KeepAlive<S>
where
    S: Stream<Item = Bytes> + Unpin,
{
    KeepAlive { frames, interval, silence: Box::pin(tokio::time::sleep(interval)) }
}

/// The stream that [`keep_alive`] makes.
#[must_use = "streams do nothing unless polled"]
pub struct KeepAlive<S> {
    frames: S,
    interval: Duration,
    silence: Pin<Box<Sleep>>,
}

impl<S> fmt::Debug for KeepAlive<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeepAlive").field("interval", &self.interval).finish_non_exhaustive()
    }
}

impl<S: Stream<Item = Bytes> + Unpin> Stream for KeepAlive<S> {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = &mut *self;
        let next = match Pin::new(&mut this.frames).poll_next(cx) {
            Poll::Ready(next) => next,
            Poll::Pending => {
                ready!(this.silence.as_mut().poll(cx));
                Some(Bytes::from_static(KEEP_ALIVE.as_bytes()))
            }
        };
        this.silence.as_mut().reset(Instant::now() + this.interval);
        Poll::Ready(next)
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use http::HeaderValue;

    use super::*;

    #[test]
    fn frames_are_exact_for_every_line_end_and_hostile_field() {
        let table = [
            (Event::data("x"), "data: x\n\n"),
            (Event::data(""), "data: \n\n"),
            (Event::data(" x"), "data:  x\n\n"),
            (Event::data("a\nb\r\nc\rd"), "data: a\ndata: b\ndata: c\ndata: d\n\n"),
            (Event::data("a\n"), "data: a\ndata: \n\n"),
            (Event::data("\r\n\r\n"), "data: \ndata: \ndata: \n\n"),
            (Event::data("x").id("1\ndata: y\0"), "id: 1data: y\ndata: x\n\n"),
            (Event::data("x").name("a\r\nid: 9").id(3), "event: aid: 9\nid: 3\ndata: x\n\n"),
        ];
        for (event, expected) in table {
            assert_eq!(event.to_string(), expected);
        }
    }

    #[test]
    fn only_a_usable_last_event_id_is_taken() {
        let table: [(&[u8], Option<&str>); 4] =
            [(b"7", Some("7")), (b" 1-7 ", Some("1-7")), (b"", None), (b"\xff", None)];
        for (value, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(LAST_EVENT_ID, HeaderValue::from_bytes(value).unwrap());
            assert_eq!(last_event_id(&headers), expected);
        }
        assert_eq!(last_event_id(&HeaderMap::new()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_filled_and_speech_restarts_the_clock() {
        let frames = stream::unfold(0u64, |at| async move {
            // Speaks after 4 s, then after 11 s, then ends after 1 s.
            let (wait, frame) = match at {
                0 => (4, "a"),
                1 => (11, "b"),
                _ => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    return None;
                }
            };
            tokio::time::sleep(Duration::from_secs(wait)).await;
            Some((Bytes::from_static(frame.as_bytes()), at + 1))
        });
        let said: Vec<Bytes> = keep_alive(Box::pin(frames), Duration::from_secs(5)).collect().await;
        assert_eq!(said, ["a", KEEP_ALIVE, KEEP_ALIVE, "b"]);
    }
}
