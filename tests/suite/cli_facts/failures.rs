//! When the model API fails.

use serde_json::{Value, json};

use super::common::{assistants, kinds, lean, once, result, streamed};
use crate::support::cli::{Finished, Home, user};
use crate::support::model_api::{ModelApi, RETRIED_ANSWER};

const NO_RETRIES: (&str, &str) = ("CLAUDE_CODE_MAX_RETRIES", "0");
const NO_FALLBACK: (&str, &str) = ("CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK", "1");

fn home(api: &ModelApi, variables: &[(&str, &str)]) -> Home {
    variables.iter().fold(Home::new(api), |home, (name, value)| home.env_var(name, value))
}

fn retries(done: &Finished) -> Vec<&Value> {
    done.lines.iter().filter(|line| line["subtype"] == "api_retry").collect()
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_api_error_is_a_success_with_is_error_and_exit_code_1() {
    let api = ModelApi::start().await;
    let home = home(&api, &[NO_RETRIES]);
    for (status, error, terminal) in [
        (400, "unknown", "api_error"),
        (401, "authentication_failed", "api_error"),
        (403, "authentication_failed", "api_error"),
        (404, "model_not_found", "api_error"),
        (413, "invalid_request", "image_error"),
        (429, "rate_limit", "api_error"),
        (500, "server_error", "api_error"),
        (529, "server_error", "api_error"),
    ] {
        let done = once(&home, &[], &format!("[[status {status}]]")).await;
        let result = result(&done);
        let told =
            ["subtype", "is_error", "api_error_status", "terminal_reason"].map(|name| result[name].clone());
        assert_eq!(told, [json!("success"), json!(true), json!(status), json!(terminal)]);
        assert_eq!(done.status.code(), Some(1), "{status}");
        let message = done.lines.iter().find(|line| line["type"] == "assistant").expect("a synthetic one");
        assert_eq!((&message["error"], &message["message"]["model"]), (&json!(error), &json!("<synthetic>")));
        assert_eq!(message["message"]["content"][0]["text"], result["result"], "the prose of the error");
        assert_eq!(retries(&done), Vec::<&Value>::new(), "no retry was asked for");
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_live_process_goes_on_after_an_error_and_exits_by_its_last_turn() {
    let api = ModelApi::start().await;
    let home = home(&api, &[NO_RETRIES]);
    let mut pipe = lean(&home, &[]);
    assert_eq!(pipe.turn("[[status 500]]").await["is_error"], true);
    assert_eq!(pipe.turn("fine").await["is_error"], false);
    assert_eq!(pipe.finish().await.status.code(), Some(0));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_retry_is_announced_and_heals() {
    let api = ModelApi::start().await;
    for (status, error) in
        [(401, "authentication_failed"), (429, "rate_limit"), (500, "server_error"), (529, "overloaded")]
    {
        let done = once(&Home::new(&api), &[], &format!("[[status {status} times=1]] [[text healed]]")).await;
        let retries = retries(&done);
        let [retry] = retries[..] else { panic!("{retries:?}") };
        let told = ["attempt", "max_retries", "error_status", "error"].map(|name| retry[name].clone());
        assert_eq!(told, [json!(1), json!(10), json!(status), json!(error)]);
        assert!(retry["retry_delay_ms"].as_u64().is_some_and(|delay| delay > 0));
        assert_eq!((&result(&done)["is_error"], &result(&done)["result"]), (&json!(false), &json!("healed")));
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn the_number_of_retries_is_ours_to_set() {
    let api = ModelApi::start().await;
    let home = home(&api, &[("CLAUDE_CODE_MAX_RETRIES", "1")]);
    let done = once(&home, &[], "[[status 529]]").await;
    assert_eq!(retries(&done).len(), 1);
    assert_eq!(result(&done)["api_error_status"], 529);
    assert_eq!(api.messages().len(), 2);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_error_event_in_mid_stream_voids_the_deltas_and_the_answer_comes_whole() {
    let api = ModelApi::start().await;
    let done = once(&Home::new(&api), &[], "[[error_event]]").await;
    assert_eq!(streamed(&done.lines), "word0 word1 word2 ", "what was streamed ...");
    assert_eq!(result(&done)["result"], RETRIED_ANSWER, "... is not the answer");
    let whole = assistants(&done.lines);
    let [(id, text)] = &whole[..] else { panic!("{whole:?}") };
    assert_eq!(text, RETRIED_ANSWER);
    let stop = abandoned(&done);
    let [stop] = &stop[..] else { panic!("{stop:?}") };
    assert_ne!(&stop["api_message_id"], id);
    assert_eq!(stop["from_block_index"], 0);
    assert_eq!(api.messages().iter().map(|request| request.streams()).collect::<Vec<_>>(), [true, false]);
    assert_eq!(retries(&done), Vec::<&Value>::new(), "nothing announces it");
}

/// The mark of what is void, on the `message_stop` that the CLI makes up.
fn abandoned(done: &Finished) -> Vec<Value> {
    let stops = done.lines.iter().filter(|line| line["event"]["type"] == "message_stop");
    stops.filter_map(|line| line.get("abandoned_blocks").cloned()).collect()
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_cut_in_mid_stream_is_streamed_again_under_another_id() {
    let api = ModelApi::start().await;
    let done = once(&Home::new(&api), &[], "[[text void]] [[cut times=2]] [[text the answer]]").await;
    assert_eq!(streamed(&done.lines), "voidvoidthe answer");
    let order = kinds(&done.lines);
    let starts = order.iter().filter(|kind| *kind == "stream_event/message_start").count();
    assert_eq!((starts, abandoned(&done).len()), (3, 2));
    let [first, second] = &retries(&done)[..] else { panic!("{order:?}") };
    for (attempt, retry) in [(1, first), (2, second)] {
        let told = ["attempt", "error_status", "error"].map(|name| retry[name].clone());
        assert_eq!(told, [json!(attempt), Value::Null, json!("unknown")]);
    }
    assert_eq!(assistants(&done.lines).len(), 1);
    assert_eq!(result(&done)["result"], "the answer");
    assert!(api.messages().iter().all(|request| request.streams()));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_cut_without_retries_left_is_answered_whole() {
    let api = ModelApi::start().await;
    let done = once(&home(&api, &[NO_RETRIES]), &[], "[[cut]]").await;
    assert_eq!(result(&done)["result"], RETRIED_ANSWER);
    assert_eq!(api.messages().iter().map(|request| request.streams()).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn without_the_fallback_a_broken_stream_is_an_honest_error() {
    let api = ModelApi::start().await;
    let home = home(&api, &[NO_RETRIES, NO_FALLBACK]);
    for (marker, status) in [("[[error_event]]", json!(529)), ("[[cut]]", Value::Null)] {
        let done = once(&home, &[], marker).await;
        let told = ["subtype", "is_error", "api_error_status"].map(|name| result(&done)[name].clone());
        assert_eq!(told, [json!("success"), json!(true), status], "{marker}");
        assert_eq!(done.status.code(), Some(1));
    }
    assert!(api.messages().iter().all(|request| request.streams()));
}

/// A block that was complete before the cut stays, and the CLI asks the model itself to go on.
#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_cut_after_a_complete_block_is_continued_in_another_message() {
    let api = ModelApi::start().await;
    let home = home(&api, &[NO_RETRIES]);
    let mut pipe = lean(&home, &[]);
    pipe.send(&user("[[text first.]] [[block]] [[text void]] [[cut]]")).await;
    let done = pipe.finish().await;
    let texts: Vec<String> = assistants(&done.lines).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["first.", crate::support::model_api::DEFAULT_ANSWER]);
    assert_eq!(abandoned(&done)[0]["from_block_index"], 1);
    let nudge = done.lines.iter().find(|line| line["type"] == "user").expect("a line of the CLI's own");
    let nudge = nudge["message"]["content"][0]["text"].as_str().expect("text");
    assert!(nudge.starts_with("Your response above was cut off mid-stream."), "{nudge}");
    assert_eq!(result(&done)["result"], crate::support::model_api::DEFAULT_ANSWER, "only the last message");
}

/// No variable shortens the wait for a stream that went silent: a caller needs a clock of its own.
#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_request_without_a_response_head_is_bounded_by_the_api_timeout() {
    let api = ModelApi::start().await;
    let home = home(&api, &[NO_RETRIES, NO_FALLBACK, ("API_TIMEOUT_MS", "300")]);
    let done = once(&home, &[], "[[hang]]").await;
    assert_eq!(result(&done)["is_error"], true, "{}", result(&done));
}
