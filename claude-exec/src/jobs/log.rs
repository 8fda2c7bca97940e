//! The live events of one job: a bounded ring, and cursors into it.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use tokio::sync::watch;

/// Events kept of one job, for those who come late or read slowly.
pub const LOG_EVENTS: usize = 2_000;
/// Bytes of events kept of one job: with ten jobs running, 10 MiB.
pub const LOG_BYTES: usize = 1024 * 1024;
/// Bytes of one event; of a longer one only its kind and size are told.
pub const EVENT_BYTES: usize = 64 * 1024;

/// One event of a job, as JSON.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobEvent {
    /// Its number, from 1, without gaps.
    pub seq: u64,
    /// One JSON object on one line, with its `kind`.
    pub json: Arc<str>,
}

/// What a follower gets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Followed {
    /// The next event.
    Event(JobEvent),
    /// This many events are gone: the follower was too slow, or came too late.
    Missed(u64),
}

/// The events of one job from a cursor on; it ends when the job has ended and all was told.
#[must_use = "a stream does nothing until it is read"]
pub struct JobEvents(BoxStream<'static, Followed>);

/// Where a job's events go in, and followers read. Never blocks the writer.
pub(super) struct Log {
    ring: Mutex<Ring>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Ring {
    events: VecDeque<JobEvent>,
    bytes: usize,
    last: u64,
    closed: bool,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { ring: Mutex::default(), changed: watch::Sender::new(()) }
    }

    /// Adds an event; one after the end is ignored.
    pub(super) fn push(&self, json: String) {
        let json = if json.len() > EVENT_BYTES { shortened(&json) } else { json };
        let mut ring = self.lock();
        if ring.closed {
            return;
        }
        ring.last += 1;
        ring.bytes += json.len();
        let seq = ring.last;
        ring.events.push_back(JobEvent { seq, json: json.into() });
        while ring.events.len() > LOG_EVENTS || ring.bytes > LOG_BYTES {
            let oldest = ring.events.pop_front().map_or(0, |event| event.json.len());
            ring.bytes -= oldest;
        }
        drop(ring);
        self.changed.send_replace(());
    }

    /// Ends the log; followers end once they have read it all.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.send_replace(());
    }

    pub(super) fn last(&self) -> u64 {
        self.lock().last
    }

    /// The events after number `after`. A number that was never given out is no cursor of this log, so all follow.
    pub(super) fn follow(self: &Arc<Self>, after: u64) -> JobEvents {
        let cursor = if after > self.last() { 0 } else { after };
        let state = (Arc::clone(self), cursor, self.changed.subscribe());
        let events = stream::unfold(state, |(log, cursor, mut changed)| async move {
            loop {
                changed.borrow_and_update();
                match log.after(cursor) {
                    Ok(Some(followed @ Followed::Missed(count))) => {
                        return Some((followed, (log, cursor + count, changed)));
                    }
                    Ok(Some(followed)) => return Some((followed, (log, cursor + 1, changed))),
                    Ok(None) => return None,
                    // The sender lives in `log`.
                    Err(Later) => drop(changed.changed().await),
                }
            }
        });
        JobEvents(events.boxed())
    }

    fn after(&self, cursor: u64) -> Result<Option<Followed>, Later> {
        let ring = self.lock();
        let first = ring.last + 1 - ring.events.len() as u64;
        if cursor + 1 < first {
            return Ok(Some(Followed::Missed(first - cursor - 1)));
        }
        let index = usize::try_from(cursor + 1 - first).unwrap_or(usize::MAX);
        match ring.events.get(index) {
            Some(event) => Ok(Some(Followed::Event(event.clone()))),
            None if ring.closed => Ok(None),
            None => Err(Later),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing yet.
struct Later;

fn shortened(json: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Kind {
        kind: String,
    }
    let kind = serde_json::from_str::<Kind>(json).map_or_else(|_| "other".to_owned(), |found| found.kind);
    serde_json::json!({"kind": kind, "truncated": true, "bytes": json.len()}).to_string()
}

impl JobEvents {
    /// What a follower of an ended job gets: its last event, unless the cursor has it.
    pub(super) fn ended(after: u64, last: u64, json: String) -> Self {
        let cursor = if after > last { 0 } else { after };
        let missed = last.saturating_sub(cursor + 1);
        let gap = (missed > 0).then_some(Followed::Missed(missed));
        let end = (cursor < last).then(|| Followed::Event(JobEvent { seq: last, json: json.into() }));
        Self(stream::iter(gap.into_iter().chain(end)).boxed())
    }
}

impl Stream for JobEvents {
    type Item = Followed;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Followed>> {
        self.0.poll_next_unpin(cx)
    }
}

impl fmt::Debug for JobEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JobEvents")
    }
}

/// Shows sizes only.
impl fmt::Debug for JobEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobEvent({}, {} bytes)", self.seq, self.json.len())
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log(up to {})", self.last())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn event(seq: u64, json: &str) -> Followed {
        Followed::Event(JobEvent { seq, json: json.into() })
    }

    fn rest(log: &Arc<Log>, after: u64) -> Vec<Followed> {
        log.follow(after).collect().now_or_never().unwrap()
    }

    #[tokio::test]
    async fn followers_get_what_was_and_what_comes() {
        let log = Arc::new(Log::new());
        log.push("1".into());
        let mut follower = log.follow(0);
        assert_eq!(follower.next().await, Some(event(1, "1")));
        assert_eq!(follower.next().now_or_never(), None);
        let task = tokio::spawn(async move { follower.collect::<Vec<_>>().await });
        tokio::task::yield_now().await;
        log.push("2".into());
        log.close();
        log.push("after the end".into());
        assert_eq!(task.await.unwrap(), [event(2, "2")]);
        assert_eq!(rest(&log, 1), [event(2, "2")]);
        assert_eq!(rest(&log, 2), []);
        assert_eq!(rest(&log, 99), [event(1, "1"), event(2, "2")], "a cursor of another log");
    }

    #[test]
    fn a_slow_follower_is_told_how_many_it_missed() {
        let log = Arc::new(Log::new());
        let mut slow = log.follow(0);
        let many = LOG_EVENTS as u64 + 5;
        (1..=many).for_each(|number| log.push(number.to_string()));
        assert_eq!(slow.next().now_or_never(), Some(Some(Followed::Missed(5))));
        assert_eq!(slow.next().now_or_never(), Some(Some(event(6, "6"))));
        log.close();
        assert_eq!(slow.count().now_or_never(), Some(LOG_EVENTS - 1));
    }

    #[test]
    fn bytes_are_bounded_in_all_and_for_one_event() {
        let log = Arc::new(Log::new());
        let text = "x".repeat(EVENT_BYTES);
        log.push(format!(r#"{{"kind":"text","text":"{text}"}}"#));
        log.close();
        let told = format!(r#"{{"kind":"text","truncated":true,"bytes":{}}}"#, EVENT_BYTES + 25);
        let Followed::Event(first) = &rest(&log, 0)[0] else { panic!("an event") };
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&first.json).unwrap(),
            serde_json::from_str::<serde_json::Value>(&told).unwrap()
        );

        let log = Arc::new(Log::new());
        (0..40).for_each(|_| log.push(text.clone()));
        log.close();
        let kept = LOG_BYTES / EVENT_BYTES;
        assert_eq!(rest(&log, 0)[0], Followed::Missed(40 - kept as u64));
        assert_eq!(rest(&log, 0).len(), 1 + kept);
    }

    #[test]
    fn followers_of_an_ended_job_get_its_end() {
        let after =
            |after| -> Vec<_> { JobEvents::ended(after, 5, "end".into()).collect().now_or_never().unwrap() };
        assert_eq!(after(0), [Followed::Missed(4), event(5, "end")]);
        assert_eq!(after(4), [event(5, "end")]);
        assert_eq!(after(5), []);
        assert_eq!(after(9), [Followed::Missed(4), event(5, "end")]);
    }
}
