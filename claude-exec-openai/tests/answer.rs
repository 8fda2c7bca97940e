//! Answers from what the CLI writes: both wires from the same lines, to the byte.

#![allow(missing_docs, clippy::unwrap_used)]

use std::time::Duration;

use bytes::BytesMut;
use claude_exec::protocol::{Event, Translator};
use claude_exec_openai::chat::{ChatRequest, Chunker};
use claude_exec_openai::{Answer, ApiError, Collected, FinishReason, Progress, Relay, Schema, Stamp, Step};
use serde_json::{Value, json};

const NOW: u64 = 1_000;

fn steps(lines: &[Value], one_message: bool) -> Vec<Step> {
    let mut translator = Translator::new();
    for line in lines {
        translator.push(format!("{line}\n").as_bytes());
    }
    translator.finish();
    let mut answer = Answer::new(one_message);
    std::iter::from_fn(|| translator.poll_event()).filter_map(|event| answer.take(event, || NOW)).collect()
}

/// The answer as one object would carry it.
fn whole(lines: &[Value]) -> Result<(String, FinishReason), ApiError> {
    let mut collected = Collected::default();
    let end = steps(lines, false).into_iter().find_map(|step| collected.take(step));
    end.expect("the turn has an end").map(|whole| (whole.text, whole.done.finish_reason))
}

/// The answer as a client puts it together from the stream; the error when one was streamed or answered.
fn streamed(lines: &[Value]) -> (String, Result<FinishReason, ApiError>) {
    let stamp = Stamp { id: "chatcmpl-1".into(), created: 7, model: "sonnet".into() };
    let mut relay = Relay::new(Chunker::new(&stamp, false));
    let (mut wire, mut held) = (BytesMut::new(), true);
    for step in steps(lines, false) {
        match relay.take(step, held, &mut wire) {
            Progress::Quiet => {}
            Progress::Began => held = false,
            Progress::Ended(end) => {
                let wire = std::str::from_utf8(&wire).unwrap();
                let failed_in_the_middle = end.is_err() && !held;
                assert_eq!(wire.ends_with("data: [DONE]\n\n"), end.is_ok());
                assert_eq!(wire.contains("\"finish_reason\":\""), end.is_ok());
                assert_eq!(wire.contains("data: {\"error\":"), failed_in_the_middle);
                return (said(wire), end.map(|done| done.finish_reason));
            }
            _ => unreachable!("no other progress"),
        }
    }
    panic!("the turn had no end");
}

fn said(wire: &str) -> String {
    wire.split_terminator("\n\n")
        .filter_map(|event| serde_json::from_str::<Value>(event.strip_prefix("data: ")?).ok())
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect()
}

fn event(event: Value) -> Value {
    json!({"type": "stream_event", "event": event, "session_id": "s", "parent_tool_use_id": null})
}

fn start(id: &str) -> Vec<Value> {
    vec![
        event(json!({"type": "message_start", "message": {"id": id}})),
        event(
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
    ]
}

fn delta(text: &str) -> Value {
    event(json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}))
}

fn stop(reason: &str) -> Vec<Value> {
    vec![
        event(json!({"type": "content_block_stop", "index": 0})),
        event(json!({"type": "message_delta", "delta": {"stop_reason": reason}})),
        event(json!({"type": "message_stop"})),
    ]
}

fn assistant(id: &str, text: &str) -> Value {
    json!({"type": "assistant", "session_id": "s", "parent_tool_use_id": null,
        "message": {"id": id, "content": [{"type": "text", "text": text}]}})
}

