//! The marker in a child's environment: which run it belongs to, and whose run that is.

use std::path::Path;
use std::sync::OnceLock;

use uuid::Uuid;

/// The variable that every descendant of a run inherits.
pub(super) const VARIABLE: &str = "CLAUDE_EXEC_RUN";

/// `<pid namespace>-<owner's pid>-<owner's start time>-<run>`: enough to know a run's processes, and to know
/// whether their owner still lives even when its pid was given to another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marker(String);

impl Marker {
    /// A marker for a new run of this process.
    pub(super) fn new() -> Self {
        static OWNER: OnceLock<String> = OnceLock::new();
        let owner = OWNER.get_or_init(|| {
            let pid = std::process::id();
            format!("{}-{pid}-{}", namespace(), start_time(pid).unwrap_or_default())
        });
        Self(format!("{owner}-{}", Uuid::new_v4().simple()))
    }

    pub(super) fn value(&self) -> &str {
        &self.0
    }

    /// The marker with the run's first 8 digits only: for a name that has to be short.
    pub(super) fn short(&self) -> &str {
        let run = self.0.rfind('-').map_or(0, |dash| dash + 1);
        self.0.get(..run + 8).unwrap_or(&self.0)
    }

    /// The marker that [`short`](Self::short) tells: good enough to know its owner.
    pub(super) fn from_short(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The marker in the bytes of a `/proc/<pid>/environ`.
    pub(super) fn find(environ: &[u8]) -> Option<Self> {
        environ.split(|byte| *byte == 0).find_map(|variable| {
            let value = variable.strip_prefix(VARIABLE.as_bytes())?.strip_prefix(b"=")?;
            Some(Self(String::from_utf8(value.to_vec()).ok()?))
        })
    }

    /// True when a `/proc/<pid>/environ` carries this very marker.
    pub(super) fn is_in(&self, environ: &[u8]) -> bool {
        memchr::memmem::find(environ, self.0.as_bytes()).is_some()
    }

    /// True when the owner is of this PID namespace and no longer lives.
    pub(super) fn is_orphaned(&self) -> bool {
        let mut parts = self.0.splitn(4, '-');
        let (Some(space), Some(pid), Some(started)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let (Ok(pid), Ok(started)) = (pid.parse::<u32>(), started.parse::<u64>()) else { return false };
        parts.next().is_some() && space == namespace() && start_time(pid) != Some(started)
    }
}

/// The id of this process's PID namespace: the same pid means another process in another one.
fn namespace() -> String {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.to_string_lossy().chars().filter(char::is_ascii_digit).collect()
}

/// When a process started, in clock ticks since boot: field 22 of `/proc/<pid>/stat` (proc(5)).
fn start_time(pid: u32) -> Option<u64> {
    super::proc::Stat::read(&Path::new("/proc").join(pid.to_string())).map(|stat| stat.start_time)
}

/// True when a `/proc/<pid>/environ` carries any run's marker.
pub(super) fn is_carried(environ: &[u8]) -> bool {
    memchr::memmem::find(environ, VARIABLE.as_bytes()).is_some()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_marker_of_this_process_is_found_and_is_no_orphan() {
        let marker = Marker::new();
        let environ = format!("PATH=/bin\0{VARIABLE}={}\0HOME=/root\0", marker.value());
        assert_eq!(Marker::find(environ.as_bytes()), Some(marker.clone()));
        assert!(marker.is_in(environ.as_bytes()) && !Marker::new().is_in(environ.as_bytes()));
        assert!(!marker.is_orphaned());
    }

    #[test]
    fn only_a_dead_owner_of_this_namespace_makes_an_orphan() {
        let (space, pid) = (namespace(), std::process::id());
        let started = start_time(pid).unwrap();
        let table = [
            (format!("{space}-{pid}-{started}-run"), false),
            (format!("{space}-{pid}-{}-run", started + 1), true),
            (format!("{space}-4194305-1-run"), true),
            ("1-4194305-1-run".to_owned(), false),
            (format!("{space}-{pid}"), false),
            ("nonsense".to_owned(), false),
        ];
        for (text, orphaned) in table {
            assert_eq!(Marker(text.clone()).is_orphaned(), orphaned, "{text}");
        }
    }
}
