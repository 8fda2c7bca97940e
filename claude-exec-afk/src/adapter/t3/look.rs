//! A run's session, as its thread shows it.

use super::ids;
use super::turn::{self, Progress};
use super::wire::Thread;
use super::words;
use crate::money::Usd;
use crate::names::{Digest, RunId};
use crate::run::{Activity, Evidence, Session};
use crate::seen::Seen;

/// How many turns of the run the thread was given; 0 when none.
pub(super) fn turns(thread: &Thread, run: &RunId) -> u32 {
    thread.messages.iter().filter_map(|said| ids::turn(run, &said.id)).max().unwrap_or_default()
}

/// How far the run's last turn is; none when it was given none.
pub(super) fn progress(thread: &Thread, run: &RunId) -> Option<Progress> {
    turn::progress(thread, &ids::message(run, turns(thread, run)))
}

/// The run's session; none when the thread was given no turn of it.
///
/// `interrupted` says that we have had the last turn interrupted: the server may never say so itself.
pub(super) fn session(
    thread: &Thread,
    run: &RunId,
    interrupted: bool,
    quiet_seconds: u64,
) -> Option<(Session, Progress)> {
    let turns = turns(thread, run);
    let message = ids::message(run, turns);
    let mut progress = turn::progress(thread, &message)?;
    let running = thread.session.as_ref().is_some_and(|session| session.is_running());
    if interrupted && !running {
        progress = Progress::Interrupted;
    }
    if progress == Progress::Completed
        && let Some(last) = turn::last_words(thread, &message).filter(|last| words::is_refusal(last))
    {
        progress = Progress::Failed(last.lines().next().unwrap_or_default().chars().take(120).collect());
    }
    let activity = match progress {
        Progress::Undecided if waits_for_a_person(thread) => Activity::Asking,
        Progress::Undecided => Activity::Busy,
        Progress::Completed => Activity::Idle,
        _ => Activity::Failed,
    };
    let busy = matches!(activity, Activity::Busy | Activity::Asking);
    let session = Session {
        turns,
        activity,
        quiet_seconds: if activity == Activity::Busy { quiet_seconds } else { 0 },
        spent: Usd::ZERO,
        // T3 tells no prices, so each turn that ended counts as the most that one may cost.
        unpriced: turns - u32::from(busy),
        work: work(thread),
        // What it shows of a tool's output is cut, and from 0.0.29 on mostly gone: no proof of a test run.
        evidence: Evidence::default(),
    };
    Some((session, progress))
}

/// A digest that changes with every sign of life in the thread.
pub(super) fn pulse(thread: &Thread) -> Digest {
    let said: usize = thread.messages.iter().map(|said| said.text.len()).sum();
    let session = thread.session.as_ref();
    let last = thread.activities.iter().map(|activity| activity.id.as_str()).max();
    Digest::of(
        &format!("{} {} {}", thread.messages.len(), thread.activities.len(), thread.checkpoints.len()),
        &format!("{said} {last:?} {:?}", session.map(|session| (session.status, &session.updated_at))),
    )
}

/// What was done: the tools that completed, and the files of the checkpoints. T3 shows no files of a worktree that
/// it did not make itself.
fn work(thread: &Thread) -> Seen<Digest> {
    let mut done: Vec<_> =
        thread.activities.iter().filter(|activity| activity.kind == "tool.completed").collect();
    done.sort_by(|a, b| a.id.cmp(&b.id));
    let files: Vec<_> = thread.checkpoints.iter().filter(|checkpoint| !checkpoint.files.is_empty()).collect();
    if done.is_empty() && files.is_empty() {
        return Seen::Absent;
    }
    let done: Vec<_> = done.iter().map(|activity| activity.id.as_str()).collect();
    let files: Vec<_> = files.iter().map(|checkpoint| format!("{:?}", checkpoint.files)).collect();
    Seen::Known(Digest::of(&done.join("\n"), &files.join("\n")))
}

