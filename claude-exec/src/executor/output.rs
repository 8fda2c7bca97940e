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
    let mut start = executor.start(command);
    let started = tokio::select! {
        biased;
        () = &mut cancelled => Err(Error::stopped()),
        process = &mut start => Ok(process?),
        () = &mut deadline => Err(Error::timed_out("starting the command", limit)),
    };
    let mut process = match started {
        Ok(process) => process,
        Err(why) => {
            // It may run already, so it is stopped like one that was handed over.
            if let Ok(Ok(process)) = tokio::time::timeout(STOP_LIMIT, start).await {
                end(process).await;
            }
            return Err(why);
        }
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
    end(process).await;
    Err(why)
}

/// Stops a process and waits until it is gone. Dropping it is the last resort.
async fn end(mut process: Process) {
    process.control.stop(Stop::Now);
    let gone = async {
        while let Some(Ok(frame)) = process.output.next().await {
            if matches!(frame, Frame::Exit(_)) {
                return;
            }
        }
    };
    // Whether it came in time or not, there is nothing more to do about it.
    let _ = tokio::time::timeout(STOP_LIMIT, gone).await;
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::{Scripted, ScriptedHandle, executor_fn};
    use super::*;

    const LIMIT: Duration = Duration::from_secs(9);

    async fn run(script: Scripted, cancelled: impl Future<Output = ()>) -> (Result<Output>, ScriptedHandle) {
        let (process, handle) = script.into_process_with_handle();
        let process = std::sync::Mutex::new(Some(process));
        let executor = executor_fn(move |_| Ok(process.lock().unwrap().take().unwrap()));
        (output_unless(&executor, Command::new("x"), LIMIT, cancelled).await, handle)
    }

    #[tokio::test]
    async fn keeps_the_start_of_stdout_and_the_end_of_stderr() {
        let script = Scripted::new()
            .stdout(vec![b'a'; STDOUT_LIMIT - 1])
            .stdout(Bytes::from_static(b"bc"))
            .stderr(vec![b'x'; STDERR_LIMIT])
            .stderr(Bytes::from_static(b"\nwhy\n\n"));
        let output = output(&script, Command::new("x"), LIMIT).await.unwrap();
        assert!(output.success() && output.truncated);
        assert_eq!((output.stdout.len(), output.stdout.last()), (STDOUT_LIMIT, Some(&b'b')));
        assert_eq!((output.stderr.len(), output.last_error_line()), (STDERR_LIMIT, "why".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hung_command_is_stopped_at_its_limit() {
        let (output, handle) = run(Scripted::new().until_stopped(), std::future::pending()).await;
        assert!(output.unwrap_err().is_timeout() && handle.is_stopped());
    }

    #[tokio::test]
    async fn a_cancelled_command_is_stopped_and_awaited() {
        let script = || Scripted::new().stdout(Bytes::from_static(b"x")).until_stopped();
        let (output, handle) = run(script(), tokio::task::yield_now()).await;
        assert!(output.unwrap_err().is_stopped() && handle.is_stopped());
        // Also one that was cancelled while it started.
        let (output, handle) = run(script(), std::future::ready(())).await;
        assert!(output.unwrap_err().is_stopped() && handle.is_stopped());
    }
}
