//! A short command run to its end under a time limit: `git`, `ssh … true`, `claude --version`.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;

use super::{Command, Executor, Exit, Frame, Process, Stop};
use crate::error::{Error, Result};

/// Bytes of stdout kept. Such commands answer in lines; whoever says more is misused here.
const STDOUT_LIMIT: usize = 1024 * 1024;
/// Bytes of stderr kept: its end, which names the reason.
const STDERR_LIMIT: usize = 16 * 1024;
/// How long to wait for a stopped command to be gone. An executor bounds its own stop; this is the backstop.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// What a finished command said.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// The start of its standard output, at most 1 MiB.
    pub stdout: Vec<u8>,
    /// The end of its standard error, at most 16 KiB.
    pub stderr: Vec<u8>,
    /// It wrote more to standard output than was kept.
    pub truncated: bool,
}

impl Output {
    /// True for exit code 0.
    pub fn success(&self) -> bool {
        self.exit.success()
    }

    /// The last line of stderr that is not blank, lossily decoded: what a message can say.
    pub fn last_error_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
    }

    fn keep(&mut self, frame: Frame) {
        match frame {
            Frame::Stdout(bytes) => {
                let room = STDOUT_LIMIT - self.stdout.len();
                self.truncated |= bytes.len() > room;
                self.stdout.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            Frame::Stderr(bytes) => {
                self.stderr.extend_from_slice(&bytes);
                let excess = self.stderr.len().saturating_sub(STDERR_LIMIT);
                self.stderr.drain(..excess);
            }
            Frame::Exit(exit) => self.exit = exit,
        }
    }
}

/// Shows sizes only: output may hold anything.
impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("exit", &self.exit)
            .field("stdout", &format_args!("{} bytes", self.stdout.len()))
            .field("stderr", &format_args!("{} bytes", self.stderr.len()))
            .field("truncated", &self.truncated)
            .finish()
    }
}

/// Runs `command` to its end and hands back what it said; any exit code is an answer, not an error.
///
/// # Errors
///
/// What the executor reports, and [`is_timeout`](Error::is_timeout) when `limit` ran out: the command and
/// its descendants have been stopped then.
///
/// # Cancel safety
///
/// Dropping the future stops the command.
pub async fn output(executor: &dyn Executor, command: Command, limit: Duration) -> Result<Output> {
    output_unless(executor, command, limit, std::future::pending()).await
}

/// Runs `command` like [`output`], and stops it when `cancelled` resolves.
///
/// Returns only once the command is gone (or `STOP_LIMIT` later), so that its files can be removed.
pub(crate) async fn output_unless(
    executor: &dyn Executor,
    command: Command,
    limit: Duration,
    cancelled: impl Future<Output = ()>,
) -> Result<Output> {
    let mut deadline = pin!(tokio::time::sleep(limit));
    let mut cancelled = pin!(cancelled);
    let mut process = tokio::select! {
        biased;
        () = &mut cancelled => return Err(Error::stopped()),
        process = executor.start(command) => process?,
        () = &mut deadline => return Err(Error::timed_out("starting the command", limit)),
    };
    let mut kept = Output::default();
    let why = loop {
        tokio::select! {
            biased;
            () = &mut cancelled => break Error::stopped(),
            () = &mut deadline => break Error::timed_out("the command", limit),
            frame = process.output.next() => match frame {
                Some(frame) => {
                    let frame = frame?;
                    let last = matches!(frame, Frame::Exit(_));
                    kept.keep(frame);
                    if last {
                        return Ok(kept);
                    }
                }
                None => return Err(Error::failed("the command", "its output ended without an exit")),
            },
        }
    };
    process.control.stop(Stop::Now);
    // A later failure to stop changes nothing about `why`; dropping the process is the last resort.
    let _ = tokio::time::timeout(STOP_LIMIT, gone(&mut process)).await;
    Err(why)
}

async fn gone(process: &mut Process) {
    while let Some(Ok(frame)) = process.output.next().await {
        if matches!(frame, Frame::Exit(_)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use bytes::Bytes;
    use futures::future::BoxFuture;
    use futures::{FutureExt, stream};

    use super::super::Control;
    use super::*;

    /// Says `frames`, then hangs until it is stopped.
    struct Fake {
        frames: Vec<Frame>,
        hangs: bool,
        stopped: Arc<AtomicBool>,
    }

    struct Stopper(Arc<AtomicBool>, tokio::sync::watch::Sender<bool>);

    impl Control for Stopper {
        fn write(&self, _: Bytes) -> BoxFuture<'_, io::Result<()>> {
            async { Ok(()) }.boxed()
        }
        fn close_stdin(&self) {}
        fn stop(&self, _: Stop) {
            self.0.store(true, Ordering::SeqCst);
            self.1.send_replace(true);
        }
    }

    impl Executor for Fake {
        fn start(&self, _: Command) -> BoxFuture<'_, Result<Process>> {
            let (sender, mut receiver) = tokio::sync::watch::channel(false);
            let frames = stream::iter(self.frames.clone()).map(Ok);
            let hangs = self.hangs;
            let end = stream::once(async move {
                if hangs {
                    let _ = receiver.wait_for(|stopped| *stopped).await;
                }
                Ok(Frame::Exit(Exit::from_code(0)))
            });
            let control = Arc::new(Stopper(self.stopped.clone(), sender));
            async move { Ok(Process { output: frames.chain(end).boxed(), control }) }.boxed()
        }
    }

    fn fake(frames: Vec<Frame>, hangs: bool) -> Fake {
        Fake { frames, hangs, stopped: Arc::default() }
    }

    fn run(executor: &Fake) -> impl Future<Output = Result<Output>> {
        output(executor, Command::new("x"), Duration::from_secs(9))
    }

    #[tokio::test]
    async fn keeps_the_start_of_stdout_and_the_end_of_stderr() {
        let long = Bytes::from(vec![b'a'; STDOUT_LIMIT - 1]);
        let frames = vec![
            Frame::Stdout(long),
            Frame::Stdout(Bytes::from_static(b"bc")),
            Frame::Stderr(Bytes::from(vec![b'x'; STDERR_LIMIT])),
            Frame::Stderr(Bytes::from_static(b"\nwhy\n\n")),
        ];
        let output = run(&fake(frames, false)).await.unwrap();
        assert!(output.success() && output.truncated);
        assert_eq!((output.stdout.len(), output.stdout.last()), (STDOUT_LIMIT, Some(&b'b')));
        assert_eq!((output.stderr.len(), output.last_error_line()), (STDERR_LIMIT, "why".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hung_command_is_stopped_at_its_limit() {
        let executor = fake(vec![], true);
        let error = run(&executor).await.unwrap_err();
        assert!(error.is_timeout() && executor.stopped.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_cancelled_command_is_stopped_and_awaited() {
        let executor = fake(vec![Frame::Stdout(Bytes::from_static(b"x"))], true);
        let cancel = tokio::task::yield_now();
        let error = output_unless(&executor, Command::new("x"), Duration::from_secs(9), cancel).await;
        assert!(error.unwrap_err().is_stopped() && executor.stopped.load(Ordering::SeqCst));
    }
}
