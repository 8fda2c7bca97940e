//! "Is my turn done?": the one rule by which it is told.
//!
//! `latestTurn.state` alone cannot be believed: up to 0.0.31 it says `completed` at the first finished message of a
//! turn that still runs, becomes null when the session settles, and right after a turn was given it still shows the
//! one before. The rule below was held against real servers of 0.0.27 and of 0.0.33, in git workspaces and others.

use std::collections::{BTreeMap, BTreeSet};

use super::wire::{LatestTurn, Role, Status, Thread, TurnState};

/// The activity that says that a turn could not be begun.
pub(super) const START_FAILED: &str = "provider.turn.start.failed";

/// How far a turn is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// It runs, waits to be begun, or the answer is not out yet.
    Undecided,
    /// The agent could not be started; why.
    StartFailed(String),
    /// It failed; why, where that is said.
    Failed(String),
    /// Someone interrupted it.
    Interrupted,
    /// Its session was stopped.
    Stopped,
    /// It ended.
    Completed,
}

/// How far the turn of this message is; none when the thread does not have the message.
pub(super) fn progress(thread: &Thread, message: &str) -> Option<Progress> {
    let said = thread.messages.iter().find(|said| said.id == message)?;
    // As the server shows it: from 0.0.29 on it is not the time that was sent.
    let since = said.created_at.as_str();
    let session = thread.session.as_ref();
    let running = session.is_some_and(|session| session.is_running());
    let failed = |activity: &&super::wire::Activity| {
        activity.kind == START_FAILED && activity.created_at.as_str() >= since
    };
    if !running && let Some(activity) = thread.activities.iter().find(failed) {
        return Some(Progress::StartFailed(detail(&activity.payload)));
    }
    let Some(session) = session.filter(|_| !running) else { return Some(Progress::Undecided) };
    // No turn of its own yet: 0.0.27 shows `ready` before the first `running`.
    let Some(turn) = turn_since(thread, since) else { return Some(Progress::Undecided) };
    let state =
        thread.latest_turn.as_ref().filter(|latest| latest.turn_id == turn).map(|latest| latest.state);
    let error = || session.last_error.clone().unwrap_or_else(|| "no reason given".into());
    Some(match (session.status, state) {
        (_, Some(TurnState::Running | TurnState::Unknown)) => Progress::Undecided,
        (Status::Error, _) | (_, Some(TurnState::Error)) => Progress::Failed(error()),
        (Status::Stopped, _) if session.last_error.is_some() => Progress::Failed(error()),
        (_, Some(TurnState::Interrupted)) => Progress::Interrupted,
        (Status::Stopped, _) => Progress::Stopped,
        _ => Progress::Completed,
    })
}

/// What the agent said last in the turn of this message.
pub(super) fn last_words<'a>(thread: &'a Thread, message: &str) -> Option<&'a str> {
    let said = thread.messages.iter().find(|said| said.id == message)?;
    let turn = turn_since(thread, &said.created_at)?;
    let of_turn =
        |said: &&super::wire::Said| said.role == Role::Assistant && said.turn_id.as_ref() == Some(&turn);
    thread.messages.iter().rfind(of_turn).map(|said| said.text.as_str())
}

/// The turn that was asked for at `since`: the latest one when it says so, or else the first that has left a trace
/// since then and none before, as a turn has whose last trace came late.
fn turn_since(thread: &Thread, since: &str) -> Option<String> {
    let asked = |latest: &&LatestTurn| latest.requested_at == since;
    if let Some(latest) = thread.latest_turn.as_ref().filter(asked) {
        return Some(latest.turn_id.clone());
    }
    let said = thread.messages.iter().filter(|said| said.role == Role::Assistant);
    let said = said.map(|said| (said.turn_id.as_deref(), said.created_at.as_str()));
    let done = thread.activities.iter();
    let done = done.map(|activity| (activity.turn_id.as_deref(), activity.created_at.as_str()));
    let kept = thread.checkpoints.iter();
    let kept = kept.map(|checkpoint| (Some(checkpoint.turn_id.as_str()), checkpoint.completed_at.as_str()));
    let (mut before, mut after) = (BTreeSet::new(), BTreeMap::new());
    for (turn, at) in said.chain(done).chain(kept) {
        let Some(turn) = turn else { continue };
        if at < since {
            before.insert(turn);
        } else {
            let first = after.entry(turn).or_insert(at);
            *first = (*first).min(at);
        }
    }
    let new = after.into_iter().filter(|(turn, _)| !before.contains(turn));
    new.min_by_key(|(turn, at)| (*at, *turn)).map(|(turn, _)| turn.to_owned())
}

