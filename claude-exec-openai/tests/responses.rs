//! `/v1/responses` as its callers see it, over scripted processes.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use bytes::Bytes;
use claude_exec::executor::Scripted;
use claude_exec::http::Keyring;
use claude_exec::store::{Batch, Entry, Memory, Store, Written};
use claude_exec::{Error, Result};
use claude_exec_openai::OpenAi;
use futures::future::BoxFuture;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use support::{TOKEN, call, endpoint, first_word, refused, soon, text};

const OTHER: &str = "fedcba9876543210fedcba9876543210";

fn request(method: Method, path: &str, token: &str, body: &Value) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"))
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap()
}

async fn ask(endpoint: &OpenAi, method: Method, path: &str, token: &str, body: Value) -> (u16, Value) {
    let response = call(endpoint, request(method, path, token, &body)).await;
    let status = response.status().as_u16();
    let body = text(response).await;
    (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("no JSON: {body}")))
}

async fn create(endpoint: &OpenAi, body: Value) -> (u16, Value) {
    ask(endpoint, Method::POST, "/v1/responses", TOKEN, body).await
}

fn of(id: &Value) -> String {
    format!("/v1/responses/{}", id.as_str().unwrap())
}

fn keeping(script: Scripted) -> (OpenAi, support::Started) {
    let (builder, _, started) = endpoint(script, 4, 0);
    let keyring = Keyring::builder().token("tests", TOKEN).token("other", OTHER).build().unwrap();
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    (builder.keyring(keyring).store(store).build().unwrap(), started)
}

fn prompt(started: &support::Started, at: usize) -> String {
    let claude_exec::executor::Stdin::Open(stdin) = started.command(at).stdin else { panic!("a prompt") };
    String::from_utf8(stdin.to_vec()).unwrap()
}

#[tokio::test]
async fn a_response_is_kept_and_gone_on_from() {
    let (endpoint, started) = keeping(Scripted::answer("Hello there."));
    let (status, first) =
        create(&endpoint, json!({"model": "haiku", "input": "hi", "instructions": "be kind"})).await;
    assert_eq!((status, &first["status"], &first["store"]), (200, &json!("completed"), &json!(true)));
    assert_eq!(first["output"][0]["content"][0]["text"], "Hello there.");
    assert_eq!(ask(&endpoint, Method::GET, &of(&first["id"]), TOKEN, json!({})).await, (200, first.clone()));

    let more = json!({"model": "haiku", "input": "more", "previous_response_id": first["id"]});
    let (status, second) = create(&endpoint, more.clone()).await;
    assert_eq!((status, &second["previous_response_id"]), (200, &first["id"]));
    let said = prompt(&started, 1);
    assert!(said.contains("Hello there.") && said.contains("more"), "{said}");
    // The instructions are not part of the conversation.
    assert!(!said.contains("be kind") && prompt(&started, 0).contains("be kind"));

    // What it was made from, the last first.
    let items = format!("{}/input_items", of(&second["id"]));
    let (status, list) = ask(&endpoint, Method::GET, &format!("{items}?limit=2"), TOKEN, json!({})).await;
    let texts =
        list["data"].as_array().unwrap().iter().map(|item| item["content"][0]["text"].as_str().unwrap());
    assert_eq!((status, texts.collect::<Vec<_>>()), (200, vec!["more", "Hello there."]));
    assert_eq!(list["has_more"], true);
    for (path, token, status) in [(&items, OTHER, 404), (&format!("{items}?limit=0"), TOKEN, 400)] {
        assert_eq!(ask(&endpoint, Method::GET, path, token, json!({})).await.0, status, "{path}");
    }

    // The first may go: the second has the whole conversation.
    let gone = json!({"id": first["id"], "object": "response", "deleted": true});
    assert_eq!(ask(&endpoint, Method::DELETE, &of(&first["id"]), TOKEN, json!({})).await, (200, gone));
    assert_eq!(ask(&endpoint, Method::GET, &of(&first["id"]), TOKEN, json!({})).await.0, 404);
    assert_eq!(ask(&endpoint, Method::DELETE, &of(&first["id"]), TOKEN, json!({})).await.0, 404);
    let (status, error) = create(&endpoint, more).await;
    assert_eq!((status, &error["error"]["code"]), (400, &json!("previous_response_not_found")));
    assert_eq!(error["error"]["param"], "previous_response_id");
    let third = create(&endpoint, json!({"input": "and", "previous_response_id": second["id"]})).await;
    assert_eq!(third.0, 200);
    assert!(prompt(&started, 2).contains("hi") && prompt(&started, 2).contains("more"));
}