fn result(fields: Value) -> Value {
    let mut result = json!({"type": "result", "subtype": "success", "is_error": false, "session_id": "s",
        "result": "", "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 2}});
    result.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    result
}

fn api_error(status: u16) -> Vec<Value> {
    vec![
        json!({"type": "assistant", "session_id": "s", "error": "server_error", "parent_tool_use_id": null,
            "message": {"id": "e", "model": "<synthetic>", "content": [{"type": "text", "text": "API Error"}]}}),
        result(json!({"is_error": true, "api_error_status": status, "terminal_reason": "api_error",
            "result": "API Error: no", "stop_reason": "stop_sequence"})),
    ]
}

/// Both wires say the same.
fn both(lines: &[Value]) -> Result<(String, FinishReason), ApiError> {
    let whole = whole(lines);
    let (said, end) = streamed(lines);
    assert_eq!(end.map(|reason| (said, reason)), whole);
    whole
}

#[test]
fn a_plain_answer() {
    let lines =
        [start("m"), vec![delta("Hel"), delta("lo"), assistant("m", "Hello")], stop("end_turn")].concat();
    let lines = [lines, vec![result(json!({"result": "Hello"}))]].concat();
    assert_eq!(both(&lines), Ok(("Hello".into(), FinishReason::Stop)));
}

#[test]
fn every_finish_reason_is_real() {
    for (stop_reason, expected) in [
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("pause_turn", FinishReason::Length),
        ("refusal", FinishReason::ContentFilter),
        ("stop_sequence", FinishReason::Stop),
    ] {
        let lines = [start("m"), vec![delta("x")], stop(stop_reason)].concat();
        let lines = [lines, vec![result(json!({"stop_reason": stop_reason}))]].concat();
        assert_eq!(both(&lines), Ok(("x".into(), expected)));
    }
}

#[test]
fn a_token_limit_ends_the_answer_of_a_model_without_tools() {
    let hidden = json!({"type": "user", "session_id": "s", "isSynthetic": true, "parent_tool_use_id": null,
        "message": {"role": "user", "content": [{"type": "text", "text": "Output token limit hit. Resume"}]}});
    let limit = [start("m"), vec![delta("half an")], stop("max_tokens")].concat();
    let lines = [limit.clone(), vec![hidden], start("n"), vec![delta(" answer")]].concat();
    let text = |text: &str| Step::Text { text: text.to_owned(), paragraph: false };
    let cut = steps(&lines, true);
    let [said, Step::Done(done)] = cut.as_slice() else { panic!("{cut:?}") };
    assert_eq!((said, done.finish_reason, done.usage), (&text("half an"), FinishReason::Length, None));
    assert_eq!(steps(&lines, false), [text("half an"), Step::Settled, text(" answer")]);
    // What the CLI makes of it when it has gone on three times in vain.
    let failed =
        result(json!({"is_error": true, "terminal_reason": "api_error", "stop_reason": "stop_sequence",
        "result": "API Error: Claude's response exceeded the 7 output token maximum."}));
    assert_eq!(both(&[limit, vec![failed]].concat()), Ok(("half an".into(), FinishReason::Length)));
}

#[test]
fn a_refusal_is_content_filter_without_the_clis_prose() {
    let refused = result(json!({"is_error": true, "terminal_reason": "api_error", "stop_reason": "refusal",
        "result": "API Error: safeguards flagged this message"}));
    let lines = [start("m"), vec![delta("well")], stop("refusal"), vec![refused.clone()]].concat();
    assert_eq!(both(&lines), Ok(("well".into(), FinishReason::ContentFilter)));
    assert_eq!(both(&[refused]), Ok((String::new(), FinishReason::ContentFilter)));
}

#[test]
fn text_that_came_only_whole_is_the_answer() {
    let lines = [assistant("m", "whole"), result(json!({"result": "whole"}))];
    assert_eq!(both(&lines), Ok(("whole".into(), FinishReason::Stop)));
    assert_eq!(both(&[result(json!({"result": "only here"}))]), Ok(("only here".into(), FinishReason::Stop)));
    assert_eq!(both(&[result(json!({}))]), Ok((String::new(), FinishReason::Stop)));
}

#[test]
fn a_sub_agents_words_are_not_the_answer() {
    let mut inner = delta("inner");
    inner["parent_tool_use_id"] = json!("toolu_1");
    let lines = [start("m"), vec![delta("outer"), inner], stop("end_turn"), vec![result(json!({}))]].concat();
    assert_eq!(both(&lines), Ok(("outer".into(), FinishReason::Stop)));
}

#[test]
fn texts_with_tools_between_them_are_paragraphs() {
    let tool = json!({"type": "assistant", "session_id": "s", "parent_tool_use_id": null, "message": {"id": "m",
        "content": [{"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]}});
    let lines = [
        start("m"),
        vec![delta("Let me look."), tool],
        stop("tool_use"),
        start("n"),
        vec![delta("It is 5.")],
        stop("end_turn"),
        vec![result(json!({"result": "It is 5."}))],
    ];
    assert_eq!(both(&lines.concat()), Ok(("Let me look.\n\nIt is 5.".into(), FinishReason::Stop)));
}

#[test]
fn no_paragraph_begins_inside_of_a_message() {
    let tool = json!({"type": "assistant", "session_id": "s", "parent_tool_use_id": null, "message": {"id": "m",
        "content": [{"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]}});
    let begun = [start("m"), vec![delta("One "), tool, delta("and two.")]].concat();
    let ended = [begun.clone(), stop("end_turn"), vec![result(json!({}))]].concat();
    assert_eq!(both(&ended), Ok(("One and two.".into(), FinishReason::Stop)));
    // Started over, it takes back just its own text.
    let restarted = [begun, vec![assistant("n", "One and two."), result(json!({}))]].concat();
    assert_eq!(both(&restarted), Ok(("One and two.".into(), FinishReason::Stop)));
}

#[test]
fn an_agents_turn_limit_is_length() {
    let limit = result(json!({"subtype": "error_max_turns", "is_error": true, "stop_reason": "tool_use"}));
    assert_eq!(both(&[assistant("m", "so far"), limit]), Ok(("so far".into(), FinishReason::Length)));
}

#[test]
fn a_failure_before_the_first_word_has_a_status_and_no_wire() {
    for (status, expected) in
        [(400, 400), (401, 502), (404, 404), (413, 400), (429, 429), (500, 502), (529, 503)]
    {
        assert_eq!(both(&api_error(status)).unwrap_err().status, expected);
    }
}

#[test]
fn a_failure_in_the_middle_is_an_error_and_never_a_stop() {
    let lines = [start("m"), vec![delta("half an ans")], api_error(529)].concat();
    let (said, end) = streamed(&lines);
    assert_eq!((said.as_str(), end.unwrap_err().code), ("half an ans", Some("overloaded")));
    assert_eq!(whole(&lines).unwrap_err().code, Some("overloaded"));
}

#[test]
fn a_rejected_limit_tells_when_to_come_back() {
    let limit = |status: &str| {
        json!({"type": "rate_limit_event", "session_id": "s", "rate_limit_info":
            {"status": status, "resetsAt": NOW + 30, "rateLimitType": "five_hour"}})
    };
    for (status, expected) in [("rejected", 30), ("allowed_warning", 10)] {
        let lines = [vec![limit(status)], api_error(429)].concat();
        assert_eq!(both(&lines).unwrap_err().retry_after, Some(expected));
    }
}

#[test]
fn a_start_over_with_the_same_beginning_goes_on() {
    let lines = [
        start("m"),
        vec![delta("word0 "), assistant("n", "word0 word1"), result(json!({"result": "word0 word1"}))],
    ];
    assert_eq!(both(&lines.concat()), Ok(("word0 word1".into(), FinishReason::Stop)));
}

#[test]
fn a_start_over_that_differs_is_an_error_on_the_stream_and_an_answer_in_one_piece() {
    let lines =
        [start("m"), vec![delta("word0 word1 "), assistant("n", "ok"), result(json!({"result": "ok"}))]];
    let (said, end) = streamed(&lines.concat());
    assert_eq!((said.as_str(), end.unwrap_err().code), ("word0 word1 ", Some("answer_restarted")));
    assert_eq!(whole(&lines.concat()), Ok(("ok".into(), FinishReason::Stop)));
}

#[test]
fn a_start_over_keeps_what_was_settled_before_it() {
    let lines = [
        start("m"),
        vec![delta("first")],
        stop("pause_turn"),
        start("n"),
        vec![delta("sec"), assistant("o", "second"), result(json!({"result": "second"}))],
    ];
    assert_eq!(both(&lines.concat()), Ok(("firstsecond".into(), FinishReason::Stop)));
}

#[test]
fn nothing_follows_the_end() {
    let again =
        [vec![result(json!({"result": "a"})), result(json!({"result": "b"}))], api_error(500)].concat();
    assert_eq!(steps(&again, true).len(), 1);
}

#[test]
fn a_time_limit_that_runs_out_in_a_retry_is_the_retrys_fault() {
    let retry = |status: Value| {
        json!({"type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 3, "retry_delay_ms": 9,
            "error_status": status, "error": "x", "session_id": "s"})
    };
    let timeout = || Event::Error(claude_exec::Error::timed_out("the turn", Duration::from_secs(1)));
    for (lines, expected) in [
        (vec![retry(json!(529))], "overloaded"),
        (vec![retry(json!(429))], "rate_limit_exceeded"),
        (vec![retry(json!(401))], "upstream_auth"),
        (vec![retry(json!(null))], "timeout"),
        ([vec![retry(json!(529))], start("m"), vec![delta("x")]].concat(), "timeout"),
        (vec![], "timeout"),
    ] {
        let mut translator = Translator::new();
        lines.iter().for_each(|line| translator.push(format!("{line}\n").as_bytes()));
        let mut answer = Answer::new(true);
        while let Some(event) = translator.poll_event() {
            answer.take(event, || NOW);
        }
        let Some(Step::Failed(error)) = answer.take(timeout(), || NOW) else { panic!("no failure") };
        assert_eq!(error.code, Some(expected));
    }
}

#[test]
fn a_turn_without_a_word_about_its_end_has_failed() {
    let Some(Step::Failed(error)) = Answer::new(true).take(Event::TurnEnd, || NOW) else {
        panic!("no failure")
    };
    assert_eq!((error.status, error.code), (502, Some("execution_failed")));
    let Some(Step::Failed(error)) = Answer::new(true).take(Event::Cancelled, || NOW) else {
        panic!("no failure")
    };
    assert_eq!((error.status, error.code), (503, Some("interrupted")));
}

fn schema() -> Option<Schema> {
    let body = br#"{"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":
        {"name":"n","schema":{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}}}}"#;
    ChatRequest::parse(body).unwrap().request.output.schema()
}

fn structured(lines: &[Value]) -> Vec<Step> {
    let mut translator = Translator::new();
    lines.iter().for_each(|line| translator.push(format!("{line}\n").as_bytes()));
    translator.finish();
    let mut answer = Answer::new(true).expecting(schema());
    std::iter::from_fn(|| translator.poll_event()).filter_map(|event| answer.take(event, || NOW)).collect()
}

#[test]
fn an_answer_that_has_a_schema_is_the_json_and_nothing_else() {
    let tool = json!({"type": "assistant", "session_id": "s", "parent_tool_use_id": null, "message": {"id": "m",
        "content": [{"type": "tool_use", "id": "t", "name": "StructuredOutput", "input": {"n": 7}}]}});
    let called = [start("m"), vec![delta("Here you are: "), tool], stop("tool_use")].concat();
    let given = result(json!({"structured_output": {"n": 7}, "stop_reason": "tool_use", "result": "prose"}));
    let steps = structured(&[called.clone(), vec![given]].concat());
    let [Step::Done(done)] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!((done.finish_reason, done.text.as_deref()), (FinishReason::Stop, Some(r#"{"n":7}"#)));
    for bad in [
        json!({"result": "{\"n\":7}"}),
        json!({"structured_output": null}),
        json!({"structured_output": {"n": "7"}}),
        json!({"subtype": "error_max_structured_output_retries", "is_error": true}),
    ] {
        let steps = structured(&[called.clone(), vec![result(bad)]].concat());
        let [Step::Failed(error)] = steps.as_slice() else { panic!("{steps:?}") };
        assert_eq!((error.status, error.code), (502, Some("invalid_output")));
    }
}

#[test]
fn a_schemas_answer_that_is_cut_or_refused_says_so() {
    let cut = structured(&[start("m"), vec![delta("{\"n\"")], stop("max_tokens")].concat());
    let [Step::Done(done)] = cut.as_slice() else { panic!("{cut:?}") };
    assert_eq!((done.finish_reason, &done.text), (FinishReason::Length, &None));
    let refused = result(json!({"is_error": true, "terminal_reason": "api_error", "stop_reason": "refusal",
        "result": "API Error: safeguards flagged this message"}));
    let refused = structured(&[refused]);
    let [Step::Done(done)] = refused.as_slice() else { panic!("{refused:?}") };
    assert_eq!((done.finish_reason, &done.text), (FinishReason::ContentFilter, &None));
}

#[test]
fn thinking_is_a_step_of_its_own_but_a_sub_agents_is_not() {
    let thought = |parent: Value| {
        let delta = json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "thinking_delta", "thinking": "hm"}});
        json!({"type": "stream_event", "event": delta, "session_id": "s", "parent_tool_use_id": parent})
    };
    let begin = event(json!({"type": "content_block_start", "index": 0,
        "content_block": {"type": "thinking", "thinking": ""}}));
    let lines = [vec![start("m")[0].clone(), begin, thought(Value::Null), thought(json!("t"))]].concat();
    assert_eq!(steps(&lines, true), [Step::Reasoning { text: "hm".into() }, Step::Began]);
}
