//! `/v1/conversational` over the real CLI: what a conversation remembers, and that its turns keep their order.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::support::model_api::{DEFAULT_ANSWER, ModelApi};
use crate::support::process;
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
    let (api, _site, server) = server().await;
    tokio::select! {
        reply = server.say("left", "first [[hang]]") => panic!("an answer: {reply:?}"),
        _ = api.wait_for_messages(1) => {}
    }
    server.load_is(0, 0).await; // hanging up ends the turn
    assert_eq!(server.say("left", "second").await.reply(), DEFAULT_ANSWER);
    let known = server.say("left", "[[recall]]").await.reply();
    assert!(known.ends_with("second"), "{known}");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_conversation_whose_session_the_cli_has_lost_begins_anew() {
    let (api, site, server) = server().await;
    assert_eq!(server.say("lost", "first").await.reply(), DEFAULT_ANSWER);
    assert_eq!(server.terminate().await.code(), Some(0)); // else its process would still know
    for (_, path) in site.home().sessions() {
        std::fs::remove_file(path).unwrap();
    }
    let server = site.start().await;
    assert_eq!(server.say("lost", "second").await.reply(), DEFAULT_ANSWER);
    assert_eq!(api.messages().last().expect("requests").user_texts(), ["second"]);
    assert_eq!(server.say("lost", "[[recall]]").await.reply(), "second");
}

fn warm_site(api: &ModelApi) -> Site {
    Site::real(api).env("POOL_SPARES", "0") // so that each process is a conversation's
}

/// The values of some lines of `/metrics`.
async fn counted<const N: usize>(server: &Server, names: [&str; N]) -> [f64; N] {
    let text = server.get("/metrics").await.text();
    names.map(|name| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().expect("a number")
    })
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn later_turns_are_warm_and_a_killed_process_costs_one_turn_at_most() {
    let api = ModelApi::start().await;
    let site = warm_site(&api);
    let server = site.start().await;
    server.say("kitchen", "my name is Ana").await.reply();
    let live = site.children();
    assert_eq!(live.len(), 1, "its process waits for the next turn: {live:?}");
    assert_eq!(server.say("kitchen", "[[recall]]").await.reply(), "my name is Ana");
    assert_eq!(site.children(), live);
    let claims = [
        r#"claude_exec_pool_claims_total{origin="cold"}"#,
        r#"claude_exec_pool_claims_total{origin="resumed"}"#,
    ];
    assert_eq!(counted(&server, claims).await, [1.0, 0.0]);

    process::kill(live[0].pid, Signal::KILL);
    assert_eq!(server.say("kitchen", "[[recall]]").await.reply(), "my name is Ana | [[recall]]");
    let severed = async {
        api.wait_for_messages(4).await;
        process::kill(site.children()[0].pid, Signal::KILL);
    };
    let (severed, ()) = tokio::join!(server.say("kitchen", "[[hang]]"), severed);
    assert_eq!(severed.error(), (502, "execution_failed".to_owned()));
    assert!(severed.text().contains("signal 9"), "{severed:?}");
    assert!(server.say("kitchen", "[[recall]]").await.reply().starts_with("my name is Ana"));
    assert_eq!(counted(&server, claims).await, [1.0, 2.0]);
    assert_eq!(server.terminate().await.code(), Some(0));
    assert_eq!(site.children(), [], "no process outlives the server");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_turn_streams_and_is_interrupted_by_the_next() {
    let api = ModelApi::start().await;
    let site = warm_site(&api);
    let server = site.start().await;
    let body = json!({"session_id": "kitchen", "message": "[[text one two]]", "stream": true});
    let mut streamed = server.open("/v1/conversational", &body).await;
    assert_eq!(
        (streamed.status, &streamed.headers["content-type"]),
        (200, &"text/event-stream; charset=utf-8".parse().unwrap())
    );
    let events: Vec<_> = streamed.rest().await.iter().map(|event| event.json()).collect();
    let done = json!({"session_id": "kitchen", "reply": "one two"});
    assert_eq!(events, [json!({"text": "one "}), json!({"text": "two"}), done]);

    let body = json!({"session_id": "kitchen", "message": "[[words 2]] [[silence]]", "stream": true});
    let mut long = server.open("/v1/conversational", &body).await;
    assert_eq!(long.next().await.expect("it begins").json(), json!({"text": "word0 "}));
    let barge_in = json!({"session_id": "kitchen", "message": "[[recall]]", "interrupt": true});
    let answer = server.post("/v1/conversational", &barge_in).await;
    assert!(answer.reply().starts_with("[[text one two]] | [[words 2]] [[silence]]"), "{answer:?}");
    let last = long.rest().await.pop().expect("it is told").json();
    assert_eq!(last["error"]["code"], "interrupted");

    let waiting = server.say("kitchen", "[[hang]]");
    let stop = async {
        api.wait_for_messages(4).await;
        let stop = json!({"session_id": "kitchen", "interrupt": true});
        assert_eq!(server.post("/v1/conversational", &stop).await.json()["interrupted"], true);
    };
    let (stopped, ()) = tokio::join!(waiting, stop);
    assert_eq!(stopped.error(), (409, "interrupted".to_owned()));
    server.load_is(0, 0).await;
    let stop = json!({"session_id": "kitchen", "interrupt": true});
    assert_eq!(server.post("/v1/conversational", &stop).await.json()["interrupted"], false);

    let anew = json!({"session_id": "kitchen", "message": "hello", "forget": true});
    assert_eq!(server.post("/v1/conversational", &anew).await.reply(), DEFAULT_ANSWER);
    assert_eq!(api.messages().last().expect("requests").user_texts(), ["hello"]);
    let forget = json!({"session_id": "kitchen", "forget": true});
    let forgotten = server.post("/v1/conversational", &forget).await.json();
    assert_eq!(forgotten, json!({"session_id": "kitchen", "forgotten": true}));

    // What fails before anything is said has its own status, streamed or not.
    let failing = json!({"session_id": "new", "message": "[[status 400]]", "stream": true});
    assert_eq!(server.open("/v1/conversational", &failing).await.whole().await.status, 400);
}