#[tokio::test]
async fn another_key_sees_nothing_of_it() {
    let (endpoint, started) = keeping(Scripted::answer("Hello."));
    let (_, first) = create(&endpoint, json!({"input": "hi"})).await;
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(ask(&endpoint, method, &of(&first["id"]), OTHER, json!({})).await.0, 404);
    }
    let cancel = format!("{}/cancel", of(&first["id"]));
    assert_eq!(ask(&endpoint, Method::POST, &cancel, OTHER, json!({})).await.0, 404);
    let more = json!({"input": "more", "previous_response_id": first["id"]});
    assert_eq!(ask(&endpoint, Method::POST, "/v1/responses", OTHER, more).await.0, 400);
    assert_eq!(started.count(), 1);
    assert_eq!(ask(&endpoint, Method::GET, &of(&first["id"]), TOKEN, json!({})).await.0, 200);
    // What has ended cannot be cancelled.
    assert_eq!(ask(&endpoint, Method::POST, &cancel, TOKEN, json!({})).await.0, 400);
}

#[tokio::test]
async fn what_is_not_to_be_kept_is_not() {
    let (endpoint, _) = keeping(Scripted::answer("Hello."));
    let (status, response) = create(&endpoint, json!({"input": "hi", "store": false})).await;
    assert_eq!((status, &response["store"]), (200, &json!(false)));
    assert_eq!(ask(&endpoint, Method::GET, &of(&response["id"]), TOKEN, json!({})).await.0, 404);
    // A server without a store says so.
    let (builder, _, _) = support::endpoint(Scripted::answer("Hello."), 1, 0);
    let endpoint = builder.build().unwrap();
    let (status, response) = create(&endpoint, json!({"input": "hi"})).await;
    assert_eq!((status, &response["store"]), (200, &json!(false)));
    let more = json!({"input": "more", "previous_response_id": response["id"]});
    assert_eq!(create(&endpoint, more).await.0, 400);
}

/// A store whose disk is full.
struct FullDisk;

