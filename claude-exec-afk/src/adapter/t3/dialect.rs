//! Which server this is, and how it is read.

use super::wire::Descriptor;
use crate::error::{Error, Result};

/// The only protocol that is spoken here. A descriptor that names none means 1.
const PROTOCOL: u64 = 1;
/// The first release that answers by thread, and no longer gives away what was said in `/snapshot` for long.
const THREADS_SINCE: [u64; 3] = [0, 0, 29];
/// The oldest release that is spoken to. It is 0.0.27; a checkout of that tag says 0.0.26 of itself, since the
/// number is raised after tagging.
const OLDEST: [u64; 3] = [0, 0, 26];

/// How a server is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// All in one: `/snapshot`, before 0.0.29.
    Snapshot,
    /// `/shell` and `/threads/:id`, since then; `/snapshot` lost what was said in 0.0.32.
    Threads,
}

/// How to read the server that describes itself so.
///
/// # Errors
///
/// When it speaks another protocol than 1, or is too old.
pub(super) fn dialect(descriptor: &Descriptor) -> Result<Dialect> {
    let version = descriptor.server_version.as_str();
    let shown: String = version.chars().take(40).collect();
    let protocol = descriptor.orchestration_protocol_version.unwrap_or(PROTOCOL);
    if protocol != PROTOCOL {
        return Err(Error::unsupported(format!(
            "T3 {shown} speaks orchestration protocol {protocol}; this version speaks protocol {PROTOCOL} alone \
             (T3 0.0.27 to at least 0.0.45): run such a T3 for the unattended loop, or choose another AFK_AGENT"
        )));
    }
    match numbers(version) {
        Some(numbers) if numbers < OLDEST => Err(Error::unsupported(format!(
            "T3 {shown} is too old: its way of signing in was another; update it to 0.0.27 or later"
        ))),
        Some(numbers) if numbers < THREADS_SINCE => Ok(Dialect::Snapshot),
        // One that cannot be read is none of the old ones.
        _ => Ok(Dialect::Threads),
    }
}

/// `0.0.33` or `0.0.33-nightly.7`, as numbers.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let mut parts = version.trim_start_matches('v').splitn(3, '.');
    let mut next = || {
        let part = parts.next()?;
        let digits = part.find(|c: char| !c.is_ascii_digit()).map_or(part, |end| &part[..end]);
        digits.parse().ok()
    };
    Some([next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(version: &str, protocol: Option<u64>) -> Result<Dialect> {
        dialect(&Descriptor {
            environment_id: "e".into(),
            server_version: version.into(),
            orchestration_protocol_version: protocol,
        })
    }

    #[test]
    fn a_server_is_read_as_its_release_can_be() {
        for (version, protocol, want) in [
            ("0.0.26", None, Dialect::Snapshot),
            ("0.0.27", None, Dialect::Snapshot),
            ("0.0.28-nightly.20260701.3", None, Dialect::Snapshot),
            ("0.0.29", None, Dialect::Threads),
            ("v0.0.33", Some(1), Dialect::Threads),
            ("0.0.45", Some(1), Dialect::Threads),
            ("0.1.0", Some(1), Dialect::Threads),
            ("development", None, Dialect::Threads),
        ] {
            assert_eq!(read(version, protocol).unwrap(), want, "{version}");
        }
    }

    #[test]
    fn another_protocol_is_refused_with_what_to_do() {
        for (version, protocol, says) in [
            ("0.0.46", Some(2), "AFK_AGENT"),
            ("0.0.33", Some(0), "protocol 0"),
            ("0.0.24", None, "0.0.27 or later"),
        ] {
            let error = read(version, protocol).unwrap_err();
            assert!(error.is_unsupported() && error.to_string().contains(says), "{error}");
        }
    }
}
