//! Request bodies with a bound on their size and on the time they take.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;

/// How much body is read, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BodyLimit {
    /// The most bytes. Default 16 MiB: the CLI takes prompts up to about 2 MB, and JSON may write each of
    /// their bytes as six (`\u00e9`); what is larger cannot be answered anyway.
    pub bytes: u64,
    /// The longest time until the last byte. Default 30 s: slow phones manage, slow attackers do not hold
    /// a connection for longer.
    pub deadline: Duration,
}

impl Default for BodyLimit {
    fn default() -> Self {
        Self { bytes: 16 * 1024 * 1024, deadline: Duration::from_secs(30) }
    }
}

impl BodyLimit {
    /// Sets the most bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// Sets the longest time until the last byte.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

/// Reads a request's body whole.
///
/// Nothing is read when the declared length is over the limit already; a body that lies about its length, or
/// declares none, is dropped at the first byte too many.
///
/// # Errors
///
/// [`BodyError`], which knows its status.
///
/// # Cancel safety
///
/// Dropping the future drops the body and what was read of it.
pub async fn read_body<B>(headers: &HeaderMap, body: B, limit: BodyLimit) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.unwrap_or(0).max(body.size_hint().lower()) > limit.bytes {
        return Err(BodyError::TooLarge { limit: limit.bytes });
    }
    tokio::time::timeout(limit.deadline, gather(body, limit.bytes))
        .await
        .unwrap_or(Err(BodyError::TooSlow { limit: limit.deadline }))
}

async fn gather<B>(body: B, limit: u64) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let mut body = std::pin::pin!(body);
    // Most bodies come in one frame, which is passed on as it is.
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if (first.len() + rest.len() + data.len()) as u64 > limit {
            return Err(BodyError::TooLarge { limit });
        }
        match (first.is_empty(), rest.is_empty()) {
            (true, true) => first = data,
            (_, at_start) => {
                if at_start {
                    rest.extend_from_slice(&std::mem::take(&mut first));
                }
                rest.extend_from_slice(&data);
            }
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

/// Why a body was not read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// More bytes than the limit.
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Not all of it came in time.
    TooSlow {
        /// The limit.
        limit: Duration,
    },
    /// The connection broke, or the framing of the body did.
    Broken(String),
}

impl BodyError {
    /// 413, 408 or 400.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { limit } => write!(f, "request body is larger than {limit} bytes"),
            Self::TooSlow { limit } => write!(f, "request body took longer than {limit:?}"),
            Self::Broken(reason) => write!(f, "request body cannot be read: {reason}"),
        }
    }
}

impl std::error::Error for BodyError {}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::stream::{self, StreamExt};
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    /// A body of these pieces that then ends or hangs, and a count of the pieces taken from it.
    fn body(
        pieces: &'static [&'static str],
        hangs: bool,
    ) -> (impl Body<Data = Bytes, Error = Infallible>, Arc<AtomicUsize>) {
        let taken = Arc::new(AtomicUsize::new(0));
        let count = taken.clone();
        let pieces = stream::iter(pieces).map(move |piece| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(Frame::data(Bytes::from_static(piece.as_bytes())))
        });
        let tail = if hangs { stream::pending().left_stream() } else { stream::empty().right_stream() };
        (StreamBody::new(pieces.chain(tail)), taken)
    }

    fn headers(length: Option<&str>) -> HeaderMap {
        length.map(|length| (CONTENT_LENGTH, length.parse().unwrap())).into_iter().collect()
    }

    #[tokio::test(start_paused = true)]
    async fn size_and_time_are_bounded() {
        let limit = BodyLimit::default().bytes(4).deadline(Duration::from_secs(1));
        let large = Err(BodyError::TooLarge { limit: 4 });
        let slow = Err(BodyError::TooSlow { limit: Duration::from_secs(1) });
        type Row =
            (&'static [&'static str], bool, Option<&'static str>, Result<&'static str, BodyError>, usize);
        let table: [Row; 8] = [
            (&[], false, None, Ok(""), 0),
            (&["abcd"], false, Some("4"), Ok("abcd"), 1),
            (&["", "ab", "", "cd"], false, None, Ok("abcd"), 4),
            (&["abcd", "e", "f"], false, None, large.clone(), 2),
            (&["abcde"], false, Some("3"), large.clone(), 1),
            (&["abcde"], true, Some("5"), large, 0),
            (&["ab"], true, Some("4"), slow, 1),
            (&["ab"], false, Some("much"), Ok("ab"), 1),
        ];
        for (pieces, hangs, length, expected, reads) in table {
            let (body, taken) = body(pieces, hangs);
            let got = read_body(&headers(length), body, limit).await;
            assert_eq!(got, expected.map(Bytes::from), "{pieces:?}");
            assert_eq!(taken.load(Ordering::Relaxed), reads, "{pieces:?}");
        }
    }

    #[test]
    fn each_error_has_its_status() {
        let table = [
            (BodyError::TooLarge { limit: 1 }, 413),
            (BodyError::TooSlow { limit: Duration::ZERO }, 408),
            (BodyError::Broken("reset".into()), 400),
        ];
        for (error, status) in table {
            assert_eq!(error.status().as_u16(), status);
        }
    }
}