/// Whether an approval or a question is open.
fn waits_for_a_person(thread: &Thread) -> bool {
    ["approval", "user-input"].into_iter().any(|what| {
        let ids = |end: &str| {
            let kind = format!("{what}.{end}");
            let of_kind = thread.activities.iter().filter(move |activity| activity.kind == kind);
            of_kind.filter_map(|activity| activity.payload["requestId"].as_str()).collect::<Vec<_>>()
        };
        let resolved = ids("resolved");
        ids("requested").iter().any(|id| !resolved.contains(id))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::scene::{activity, answered, bare, run, said};
    use super::*;

    const ASKED: &str = "2026-11-24T09:00:05.000Z";
    const AFTER: &str = "2026-11-24T09:00:06.000Z";

    fn seen(parts: Value) -> Option<Session> {
        session(&bare(parts), &run(), false, 7).map(|(session, _)| session)
    }

    fn ended(text: &str) -> Value {
        json!({"messages": [said(1, ASKED), answered("t", text, AFTER)], "session": {"status": "ready"},
            "latestTurn": {"turnId": "t", "state": "completed", "requestedAt": ASKED}})
    }

    #[test]
    fn c16_a_thread_is_a_session_once_it_was_given_a_turn() {
        assert_eq!(seen(json!({})), None);
        let theirs = json!({"messages": [{"id": "m-1", "role": "user", "text": "hi", "turnId": null, "createdAt": ASKED}]});
        assert_eq!(seen(theirs), None, "somebody else's message");
        let running = seen(json!({"messages": [said(3, ASKED)], "session": {"status": "running"}})).unwrap();
        assert_eq!((running.turns, running.activity, running.quiet_seconds), (3, Activity::Busy, 7));
        assert_eq!((running.unpriced, running.work), (2, Seen::Absent));
        let done = seen(ended("Done.")).unwrap();
        assert_eq!((done.activity, done.quiet_seconds, done.unpriced), (Activity::Idle, 0, 1));
    }

    #[test]
    fn a_turn_that_a_limit_ended_is_no_success() {
        assert_eq!(
            seen(ended("You've hit your session limit · resets 3pm (UTC)")).unwrap().activity,
            Activity::Failed
        );
    }

    #[test]
    fn an_open_question_is_told_until_it_is_answered() {
        for what in ["approval", "user-input"] {
            let asked = activity(&format!("{what}.requested"), Some("t"), json!({"requestId": "r"}), ASKED);
            let answer = activity(&format!("{what}.resolved"), Some("t"), json!({"requestId": "r"}), AFTER);
            let with = |activities: Value| {
                seen(
                    json!({"messages": [said(1, ASKED)], "session": {"status": "running"}, "activities": activities}),
                )
            };
            assert_eq!(with(json!([asked])).unwrap().activity, Activity::Asking);
            assert_eq!(with(json!([answer, asked])).unwrap().activity, Activity::Busy);
        }
    }

    #[test]
    fn what_we_interrupted_is_over_though_the_server_never_says_so() {
        let lost = bare(json!({"messages": [said(1, ASKED)], "session": {"status": "ready"}}));
        assert_eq!(session(&lost, &run(), false, 0).unwrap().0.activity, Activity::Busy);
        assert_eq!(session(&lost, &run(), true, 0).unwrap().0.activity, Activity::Failed);
    }

    #[test]
    fn work_is_what_changes_with_it() {
        let with = |count: usize| {
            let tools: Vec<_> = (0..count)
                .map(|n| activity("tool.completed", Some("t"), json!({}), &format!("{AFTER}{n}")))
                .collect();
            let mut parts = ended("Done.");
            parts["activities"] = json!(tools);
            (seen(parts.clone()).unwrap().work, pulse(&bare(parts)))
        };
        assert!(with(0).0.is_absent());
        assert_ne!(with(1), with(2));
        assert_eq!(with(2), with(2));
    }
}
