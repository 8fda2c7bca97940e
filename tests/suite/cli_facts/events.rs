//! The lines of a turn that goes well.

use serde_json::{Value, json};

use super::common::{ARMED, assistants, kinds, lean, once, result, spawn, streamed};
use crate::support::cli::{Home, Pipe, user};
use crate::support::model_api::{Action, ModelApi, Scenario};

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn the_whole_message_comes_before_its_block_stops() {
    let api = ModelApi::start().await;
    let done = once(&Home::new(&api), &[], "[[words 1]]").await;
    let order = [
        "system/init",
        "system/status",
        "stream_event/message_start",
        "stream_event/content_block_start",
        "stream_event/content_block_delta",
        "assistant",
        "stream_event/content_block_stop",
        "stream_event/message_delta",
        "stream_event/message_stop",
        "result/success",
    ];
    assert_eq!(kinds(&done.lines), order);
    assert_eq!(streamed(&done.lines), "word0 ");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn without_partial_messages_there_are_no_deltas_and_no_status() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let argv = ["-p", "--input-format=stream-json", "--output-format=stream-json", "--verbose", "--tools="];
    let mut pipe = Pipe::spawn(home.command().args(argv));
    pipe.send(&user("hi")).await;
    assert_eq!(kinds(&pipe.finish().await.lines), ["system/init", "assistant", "result/success"]);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn each_block_is_an_assistant_line_of_the_same_message() {
    let api = ModelApi::start().await;
    let done = once(&Home::new(&api), &[], "[[thinking 2]] [[text one]] [[block]] [[text two]]").await;
    let whole = assistants(&done.lines);
    assert_eq!(whole.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["", "one", "two"]);
    assert!(whole.iter().all(|(id, _)| *id == whole[0].0));
    assert_eq!(result(&done)["result"], "two", "the last block alone");
    let thoughts = |line: &&Value| line["event"]["delta"]["type"] == "thinking_delta";
    assert_eq!(done.lines.iter().filter(thoughts).count(), 2);
    assert!(kinds(&done.lines).contains(&"system/thinking_tokens".to_owned()));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn the_result_tells_of_the_turn_and_its_type_is_no_prefix() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut pipe = lean(&home, &[]);
    pipe.turn("[[words 3]] [[usage input_tokens=100 cache_read_input_tokens=40 output_tokens=9]]").await;
    pipe.turn("[[words 1]] [[usage input_tokens=5 output_tokens=2]]").await;
    let done = pipe.finish().await;
    let results: Vec<&Value> = done.lines.iter().filter(|line| line["type"] == "result").collect();
    let [first, second] = results[..] else { panic!("{results:?}") };
    let usage = |result: &Value| {
        ["input_tokens", "cache_read_input_tokens", "output_tokens"].map(|name| result["usage"][name].clone())
    };
    assert_eq!(usage(first), [json!(100), json!(40), json!(9)], "usage is of the turn");
    assert_eq!(usage(second), [json!(5), json!(0), json!(2)]);
    let cost = |result: &Value| result["total_cost_usd"].as_f64().expect("a number");
    assert!(cost(second) > cost(first), "the cost is of the process");
    assert_eq!((&first["result_index"], &second["result_index"]), (&json!(0), &json!(1)));
    for name in
        ["session_id", "uuid", "num_turns", "duration_ms", "ttft_ms", "modelUsage", "permission_denials"]
    {
        assert!(!first[name].is_null(), "{name}");
    }
}

/// So `max_tokens` is no way to cut an answer short: the pieces are the answer, and the result holds the last.
#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_answer_cut_by_max_tokens_is_continued_by_the_cli_itself() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut turns = 0;
    api.script(move |_| {
        turns += 1;
        Scenario::text(&format!("part{turns} ")).then(Action::Stop("max_tokens".to_owned()))
    });
    let done = once(&home, &[], "hi").await;
    let parts: Vec<String> = assistants(&done.lines).into_iter().map(|(_, text)| text).collect();
    assert_eq!(parts[..4], ["part1 ", "part2 ", "part3 ", "part4 "]);
    assert!(parts[4].contains("output token maximum"), "three times, and then it is an error: {parts:?}");
    let nudge = done.lines.iter().find(|line| line["type"] == "user").expect("a line of the CLI's own");
    let nudge = nudge["message"]["content"][0]["text"].as_str().expect("text");
    assert!(nudge.starts_with("Output token limit hit."), "{nudge}");
    let told =
        ["is_error", "subtype", "stop_reason", "terminal_reason"].map(|name| result(&done)[name].clone());
    assert_eq!(told, [json!(true), json!("success"), json!("stop_sequence"), json!("api_error")]);
    let last = done.lines.iter().rfind(|line| line["type"] == "assistant").expect("five of them");
    assert_eq!(last["error"], "max_output_tokens");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_turn_with_a_tool_is_two_messages_and_a_user_line_between() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut pipe = spawn(&home, &ARMED);
    pipe.send(&user(
        r#"[[tool Bash {"command":"echo one"}]] [[tool Bash {"command":"exit 3"}]] [[next]] [[text so]]"#,
    ))
    .await;
    let done = pipe.finish().await;
    let order: Vec<String> = kinds(&done.lines)
        .into_iter()
        .filter(|kind| !kind.starts_with("stream_event") && !kind.starts_with("system/task"))
        .collect();
    let expected = [
        "system/init",
        "system/status",
        "assistant",
        "assistant",
        "user",
        "user",
        "system/status",
        "assistant",
        "result/success",
    ];
    assert_eq!(order, expected);
    let users = done.lines.iter().filter(|line| line["type"] == "user");
    let results = users.map(|line| line["message"]["content"][0].clone()).collect::<Vec<_>>();
    assert_eq!((&results[0]["content"], &results[0]["is_error"]), (&json!("one"), &json!(false)));
    assert_eq!(results[1]["is_error"], true);
    assert_eq!((&result(&done)["num_turns"], &result(&done)["result"]), (&json!(3), &json!("so")));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn every_turn_of_a_process_has_its_own_init_and_result() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut pipe = lean(&home, &[]);
    pipe.send(&user("one")).await;
    pipe.send(&user("two")).await;
    let done = pipe.finish().await;
    let of = |kind: &str| kinds(&done.lines).iter().filter(|line| *line == kind).count();
    assert_eq!((of("system/init"), of("result/success")), (2, 2));
}

