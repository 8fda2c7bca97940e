//! The translator: lines to events, whatever the cut, whatever the damage.

use claude_exec::protocol::{Event, Failure, NoiseReason, Translator};
use proptest::prelude::*;
use serde_json::{Value, json};

/// One event as a short line, so that whole transcripts compare as lists.
fn show(event: &Event) -> String {
    let who = |parent: &Option<String>| parent.as_ref().map(|id| format!("[{id}]")).unwrap_or_default();
    match event {
        Event::Session(session) => format!("session {} {}", session.session_id, session.model),
        Event::Text(text) => format!("text{} {:?}", who(&text.parent), text.text),
        Event::Thinking(text) => format!("thinking{} {:?}", who(&text.parent), text.text),
        Event::ToolStart(tool) => format!("start{} {} {}", who(&tool.parent), tool.name, tool.id),
        Event::ToolInput(input) => format!("input{} {} {}", who(&input.parent), input.id, input.partial_json),
        Event::Tool(tool) => format!("tool{} {} {} {}", who(&tool.parent), tool.name, tool.id, tool.input),
        Event::ToolResult(result) => format!(
            "result{} {} {} {}",
            who(&result.parent),
            result.tool_use_id,
            result.is_error,
            result.content.as_ref().map_or("none", |content| content.get())
        ),
        Event::MessageEnd(end) => format!("end{} {:?}", who(&end.parent), end.stop_reason),
        Event::Restarted(void) => {
            format!("restarted{} {} {}", who(&void.parent), void.text_bytes, void.thinking_bytes)
        }
        Event::Retry(retry) => {
            format!("retry {}/{} {:?} {}", retry.attempt, retry.max_retries, retry.status, retry.delay_ms)
        }
        Event::RateLimit(limit) => format!("limit {} {:?} {:?}", limit.status, limit.resets_at, limit.kind),
        Event::ControlRequest(request) => format!("ask {} {:?}", request.request_id, request.ask),
        Event::ControlResponse(response) => {
            format!("answer {} {:?}", response.request_id, response.result.as_ref().map(|raw| raw.is_some()))
        }
        Event::ControlCancel(id) => format!("cancel {id}"),
        Event::Finished(outcome) => {
            format!("finished {:?} {:?} {}", outcome.failure(), outcome.text, outcome.usage.output_tokens)
        }
        Event::Other(other) => format!("other {} {:?}", other.kind, other.subtype),
        Event::Noise(noise) => match &noise.reason {
            NoiseReason::Malformed(_) => format!("noise malformed {}", noise.bytes),
            reason => format!("noise {reason:?} {}", noise.bytes),
        },
        other => format!("{other:?}"),
    }
}

fn translate_in(pieces: &[&[u8]], limit: usize) -> Vec<String> {
    let mut translator = Translator::with_line_limit(limit);
    let mut events = Vec::new();
    for piece in pieces {
        translator.push(piece);
        events.extend(std::iter::from_fn(|| translator.poll_event()).map(|event| show(&event)));
    }
    translator.finish();
    events.extend(std::iter::from_fn(|| translator.poll_event()).map(|event| show(&event)));
    events
}

fn translate(lines: &[Value]) -> Vec<String> {
    translate_in(&[input(lines).as_bytes()], 1 << 20)
}

fn input(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn init() -> Value {
    json!({"type": "system", "subtype": "init", "session_id": "s", "model": "m", "tools": ["Bash"]})
}

fn stream(event: Value) -> Value {
    json!({"type": "stream_event", "event": event, "session_id": "s", "parent_tool_use_id": null})
}

fn start(id: &str) -> Value {
    stream(json!({"type": "message_start", "message": {"id": id, "content": []}}))
}

fn block(kind: &str) -> Value {
    stream(json!({"type": "content_block_start", "index": 0, "content_block": {"type": kind, "text": "",
        "id": "t1", "name": "Bash"}}))
}

fn text(text: &str) -> Value {
    stream(json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}))
}

