//! How a session is ended for good: what to do next, for what was found.
//!
//! The order matters. A `thread.session.stop` during a running turn wedges the whole server (its one worker then
//! waits for the agent's next word, and no thread can begin a turn meanwhile), so a turn is interrupted first. An
//! archived thread ignores a stop, so it is archived last; and archived it stays, which is what refuses a later
//! start, also after a restart.

use super::look;
use super::turn::Progress;
use super::wire::{Row, Session, Thread};
use crate::names::RunId;

/// What is there of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// No thread.
    Nothing,
    /// Its thread.
    Thread(Box<Thread>),
    /// Its thread, put away.
    Archived(Row),
    /// Its thread, deleted; its id is never given again.
    Deleted,
}

/// What was asked for so far, and has been seen since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Asked {
    /// An interrupt, when so many had failed before.
    pub(super) interrupt: Option<usize>,
    /// A stop of the session.
    pub(super) stop: bool,
    /// The turn was seen running.
    pub(super) ran: bool,
    /// Long ago: what could come of the interrupt has.
    pub(super) long_ago: bool,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Make the thread, so that it can be put away.
    Create,
    /// Interrupt what runs, or is about to.
    Interrupt,
    /// Stop the session.
    StopSession,
    /// Put the thread away.
    Archive,
    /// Take it out again: something may live in it.
    Unarchive,
    /// Look again.
    Wait,
    /// Nothing: it is over.
    Done,
}

/// What has to be done next to end what was found.
pub(super) fn next(found: &Found, run: &RunId, asked: &Asked) -> Next {
    match found {
        Found::Nothing => Next::Create,
        // The server kills what lives in a thread that it deletes.
        Found::Deleted => Next::Done,
        Found::Archived(row) if row.session.as_ref().is_none_or(Session::is_stopped) => Next::Done,
        Found::Archived(_) => Next::Unarchive,
        Found::Thread(thread) => in_thread(thread, run, asked),
    }
}

fn in_thread(thread: &Thread, run: &RunId, asked: &Asked) -> Next {
    let undecided = look::progress(thread, run) == Some(Progress::Undecided);
    let running = thread.session.as_ref().is_some_and(Session::is_running);
    let stopped = thread.session.as_ref().is_none_or(Session::is_stopped);
    // The interrupt was handled and found no process: what shows as running is a ghost, or was never begun.
    let nobody = asked.interrupt.is_some_and(|before| failures(thread) > before);
    let over = asked.interrupt.is_some() && !running && (asked.ran || asked.long_ago);
    match (running || undecided, asked.interrupt) {
        _ if asked.stop && stopped => Next::Archive,
        _ if asked.stop => Next::Wait,
        (true, None) => Next::Interrupt,
        (true, Some(_)) if !nobody && !over => Next::Wait,
        // Never a session, and nothing on the way to one.
        (false, _) if stopped => Next::Archive,
        _ => Next::StopSession,
    }
}

/// What has to be done next so that the turn of this number does not run; the session can go on.
pub(super) fn next_interrupt(found: &Found, run: &RunId, turn: u32, asked: &Asked) -> Next {
    let Found::Thread(thread) = found else { return Next::Done };
    let running = thread.session.as_ref().is_some_and(Session::is_running);
    if look::turns(thread, run) > turn {
        return Next::Done;
    }
    match in_thread(thread, run, asked) {
        // A ghost: it shows as running, and no process is there. Stopped, it can be resumed.
        Next::StopSession if running => Next::StopSession,
        Next::StopSession | Next::Archive => Next::Done,
        next => next,
    }
}

