//! `/v1/conversational` over the real CLI: what a conversation remembers, and that its turns keep their order.

use std::time::Duration;

use crate::support::model_api::{DEFAULT_ANSWER, ModelApi};
use crate::support::server::{Server, Site};

async fn server() -> (ModelApi, Site, Server) {
    let api = ModelApi::start().await;
    let site = Site::real(&api);
    let server = site.start().await;
    (api, site, server)
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_conversation_remembers_and_survives_a_restart_and_a_crash() {
    let (api, site, server) = server().await;
    // Any string is an id, and says nothing to the CLI.
    let id = "кухня/../--resume=1 \u{1f600}";
    let reply = server.say(id, "my name is Ana").await;
    assert_eq!(reply.reply(), DEFAULT_ANSWER);
    assert_eq!(reply.json()["session_id"], id);
    assert_eq!(server.say(id, "[[recall]]").await.reply(), "my name is Ana");
    assert_eq!(server.say("another", "hello").await.reply(), DEFAULT_ANSWER);
    assert_eq!(api.messages().last().expect("requests").user_texts(), ["hello"], "it knows nothing of Ana");

    assert_eq!(server.terminate().await.code(), Some(0));
    let server = site.start().await;
    assert_eq!(server.say(id, "[[recall]]").await.reply(), "my name is Ana | [[recall]]");
    server.kill().await;
    let server = site.start().await;
    assert_eq!(server.say(id, "[[recall]]").await.reply(), "my name is Ana | [[recall]] | [[recall]]");
    assert_eq!(api.messages().len(), 5);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn c6_two_at_once_are_served_one_after_the_other_and_nothing_is_lost() {
    let (api, _site, server) = server().await;
    let first = server.say("one", "[[hold]] [[text first]]");
    let second = async {
        api.wait_for_messages(1).await;
        let second = server.say("one", "[[recall]]");
        let meanwhile = async {
            // Another conversation is not held up, so the one that waits has had its time to go wrong.
            assert_eq!(server.say("two", "hello").await.reply(), DEFAULT_ANSWER);
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(api.messages().len(), 2, "the second turn waits");
            api.release();
        };
        tokio::join!(second, meanwhile).0
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.reply(), "first");
    assert_eq!(second.reply(), "[[hold]] [[text first]]", "it knows the turn before");
    assert_eq!(server.say("one", "[[recall]] all").await.reply(), "[[hold]] [[text first]] | [[recall]]");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn c6_two_first_turns_at_once_are_one_conversation() {
    let (api, site, server) = server().await;
    let (one, two) = tokio::join!(server.say("new", "one"), server.say("new", "two"));
    assert_eq!((one.reply(), two.reply()), (DEFAULT_ANSWER.to_owned(), DEFAULT_ANSWER.to_owned()));
    let known = server.say("new", "[[recall]]").await.reply();
    assert!(known == "one | two" || known == "two | one", "{known}");
    assert_eq!(site.home().sessions().len(), 1);
    assert_eq!(api.messages().len(), 3);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn c7_a_failed_first_turn_can_be_tried_again() {
    let (api, _site, server) = server().await;
    let refused = server.say("retried", "hello [[status 400]]").await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(server.say("retried", "hello").await.reply(), DEFAULT_ANSWER);
    let requests = api.messages();
    let last = requests.last().expect("requests");
    assert_eq!(last.user_texts(), ["hello"], "the failed attempt is not part of the conversation");
    assert_eq!(server.say("retried", "[[recall]]").await.reply(), "hello");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_first_turn_that_was_left_does_not_spoil_the_conversation() {
    let (api, site, server) = server().await;
    tokio::select! {
        reply = server.say("left", "first [[hang]]") => panic!("an answer: {reply:?}"),
        _ = api.wait_for_messages(1) => {}
    }
    server.load_is(0, 0).await;
    assert_eq!(site.children(), [], "hanging up ends the turn");
    assert_eq!(server.say("left", "second").await.reply(), DEFAULT_ANSWER);
    let known = server.say("left", "[[recall]]").await.reply();
    assert!(known.ends_with("second"), "{known}");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_conversation_whose_session_the_cli_has_lost_begins_anew() {
    let (api, site, server) = server().await;
    assert_eq!(server.say("lost", "first").await.reply(), DEFAULT_ANSWER);
    for (_, path) in site.home().sessions() {
        std::fs::remove_file(path).unwrap();
    }
    assert_eq!(server.say("lost", "second").await.reply(), DEFAULT_ANSWER);
    assert_eq!(api.messages().last().expect("requests").user_texts(), ["second"]);
    assert_eq!(server.say("lost", "[[recall]]").await.reply(), "second");
}