/// Never write ahead: what waits in mid-turn becomes one message.
#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn messages_that_wait_are_joined_into_one_turn() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut pipe = lean(&home, &[]);
    pipe.send(&user("[[words 1]] [[hold]]")).await;
    api.wait_for_messages(1).await;
    pipe.send(&user("B")).await;
    pipe.send(&user("C")).await;
    // The answer to a later line tells that both have been read.
    pipe.send(&crate::support::cli::control("c", json!({"subtype": "get_settings"}))).await;
    pipe.control_response("c").await;
    api.release();
    let done = pipe.finish().await;
    assert_eq!(done.lines.iter().filter(|line| line["type"] == "result").count(), 2);
    assert_eq!(api.messages()[1].user_texts(), ["[[words 1]] [[hold]]", "B\nC"]);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_message_with_a_uuid_seen_before_is_dropped_without_a_word() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut message = user("hi");
    message["uuid"] = uuid::Uuid::new_v4().to_string().into();
    let mut pipe = lean(&home, &[]);
    pipe.send(&message).await;
    pipe.result().await;
    pipe.send(&message).await;
    let done = pipe.finish().await;
    assert!(done.status.success());
    assert_eq!(done.lines.iter().filter(|line| line["type"] == "result").count(), 1);
    assert_eq!(api.messages().len(), 1);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_line_of_megabytes_comes_whole() {
    let api = ModelApi::start().await;
    let done = once(&Home::new(&api), &[], "[[long_line 5000000]]").await;
    assert_eq!(streamed(&done.lines).len(), 5_000_000);
    assert_eq!(result(&done)["result"].as_str().map(str::len), Some(5_000_000));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_empty_answer_is_asked_for_again_and_then_an_empty_result() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    api.script(|_| Scenario::text(""));
    let done = once(&home, &[], "hi").await;
    assert_eq!((&result(&done)["is_error"], &result(&done)["result"]), (&json!(false), &json!("")));
    assert_eq!(api.messages().len(), 2);
    assert_eq!(assistants(&done.lines), [], "an empty block is no message");
}

/// A subagent's lines carry the id of the call that began it, and no deltas; its words come only when asked for.
#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_subagents_lines_are_marked_as_its_own() {
    let api = ModelApi::start().await;
    let task = json!({
        "description": "d", "prompt": "[[text of the subagent]]", "subagent_type": "general-purpose",
        "run_in_background": false,
    });
    for (flags, words) in [(&[][..], 0), (&["--forward-subagent-text"], 1)] {
        let home = Home::new(&api);
        let mut pipe = spawn(&home, &[&ARMED, flags].concat());
        pipe.send(&user(&format!("[[text main]] [[tool Task {task}]] [[next]] [[text end]]"))).await;
        let done = pipe.finish().await;
        let call = done.lines.iter().find_map(|line| {
            let block = &line["message"]["content"][0];
            (block["name"] == "Task").then(|| block["id"].clone())
        });
        let call = call.expect("the tool was called");
        let of_it: Vec<&Value> =
            done.lines.iter().filter(|line| line["parent_tool_use_id"] == call).collect();
        let said = of_it.iter().filter(|line| line["message"]["content"][0]["text"] == "of the subagent");
        assert_eq!(said.count(), words);
        assert!(of_it.iter().all(|line| line["type"] != "stream_event"));
        assert_eq!(streamed(&done.lines), "main end".replace(' ', ""));
        assert_eq!(result(&done)["result"], "end");
    }
}