fn close() -> Value {
    stream(json!({"type": "content_block_stop", "index": 0}))
}

fn end(reason: &str) -> [Value; 2] {
    [
        stream(json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {}})),
        stream(json!({"type": "message_stop"})),
    ]
}

fn assistant(id: &str, content: Value) -> Value {
    json!({"type": "assistant", "message": {"id": id, "content": content}, "parent_tool_use_id": null})
}

fn whole(id: &str, text: &str) -> Value {
    assistant(id, json!([{"type": "text", "text": text}]))
}

fn result(text: &str) -> Value {
    // `type` comes last here: in the CLI's own lines it is the 19th key.
    json!({"subtype": "success", "is_error": false, "result": text, "usage": {"output_tokens": 3}, "type": "result"})
}

#[test]
fn deltas_are_the_text_and_the_whole_message_repeats_nothing() {
    let [delta, stop] = end("end_turn");
    let lines = [
        init(),
        start("a"),
        block("text"),
        text("Hel"),
        text("lo"),
        whole("a", "Hello"),
        close(),
        delta,
        stop,
        result("Hello"),
    ];
    let expected =
        ["session s m", "text \"Hel\"", "text \"lo\"", "end Some(\"end_turn\")", "finished None \"Hello\" 3"];
    assert_eq!(translate(&lines), expected);
}

#[test]
fn the_whole_message_may_come_after_its_block_has_ended() {
    let lines = [start("a"), block("text"), text("Hello"), close(), whole("a", "Hello")];
    assert_eq!(translate(&lines), ["text \"Hello\""]);
}

#[test]
fn text_that_came_only_whole_is_not_lost() {
    assert_eq!(translate(&[whole("a", "one"), whole("b", "two")]), ["text \"one\"", "text \"two\""]);
    // An open block without deltas, then the whole.
    let lines =
        [start("a"), block("text"), whole("a", "Hello"), close(), block("text"), text("x"), whole("a", "x")];
    assert_eq!(translate(&lines), ["text \"Hello\"", "text \"x\""]);
}

#[test]
fn two_blocks_of_one_kind_are_told_apart() {
    let lines = [
        start("a"),
        block("text"),
        text("one"),
        whole("a", "one"),
        close(),
        block("text"),
        whole("a", "two"),
        close(),
    ];
    assert_eq!(translate(&lines), ["text \"one\"", "text \"two\""]);
}

#[test]
fn a_restart_makes_the_message_void_and_brings_the_new_text() {
    // claude-cli.md 3.6 as seen: cut in mid-stream, then one `assistant` line of another id.
    let lines =
        [init(), start("a"), block("text"), text("word0 "), text("word1 "), whole("b", "ok"), result("ok")];
    let expected = [
        "session s m",
        "text \"word0 \"",
        "text \"word1 \"",
        "restarted 12 0",
        "text \"ok\"",
        "finished None \"ok\" 3",
    ];
    assert_eq!(translate(&lines), expected);
}

#[test]
fn a_restart_as_a_stream_is_one_too() {
    let lines = [start("a"), block("text"), text("void"), start("b"), block("text"), text("ok")];
    assert_eq!(translate(&lines), ["text \"void\"", "restarted 4 0", "text \"ok\""]);
}

#[test]
fn abandoned_blocks_are_void_and_the_ones_before_them_are_not() {
    // As 2.1.330 says it: the stop of a message that was cut off names the first block to be said anew.
    let mut stop = stream(json!({"type": "message_stop"}));
    stop["abandoned_blocks"] = json!({"api_message_id": "a", "from_block_index": 1});
    let second = |kind: &str| {
        stream(
            json!({"type": "content_block_start", "index": 1, "content_block": {"type": kind, "text": ""}}),
        )
    };
    let lines = [
        start("a"),
        block("text"),
        text("kept "),
        whole("a", "kept "),
        close(),
        second("text"),
        text("void"),
        close(),
        stop,
        start("b"),
        block("text"),
        text("new"),
        result(""),
    ];
    let expected =
        ["text \"kept \"", "text \"void\"", "restarted 4 0", "text \"new\"", "finished None \"new\" 3"];
    assert_eq!(translate(&lines), expected);
}