impl Store for FullDisk {
    fn get<'a>(&'a self, _: &'static str, _: &'a str) -> BoxFuture<'a, Result<Option<Bytes>>> {
        Box::pin(async { Ok(None) })
    }

    fn scan<'a>(&'a self, _: &'static str, _: &'a str) -> BoxFuture<'a, Result<Vec<Entry>>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn write(&self, _: Batch) -> BoxFuture<'_, Result<Written>> {
        Box::pin(async { Err(Error::failed("write", "no space left on device")) })
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_kept_is_an_answer_all_the_same_and_says_so() {
    for stream in [false, true] {
        let (builder, _, _) = endpoint(Scripted::answer("Hello."), 1, 0);
        let endpoint = builder.store(Arc::new(FullDisk)).build().unwrap();
        let body = json!({"input": "hi", "stream": stream});
        let response = call(&endpoint, request(Method::POST, "/v1/responses", TOKEN, &body)).await;
        assert_eq!(response.status(), 200);
        let body = text(response).await;
        let last = body.trim_end().rsplit("data: ").next().unwrap();
        assert!(last.contains("\"store\":false") && last.contains("Hello."), "{last}");
        assert!(last.contains("\"status\":\"completed\""), "{last}");
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_response_that_is_kept() {
    let (endpoint, _) = keeping(Scripted::answer("Hello there."));
    let body = json!({"input": "hi", "stream": true});
    let response = call(&endpoint, request(Method::POST, "/v1/responses", TOKEN, &body)).await;
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    let wire = text(response).await;
    let last = wire.trim_end().rsplit("data: ").next().unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!((&last["type"], &last["response"]["store"]), (&json!("response.completed"), &json!(true)));
    assert!(!wire.contains("[DONE]"));
    let id = &last["response"]["id"];
    assert_eq!(ask(&endpoint, Method::GET, &of(id), TOKEN, json!({})).await, (200, last["response"].clone()));
}

#[tokio::test]
async fn one_that_is_being_made_can_be_seen_and_cancelled() {
    let (endpoint, started) = keeping(first_word("half").until_stopped());
    let body = json!({"input": "hi", "stream": true});
    let response = call(&endpoint, request(Method::POST, "/v1/responses", TOKEN, &body)).await;
    let mut body = response.into_body();
    let Ok(frame) = body.frame().await.unwrap();
    let first = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
    let created = first.split("data: ").nth(1).unwrap().split('\n').next().unwrap();
    let id = serde_json::from_str::<Value>(created).unwrap()["response"]["id"].clone();
    let (status, seen) = ask(&endpoint, Method::GET, &of(&id), TOKEN, json!({})).await;
    assert_eq!((status, &seen["status"], &seen["id"]), (200, &json!("in_progress"), &id));
    assert_eq!(ask(&endpoint, Method::GET, &of(&id), OTHER, json!({})).await.0, 404);
    let cancel = format!("{}/cancel", of(&id));
    assert_eq!(ask(&endpoint, Method::POST, &cancel, OTHER, json!({})).await.0, 404);
    let (rest, cancelled) =
        tokio::join!(body.collect(), ask(&endpoint, Method::POST, &cancel, TOKEN, json!({})));
    assert_eq!((cancelled.0, &cancelled.1["status"]), (200, &json!("cancelled")));
    let Ok(rest) = rest;
    let rest = String::from_utf8(rest.to_bytes().to_vec()).unwrap();
    let last: Value = serde_json::from_str(rest.trim_end().rsplit("data: ").next().unwrap()).unwrap();
    assert_eq!(
        (&last["type"], &last["response"]["status"]),
        (&json!("response.failed"), &json!("cancelled"))
    );
    soon("the process is stopped", || started.all_stopped()).await;
    let (status, kept) = ask(&endpoint, Method::GET, &of(&id), TOKEN, json!({})).await;
    assert_eq!((status, &kept["status"]), (200, &json!("cancelled")));
}

#[tokio::test]
async fn one_whose_client_left_is_not_being_made() {
    let (endpoint, started) = keeping(first_word("half").until_stopped());
    let body = json!({"input": "hi", "stream": true});
    let response = call(&endpoint, request(Method::POST, "/v1/responses", TOKEN, &body)).await;
    drop(response);
    soon("the process is stopped", || started.all_stopped()).await;
    let (status, _) = ask(&endpoint, Method::GET, "/v1/responses/resp_none", TOKEN, json!({})).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn early_failures_have_their_true_status_on_both_wires() {
    for stream in [false, true] {
        let (endpoint, _) = keeping(refused(529));
        let (status, error) = create(&endpoint, json!({"input": "hi", "stream": stream})).await;
        assert_eq!((status, &error["error"]["code"]), (503, &json!("overloaded")));
    }
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_about_the_input() {
    let (endpoint, _) = keeping(refused(413));
    let (status, error) = create(&endpoint, json!({"input": "hi"})).await;
    let error = &error["error"];
    assert_eq!(
        (status, &error["code"], &error["param"]),
        (400, &json!("context_length_exceeded"), &json!("input"))
    );
}

#[tokio::test]
async fn refusals_start_nothing() {
    let (endpoint, started) = keeping(Scripted::answer("x"));
    for (body, param) in [
        (json!({}), "input"),
        (json!({"input": "x", "background": true}), "background"),
        (json!({"input": "x", "model": "gpt-4"}), "model"),
        (json!({"input": "x", "tools": [{"type": "function", "name": "f"}]}), "tools"),
        (json!({"input": "x", "previous_response_id": "resp_none"}), "previous_response_id"),
    ] {
        let (status, error) = create(&endpoint, body).await;
        assert_eq!((status, &error["error"]["param"]), (400, &json!(param)));
    }
    assert_eq!(started.count(), 0);
}