/// How often an interrupt of this thread found nothing to interrupt.
pub(super) fn failures(thread: &Thread) -> usize {
    thread.activities.iter().filter(|activity| activity.kind == "provider.turn.interrupt.failed").count()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::scene::{activity, archived, run, said, thread};
    use super::*;

    const ASKED: &str = "2026-11-24T09:00:05.000Z";

    fn with(session: Value, latest: &str) -> Found {
        let latest = match latest {
            "" => Value::Null,
            state => json!({"turnId": "t", "state": state, "requestedAt": ASKED}),
        };
        thread(json!({"messages": [said(1, ASKED)], "session": session, "latestTurn": latest}))
    }

    fn nobody(session: Value) -> Found {
        let failed = activity("provider.turn.interrupt.failed", None, json!({}), ASKED);
        thread(json!({"messages": [said(1, ASKED)], "session": session, "activities": [failed]}))
    }

    /// What runs is interrupted before it is stopped, and stopped before it is archived: any other order wedges
    /// the server, or leaves a process behind.
    #[test]
    fn the_order_of_an_end() {
        let nothing = Asked::default();
        let interrupted = Asked { interrupt: Some(0), ..nothing };
        let ran = Asked { ran: true, ..interrupted };
        let long_ago = Asked { long_ago: true, ..interrupted };
        let stopping = Asked { stop: true, ..ran };
        let (running, ready, stopped) =
            (json!({"status": "running"}), json!({"status": "ready"}), json!({"status": "stopped"}));
        for (found, asked, want) in [
            (Found::Nothing, nothing, Next::Create),
            (Found::Deleted, nothing, Next::Done),
            (archived(Value::Null), nothing, Next::Done),
            (archived(stopped.clone()), nothing, Next::Done),
            (archived(ready.clone()), nothing, Next::Unarchive),
            (archived(running.clone()), nothing, Next::Unarchive),
            (thread(json!({})), nothing, Next::Archive),
            // It runs.
            (with(running.clone(), "running"), nothing, Next::Interrupt),
            (with(running.clone(), "running"), ran, Next::Wait),
            (with(running.clone(), "running"), Asked { long_ago: true, ..ran }, Next::Wait),
            (with(json!({"status": "hibernating"}), ""), nothing, Next::Interrupt),
            (with(ready.clone(), "interrupted"), ran, Next::StopSession),
            (with(ready.clone(), ""), ran, Next::StopSession),
            (with(ready.clone(), "completed"), stopping, Next::Wait),
            (with(stopped.clone(), "completed"), stopping, Next::Archive),
            // It is over already.
            (with(ready.clone(), "completed"), nothing, Next::StopSession),
            (with(json!({"status": "error"}), "error"), nothing, Next::StopSession),
            (with(stopped.clone(), "completed"), nothing, Next::Archive),
            // It was accepted and has not begun: it may, right when it is stopped.
            (with(Value::Null, ""), nothing, Next::Interrupt),
            (with(ready.clone(), ""), nothing, Next::Interrupt),
            (with(ready.clone(), ""), interrupted, Next::Wait),
            (with(ready, ""), long_ago, Next::StopSession),
            (with(Value::Null, ""), long_ago, Next::StopSession),
            (with(stopped.clone(), ""), nothing, Next::Interrupt),
            // Nobody was there to interrupt: a ghost of the server's last life, or a turn that it lost.
            (nobody(running), interrupted, Next::StopSession),
            (nobody(Value::Null), interrupted, Next::StopSession),
            (nobody(stopped), Asked { stop: true, ..interrupted }, Next::Archive),
        ] {
            assert_eq!(next(&found, &run(), &asked), want, "{asked:?} {found:?}");
        }
    }

    #[test]
    fn an_interrupt_leaves_the_session() {
        let nothing = Asked::default();
        let ran = Asked { interrupt: Some(0), ran: true, ..nothing };
        let (running, ready) = (json!({"status": "running"}), json!({"status": "ready"}));
        for (found, turn, asked, want) in [
            (Found::Nothing, 1, nothing, Next::Done),
            (Found::Deleted, 1, nothing, Next::Done),
            (archived(running.clone()), 1, nothing, Next::Done),
            (with(running.clone(), "running"), 1, nothing, Next::Interrupt),
            (with(running.clone(), "running"), 0, nothing, Next::Done),
            (with(running.clone(), "running"), 1, ran, Next::Wait),
            (with(ready.clone(), ""), 1, ran, Next::Done),
            (with(ready, "completed"), 1, nothing, Next::Done),
            (nobody(running), 1, Asked { interrupt: Some(0), ..nothing }, Next::StopSession),
        ] {
            assert_eq!(next_interrupt(&found, &run(), turn, &asked), want, "{asked:?} {found:?}");
        }
    }
}
