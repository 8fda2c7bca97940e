//! Hostile bodies: always an OpenAI error object or a request, never a panic.

#![allow(missing_docs, clippy::unwrap_used)]

use claude_exec_openai::chat::ChatRequest;
use claude_exec_openai::messages::MessagesRequest;
use claude_exec_openai::responses::{Context, ResponsesRequest};
use claude_exec_openai::{ApiError, Models, Request, plan};
use proptest::prelude::*;
use serde_json::{Value, json};

/// All three wires take the same bytes; the chat's answer is given.
fn answer(body: &[u8]) -> Result<(), ApiError> {
    for request in [
        ResponsesRequest::parse(body)
            .and_then(|asked| asked.after(Context::default()))
            .map(|(request, _)| request),
        MessagesRequest::parse(body).map(|asked| asked.request),
    ] {
        if let Err(error) = request.and_then(planned) {
            assert_openai_error(&error);
        }
    }
    planned(ChatRequest::parse(body)?.request)
}

fn planned(request: Request) -> Result<(), ApiError> {
    let models = Models::default();
    let plan = plan(&request, models.resolve(request.model.as_deref())?)?;
    plan.invocation.to_command().expect("what was planned can be started");
    Ok(())
}

fn assert_openai_error(error: &ApiError) {
    assert_eq!(error.status, 400, "{error}");
    let body: Value = serde_json::from_slice(&error.to_json()).unwrap();
    let members: Vec<&String> = body["error"].as_object().unwrap().keys().collect();
    assert_eq!(members, ["message", "type", "param", "code"]);
    assert!(!error.message.is_empty() && error.message.len() < 1_100);
}

/// Any JSON, with the names that matter more often than not.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z]{0,6}|user|system|assistant|tool|text|image_url|file|function|json_schema|object|input_text|input_image|tool_use|tool_result|base64|message|function_call|data:;base64,aGk=|https://x|\u{0}|\u{200b}".prop_map(Value::from),
    ];
    let name = "role|content|type|text|name|messages|model|stop|stream|stream_options|include_usage|\
        max_tokens|temperature|tools|n|refusal|tool_calls|reasoning_effort|image_url|url|file|file_data|function|\
        arguments|id|tool_call_id|tool_choice|response_format|json_schema|schema|properties|input|call_id|output|source|data|system|\
        thinking|tool_use_id|reasoning|format|[a-z\r\n]{0,8}";
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..8).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_json_is_answered(body in any_json()) {
        if let Err(error) = answer(body.to_string().as_bytes()) {
            assert_openai_error(&error);
        }
    }

    #[test]
    fn any_fields_beside_good_messages_are_answered(mut body in any_json()) {
        if let Some(fields) = body.as_object_mut() {
            fields.insert("messages".into(), json!([{"role": "user", "content": "hi"}]));
        }
        if let Err(error) = answer(body.to_string().as_bytes()) {
            assert_openai_error(&error);
        }
    }

    #[test]
    fn any_messages_are_answered(messages in prop::collection::vec(any_json(), 0..4)) {
        if let Err(error) = answer(json!({ "messages": messages }).to_string().as_bytes()) {
            assert_openai_error(&error);
        }
    }

    #[test]
    fn any_mutation_of_a_good_body_is_answered(at in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        let mut body = GOOD.as_bytes().to_vec();
        let at = at.index(body.len());
        if cut { body.truncate(at) } else { body[at] = byte }
        if let Err(error) = answer(&body) {
            assert_openai_error(&error);
        }
    }

    #[test]
    fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..256)) {
        if let Err(error) = answer(&body) {
            assert_openai_error(&error);
        }
    }
}

const GOOD: &str = r#"{"model":"haiku","stream":true,"stream_options":{"include_usage":true},"max_tokens":7,
    "temperature":0.5,"stop":["a","b"],"messages":[{"role":"system","content":"s"},{"role":"user","content":
    [{"type":"text","text":"\u00e9"}]},{"role":"assistant","content":null,"refusal":"no"},{"role":"user","content":"x"}]}"#;

#[test]
fn the_good_body_is_good() {
    assert_eq!(answer(GOOD.as_bytes()), Ok(()));
}

#[test]
fn each_known_attack_is_refused() {
    let hi = r#""messages":[{"role":"user","content":"hi"}]"#;
    let deep = format!("{{{hi},\"x\":{}1{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let wide = format!("{{{hi},\"x\":[{}0]}}", "0,".repeat(300_000));
    let many_keys = format!("{{{hi}{}}}", (0..300_000).map(|n| format!(",\"k{n}\":0")).collect::<String>());
    for body in [
        deep.as_str(),
        &wide,
        &many_keys,
        &format!("{{{hi},{hi}}}"),
        &format!("{{{hi},\"max_tokens\":NaN}}"),
        &format!("{{{hi},\"max_tokens\":-1}}"),
        &format!("{{{hi},\"max_tokens\":\"7\"}}"),
        &format!("{{{hi},\"temperature\":1e400}}"),
        &format!("{{{hi},\"user\":\"\\ud800\"}}"),
        r#"{"messages":[{"role":"user","content":"\udfff"}]}"#,
        r#"{"messages":[{"role":"user","role":"system","content":"x"}]}"#,
        r#"{"messages":[{"role":"user","content":null}]}"#,
        r#"{"messages":[{"role":"user","content":"\u0000"}]}"#,
    ] {
        assert_openai_error(&answer(body.as_bytes()).unwrap_err());
    }
}
