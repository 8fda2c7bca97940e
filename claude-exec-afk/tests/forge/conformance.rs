//! The contract of `Tracker`, kept by every adapter: the simulated one, those over HTTP against a forge of our own,
//! and GitHub's against npm's emulate.

use claude_exec_afk::issue::{IssueState, Permission};
use claude_exec_afk::port::{IssueText, LabelChange, Listing};
use claude_exec_afk::{Digest, Seen};

use crate::hub::{Face, Hub, READY};
use crate::stage::{By, Faced, Simulated, Stage};

/// The clauses of `Tracker`'s contract, one after another, in one world.
pub(crate) async fn keeps_the_contract(stage: &dyn Stage) {
    let tracker = stage.tracker();
    let key = stage.ready("First", "Do it.\n").await;
    // 1 and 2: the ready ones, then nothing new.
    let numbers = |listing: Listing| match listing {
        Listing::Issues(issues) => Some(issues.into_iter().map(|issue| issue.key.number).collect::<Vec<_>>()),
        Listing::Unchanged => None,
    };
    assert_eq!(numbers(tracker.ready(&key.repo).await.unwrap()), Some(vec![key.number]));
    let second = stage.ready("Second", "").await;
    assert_eq!(numbers(tracker.ready(&key.repo).await.unwrap()), Some(vec![key.number, second.number]));
    stage.close(&second).await;
    assert_eq!(numbers(tracker.ready(&key.repo).await.unwrap()), Some(vec![key.number]));

    // 3: one issue, whole.
    let Seen::Known(issue) = tracker.issue(&key).await else { panic!("{:?}", tracker.issue(&key).await) };
    assert_eq!((issue.title.as_str(), issue.state), ("First", IssueState::Open));
    assert!(issue.has(READY) && issue.blockers == Seen::Known(vec![]), "{issue:?}");
    let text = tracker.text(&key).await.unwrap();
    assert_eq!(text, IssueText { title: "First".into(), body: "Do it.\n".into() });
    assert_eq!(
        issue.text,
        Seen::Known(Digest::of(&text.title, &text.body)),
        "what is trusted is what is given"
    );
    let Seen::Known(labelling) = issue.labelling else { panic!("{issue:?}") };
    assert!(
        matches!(labelling.permission, Seen::Known(permission) if permission.is_trusted()),
        "{labelling:?}"
    );
    // 4: nor do we, nor does someone who may label and no more.
    for by in [By::Triager, By::Bot] {
        stage.relabel(&key, by).await;
        let Seen::Known(issue) = tracker.issue(&key).await else { panic!() };
        let Seen::Known(again) = issue.labelling else { panic!("{issue:?}") };
        assert!(again.at >= labelling.at);
        let Seen::Known(permission) = again.permission else { panic!("{again:?}") };
        assert!(
            !permission.is_trusted() && (by != By::Bot || permission == Permission::None),
            "{by:?}: {permission:?}"
        );
    }
    let Seen::Known(issue) = tracker.issue(&second).await else { panic!() };
    assert_eq!(issue.state, IssueState::ClosedByPerson);

    // 5: states, not steps.
    let change =
        LabelChange { add: vec!["agent-in-progress".into()], remove: vec![READY.into(), "nowhere".into()] };
    for _ in 0..2 {
        tracker.label(&key, &change).await.unwrap();
        let Seen::Known(issue) = tracker.issue(&key).await else { panic!() };
        assert_eq!(issue.labels, ["agent-in-progress"]);
        assert_eq!(issue.labelling, Seen::Absent);
    }
    for text in ["<!-- run-1 --> one", "<!-- run-1 --> two", "<!-- run-1 --> two"] {
        tracker.comment(&key, "<!-- run-1 -->", text).await.unwrap();
        assert_eq!(stage.comments(&key).await, [text], "C19, B9: one comment, edited");
    }
    // Another process, which has to find it.
    stage.tracker().comment(&key, "<!-- run-1 -->", "<!-- run-1 --> three").await.unwrap();
    assert_eq!(stage.comments(&key).await, ["<!-- run-1 --> three"]);
    for _ in 0..2 {
        tracker.close(&key).await.unwrap();
    }
    let Seen::Known(issue) = tracker.issue(&key).await else { panic!() };
    assert_eq!(issue.state, IssueState::ClosedByCommit, "by ourselves, which is no person");
}

#[tokio::test]
async fn the_simulated_tracker_keeps_the_contract() {
    keeps_the_contract(&Simulated::new()).await;
}

#[tokio::test]
async fn github_keeps_the_contract() {
    keeps_the_contract(&Faced::new(Face::GitHub).await).await;
}

#[tokio::test]
async fn forgejo_keeps_the_contract() {
    keeps_the_contract(&Faced::new(Face::Forgejo).await).await;
}

#[tokio::test]
async fn gitea_keeps_the_contract() {
    keeps_the_contract(&Faced::new(Face::Gitea).await).await;
}

#[tokio::test]
async fn only_a_comment_of_its_own_is_kept_and_one_that_was_deleted_is_written_again() {
    const MARKER: &str = "<!-- run-1 -->";
    for face in [Face::GitHub, Face::Forgejo, Face::Gitea] {
        let stage = Faced::new(face).await;
        let key = stage.issue("quoted", "");
        let quote = format!("> {MARKER} as a person quotes it");
        let theirs = (9000, "octo".to_owned(), quote.clone());
        stage.change(|hub| hub.issues.get_mut(&key.number).unwrap().comments.push(theirs));
        let tracker = stage.tracker();
        for text in ["one", "two"] {
            let text = format!("{MARKER} {text}");
            tracker.comment(&key, MARKER, &text).await.unwrap();
            assert_eq!(stage.comments(&key).await, [quote.clone(), text], "{face:?}");
            let delete = |hub: &mut Hub| {
                hub.issues.get_mut(&key.number).unwrap().comments.retain(|comment| comment.1 == "octo");
            };
            stage.change(delete);
        }
    }
}
