//! Every story, to its end.

use claude_exec_afk::issue::IssueState;
use claude_exec_afk::port::NoticeKind;
use claude_exec_afk::run::{Outcome, Why};
use claude_exec_afk::sim::Plot;

use crate::scene::{Scene, config, key};

fn ends(plot: Plot) -> Outcome {
    match plot {
        Plot::Lands | Plot::Flaky | Plot::FixedForward | Plot::NeedsTwoTurns | Plot::DeployFails => {
            Outcome::Done
        }
        Plot::NeverFixed => Outcome::Frozen(Why::FixAttempts),
        Plot::SameFailure => Outcome::Frozen(Why::SameFailure),
        Plot::GivesUpFixing => Outcome::Frozen(Why::NoFix),
        Plot::NeverPushes => Outcome::Escalated(Why::NoPush),
        Plot::Asks => Outcome::Escalated(Why::Asked),
        Plot::Stalls => Outcome::Escalated(Why::Stalled),
        Plot::NeverStarts => Outcome::Escalated(Why::NoStart),
        Plot::Spends => Outcome::Escalated(Why::Budget),
        Plot::CiSilent => Outcome::Frozen(Why::CiStuck),
        Plot::CiBlocked => Outcome::Frozen(Why::CiBlocked),
        Plot::DeployStuck => Outcome::Frozen(Why::DeployStuck),
        _ => unreachable!("a plot without an end"),
    }
}

/// B4, B10, B11, C16, C19, C23, F8, F9, F10, F11, F23, F24: each is one of the stories.
#[tokio::test]
async fn every_story_ends_as_it_should() {
    let repos: Vec<String> = (0..Plot::ALL.len()).map(|number| format!("octo/repo-{number}")).collect();
    let mut config = config(&repos.iter().map(String::as_str).collect::<Vec<_>>());
    config.deploy = true;
    let scene = Scene::new(config);
    for (repo, plot) in repos.iter().zip(Plot::ALL) {
        scene.world.add(&key(&format!("{repo}#7")), plot);
    }
    scene.until_quiet().await;
    for (repo, plot) in repos.iter().zip(Plot::ALL) {
        let issue = key(&format!("{repo}#7"));
        let row = scene.last(&issue).await.unwrap().row;
        let outcome = ends(plot);
        assert_eq!(row.state.outcome(), Some(outcome), "{plot:?}");
        let seen = scene.world.issue(&issue).unwrap();
        assert_eq!(seen.comments.len(), 1, "{plot:?}: one comment, edited");
        if outcome.is_done() {
            assert_eq!((seen.state, seen.closings), (IssueState::ClosedByCommit, 1), "{plot:?}");
            assert!(seen.labels.is_empty(), "{plot:?}: {:?}", seen.labels);
            assert!(row.green == row.pushed && row.deployed == row.pushed, "{plot:?}");
        } else {
            assert_eq!(
                (seen.state, seen.labels),
                (IssueState::Open, vec!["ready-for-human".to_owned()]),
                "{plot:?}"
            );
        }
        let bells = scene.world.bells().into_iter().filter(|bell| bell.key.starts_with(row.run.as_str()));
        let kinds: Vec<_> = bells.map(|bell| bell.kind).collect();
        let kind = match outcome {
            Outcome::Escalated(_) => NoticeKind::NeedsHuman,
            Outcome::Frozen(_) => NoticeKind::Frozen,
            _ => NoticeKind::Done,
        };
        assert_eq!(kinds, [kind], "{plot:?}");
        match plot {
            Plot::Flaky => assert_eq!((row.flakes, row.fixes()), (1, 0)),
            Plot::FixedForward | Plot::DeployFails => assert_eq!((row.fixes(), row.turns), (1, 2)),
            Plot::NeverFixed => assert_eq!(row.fixes(), 2),
            Plot::Spends => assert!(row.spent.micros() < 120_000_000, "one turn over at most: {}", row.spent),
            _ => {}
        }
    }
    assert_eq!(scene.world.locks(), []);
    assert_eq!(scene.world.busy_sessions(), 0);
    // Quiet means quiet: nothing is started, rung or written again.
    let (changes, turns) = (scene.world.changes(), scene.world.turns());
    scene.ticks(5).await;
    assert_eq!((scene.world.changes(), scene.world.turns()), (changes, turns));
}

/// F13: reminders while nobody has looked, and no more than two.
#[tokio::test]
async fn f13_a_bell_is_repeated_twice_and_ends_when_someone_looks() {
    let (scene, issue) = Scene::one(Plot::Asks);
    scene.until_quiet().await;
    let keys = |scene: &Scene| scene.world.bells().into_iter().map(|bell| bell.key).collect::<Vec<_>>();
    assert_eq!(keys(&scene).len(), 1);
    for expected in [2, 3, 3, 3] {
        scene.wait(scene.config.patience.remind);
        scene.ticks(2).await;
        assert_eq!(keys(&scene).len(), expected);
    }
    let run = scene.last(&issue).await.unwrap().row.run;
    assert_eq!(
        keys(&scene),
        [format!("{run}:escalated"), format!("{run}:escalated:1"), format!("{run}:escalated:2")]
    );

    let (scene, _) = Scene::one(Plot::Asks);
    scene.until_quiet().await;
    scene.world.acknowledge();
    scene.ticks(1).await;
    scene.wait(scene.config.patience.remind * 3);
    scene.ticks(3).await;
    assert_eq!(keys(&scene).len(), 1);
}

/// P5: judged once, run again only when a person has labelled it again.
#[tokio::test]
async fn c12_b02_what_was_escalated_runs_again_only_when_asked() {
    let (scene, issue) = Scene::one(Plot::NeverPushes);
    scene.until_quiet().await;
    // The label is put back by something that does not say when: not newer than the verdict.
    scene.world.edit(&issue, |issue| issue.labels = vec!["ready-for-agent".into()]);
    scene.ticks(5).await;
    assert_eq!(scene.world.sessions(), 1);
    // A person labels it again.
    scene.world.edit(&issue, |issue| {
        issue.labelled += 1;
        issue.plot = Plot::Lands;
    });
    scene.until_quiet().await;
    assert_eq!((scene.world.sessions(), scene.outcome(&issue).await), (2, Some(Outcome::Done)));
}
