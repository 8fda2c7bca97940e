//! `/v1/messages` as its callers see it, over scripted processes.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use claude_exec::executor::Scripted;
use claude_exec_openai::OpenAi;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use support::{TOKEN, call, endpoint, first_word, header, refusal, refused, text};

fn post(path: &str, key: &str, body: &Value) -> Request<Full<Bytes>> {
    Request::post(path).header("x-api-key", key).body(Full::new(Bytes::from(body.to_string()))).unwrap()
}

async fn ask(endpoint: &OpenAi, body: Value) -> (u16, Value) {
    let response = call(endpoint, post("/v1/messages", TOKEN, &body)).await;
    (response.status().as_u16(), serde_json::from_str(&text(response).await).unwrap())
}

fn hi(fields: Value) -> Value {
    let mut body =
        json!({"model": "haiku", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn one_message_in_one_piece_and_as_a_stream() {
    let (builder, _, _) = endpoint(Scripted::answer("Hello there."), 4, 0);
    let endpoint = builder.build().unwrap();
    let (status, message) = ask(&endpoint, hi(json!({}))).await;
    let content = json!([{"type": "text", "text": "Hello there."}]);
    assert_eq!((status, &message["content"], &message["stop_reason"]), (200, &content, &json!("end_turn")));
    assert_eq!(
        (&message["usage"]["input_tokens"], &message["usage"]["output_tokens"]),
        (&json!(1), &json!(2))
    );
    let response = call(&endpoint, post("/v1/messages", TOKEN, &hi(json!({"stream": true})))).await;
    assert_eq!(response.status(), 200);
    let wire = text(response).await;
    let kinds: Vec<&str> = wire.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    let expected = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(kinds, expected);
}

#[tokio::test]
async fn errors_are_anthropics() {
    let (builder, _, started) = endpoint(Scripted::answer("x"), 1, 0);
    let endpoint = builder.build().unwrap();
    let table = [
        (post("/v1/messages", "wrong", &hi(json!({}))), 401, "authentication_error"),
        (post("/v1/messages", TOKEN, &json!({})), 400, "invalid_request_error"),
        (post("/v1/messages", TOKEN, &hi(json!({"model": "gpt-4"}))), 404, "not_found_error"),
        (post("/v1/messages/count_tokens", TOKEN, &hi(json!({}))), 404, "not_found_error"),
        (post("/v1/messages/batches", TOKEN, &hi(json!({}))), 404, "not_found_error"),
    ];
    for (request, status, kind) in table {
        let response = call(&endpoint, request).await;
        assert_eq!(response.status(), status);
        let id = header(&response, "x-request-id").unwrap().to_owned();
        let error: Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!((&error["type"], &error["error"]["type"]), (&json!("error"), &json!(kind)), "{error}");
        assert_eq!(error["request_id"], json!(id));
    }
    assert_eq!(started.count(), 0);
}

#[tokio::test]
async fn an_overloaded_model_is_529_and_a_limit_429() {
    for (upstream, status, kind) in
        [(529, 529, "overloaded_error"), (429, 429, "rate_limit_error"), (401, 502, "api_error")]
    {
        for stream in [false, true] {
            let (builder, _, _) = endpoint(refused(upstream), 1, 0);
            let (found, error) = ask(&builder.build().unwrap(), hi(json!({"stream": stream}))).await;
            assert_eq!((found, &error["error"]["type"]), (status, &json!(kind)));
        }
    }
}

#[tokio::test]
async fn a_failure_in_the_middle_is_an_error_event() {
    let (builder, _, _) = endpoint(first_word("half").stdout(refusal(529)).exit(1), 1, 0);
    let response =
        call(&builder.build().unwrap(), post("/v1/messages", TOKEN, &hi(json!({"stream": true})))).await;
    let wire = text(response).await;
    let last = wire.trim_end().rsplit("\n\n").next().unwrap();
    assert!(last.starts_with("event: error\ndata: {") && last.contains("overloaded_error"), "{last}");
    assert!(!wire.contains("message_stop"));
}

#[tokio::test]
async fn the_key_is_taken_from_either_header_and_openais_paths_take_both_too() {
    let (builder, _, _) = endpoint(Scripted::answer("x"), 4, 0);
    let endpoint = builder.build().unwrap();
    let bearer = Request::post("/v1/messages")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Full::new(Bytes::from(hi(json!({})).to_string())))
        .unwrap();
    assert_eq!(call(&endpoint, bearer).await.status(), 200);
    assert_eq!(call(&endpoint, post("/v1/chat/completions", TOKEN, &hi(json!({})))).await.status(), 200);
}