#[test]
fn a_finished_message_is_never_void() {
    let [delta, stop] = end("tool_use");
    let lines = [
        start("a"),
        block("text"),
        text("first"),
        close(),
        delta,
        stop,
        start("b"),
        block("text"),
        text("then"),
    ];
    assert_eq!(translate(&lines), ["text \"first\"", "end Some(\"tool_use\")", "text \"then\""]);
}

#[test]
fn an_empty_result_falls_back_to_the_text_seen() {
    let lines = [start("a"), block("text"), text("seen"), result("")];
    assert_eq!(translate(&lines).last().unwrap(), "finished None \"seen\" 3");
    // Void text is no answer, and an error's empty result stays empty.
    let lines = [start("a"), block("text"), text("void"), whole("b", "kept"), result("")];
    assert_eq!(translate(&lines).last().unwrap(), "finished None \"kept\" 3");
    let failed = json!({"type": "result", "subtype": "error_during_execution", "is_error": true});
    let lines = [start("a"), block("text"), text("half"), failed];
    assert_eq!(translate(&lines).last().unwrap(), "finished Some(Execution) \"\" 0");
}

#[test]
fn a_sub_agents_text_is_attributed_and_does_not_disturb_the_main_one() {
    let mut sub = text("inner");
    sub["parent_tool_use_id"] = json!("t9");
    let mut sub_start = start("z");
    sub_start["parent_tool_use_id"] = json!("t9");
    let lines = [start("a"), block("text"), text("outer"), sub_start, sub, text("!"), whole("a", "outer!")];
    assert_eq!(translate(&lines), ["text \"outer\"", "text[t9] \"inner\"", "text \"!\""]);
}

#[test]
fn tools_come_in_pieces_whole_and_with_their_results() {
    let piece = |json: &str| {
        stream(json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "input_json_delta", "partial_json": json}}))
    };
    let call = json!([{"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}}]);
    let answer = json!({"type": "user", "message": {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "t1", "content": "no", "is_error": true}]}});
    let lines = [
        start("a"),
        block("tool_use"),
        piece(""),
        piece("{\"comm"),
        piece("and\":\"ls\"}"),
        assistant("a", call),
        answer,
    ];
    let expected = [
        "start Bash t1",
        "input t1 {\"comm",
        "input t1 and\":\"ls\"}",
        "tool Bash t1 {\"command\":\"ls\"}",
        "result t1 true \"no\"",
    ];
    assert_eq!(translate(&lines), expected);
}

#[test]
fn thinking_is_apart_from_the_answer() {
    let think = |text: &str| {
        stream(json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "thinking_delta", "thinking": text}}))
    };
    let lines = [
        start("a"),
        block("thinking"),
        think("hmm"),
        assistant("a", json!([{"type": "thinking", "thinking": "hmm", "signature": "x"}])),
        close(),
        block("text"),
        text("yes"),
        result(""),
    ];
    assert_eq!(translate(&lines), ["thinking \"hmm\"", "text \"yes\"", "finished None \"yes\" 3"]);
}

#[test]
fn is_error_decides_and_an_errors_prose_is_no_answer() {
    let mut prose = whole("synthetic", "API Error: 529");
    prose["error"] = json!("overloaded");
    let failed = json!({"type": "result", "subtype": "success", "is_error": true, "api_error_status": 529,
        "result": "API Error: 529", "terminal_reason": "api_error"});
    let events = translate(&[prose, failed]);
    assert_eq!(events, ["other assistant None", "finished Some(Api(Some(529))) \"API Error: 529\" 0"]);
}

