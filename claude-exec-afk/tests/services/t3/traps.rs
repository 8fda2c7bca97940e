//! What has gone wrong for clients of this server, and must not for this one.

use claude_exec_afk::Seen;
use claude_exec_afk::adapter::T3Settings;
use claude_exec_afk::config::Settings;
use claude_exec_afk::port::{Accepted, Agent};
use claude_exec_afk::run::Activity;
use serde_json::json;

use crate::t3::conformance::{agent, run, start, thread, turn, until, until_over, yes};
use crate::t3::fake::{Fake, Fault, Play, TOKEN};
use crate::t3::schema::Release;

/// The reason why a look gave nothing.
fn unknown<T: std::fmt::Debug>(seen: Seen<T>) -> String {
    match seen {
        Seen::Unknown(reason) => reason.to_string(),
        seen => panic!("{seen:?}"),
    }
}

#[tokio::test]
async fn a_web_page_is_no_answer() {
    for release in Release::ALL {
        let fake = Fake::start(release, true).await;
        let (agent, run) = (agent(&fake), run(1));
        fake.world().faults = [Fault::Page].into();
        let reason = unknown(agent.look(&run).await);
        assert!(reason.contains("text/html") && reason.contains("AFK_T3_URL"), "{reason}");
        assert!(agent.look(&run).await.is_absent());
        fake.world().faults = [Fault::Page].into();
        assert!(agent.start(&start(&run), yes()).await.is_err());
        assert_eq!(fake.world().threads.len(), 0, "nothing was done on it");
    }
}

#[tokio::test]
async fn another_protocol_is_refused_and_nothing_is_sent() {
    let fake = Fake::start(Release::V33, true).await;
    fake.world().protocol = Some(2);
    let (agent, run) = (agent(&fake), run(1));
    let reason = unknown(agent.look(&run).await);
    assert!(reason.contains("protocol 2") && reason.contains("AFK_AGENT"), "{reason}");
    assert!(agent.start(&start(&run), yes()).await.is_err_and(|error| error.is_unsupported()));
    assert!(agent.stop(&run).await.is_err());
    let asked = &fake.world().requests;
    assert!(asked.iter().all(|request| request.contains("/.well-known/")), "{asked:?}");
}

/// The server takes the turn, and its answer is lost: the next try finds it, and the agent is given it once.
#[tokio::test]
async fn f21_a_turn_whose_answer_was_lost_is_given_once() {
    for release in Release::ALL {
        for fault in [Fault::AcceptThen500, Fault::AcceptThenHangUp] {
            // The commands of a first start: the project, the thread, the turn.
            for lost in 0..3 {
                let fake = Fake::start(release, true).await;
                let (agent, run) = (agent(&fake), run(1));
                fake.world().arm(fault, lost);
                let mut started = agent.start(&start(&run), yes()).await;
                if started.is_err() {
                    started = agent.start(&start(&run), yes()).await;
                }
                assert_eq!(started.unwrap(), Accepted::Begun, "{release:?} {fault:?} {lost}");
                until_over(&agent, &run).await;
                let world = fake.world();
                assert_eq!((world.begun.len(), world.threads.len(), world.projects.len()), (1, 1, 1));
                drop(world);
                fake.judge();
            }
        }
    }
}

/// 500 may as well be a failure: then nothing was accepted, and the same turn is sent again under the same id.
#[tokio::test]
async fn a_broken_server_is_asked_again_for_the_same() {
    let fake = Fake::start(Release::V33, true).await;
    let (agent, run) = (agent(&fake), run(1));
    fake.world().arm(Fault::Broken, 2);
    let error = agent.start(&start(&run), yes()).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(agent.look(&run).await.is_absent(), "the thread is there, and was given nothing");
    assert_eq!(agent.start(&start(&run), yes()).await.unwrap(), Accepted::Begun);
    until_over(&agent, &run).await;
    assert_eq!(fake.world().begun.len(), 1);
}

#[tokio::test]
async fn an_expired_token_changes_nothing_and_is_told_without_being_shown() {
    for release in Release::ALL {
        let fake = Fake::start(release, true).await;
        let (agent, run) = (agent(&fake), run(1));
        assert_eq!(agent.start(&start(&run), yes()).await.unwrap(), Accepted::Begun);
        fake.world().tokens.clear();
        let reason = unknown(agent.look(&run).await);
        assert!(reason.contains("401") && !reason.contains(TOKEN), "{reason}");
        let error = agent.stop(&run).await.unwrap_err();
        assert!(error.is_transient() && !format!("{error:?} {error}").contains(TOKEN), "{error}");
        fake.world().tokens.insert(TOKEN.into());
        agent.stop(&run).await.unwrap();
        fake.judge();
    }
}