/// The most characters of a reason that are passed on: some hold a whole stack.
const REASON_LIMIT: usize = 300;

fn detail(payload: &serde_json::Value) -> String {
    let text = payload["detail"].as_str().unwrap_or("no reason given");
    text.lines().next().unwrap_or_default().chars().take(REASON_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::ids;
    use super::super::scene::{activity, answered, bare, run, said};
    use super::*;

    const ASKED: &str = "2026-11-24T09:00:05.000Z";
    const BEFORE: &str = "2026-11-24T09:00:04.000Z";
    const AFTER: &str = "2026-11-24T09:00:06.000Z";
    const LATER: &str = "2026-11-24T09:00:07.000Z";

    fn latest(turn: &str, state: &str, at: &str) -> Value {
        json!({"turnId": turn, "state": state, "requestedAt": at})
    }

    /// The cases of the rule, in its order; both servers' ways of showing them.
    #[test]
    fn my_turn_is_done_when_it_is_done() {
        let ready = json!({"status": "ready"});
        let running = json!({"status": "running", "activeTurnId": "t2"});
        let failed = |at| activity(START_FAILED, None, json!({"detail": "no claude\nat stack"}), at);
        let error = json!({"status": "error", "lastError": "boom"});
        let died = json!({"status": "stopped", "lastError": "boom"});
        use Progress::{Completed, Failed, Interrupted, StartFailed, Stopped, Undecided};
        let cases: Vec<(&str, Value, Progress)> = vec![
            (
                "2: cannot be begun, 0.0.27",
                json!({"activities": [failed(AFTER)]}),
                StartFailed("no claude".into()),
            ),
            (
                "2: cannot be begun, 0.0.29",
                json!({"activities": [failed(AFTER)], "session": error}),
                StartFailed("no claude".into()),
            ),
            ("2: an earlier one could not", json!({"activities": [failed(BEFORE)]}), Undecided),
            (
                "2: it runs all the same",
                json!({"activities": [failed(AFTER)], "session": running}),
                Undecided,
            ),
            ("3: no session yet", json!({}), Undecided),
            ("3: starting", json!({"session": {"status": "starting"}}), Undecided),
            (
                "3: running, and said to be completed, 0.0.27",
                json!({"session": running, "latestTurn": latest("t2", "completed", ASKED)}),
                Undecided,
            ),
            (
                "3: ready with an active turn",
                json!({"session": {"status": "ready", "activeTurnId": "t2"}, "latestTurn": latest("t2", "completed", ASKED)}),
                Undecided,
            ),
            (
                "3: a status of a later release",
                json!({"session": {"status": "hibernating"}, "latestTurn": latest("t2", "completed", ASKED)}),
                Undecided,
            ),
            (
                "4: ready before it runs, 0.0.27: the latest is the one before",
                json!({"session": ready, "latestTurn": latest("t1", "completed", BEFORE)}),
                Undecided,
            ),
            (
                "4: the one before leaves a late trace",
                json!({"session": ready, "latestTurn": latest("t1", "completed", BEFORE),
                    "messages": [answered("t1", "first", BEFORE), said(2, ASKED)],
                    "checkpoints": [{"turnId": "t1", "files": [], "completedAt": AFTER}]}),
                Undecided,
            ),
            (
                "4: no latest turn any more, 0.0.27 without git",
                json!({"session": ready, "messages": [said(2, ASKED), answered("t2", "done", AFTER)]}),
                Completed,
            ),
            (
                "4: a trace of a tool alone",
                json!({"session": ready, "activities": [activity("tool.completed", Some("t2"), json!({}), AFTER)]}),
                Completed,
            ),
            (
                "4: somebody's turn after ours is not ours",
                json!({"session": ready, "latestTurn": latest("t3", "error", LATER),
                    "messages": [said(2, ASKED), answered("t2", "done", AFTER), answered("t3", "x", LATER)]}),
                Completed,
            ),
            (
                "5: its state is still running",
                json!({"session": ready, "latestTurn": latest("t2", "running", ASKED)}),
                Undecided,
            ),
            (
                "5: its state is of a later release",
                json!({"session": ready, "latestTurn": latest("t2", "parked", ASKED)}),
                Undecided,
            ),
            (
                "6: completed",
                json!({"session": ready, "latestTurn": latest("t2", "completed", ASKED)}),
                Completed,
            ),
            (
                "6: the session failed",
                json!({"session": error, "latestTurn": latest("t2", "completed", ASKED)}),
                Failed("boom".into()),
            ),
            (
                "6: the turn failed",
                json!({"session": ready, "latestTurn": latest("t2", "error", ASKED)}),
                Failed("no reason given".into()),
            ),
            (
                "6: the process died",
                json!({"session": died, "latestTurn": latest("t2", "completed", ASKED)}),
                Failed("boom".into()),
            ),
            (
                "6: interrupted",
                json!({"session": ready, "latestTurn": latest("t2", "interrupted", ASKED)}),
                Interrupted,
            ),
            (
                "6: stopped",
                json!({"session": {"status": "stopped"}, "latestTurn": latest("t2", "completed", ASKED)}),
                Stopped,
            ),
        ];
        for (name, mut parts, want) in cases {
            if parts["messages"].is_null() {
                parts["messages"] = json!([said(2, ASKED)]);
            }
            assert_eq!(progress(&bare(parts), &ids::message(&run(), 2)), Some(want), "{name}");
        }
        assert_eq!(progress(&bare(json!({})), &ids::message(&run(), 2)), None, "the message is not there");
    }

    /// What real servers answered: a turn with an approval on 0.0.27, and one on 0.0.33.
    #[test]
    fn real_answers_are_read() {
        let text = std::fs::read_to_string("tests/services/t3/schemas/examples/_snapshot-v0.0.27.real.json")
            .unwrap();
        let snapshot: super::super::wire::Snapshot<'_> = serde_json::from_str(&text).unwrap();
        let thread: Thread = serde_json::from_str(snapshot.threads[0].get()).unwrap();
        let mine = "m-151b79ef-2fad-4750-825d-7c5d981df6c6";
        assert_eq!(progress(&thread, mine), Some(Progress::Completed));
        assert_eq!(last_words(&thread, mine), Some("echo: APPROVE please"));
        let text =
            std::fs::read_to_string("tests/services/t3/schemas/examples/_thread-detail-v0.0.33.real.json")
                .unwrap();
        let detail: super::super::wire::Detail = serde_json::from_str(&text).unwrap();
        let mine = detail.thread.messages.iter().find(|said| said.role == Role::User).unwrap();
        assert_eq!(progress(&detail.thread, &mine.id), Some(Progress::Completed));
        let text =
            std::fs::read_to_string("tests/services/t3/schemas/examples/_shell-v0.0.33.real.json").unwrap();
        let shell: super::super::wire::Snapshot<'_> = serde_json::from_str(&text).unwrap();
        serde_json::from_str::<super::super::wire::Project>(shell.projects[0].get()).unwrap();
        serde_json::from_str::<super::super::wire::Row>(shell.threads[0].get()).unwrap();
    }
}
