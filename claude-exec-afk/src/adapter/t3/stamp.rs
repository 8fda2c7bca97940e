//! The time that a command says it was made at.
//!
//! Before 0.0.29 the server believes it, and the rule of [`turn`](super::turn) compares it with the times of the
//! server's own clock. So it is told by the server's clock, not by ours, and never before what is there already.

use jiff::{SignedDuration, Timestamp};

use super::wire::Thread;

/// The latest of the times that the server dated anything in a thread with.
pub(super) fn newest(thread: &Thread) -> Option<Timestamp> {
    let messages = thread.messages.iter().map(|said| &said.created_at);
    let activities = thread.activities.iter().map(|activity| &activity.created_at);
    let checkpoints = thread.checkpoints.iter().map(|checkpoint| &checkpoint.completed_at);
    let session = thread.session.iter().map(|session| &session.updated_at);
    let all = messages.chain(activities).chain(checkpoints).chain(session);
    // What is no time, such as the "yesterday" that an old server keeps if it is sent one, is passed over.
    all.filter_map(|at| at.parse().ok()).max()
}

/// When a command is made: by the server's clock where it tells (`date`, in whole seconds), and after everything
/// that is there.
pub(super) fn made(date: Option<&str>, newest: Option<Timestamp>, ours: Timestamp) -> String {
    let told = date.and_then(|date| httpdate::parse_http_date(date).ok());
    let theirs = told.and_then(|told| Timestamp::try_from(told).ok()).unwrap_or(ours);
    let after = newest.and_then(|newest| newest.checked_add(SignedDuration::from_millis(1)).ok());
    let made = after.map_or(theirs, |after| after.max(theirs));
    format!("{made:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_servers_clock_counts_and_time_goes_forward() {
        let ours = at("2026-11-24T09:00:00Z");
        let date = Some("Tue, 24 Nov 2026 08:30:05 GMT");
        for (date, newest, want) in [
            (date, None, "2026-11-24T08:30:05.000Z"),
            (date, Some("2026-11-24T08:30:05.417Z"), "2026-11-24T08:30:05.418Z"),
            (date, Some("2026-11-24T08:30:04.9Z"), "2026-11-24T08:30:05.000Z"),
            (None, Some("2026-11-24T08:30:05.417Z"), "2026-11-24T09:00:00.000Z"),
            (Some("soon"), None, "2026-11-24T09:00:00.000Z"),
        ] {
            assert_eq!(made(date, newest.map(at), ours), want);
        }
    }
}