/// A token file is read for each request, and a pairing credential is exchanged when there is no valid token.
#[tokio::test]
async fn a_credential_is_exchanged_once_and_the_token_kept() {
    let fake = Fake::start(Release::V33, true).await;
    let dir = tempfile::tempdir().unwrap();
    let (token, credential) = (dir.path().join("token"), dir.path().join("credential"));
    let entries = [
        ("AFK_T3_URL", fake.url().to_owned()),
        ("AFK_T3_TOKEN_FILE", token.display().to_string()),
        ("AFK_T3_CREDENTIAL_FILE", credential.display().to_string()),
        ("AFK_T3_ROOT", "/srv/{}".to_owned()),
    ];
    let agent = T3Settings::take(&mut Settings::new(entries)).unwrap().unwrap().open().unwrap();
    let run = run(1);
    assert!(unknown(agent.look(&run).await).contains("token"), "neither is there");
    fake.world().credentials.insert("GAWPJ8JWK8BB".into());
    std::fs::write(&credential, "GAWPJ8JWK8BB\n\n").unwrap();
    assert!(agent.look(&run).await.is_absent());
    assert!(!credential.exists(), "it is spent");
    let kept = std::fs::read_to_string(&token).unwrap();
    assert!(fake.world().tokens.contains(&kept));
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&token).unwrap().permissions()) & 0o777,
        0o600
    );
    // It runs out, and a new credential is put there.
    fake.world().tokens.clear();
    assert!(unknown(agent.look(&run).await).contains("401"));
    std::fs::write(&credential, "WRONG").unwrap();
    let reason = unknown(agent.look(&run).await);
    assert!(reason.contains("401") && !reason.contains("WRONG"), "{reason}");
    fake.world().credentials.insert("HBWPJ8JWK8BC".into());
    std::fs::write(&credential, "HBWPJ8JWK8BC").unwrap();
    assert!(agent.look(&run).await.is_absent());
    fake.judge();
}

#[tokio::test]
async fn what_is_older_than_what_was_seen_decides_nothing() {
    for release in Release::ALL {
        let fake = Fake::start(release, true).await;
        let (agent, run) = (agent(&fake), run(1));
        assert!(agent.look(&run).await.is_absent());
        assert_eq!(agent.start(&start(&run), yes()).await.unwrap(), Accepted::Begun);
        until_over(&agent, &run).await;
        fake.world().faults = [Fault::Stale].into();
        let reason = unknown(agent.look(&run).await);
        assert!(reason.contains("was reached before"), "{reason}");
        assert_eq!(until_over(&agent, &run).await.turns, 1);
    }
}

/// The server was set up anew: the thread is gone, and the run goes on in a new one of the same name.
#[tokio::test]
async fn a_thread_that_vanished_is_made_again_for_the_next_turn() {
    for release in Release::ALL {
        let fake = Fake::start(release, true).await;
        let (agent, run) = (agent(&fake), run(1));
        assert_eq!(agent.start(&start(&run), yes()).await.unwrap(), Accepted::Begun);
        until_over(&agent, &run).await;
        fake.world().wipe();
        assert!(agent.look(&run).await.is_absent());
        assert_eq!(agent.turn(&turn(&run, 2), yes()).await.unwrap(), Accepted::Begun);
        assert_eq!(until_over(&agent, &run).await.turns, 2);
        fake.judge();
    }
}

/// A person deletes or archives the thread: that is a stop.
#[tokio::test]
async fn what_a_person_puts_away_stays_away() {
    for release in Release::ALL {
        for part in ["archivedAt", "deletedAt"] {
            let fake = Fake::start(release, true).await;
            let (agent, run) = (agent(&fake), run(1));
            assert_eq!(agent.start(&start(&run), yes()).await.unwrap(), Accepted::Begun);
            until_over(&agent, &run).await;
            fake.world().threads[0][part] = json!("2026-03-01T09:00:00.000Z");
            if part == "archivedAt" {
                assert!(unknown(agent.look(&run).await).contains("lives"), "its process may live");
            }
            assert_eq!(agent.turn(&turn(&run, 2), yes()).await.unwrap(), Accepted::Refused);
            agent.stop(&run).await.unwrap();
            assert!(agent.look(&run).await.is_absent());
            if part == "archivedAt" {
                assert!(fake.world().alive.is_empty(), "taken out, stopped, and put away again");
            }
            fake.judge();
        }
    }
}

