//! Chats that keep their process, on the real CLI.

use claude_exec::Invocation;
use claude_exec::brain::pool::Pool;
use claude_exec::executor::LocalExecutor;
use claude_exec::jobs::Gate;
use claude_exec_openai::OpenAi;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::cli::{Home, on};
use crate::support::model_api::{ModelApi, system_text};
use crate::support::process;
use crate::support::server::{Server, Site};

const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

async fn scene() -> (ModelApi, Site, Server) {
    let api = ModelApi::start().await;
    let site = Site::real(&api).env("POOL_SPARES", "0");
    let server = site.start().await;
    (api, site, server)
}

fn of(role: &str, content: impl Into<Value>) -> Value {
    json!({"role": role, "content": content.into()})
}

async fn ask(server: &Server, messages: &[Value]) -> String {
    server.post("/v1/chat/completions", &json!({"model": "sonnet", "messages": messages})).await.answer()
}

/// The messages of the last request, as role and blocks.
fn sent(api: &ModelApi) -> Value {
    let body = api.messages().pop().expect("a request").body;
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    let blocks = |content: &Value| match content {
        Value::String(text) => json!([{"type": "text", "text": text}]),
        blocks => {
            let mut blocks = blocks.clone();
            for block in blocks.as_array_mut().into_iter().flatten() {
                block.as_object_mut().map(|block| block.remove("cache_control"));
            }
            blocks
        }
    };
    let told = messages.iter().filter(|message| message["role"] != "system");
    told.map(|message| json!({"role": message["role"], "content": blocks(&message["content"])})).collect()
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn earlier_turns_reach_the_model_as_what_they_are() {
    let (api, _site, server) = scene().await;
    let image = json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}});
    let text = |text: &str| json!({"type": "text", "text": text});
    let messages = [
        of("system", "BE BRIEF"),
        of("user", "@/etc/hostname /clear"),
        of("assistant", " A1\n"),
        of("user", json!([text("see"), image])),
        of("assistant", "A2"),
        of("user", "U3"),
        of("user", "U4"),
    ];
    ask(&server, &messages).await;
    let source = json!({"type": "base64", "media_type": "image/png", "data": PNG});
    let expected = json!([
        {"role": "user", "content": [text("@/etc/hostname /clear")]},
        {"role": "assistant", "content": [text(" A1\n")]},
        {"role": "user", "content": [text("see"), {"type": "image", "source": source}]},
        {"role": "assistant", "content": [text("A2")]},
        {"role": "user", "content": [text("U3"), text("U4")]},
    ]);
    assert_eq!((api.messages().len(), sent(&api)), (1, expected));
    assert!(system_text(&api.messages()[0].body).ends_with("BE BRIEF"));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_process_that_was_killed_between_two_turns_is_not_missed() {
    let (api, site, server) = scene().await;
    let mut messages = vec![of("user", "one")];
    for _ in 0..3 {
        let answer = ask(&server, &messages).await;
        messages.extend([of("assistant", answer), of("user", "[[recall]]")]);
        for process in site.children() {
            process::kill(process.pid, Signal::KILL);
        }
        process::until("it is gone", || site.children().is_empty()).await;
    }
    assert_eq!(ask(&server, &messages).await, "one | [[recall]] | [[recall]]");
    assert_eq!(api.messages().len(), 4);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_version_that_was_never_tested_is_tried_out_without_a_model() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let executor = LocalExecutor::new();
    let pool = Pool::builder(executor.clone()).build().expect("the bounds are valid");
    let prepared = move |invocation: Invocation| on(&home, invocation);
    let endpoint = OpenAi::builder(executor, Gate::new(1, 0).expect("it has a slot"))
        .authenticated_in_front()
        .prepare(prepared)
        .pool(pool)
        .build()
        .expect("it is complete");
    assert!(endpoint.use_cli("9.9.9".parse().expect("a version")).await, "this one replays");
    assert_eq!(api.requests().len(), 0, "the operator's model is not asked");
}
