//! The one error of this crate: opaque, with documented predicates.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::executor::Exit;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, asked by predicates. Cheap to clone.
///
/// `Display` prints one lowercase line without prompts or secrets; its wording may change in any release.
/// A turn that the CLI itself reports as failed is no `Error`: it is an [`Outcome`] with a [`failure`].
///
/// [`Outcome`]: crate::protocol::Outcome
/// [`failure`]: crate::protocol::Outcome::failure
#[derive(Debug, Clone)]
pub struct Error(Arc<Repr>);

#[derive(Debug)]
struct Repr {
    kind: Kind,
    source: Option<io::Error>,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Invalid { field: &'static str, reason: String },
    NotFound { what: String },
    UnknownSession { id: String },
    Spawn { program: String },
    Io { doing: &'static str },
    Exited { exit: Exit, stderr: String },
    Stopped,
    TimedOut { what: &'static str, limit: Duration },
    QueueFull { depth: usize },
    Unsupported { what: String },
    Conflict { what: String },
    Store { doing: &'static str, reason: String },
    Failed { step: &'static str, detail: String },
}

impl Error {
    #[cold]
    fn new(kind: Kind) -> Self {
        Self(Arc::new(Repr { kind, source: None }))
    }

    /// A value that cannot be used; `field` is its name in the caller's request or configuration.
    pub fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::new(Kind::Invalid { field, reason: reason.into() })
    }

    /// Something named that does not exist.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(Kind::NotFound { what: what.into() })
    }

    /// A session that the CLI does not have, in this working directory.
    pub fn unknown_session(id: impl Into<String>) -> Self {
        Self::new(Kind::UnknownSession { id: id.into() })
    }

    /// A program that could not be started.
    pub fn spawn(program: impl Into<String>, source: io::Error) -> Self {
        Self(Arc::new(Repr { kind: Kind::Spawn { program: program.into() }, source: Some(source) }))
    }

    /// A failed read or write.
    pub fn io(doing: &'static str, source: io::Error) -> Self {
        Self(Arc::new(Repr { kind: Kind::Io { doing }, source: Some(source) }))
    }

    /// A process that ended without having said what it was asked for.
    pub fn exited(exit: Exit, stderr: impl Into<String>) -> Self {
        Self::new(Kind::Exited { exit, stderr: stderr.into() })
    }

    /// Something stopped on its caller's wish.
    pub fn stopped() -> Self {
        Self::new(Kind::Stopped)
    }

    /// A time limit that ran out.
    pub fn timed_out(what: &'static str, limit: Duration) -> Self {
        Self::new(Kind::TimedOut { what, limit })
    }

    /// A queue at its bound.
    pub fn queue_full(depth: usize) -> Self {
        Self::new(Kind::QueueFull { depth })
    }

    /// Something this version, CLI or platform does not do.
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported { what: what.into() })
    }

    /// A request that contradicts an earlier one.
    pub fn conflict(what: impl Into<String>) -> Self {
        Self::new(Kind::Conflict { what: what.into() })
    }

    /// The durable store refused.
    pub fn store(doing: &'static str, reason: impl fmt::Display) -> Self {
        Self::new(Kind::Store { doing, reason: reason.to_string() })
    }

    /// A step of a longer piece of work that failed, such as `git clone`.
    pub fn failed(step: &'static str, detail: impl Into<String>) -> Self {
        Self::new(Kind::Failed { step, detail: detail.into() })
    }

    /// The field that was refused, when a value was.
    pub fn field(&self) -> Option<&'static str> {
        match &self.0.kind {
            Kind::Invalid { field, .. } => Some(field),
            _ => None,
        }
    }

    /// True when a value of the caller's was refused.
    pub fn is_invalid(&self) -> bool {
        matches!(self.0.kind, Kind::Invalid { .. })
    }

    /// True when the CLI does not have the session to resume.
    pub fn is_unknown_session(&self) -> bool {
        matches!(self.0.kind, Kind::UnknownSession { .. })
    }

    /// True when the named thing, the session to resume or the program to start does not exist.
    pub fn is_not_found(&self) -> bool {
        match &self.0.kind {
            Kind::NotFound { .. } | Kind::UnknownSession { .. } => true,
            Kind::Spawn { .. } => {
                self.0.source.as_ref().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
            }
            _ => false,
        }
    }

    /// True when the process could not be started at all.
    pub fn is_spawn(&self) -> bool {
        matches!(self.0.kind, Kind::Spawn { .. })
    }

    /// True when a time limit ran out.
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, Kind::TimedOut { .. })
    }

    /// True when the caller, or a shutdown, stopped it.
    pub fn is_stopped(&self) -> bool {
        matches!(self.0.kind, Kind::Stopped)
    }

    /// True when the queue was at its bound; nothing was started, and trying later may work.
    pub fn is_queue_full(&self) -> bool {
        matches!(self.0.kind, Kind::QueueFull { .. })
    }

    /// True when this version of the CLI, of this crate or of the platform cannot do it.
    pub fn is_unsupported(&self) -> bool {
        matches!(self.0.kind, Kind::Unsupported { .. })
    }

    /// True when the request contradicts an earlier one, such as an idempotency key used for something else.
    pub fn is_conflict(&self) -> bool {
        matches!(self.0.kind, Kind::Conflict { .. })
    }

    /// How the process ended, when it ended without a result.
    pub fn exit(&self) -> Option<&Exit> {
        match &self.0.kind {
            Kind::Exited { exit, .. } => Some(exit),
            _ => None,
        }
    }

    /// The end of what the process wrote to stderr, when it ended without a result.
    pub fn stderr_tail(&self) -> &str {
        match &self.0.kind {
            Kind::Exited { stderr, .. } => stderr,
            _ => "",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            Kind::Invalid { field, reason } => write!(f, "{field}: {reason}"),
            Kind::NotFound { what } => write!(f, "{what} not found"),
            Kind::UnknownSession { id } => write!(f, "the CLI has no session {id} in this directory"),
            Kind::Spawn { program } => match &self.0.source {
                Some(source) => write!(f, "cannot start {program}: {source}"),
                None => write!(f, "cannot start {program}"),
            },
            Kind::Io { doing } => match &self.0.source {
                Some(source) => write!(f, "{doing}: {source}"),
                None => f.write_str(doing),
            },
            Kind::Exited { exit, stderr } if stderr.is_empty() => {
                write!(f, "ended without a result ({exit})")
            }
            Kind::Exited { exit, stderr } => {
                let last = stderr.trim_end().lines().next_back().unwrap_or_default();
                write!(f, "ended without a result ({exit}): {last}")
            }
            Kind::Stopped => f.write_str("stopped"),
            Kind::TimedOut { what, limit } => write!(f, "{what} took longer than {limit:?}"),
            Kind::QueueFull { depth } => write!(f, "queue full ({depth} waiting)"),
            Kind::Unsupported { what } | Kind::Conflict { what } => f.write_str(what),
            Kind::Store { doing, reason } => write!(f, "{doing}: {reason}"),
            Kind::Failed { step, detail } => write!(f, "{step} failed: {detail}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_is_one_pointer_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn a_missing_program_is_not_found_and_spawn() {
        let error = Error::spawn("claude", io::Error::from(io::ErrorKind::NotFound));
        assert!(error.is_not_found() && error.is_spawn() && !error.is_invalid());
    }

    #[test]
    fn exit_shows_only_the_last_line_of_stderr() {
        let error = Error::exited(Exit::from_code(1), "first\nsecond\n");
        assert_eq!(error.to_string(), "ended without a result (exit code 1): second");
    }
}
