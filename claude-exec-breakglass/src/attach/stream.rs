//! The event stream of a cursor.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

use super::control::{self, HEARTBEAT};
use crate::log::{EventId, Read, Resume};
use crate::session::Session;

/// The silence after which a heartbeat is sent; below what common proxies take for death, and told to the client,
/// whose watchdog counts on it.
pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// The longest a stream lasts, so that who may is asked anew and deploys drain.
const CUT: Duration = Duration::from_secs(600);

/// A stream is cut somewhere in the last tenth of that, so that readers do not all come back at once.
const CUT_SPREAD: Duration = Duration::from_secs(60);

/// What is handed to a reader at once, who may be slow: bounds what it costs.
const CHUNK: usize = 32 * 1024;

/// How a stream is kept.
#[derive(Clone)]
#[must_use]
pub struct Attach {
    heartbeat: Duration,
    cut_after: Duration,
    may: Arc<dyn Fn() -> bool + Send + Sync>,
    pad: bool,
}

impl Attach {
    /// Heartbeats after 15 s of silence, and a cut after 9 to 10 minutes; `jitter` from 0 to 1 says where between.
    pub fn new(jitter: f64) -> Self {
        Self {
            heartbeat: HEARTBEAT_INTERVAL,
            cut_after: CUT - CUT_SPREAD.mul_f64(jitter.clamp(0.0, 1.0)),
            may: Arc::new(|| true),
            pad: false,
        }
    }

    /// Sets the silence after which a heartbeat is sent, in whole seconds.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval.max(Duration::from_secs(1));
        self
    }

    /// Cuts the stream after this, at the latest: when the reader's credential expires.
    pub fn cut_after(mut self, limit: Duration) -> Self {
        self.cut_after = self.cut_after.min(limit);
        self
    }

    /// Asks with each heartbeat whether the reader still may.
    pub fn may(mut self, may: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.may = Arc::new(may);
        self
    }

    /// Sends 2 KiB of comment first.
    pub fn pad(mut self, pad: bool) -> Self {
        self.pad = pad;
        self
    }
}

impl std::fmt::Debug for Attach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attach")
            .field("heartbeat", &self.heartbeat)
            .field("cut_after", &self.cut_after)
            .finish_non_exhaustive()
    }
}

/// Follows `session` from a cursor on which the verdict is `resume`: blocks of an event stream, `hello` first.
///
/// Needs a tokio runtime with its clock.
pub fn follow(
    session: &Session,
    resume: Resume,
    attach: Attach,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let (cut_at, beat_at) = (Instant::now() + attach.cut_after, Instant::now() + attach.heartbeat);
    let reader = Reader {
        // Subscribed before anything is read: what comes later wakes it.
        head: session.journal().head(),
        session: session.clone(),
        resume,
        step: if attach.pad { Step::Pad } else { Step::Hello },
        alarm: Box::pin(sleep_until(beat_at.min(cut_at))),
        cut_at,
        beat_at,
        attach,
    };
    futures::stream::unfold(reader, Reader::next)
}

struct Reader {
    session: Session,
    head: watch::Receiver<EventId>,
    resume: Resume,
    step: Step,
    attach: Attach,
    beat_at: Instant,
    cut_at: Instant,
    /// Rings when something may be due. Events put that off, and it is set anew only when it has rung: for a thousand
    /// readers of a talker it would be set all the time.
    alarm: Pin<Box<Sleep>>,
}

#[derive(Clone, Copy)]
enum Step {
    Pad,
    Hello,
    /// Tell of this many lost events, then send a snapshot.
    Gap(EventId, u64),
    Snapshot,
    From(EventId),
    Over,
}

impl Reader {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        let bytes = self.step().await?;
        self.beat_at = Instant::now() + self.attach.heartbeat;
        Some((bytes, self))
    }

    async fn step(&mut self) -> Option<Bytes> {
        match self.step {
            Step::Pad => {
                self.step = Step::Hello;
                Some(control::padding())
            }
            Step::Hello => Some(self.hello()),
            Step::Gap(from, lost) => {
                self.step = Step::Snapshot;
                Some(self.session.journal().read(|window| control::gap(from, window, lost)))
            }
            Step::Snapshot => {
                let (id, data) = self.session.snapshot();
                self.step = Step::From(id);
                Some(control::snapshot(id, &data))
            }
            Step::From(cursor) => self.read_on(cursor).await,
            Step::Over => None,
        }
    }

    fn hello(&mut self) -> Bytes {
        let journal = self.session.journal();
        let (bounds, is_trimmed) =
            journal.read(|window| ((window.first(), window.head()), window.is_trimmed()));
        self.step = match self.resume {
            Resume::Start if is_trimmed => Step::Snapshot,
            Resume::Start => Step::From(EventId::ORIGIN),
            Resume::Ok(cursor) => Step::From(cursor),
            Resume::Gap { from, lost } => Step::Gap(from, lost),
            Resume::Reset(_) | Resume::Ahead(_) => Step::Snapshot,
        };
        let heartbeat = self.attach.heartbeat.as_secs();
        control::hello(journal.epoch(), bounds, self.resume, heartbeat, self.session.turn_state())
    }

    async fn read_on(&mut self, cursor: EventId) -> Option<Bytes> {
        loop {
            self.head.borrow_and_update();
            let is_finished = self.session.is_finished();
            match self.session.journal().read(|window| window.read(cursor, CHUNK)) {
                Read::Blocks(blocks, cursor) => {
                    self.step = Step::From(cursor);
                    return Some(blocks);
                }
                Read::Overtaken { lost } => {
                    self.step = Step::Snapshot;
                    return Some(self.session.journal().read(|window| control::gap(cursor, window, lost)));
                }
                Read::AtHead if is_finished => return Some(self.leave(control::end())),
                Read::AtHead => {}
            }
            if self.session.is_draining() {
                return Some(self.leave(control::bye("draining")));
            }
            let due = self.beat_at.min(self.cut_at);
            tokio::select! {
                // Also when the session is finished, or the server drains.
                _ = self.head.changed() => {}
                () = self.alarm.as_mut() => {
                    if Instant::now() < due {
                        self.alarm.as_mut().reset(due);
                        continue;
                    }
                    // One more, for what comes after this.
                    self.alarm.as_mut().reset((due + self.attach.heartbeat).min(self.cut_at));
                    if !(self.attach.may)() {
                        return Some(self.leave(control::bye("auth")));
                    }
                    if due == self.cut_at {
                        return Some(self.leave(control::bye("cut")));
                    }
                    return Some(Bytes::from_static(HEARTBEAT));
                }
            }
        }
    }

    fn leave(&mut self, last: Bytes) -> Bytes {
        self.step = Step::Over;
        last
    }
}
