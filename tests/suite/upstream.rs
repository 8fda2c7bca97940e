//! What goes wrong between the CLI and the model, as callers see it. Over the real CLI.

use serde_json::{Value, json};

use crate::support::model_api::{ModelApi, RETRIED_ANSWER};
use crate::support::server::{Server, Site, Sse, content_of};

async fn server() -> (ModelApi, Site, Server) {
    let api = ModelApi::start().await;
    let site = Site::real(&api).repository();
    let server = site.start().await;
    (api, site, server)
}

/// A streamed answer as a client of OpenAI's takes it: the text, and how it ended.
async fn streamed(server: &Server, text: &str) -> (String, End) {
    let mut stream = server.chat_stream(text).await;
    assert_eq!(stream.status, 200);
    let events = stream.rest().await;
    assert!(!stream.broken);
    let (last, chunks) = events.split_last().expect("an end");
    let answer = chunks.iter().map(Sse::json).map(|chunk| content_of(&chunk)).collect();
    if last.data == "[DONE]" {
        let reason = chunks.last().expect("chunks").json()["choices"][0]["finish_reason"].clone();
        return (answer, End::Finished(reason));
    }
    for chunk in chunks {
        assert!(
            chunk.json()["choices"][0]["finish_reason"].is_null(),
            "a failure that looks finished: {events:?}"
        );
    }
    (answer, End::Failed(last.json()["error"]["code"].clone()))
}

#[derive(Debug, PartialEq)]
enum End {
    Finished(Value),
    Failed(Value),
}

fn stop() -> End {
    End::Finished(json!("stop"))
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_refused_credential_is_told_at_once_and_is_not_the_callers_401() {
    let (api, site, server) = server().await;
    let text = "[[status 401]]";
    let expected = (502, "upstream_auth".to_owned());
    let mut before = 0;
    // The CLI alone would ask eleven times. On a busy machine the second may be out before it is stopped.
    let mut asked_once = || {
        let asked = api.messages().len();
        assert!((1..=2).contains(&(asked - before)), "{} requests", asked - before);
        before = asked;
    };
    let chat = server.chat(text).await;
    assert_eq!(chat.error(), expected, "{chat:?}");
    assert_eq!(chat.headers["x-should-retry"], "false");
    server.load_is(0, 0).await;
    asked_once();
    assert_eq!(server.chat_stream(text).await.whole().await.error(), expected);
    server.load_is(0, 0).await;
    asked_once();
    assert_eq!(server.say("c", text).await.error(), expected);
    server.load_is(0, 0).await;
    asked_once();
    let job = server.ended(&server.execute(text).await).await;
    assert_eq!((&job["status"], &job["exit_code"]), (&json!("failed"), &json!(1)), "{job}");
    assert!(job["error"].as_str().is_some_and(|error| error.contains("credential")), "{job}");
    asked_once();
    server.load_is(0, 0).await;
    server.keeps_only(&site).await;
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_overloaded_model_is_asked_again_until_it_answers() {
    let (api, _site, server) = server().await;
    // Each its own, since the stand-in counts failures by text.
    let [for_chat, for_stream, for_turn, for_job] =
        ["a", "b", "c", "d"].map(|name| format!("{name} [[status 529 times=2]] [[words 2]]"));
    let (chat, streamed, said, job) = tokio::join!(
        server.chat(&for_chat),
        streamed(&server, &for_stream),
        server.say("c", &for_turn),
        async { server.ended(&server.execute(&for_job).await).await },
    );
    assert_eq!(chat.answer(), "word0 word1 ");
    assert_eq!(streamed, ("word0 word1 ".to_owned(), stop()));
    assert_eq!(said.reply(), "word0 word1 ");
    assert_eq!((&job["status"], &job["result"]), (&json!("completed"), &json!("word0 word1 ")), "{job}");
    assert_eq!(api.messages().len(), 4 * 3);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_answer_that_starts_over_differently_is_never_taken_for_one() {
    let (_api, _site, server) = server().await;
    for fault in ["[[cut]]", "[[error_event]]"] {
        let text = format!("[[words 3]] {fault}");
        assert_eq!(server.chat(&text).await.answer(), RETRIED_ANSWER, "{fault}");
        let (void, end) = streamed(&server, &text).await;
        assert_eq!(
            (void.as_str(), end),
            ("word0 word1 word2 ", End::Failed(json!("answer_restarted"))),
            "{fault}"
        );
    }
    assert_eq!(server.say("c", "[[words 3]] [[cut]]").await.reply(), RETRIED_ANSWER);
    // A job is patient, so its model does not break off every time.
    let id = server.execute("[[words 3]] [[cut times=1]] [[text another]]").await;
    let job = server.ended(&id).await;
    assert_eq!((&job["status"], &job["result"]), (&json!("completed"), &json!("another")), "{job}");
    // Who follows the job's events is told how much of it is void.
    let events: Vec<Value> = server.events(&id, None).await.rest().await.iter().map(Sse::json).collect();
    let mut answer = String::new();
    for event in &events {
        match event["kind"].as_str() {
            Some("text") => answer += event["text"].as_str().expect("text"),
            Some("restarted") => {
                answer.truncate(answer.len() - event["text_bytes"].as_u64().expect("bytes") as usize);
            }
            _ => {}
        }
    }
    assert_eq!(answer, "another", "{events:?}");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_answer_that_starts_over_alike_goes_on_without_a_word_twice() {
    let (_api, _site, server) = server().await;
    let text = "[[words 3]] [[cut times=1]] [[words 5]]";
    let whole = "word0 word1 word2 word3 word4 ";
    assert_eq!(server.chat(text).await.answer(), whole);
    assert_eq!(streamed(&server, &format!("again {text}")).await, (whole.to_owned(), stop()));
    // The new one is a beginning of what was sent: the rest of that is void, so this is no answer.
    let (_, end) = streamed(&server, "[[words 5]] [[cut times=1]] [[words 3]]").await;
    assert_eq!(end, End::Failed(json!("answer_restarted")));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn each_refusal_of_the_model_has_one_true_status() {
    let (_api, _site, server) = server().await;
    let table = [
        (400, 400, ""),
        (403, 502, "upstream_auth"),
        (404, 404, "model_not_found"),
        (413, 400, "context_length_exceeded"),
    ];
    for (upstream, status, code) in table {
        let text = format!("[[status {upstream}]]");
        let expected = (status, code.to_owned());
        assert_eq!(server.chat(&text).await.error(), expected, "{upstream}");
        assert_eq!(server.chat_stream(&text).await.whole().await.error(), expected, "{upstream}");
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_model_that_falls_silent_is_a_time_limit_and_leaves_nothing() {
    let api = ModelApi::start().await;
    let site = Site::real(&api).env("CONVERSATIONAL_TIMEOUT_SECONDS", "8");
    let server = site.start().await;
    let expected = (504, "timeout".to_owned());
    let (hung, silent, stream, said) = tokio::join!(
        server.chat("[[hang]]"),
        server.chat("[[words 2]] [[silence]]"),
        streamed(&server, "[[words 2]] [[silence]]"),
        server.say("c", "[[hang]]"),
    );
    assert_eq!(hung.error(), expected, "{hung:?}");
    assert_eq!(silent.error(), expected, "{silent:?}");
    assert_eq!(said.error(), expected, "{said:?}");
    assert_eq!(stream, ("word0 word1 ".to_owned(), End::Failed(json!("timeout"))));
    server.load_is(0, 0).await;
    server.keeps_only(&site).await;
}