#[test]
fn failures_are_told_apart() {
    let table = [
        (json!({"subtype": "success"}), None),
        (json!({"subtype": "error_max_turns"}), Some(Failure::MaxTurns)),
        (json!({"subtype": "error_max_budget_usd", "is_error": true}), Some(Failure::MaxBudget)),
        (json!({"subtype": "error_max_structured_output_retries"}), Some(Failure::StructuredOutput)),
        (
            json!({"subtype": "success", "is_error": true, "result": "Prompt is too long"}),
            Some(Failure::PromptTooLong),
        ),
        (
            json!({"subtype": "success", "is_error": true, "terminal_reason": "prompt_too_long"}),
            Some(Failure::PromptTooLong),
        ),
        (
            json!({"subtype": "error_during_execution", "is_error": true, "terminal_reason": "aborted_streaming"}),
            Some(Failure::Interrupted),
        ),
        (
            json!({"subtype": "error_during_execution", "is_error": true, "errors": ["No conversation found with session ID: x"]}),
            Some(Failure::UnknownSession),
        ),
        (json!({"subtype": "error_of_tomorrow"}), Some(Failure::Execution)),
    ];
    for (mut line, failure) in table {
        line["type"] = json!("result");
        let mut translator = Translator::new();
        translator.push(input(&[line.clone()]).as_bytes());
        let Some(Event::Finished(outcome)) = translator.poll_event() else { panic!("{line}") };
        assert_eq!(outcome.failure(), failure, "{line}");
    }
}

#[test]
fn no_field_of_a_result_can_cost_the_turn() {
    let good = json!({"type": "result", "subtype": "success", "is_error": false, "result": "Hi",
        "session_id": "s", "stop_reason": "end_turn", "terminal_reason": "completed", "api_error_status": null,
        "errors": [], "structured_output": null, "usage": {"input_tokens": 1, "output_tokens": 3},
        "total_cost_usd": 0.1, "modelUsage": {"m": {"costUSD": 0.1}}, "num_turns": 1, "duration_ms": 5,
        "ttft_ms": 1, "permission_denials": [], "result_index": 0, "user_message_uuids": ["u"],
        "model_usage_since_last_result": {"m": {"costUSD": 0.25}, "n": {"costUSD": 0.5}}});
    let fields: Vec<String> = good.as_object().unwrap().keys().cloned().collect();
    for field in fields.iter().filter(|field| *field != "type") {
        for odd in
            [json!(null), json!("odd"), json!(-7.5), json!([{"odd": 1}]), json!({"input_tokens": null})]
        {
            let mut line = good.clone();
            line[field] = odd;
            let mut translator = Translator::new();
            translator.push(input(&[line.clone()]).as_bytes());
            let Some(Event::Finished(outcome)) = translator.poll_event() else { panic!("{line}") };
            if !["subtype", "is_error", "result"].contains(&field.as_str()) {
                assert_eq!((outcome.text.as_str(), outcome.is_error), ("Hi", false), "{line}");
            }
            if !["usage"].contains(&field.as_str()) {
                assert_eq!(outcome.usage.output_tokens, 3, "{line}");
            }
        }
    }
    let mut translator = Translator::new();
    translator.push(input(&[good]).as_bytes());
    let Some(Event::Finished(outcome)) = translator.poll_event() else { panic!("no result") };
    assert_eq!((outcome.cost_usd, outcome.total_cost_usd), (Some(0.75), Some(0.1)));
}

#[test]
fn a_new_type_is_kept_even_when_its_fields_have_names_we_know() {
    let lines = [
        json!({"type": "system", "subtype": "hook_started", "event": "PreToolUse"}),
        json!({"type": "hook", "subtype": 7, "parent_tool_use_id": 7}),
        assistant("a", json!([{"type": "block_of_tomorrow"}])),
        json!({"type": "user", "message": {"content": [{"type": "text", "text": "[Request interrupted by user]"}]}}),
    ];
    let expected =
        ["other system Some(\"hook_started\")", "other hook None", "other assistant None", "other user None"];
    assert_eq!(translate(&lines), expected);
}

