//! What CI says, read from services.

use claude_exec_afk::port::Ci;
use claude_exec_afk::run::{CiRun, Verdict};
use claude_exec_afk::{Seen, Sha};
use serde_json::{Value, json};

use crate::hub::Face;
use crate::stage::{Faced, key};

fn sha() -> Sha {
    "1".repeat(40).parse().unwrap()
}

fn check(name: &str, status: &str, conclusion: Option<&str>) -> Value {
    json!({
        "id": 7, "name": name, "status": status, "conclusion": conclusion,
        "started_at": "2026-11-24T12:00:00Z", "completed_at": conclusion.map(|_| "2026-11-24T12:01:00Z"),
    })
}

fn run(attempt: u32, status: &str, conclusion: Option<&str>) -> Value {
    json!({ "id": 3, "run_attempt": attempt, "status": status, "conclusion": conclusion })
}

async fn verdict(ci: &dyn Ci) -> Option<Verdict> {
    match ci.look(&key(1).repo, &sha()).await {
        Seen::Known(run) => Some(run.verdict),
        Seen::Absent => None,
        Seen::Unknown(reason) => panic!("{reason}"),
    }
}

/// T7: GitHub says "pending" where nobody has said anything.
#[tokio::test]
async fn t07_b04_no_status_is_no_verdict() {
    for face in [Face::GitHub, Face::Forgejo, Face::Gitea] {
        let stage = Faced::new(face).await;
        let ci = stage.ci();
        assert_eq!((verdict(&*ci).await, ci.trunk(&key(1).repo).await), (None, Seen::Absent), "{face:?}");
        for (state, expected) in [
            ("pending", Verdict::Pending),
            ("success", Verdict::Green),
            ("failure", Verdict::Red { failure: None, rerunnable: false }),
            ("error", Verdict::Red { failure: None, rerunnable: false }),
        ] {
            stage.change(|hub| {
                // The newest status of a context counts. GitHub lists that one alone.
                if face == Face::GitHub {
                    hub.statuses.clear();
                }
                hub.status("ci/build", state);
            });
            assert_eq!(verdict(&*ci).await, Some(expected.clone()), "{face:?} {state}");
            assert_eq!(ci.trunk(&key(1).repo).await, Seen::Known(expected), "{face:?} {state}");
        }
    }
}

#[tokio::test]
async fn what_the_branch_requires_must_show_up() {
    for face in [Face::GitHub, Face::Forgejo] {
        let stage = Faced::new(face).await;
        stage.change(|hub| {
            hub.required = vec!["ci/build".into(), "ci/test".into()];
            hub.status("ci/build", "success");
            hub.status("optional", "failure");
        });
        assert_eq!(verdict(&*stage.ci()).await, Some(Verdict::Pending), "{face:?}");
        stage.change(|hub| hub.status("ci/test", "success"));
        assert_eq!(verdict(&*stage.ci()).await, Some(Verdict::Green), "{face:?}");
    }
}

#[tokio::test]
async fn without_a_required_set_green_waits_until_nothing_new_comes() {
    let stage = Faced::new(Face::GitHub).await;
    stage.change(|hub| hub.checks = vec![check("test", "completed", Some("success"))]);
    let year = std::time::Duration::from_secs(100 * 365 * 86_400);
    assert_eq!(verdict(&stage.github().settle(year)).await, Some(Verdict::Pending));
    assert_eq!(verdict(&stage.github().settle(year).required(["test"])).await, Some(Verdict::Green));
    // A workflow that has not said anything yet.
    stage.change(|hub| hub.runs = vec![run(1, "queued", None)]);
    assert_eq!(verdict(&stage.github()).await, Some(Verdict::Pending));
}

#[tokio::test]
async fn check_runs_and_statuses_are_folded_together() {
    let stage = Faced::new(Face::GitHub).await;
    let ci = stage.github();
    stage.change(|hub| {
        hub.status("ci/build", "success");
        hub.checks = vec![check("test", "in_progress", None)];
    });
    assert_eq!(verdict(&ci).await, Some(Verdict::Pending));
    stage.change(|hub| hub.checks = vec![check("test", "completed", Some("action_required"))]);
    assert_eq!(verdict(&ci).await, Some(Verdict::Blocked));
    stage.change(|hub| {
        hub.checks = vec![check("test", "completed", Some("success"))];
        hub.runs = vec![run(1, "completed", Some("startup_failure"))];
        hub.checks.push(check("late", "queued", None));
    });
    assert_eq!(
        verdict(&ci).await,
        Some(Verdict::Red { failure: None, rerunnable: false }),
        "a broken workflow"
    );
    // Fewer than there are said to be.
    stage.change(|hub| hub.runs.clear());
    assert_eq!(verdict(&ci).await, Some(Verdict::Pending));
}

/// F8: once for an attempt, however often it is asked.
#[tokio::test]
async fn f08_failed_jobs_run_again_once() {
    let stage = Faced::new(Face::GitHub).await;
    let ci = stage.github();
    let repo = key(1).repo;
    stage.change(|hub| {
        hub.checks = vec![check("test", "completed", Some("failure"))];
        hub.runs = vec![run(1, "completed", Some("failure"))];
        hub.annotations.insert(7, json!([
            { "path": ".github", "annotation_level": "failure", "message": "Process completed with exit code 1." },
            { "path": "src/a.rs", "annotation_level": "failure", "message": "line 7: totals differ" },
        ]));
    });
    let Seen::Known(CiRun {
        attempt: 1, verdict: Verdict::Red { failure: Some(_), rerunnable: true }, ..
    }) = ci.look(&repo, &sha()).await
    else {
        panic!("{:?}", ci.look(&repo, &sha()).await)
    };
    for _ in 0..2 {
        ci.rerun(&repo, &sha(), 1).await.unwrap();
    }
    assert_eq!(stage.running.writes(), 1);
    // GitHub takes the failed checks away while they run again.
    stage.change(|hub| hub.checks = vec![check("test", "queued", None)]);
    let Seen::Known(again) = ci.look(&repo, &sha()).await else { panic!() };
    assert_eq!((again.attempt, again.verdict), (2, Verdict::Pending));
    let forgejo = Faced::new(Face::Forgejo).await.ci();
    assert!(forgejo.rerun(&repo, &sha(), 1).await.unwrap_err().is_refused());
}
