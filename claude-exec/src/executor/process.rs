//! The extension point: where a command runs.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use super::Command;
use crate::error::Result;

/// Starts commands somewhere and hands back what they say.
///
/// # Contract
///
/// What every implementation owes, and [`conformance`] (feature `test-util`) checks:
///
/// 1. [`Process::output`] yields exactly one [`Frame::Exit`], last; nothing follows it.
/// 2. Dropping the [`Process`] stops the process with all its descendants, even while a [`Control`] lives.
/// 3. [`Control::stop`] returns at once, bounds its own waits, may be called again and after the end.
/// 4. Frame boundaries mean nothing; bytes of one stream keep their order; nothing is said about the order
///    between stdout and stderr.
/// 5. A reader that stops reading holds the process back, and never holds back a stop.
/// 6. A command that cannot be started is an error of `start`; a later failure ends the stream with `Err`.
/// 7. After [`Frame::Exit`] no descendant of the process is alive.
///
/// [`conformance`]: super::conformance
pub trait Executor: Send + Sync {
    /// Starts `command`.
    ///
    /// # Errors
    ///
    /// When it could not be started; [`Error::is_not_found`](crate::Error::is_not_found) tells a missing program.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves no process behind.
    fn start(&self, command: Command) -> BoxFuture<'_, Result<Process>>;
}

impl<E: Executor + ?Sized> Executor for &E {
    fn start(&self, command: Command) -> BoxFuture<'_, Result<Process>> {
        (**self).start(command)
    }
}

impl<E: Executor + ?Sized> Executor for Box<E> {
    fn start(&self, command: Command) -> BoxFuture<'_, Result<Process>> {
        (**self).start(command)
    }
}

impl<E: Executor + ?Sized> Executor for Arc<E> {
    fn start(&self, command: Command) -> BoxFuture<'_, Result<Process>> {
        (**self).start(command)
    }
}

/// A started process. Dropping it stops the process.
#[must_use = "dropping a process stops it"]
pub struct Process {
    /// What the process writes; ends after [`Frame::Exit`].
    pub output: BoxStream<'static, Result<Frame>>,
    /// The handle to write to it and to stop it.
    pub control: Arc<dyn Control>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").finish_non_exhaustive()
    }
}

/// One piece of what a process says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame {
    /// Bytes of standard output.
    Stdout(Bytes),
    /// Bytes of standard error.
    Stderr(Bytes),
    /// The end.
    Exit(Exit),
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Exit {
    /// The exit code, when it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// A stop was asked for before it ended.
    pub stopped: bool,
    /// Some descendant still held its output when reading ended; what that one wrote later is lost.
    pub cut: bool,
}

impl Exit {
    /// An end by itself with `code`.
    pub fn from_code(code: i32) -> Self {
        Self { code: Some(code), ..Self::default() }
    }

    /// True for exit code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => f.write_str("unknown exit"),
        }
    }
}

/// The handle of a running process.
pub trait Control: Send + Sync {
    /// Writes to stdin, after everything written before.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` when stdin is closed or the process is gone.
    ///
    /// # Cancel safety
    ///
    /// A call whose future is dropped writes all of `data` or nothing of it.
    fn write(&self, data: Bytes) -> BoxFuture<'_, io::Result<()>>;

    /// Closes stdin once everything written before has gone out. Never blocks; may be called again.
    fn close_stdin(&self);

    /// Stops the process with all its descendants. Never blocks; may be called again to be firmer.
    fn stop(&self, how: Stop);

    /// The memory that the process and its descendants hold, in bytes, pages shared with others counted in shares
    /// (PSS); `None` where the executor cannot tell. May block for some tens of milliseconds.
    fn memory(&self) -> Option<u64> {
        None
    }

    /// The processor time that the process and its descendants have used; `None` where the executor cannot tell. May
    /// block for some tens of milliseconds.
    fn cpu_time(&self) -> Option<Duration> {
        None
    }
}

/// How firmly to stop a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// SIGTERM, then after `grace` SIGKILL; whatever is left of its descendants is killed then.
    Graceful {
        /// How long the process may take to end by itself.
        grace: Duration,
    },
    /// SIGKILL at once.
    Now,
}

impl Stop {
    /// SIGTERM with the grace that a CLI with running tools needs (about 1.2 s measured), with a margin.
    pub const GRACEFUL: Self = Self::Graceful { grace: Duration::from_secs(3) };
}