#[test]
fn a_message_tells_its_tokens() {
    let usage = json!({"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1});
    let lines = [
        stream(json!({"type": "message_start", "message": {"id": "a", "usage": usage}})),
        stream(
            json!({"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 7}}),
        ),
        stream(json!({"type": "message_stop"})),
    ];
    let mut translator = Translator::new();
    translator.push(input(&lines).as_bytes());
    let Some(Event::MessageEnd(end)) = translator.poll_event() else { panic!("no end") };
    let usage = end.usage.unwrap();
    assert_eq!((usage.total_input_tokens(), usage.output_tokens), (15, 7));
}

#[test]
fn a_restart_is_told_for_tools_and_sub_agents_too() {
    let lines = [start("a"), block("tool_use"), start("b"), block("text"), text("ok")];
    assert_eq!(translate(&lines), ["start Bash t1", "restarted 0 0", "text \"ok\""]);
    let sub = |mut line: Value| {
        line["parent_tool_use_id"] = json!("t9");
        line
    };
    let lines = [sub(start("a")), sub(block("text")), sub(text("void")), sub(start("b")), text("main")];
    assert_eq!(translate(&lines), ["text[t9] \"void\"", "restarted[t9] 4 0", "text \"main\""]);
}

#[test]
fn thinking_that_came_only_whole_is_not_lost_to_its_signature() {
    let signature = stream(
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "x"}}),
    );
    let thought = json!([{"type": "thinking", "thinking": "hmm", "signature": "x"}]);
    let lines = [start("a"), block("thinking"), signature, assistant("a", thought), close()];
    assert_eq!(translate(&lines), ["thinking \"hmm\""]);
}

#[test]
fn retries_limits_and_controls_are_events() {
    let lines = [
        json!({"type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 10, "retry_delay_ms": 1118.5,
            "error_status": 429, "error": "rate_limit"}),
        json!({"type": "system", "subtype": "api_retry", "attempt": 2, "max_retries": 10, "error_status": null}),
        json!({"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 17, "rateLimitType": "five_hour"}}),
        json!({"type": "control_response", "response": {"subtype": "success", "request_id": "r", "response": {}}}),
        json!({"type": "control_response", "response": {"subtype": "error", "request_id": "r", "error": "no"}}),
        json!({"type": "control_cancel_request", "request_id": "u1"}),
    ];
    let expected = [
        "retry 1/10 Some(429) 1118",
        "retry 2/10 None 0",
        "limit rejected Some(17) Some(\"five_hour\")",
        "answer r Ok(true)",
        "answer r Err(\"no\")",
        "cancel u1",
    ];
    assert_eq!(translate(&lines), expected);
}

#[test]
fn what_is_unknown_is_kept_and_what_is_broken_costs_one_event() {
    let input = concat!(
        "{\"type\":\"event_of_tomorrow\",\"subtype\":\"x\"}\n",
        "\n  \r\n",
        "[SandboxDebug] starting\n",
        "[1,2]\n",
        "{\"type\":\"assistant\",\"message\":null}\n",
        "{\"type\":\"assistant\",\"message\":{\"content\":\"a string\"}}\n",
        "{\"type\":\"stream_event\",\"event\":\"a string\"}\n",
        "{\"type\":\"stream_event\",\"event\":{\"type\":\"content_block_delta\",\"delta\":7}}\n",
        "{\"type\":\"result\",\"usage\":7}\n",
        "{\"type\":7}\n",
        "{\"broken\n",
        "{}\n",
        "{\"type\":\"assistant\",\"message\":{\"id\":\"a\",\"content\":[{\"type\":\"text\",\"text\":\"still here\"}]}}\n",
        "{\"type\":\"assist",
    );
    let expected = [
        "other event_of_tomorrow Some(\"x\")",
        "noise NotJson 23",
        "noise NotJson 5",
        "other assistant None",
        "other assistant None",
        "noise malformed 42",
        "noise malformed 72",
        "finished Some(Execution) \"\" 0",
        "noise malformed 10",
        "noise NotJson 8",
        "other  None",
        "text \"still here\"",
        "noise CutOff 15",
    ];
    assert_eq!(translate_in(&[input.as_bytes()], 1 << 20), expected);
}

#[test]
fn a_last_line_without_its_newline_counts_when_it_is_whole() {
    let line = whole("a", "end").to_string();
    assert_eq!(translate_in(&[line.as_bytes()], 1 << 20), ["text \"end\""]);
}

#[test]
fn bad_utf8_and_half_surrogates_cost_a_character() {
    let mut bytes = whole("a", "caf?").to_string().into_bytes();
    let at = bytes.iter().position(|byte| *byte == b'?').unwrap();
    bytes[at] = 0xe9; // Latin-1
    assert_eq!(translate_in(&[&bytes], 1 << 20), ["text \"caf\u{fffd}\""]);
    let half = whole("a", "x?").to_string().replace('?', "\\ud83d");
    assert_eq!(translate_in(&[half.as_bytes()], 1 << 20), ["text \"x\u{fffd}\""]);
}

#[test]
fn an_over_long_line_costs_one_event_and_the_session_goes_on() {
    let lines = input(&[whole("a", &"x".repeat(5000)), whole("b", "short")]);
    let events = translate_in(&[lines.as_bytes()], 1000);
    assert_eq!(events.len(), 2);
    assert!(events[0].starts_with("noise TooLong 5") && events[1] == "text \"short\"", "{events:?}");
}

#[test]
fn deep_nesting_is_no_overflow() {
    let deep = format!("{{\"type\":\"x\",\"a\":{}{}}}\n", "[".repeat(100_000), "]".repeat(100_000));
    let events = translate_in(&[deep.as_bytes(), whole("a", "on").to_string().as_bytes()], 1 << 20);
    assert_eq!(events, ["other x None", "text \"on\""]);
}

/// A transcript with everything in it, Cyrillic and emoji included.
fn transcript() -> Vec<u8> {
    let [delta, stop] = end("end_turn");
    let lines = [
        init(),
        start("a"),
        block("text"),
        text("Здравей, "),
        text("свят \u{1f30d}"),
        whole("a", "Здравей, свят \u{1f30d}"),
        close(),
        delta,
        stop,
        json!({"type": "event_of_tomorrow"}),
        start("b"),
        block("text"),
        text("void"),
        whole("c", "new"),
        result("new"),
    ];
    let mut bytes = input(&lines).into_bytes();
    bytes.extend_from_slice(b"[log] line\r\n{\"bad\": \xff}\n");
    bytes
}

#[test]
fn every_way_of_cutting_the_bytes_gives_the_same_events() {
    let bytes = transcript();
    let expected = translate_in(&[&bytes], 1 << 20);
    for size in 1..bytes.len() {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        assert_eq!(translate_in(&pieces, 1 << 20), expected, "in pieces of {size}");
    }
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_events(cuts in proptest::collection::vec(0usize..2000, 0..40), limit in 40usize..2000) {
        let bytes = transcript();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % bytes.len()).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        pieces.push(&bytes[from..]);
        prop_assert_eq!(translate_in(&pieces, limit), translate_in(&[&bytes], limit));
    }

    #[test]
    fn one_mutated_byte_never_panics_and_the_next_line_still_parses(at in 0usize..5000, byte in any::<u8>()) {
        let mut bytes = transcript();
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.extend_from_slice(b"\n");
        bytes.extend_from_slice(input(&[whole("last", "still here")]).as_bytes());
        let events = translate_in(&[&bytes], 1 << 20);
        prop_assert_eq!(events.last().map(String::as_str), Some("text \"still here\""));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        translate_in(&[&bytes], 100);
    }
}
