//! The task that owns a child: reads it, stops it, and leaves nothing of it behind.

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::leash::{Ladder, Leash};
use super::proc::Identity;
use super::spawn::Spawned;
use super::stdin::Writer;
use super::usage;
use crate::error::{Error, Result};
use crate::executor::{Control, Exit, Frame, Process, Stdin, Stop};

/// Frames read and not yet taken; then the child's own pipe fills and holds it back.
const FRAMES_AHEAD: usize = 16;

/// The most that one frame carries: the size of a Linux pipe.
const FRAME_BYTES: usize = 64 * 1024;

/// Room below which a buffer is renewed. Small reads share one allocation.
const LOW_ROOM: usize = 4 * 1024;

/// How long output may stay silent after the child has ended and its descendants were killed. Whoever holds
/// it still escaped every net, and would keep the stream open for ever.
const DRAIN_SILENCE: Duration = Duration::from_millis(500);

/// Reads after the child has ended. A pipe holds at most its capacity, 16 frames for the largest that an
/// ordinary user may ask for; who gives more is an escaped writer, and would never stop.
const LATE_READS: u32 = 64;

struct LocalControl {
    process: Option<Identity>,
    stdin: Writer,
    stop: watch::Sender<Option<Stop>>,
}

impl Control for LocalControl {
    fn write(&self, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.stdin.write(data).boxed()
    }

    fn close_stdin(&self) {
        self.stdin.close();
    }

    fn stop(&self, how: Stop) {
        self.stop.send_if_modified(|asked| {
            let firmer = *asked != Some(Stop::Now) && *asked != Some(how);
            if firmer {
                *asked = Some(how);
            }
            firmer
        });
    }

    fn memory(&self) -> Option<u64> {
        usage::memory(self.process?)
    }

    fn cpu_time(&self) -> Option<Duration> {
        usage::cpu_time(self.process?)
    }
}

/// Starts the supervisor of `child`.
pub(super) fn start(Spawned { leash, mut child }: Spawned, stdin: Stdin) -> Process {
    let (first, open) = match stdin {
        Stdin::Null => (Bytes::new(), false),
        Stdin::Once(bytes) => (bytes, false),
        Stdin::Open(bytes) => (bytes, true),
    };
    let process = child.id().and_then(Identity::of);
    let (writer, writing) = Writer::start(child.stdin.take(), first, open);
    let (stop, stops) = watch::channel(None);
    let (frames, receiver) = mpsc::channel(FRAMES_AHEAD);
    let supervisor = Supervisor {
        leash,
        stdout: child.stdout.take(),
        stderr: child.stderr.take(),
        child,
        frames,
        stops,
        stdout_buffer: BytesMut::new(),
        stderr_buffer: BytesMut::new(),
        writing: AbortOnDrop(writing),
    };
    tokio::spawn(supervisor.run());
    let output = stream::unfold(receiver, |mut receiver| async move {
        let frame = receiver.recv().await?;
        Some((frame, receiver))
    });
    Process { output: output.boxed(), control: Arc::new(LocalControl { process, stdin: writer, stop }) }
}

struct Supervisor {
    leash: Leash,
    child: Child,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    frames: mpsc::Sender<Result<Frame>>,
    stops: watch::Receiver<Option<Stop>>,
    stdout_buffer: BytesMut,
    stderr_buffer: BytesMut,
    writing: AbortOnDrop,
}

impl Supervisor {
    async fn run(mut self) {
        let mut ladder = Ladder::Ground;
        let mut status: Option<io::Result<ExitStatus>> = None;
        let mut silent_since = Instant::now();
        let mut pending: Option<Frame> = None;
        let mut left = false;
        let mut cut = false;
        let mut late_reads = 0;
        while status.is_none() || pending.is_some() || self.stdout.is_some() || self.stderr.is_some() {
            let grace_over = match ladder {
                Ladder::Terminating(until) => until,
                _ => Instant::now(),
            };
            // Stops come first, and no branch waits inside: a reader that stalls never holds back a stop.
            tokio::select! {
                biased;
                Ok(()) = self.stops.changed(), if ladder != Ladder::Killed => {
                    let asked = *self.stops.borrow_and_update();
                    if let Some(how) = asked {
                        ladder = self.leash.climb(ladder, how, status.is_some());
                    }
                }
                () = sleep_until(grace_over), if matches!(ladder, Ladder::Terminating(_)) && status.is_none() => {
                    ladder = self.leash.climb(ladder, Stop::Now, false);
                }
                ended = self.child.wait(), if status.is_none() => {
                    status = Some(ended);
                    self.leash.sweep().await;
                    self.leash.let_go(); // from here on its pid may be another's
                    silent_since = Instant::now();
                }
                () = self.frames.closed(), if !left => {
                    left = true;
                    ladder = self.leash.climb(ladder, Stop::GRACEFUL, status.is_some());
                }
                permit = self.frames.reserve(), if pending.is_some() && !left => {
                    if let (Ok(permit), Some(frame)) = (permit, pending.take()) {
                        permit.send(Ok(frame));
                    }
                    silent_since = Instant::now();
                }
                read = read(&mut self.stdout, &mut self.stdout_buffer), if self.stdout.is_some() && (pending.is_none() || left) => {
                    pending = read.map(Frame::Stdout).filter(|_| !left);
                    silent_since = Instant::now();
                    late_reads += u32::from(status.is_some());
                }
                read = read(&mut self.stderr, &mut self.stderr_buffer), if self.stderr.is_some() && (pending.is_none() || left) => {
                    pending = read.map(Frame::Stderr).filter(|_| !left);
                    silent_since = Instant::now();
                    late_reads += u32::from(status.is_some());
                }
                () = sleep_until(silent_since + DRAIN_SILENCE), if status.is_some() && pending.is_none() => {
                    cut = true;
                    (self.stdout, self.stderr) = (None, None);
                }
            }
            if left {
                pending = None;
            }
            if late_reads > LATE_READS {
                cut = true;
                (self.stdout, self.stderr) = (None, None);
            }
        }
        drop(self.writing);
        let last = match status.unwrap_or_else(|| Err(io::ErrorKind::Other.into())) {
            Ok(status) => Ok(Frame::Exit(exit(status, ladder != Ladder::Ground, cut))),
            Err(error) => Err(Error::io("waiting for the process", error)),
        };
        let _left = self.frames.send(last).await;
    }
}

/// Reads one piece; `None` at the end, when `pipe` is taken away too.
///
/// # Cancel safety
///
/// `read_buf` reads all or nothing, and `buffer` is the supervisor's: nothing is lost.
async fn read<R: AsyncRead + Unpin>(pipe: &mut Option<R>, buffer: &mut BytesMut) -> Option<Bytes> {
    if buffer.capacity() < LOW_ROOM {
        buffer.reserve(FRAME_BYTES);
    }
    let read = match pipe {
        Some(pipe) => pipe.read_buf(buffer).await,
        None => Ok(0),
    };
    match read {
        Ok(bytes) if bytes > 0 => Some(buffer.split().freeze()),
        _ => {
            *pipe = None;
            None
        }
    }
}

fn exit(status: ExitStatus, stopped: bool, cut: bool) -> Exit {
    use std::os::unix::process::ExitStatusExt;
    Exit { code: status.code(), signal: status.signal(), stopped, cut }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
