//! The one error of this crate: opaque, with documented predicates.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, asked by predicates. Cheap to clone.
///
/// `Display` prints one lowercase line without prompts or secrets; its wording may change in any release.
#[derive(Debug, Clone)]
pub struct Error(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Invalid { field: &'static str, reason: String },
    Unavailable { what: &'static str, reason: String, retry_after: Option<Duration> },
    Refused { what: &'static str, reason: String },
    Unsupported { what: String },
    Conflict { what: String },
    Core(claude_exec::Error),
}

impl Error {
    #[cold]
    fn new(kind: Kind) -> Self {
        Self(Arc::new(kind))
    }

    /// A value that cannot be used; `field` is its name in the configuration or the request.
    pub fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::new(Kind::Invalid { field, reason: reason.into() })
    }

    /// A service that did not answer, or asked to be left alone for a while: trying later may work.
    pub fn unavailable(what: &'static str, reason: impl fmt::Display, retry_after: Option<Duration>) -> Self {
        Self::new(Kind::Unavailable { what, reason: reason.to_string(), retry_after })
    }

    /// A service that said no, such as 403 or 422: trying the same again is no use.
    pub fn refused(what: &'static str, reason: impl fmt::Display) -> Self {
        Self::new(Kind::Refused { what, reason: reason.to_string() })
    }

    /// Something this version does not do, such as a protocol it does not know.
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported { what: what.into() })
    }

    /// A change based on what is no longer so: someone else was first.
    pub fn conflict(what: impl Into<String>) -> Self {
        Self::new(Kind::Conflict { what: what.into() })
    }

    /// The field that was refused, when a value was.
    pub fn field(&self) -> Option<&'static str> {
        match &*self.0 {
            Kind::Invalid { field, .. } => Some(field),
            Kind::Core(error) => error.field(),
            _ => None,
        }
    }

    /// True when a value of the caller's was refused.
    pub fn is_invalid(&self) -> bool {
        self.field().is_some()
    }

    /// True when trying later may work: a time-out, a lost connection, a rate limit, a 5xx, a full disk.
    pub fn is_transient(&self) -> bool {
        match &*self.0 {
            Kind::Unavailable { .. } => true,
            Kind::Core(error) => !error.is_invalid() && !error.is_unsupported(),
            _ => false,
        }
    }

    /// True when a service said no and will say it again.
    pub fn is_refused(&self) -> bool {
        matches!(*self.0, Kind::Refused { .. })
    }

    /// True when this version cannot do it.
    pub fn is_unsupported(&self) -> bool {
        match &*self.0 {
            Kind::Unsupported { .. } => true,
            Kind::Core(error) => error.is_unsupported(),
            _ => false,
        }
    }

    /// True when someone else was first.
    pub fn is_conflict(&self) -> bool {
        matches!(*self.0, Kind::Conflict { .. })
    }

    /// How long the service asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match &*self.0 {
            Kind::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<claude_exec::Error> for Error {
    fn from(error: claude_exec::Error) -> Self {
        Self::new(Kind::Core(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Invalid { field, reason } => write!(f, "{field}: {reason}"),
            Kind::Unavailable { what, reason, retry_after: None } => write!(f, "{what}: {reason}"),
            Kind::Unavailable { what, reason, retry_after: Some(after) } => {
                write!(f, "{what}: {reason} (again in {after:?})")
            }
            Kind::Refused { what, reason } => write!(f, "{what} refused: {reason}"),
            Kind::Unsupported { what } | Kind::Conflict { what } => f.write_str(what),
            Kind::Core(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.0 {
            Kind::Core(error) => error.source(),
            _ => None,
        }
    }
}
