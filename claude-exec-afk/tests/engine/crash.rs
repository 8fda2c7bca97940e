//! The process dies at every change that it makes to the world, right before it and right after it; what comes
//! of it all is what would have come without.

use std::collections::BTreeMap;

use claude_exec_afk::run::Outcome;
use claude_exec_afk::sim::{Plot, SimIssue};

use crate::scene::Scene;

/// What the world is like in the end, without what a crash may well delay.
#[derive(Debug, PartialEq)]
struct End {
    outcome: Option<Outcome>,
    issue: SimIssue,
    bells: Vec<String>,
    sessions: usize,
    turns: u32,
    locks: usize,
    comments: BTreeMap<String, String>,
}

async fn end(plot: Plot, crash: Option<(usize, bool)>) -> (End, usize) {
    let (mut scene, issue) = Scene::one(plot);
    if let Some((change, after)) = crash {
        scene.world.crash_at(change, after);
    }
    for _ in 0..100 {
        let world = scene.world.clone();
        let crashed = tokio::select! {
            biased;
            () = world.crashed() => true,
            _ = scene.tick() => false,
        };
        if crashed {
            scene.restart();
        } else if scene.is_quiet().await {
            break;
        }
    }
    assert!(scene.is_quiet().await, "{plot:?} {crash:?}: {:?}", scene.last(&issue).await);
    let world = &scene.world;
    let end = End {
        outcome: scene.outcome(&issue).await,
        issue: world.issue(&issue).unwrap(),
        bells: world.bells().into_iter().map(|bell| bell.key).collect(),
        sessions: world.sessions(),
        turns: world.turns(),
        locks: world.locks().len(),
        comments: world.issue(&issue).unwrap().comments,
    };
    (end, world.changes())
}

/// C17, C20, B1, B12, F2, F3, F4, F21.
#[tokio::test]
async fn a_crash_at_any_change_ends_in_the_same_world() {
    let mut crashes = 0;
    for plot in
        [Plot::Lands, Plot::FixedForward, Plot::NeverFixed, Plot::NeverPushes, Plot::Flaky, Plot::Asks]
    {
        let (wanted, changes) = end(plot, None).await;
        assert!(changes > 6, "{plot:?}");
        for change in 0..changes {
            for after in [false, true] {
                let (found, _) = end(plot, Some((change, after))).await;
                assert_eq!(found, wanted, "{plot:?}: crash at change {change}, after: {after}");
                crashes += 1;
            }
        }
    }
    println!("{crashes} crashes, each with the same end");
}