/// A restart during a turn leaves a thread that shows as running for ever: it is stopped all the same.
#[tokio::test]
async fn a_ghost_is_stopped() {
    for release in Release::ALL {
        let fake = Fake::start(release, false).await;
        fake.world().plays = [Play::Hangs].into();
        let (agent, run) = (agent(&fake), run(1));
        assert_eq!(agent.start(&start(&run), yes()).await.unwrap(), Accepted::Begun);
        (0..4).for_each(|_| fake.world().pass());
        fake.world().restart();
        let ghost = until(&agent, &run, |session| session.activity == Activity::Busy).await;
        assert_eq!(ghost.turns, 1);
        agent.stop(&run).await.unwrap();
        assert_eq!(fake.world().thread(&thread(&run)).unwrap()["session"]["status"], "stopped");
        fake.judge();
    }
}

/// A turn that was accepted and lost with a restart never begins: it is busy until it stalls, and can be stopped.
#[tokio::test]
async fn a_turn_that_the_server_lost_is_never_taken_for_done() {
    for release in Release::ALL {
        let fake = Fake::start(release, false).await;
        let (agent, run) = (agent(&fake), run(1));
        assert_eq!(agent.start(&start(&run), yes()).await.unwrap(), Accepted::Begun);
        fake.world().restart();
        for _ in 0..5 {
            let session = agent.look(&run).await;
            assert_eq!(session.known().unwrap().activity, Activity::Busy, "{session:?}");
        }
        agent.stop(&run).await.unwrap();
        assert_eq!(fake.world().begun.len(), 0);
        fake.judge();
    }
}

/// An agent that no interrupt ends is never stopped during its turn, which would wedge every thread of the server.
#[tokio::test]
async fn an_agent_that_cannot_be_interrupted_is_an_error_and_wedges_nothing() {
    for release in Release::ALL {
        let fake = Fake::start(release, true).await;
        fake.world().plays = [Play::Stuck].into();
        let (agent, run) = (agent(&fake), run(1));
        assert_eq!(agent.start(&start(&run), yes()).await.unwrap(), Accepted::Begun);
        (0..4).for_each(|_| fake.world().pass());
        let error = agent.stop(&run).await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("restart it"), "{error}");
        fake.judge();
        // Which is done.
        fake.world().restart();
        agent.stop(&run).await.unwrap();
        fake.judge();
    }
}

/// From 0.0.29 on there can be one project for a directory: a person's is used.
#[tokio::test]
async fn c22_a_project_that_a_person_has_is_used_and_a_deleted_one_is_not() {
    for release in Release::ALL {
        let fake = Fake::start(release, true).await;
        let person = json!({"type": "project.create", "commandId": "c", "projectId": "p-1", "title": "site",
            "workspaceRoot": "/srv/octo__site", "createdAt": "2026-03-01T08:00:00.000Z"});
        fake.world().command(&person);
        let (agent, first, second) = (agent(&fake), run(1), run(2));
        assert_eq!(agent.start(&start(&first), yes()).await.unwrap(), Accepted::Begun);
        assert_eq!(fake.world().thread(&thread(&first)).unwrap()["projectId"], "p-1");
        until_over(&agent, &first).await;
        let gone = json!({"type": "project.delete", "commandId": "d", "projectId": "p-1", "force": true});
        fake.world().command(&gone);
        assert_eq!(agent.start(&start(&second), yes()).await.unwrap(), Accepted::Begun);
        assert_eq!(fake.world().thread(&thread(&second)).unwrap()["projectId"], "afk-project:octo/site");
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_is_told_with_its_setting() {
    let fake = Fake::start(Release::V27, true).await;
    fake.world().missing_roots.insert("/srv/octo__site".into());
    let error = agent(&fake).start(&start(&run(1)), yes()).await.unwrap_err();
    assert!(error.is_refused() && error.to_string().contains("AFK_T3_ROOT"), "{error}");
}

/// What is asked of each release: never what the other one has.
#[tokio::test]
async fn each_release_is_read_in_its_own_way() {
    for release in Release::ALL {
        let fake = Fake::start(release, true).await;
        let (agent, run) = (agent(&fake), run(1));
        assert_eq!(agent.start(&start(&run), yes()).await.unwrap(), Accepted::Begun);
        until_over(&agent, &run).await;
        let requests = fake.world().requests.clone();
        let asked = |part: &str| requests.iter().any(|request| request.contains(part));
        assert_eq!(asked("/threads/"), release == Release::V33, "{requests:?}");
        assert_eq!(asked("/shell"), release == Release::V33, "{requests:?}");
        assert!(
            requests.iter().all(|request| request.ends_with("200") || request.ends_with("404")),
            "{requests:?}"
        );
    }
}
