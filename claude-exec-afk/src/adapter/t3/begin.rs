//! How a turn is begun: what to do next, for what was found.

use super::look;
use super::stop::Found;
use super::turn::Progress;
use crate::names::RunId;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// Make the thread.
    Create,
    /// Send the turn.
    Send,
    /// Nothing: it was begun before.
    Begun,
    /// Nothing: the run was stopped, here or by a person.
    Refused,
    /// Not now: the turn before it still runs.
    Later,
}

/// What has to be done next to begin the turn of this number. `interrupted` says that we have had the last one
/// interrupted, whatever the server shows.
pub(super) fn next(found: &Found, run: &RunId, number: u32, interrupted: bool) -> Begin {
    let thread = match found {
        Found::Nothing => return Begin::Create,
        Found::Archived(_) | Found::Deleted => return Begin::Refused,
        Found::Thread(thread) => thread,
    };
    if look::turns(thread, run) >= number {
        return Begin::Begun;
    }
    let running = thread.session.as_ref().is_some_and(|session| session.is_running());
    let undecided = look::progress(thread, run) == Some(Progress::Undecided) && !interrupted;
    // The server would queue it behind, or steer what runs with it.
    if running || undecided { Begin::Later } else { Begin::Send }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::scene::{self, archived, run, thread};
    use super::*;

    #[test]
    fn a_turn_is_begun_once_and_never_after_a_stop() {
        let said = |turn: u32| scene::said(turn, "2026-11-24T09:00:00.000Z");
        let idle = json!({"status": "ready"});
        let ended = json!({"turnId": "t", "state": "completed", "requestedAt": "2026-11-24T09:00:00.000Z"});
        let done = |turn| thread(json!({"messages": [said(turn)], "session": idle, "latestTurn": ended}));
        for (found, number, want) in [
            (Found::Nothing, 1, Begin::Create),
            (Found::Nothing, 3, Begin::Create),
            (Found::Deleted, 1, Begin::Refused),
            (archived(json!({"status": "stopped"})), 2, Begin::Refused),
            (thread(json!({})), 1, Begin::Send),
            (done(1), 1, Begin::Begun),
            (done(1), 2, Begin::Send),
            (done(2), 1, Begin::Begun),
            (thread(json!({"messages": [said(1)], "session": {"status": "running"}})), 2, Begin::Later),
            (thread(json!({"messages": [said(1)]})), 2, Begin::Later),
        ] {
            assert_eq!(next(&found, &run(), number, false), want, "{number} {found:?}");
        }
        let lost = thread(json!({"messages": [said(1)], "session": idle}));
        assert_eq!(next(&lost, &run(), 2, false), Begin::Later);
        assert_eq!(next(&lost, &run(), 2, true), Begin::Send);
    }
}
