//! Limits of keys, as callers meet them, over scripted processes.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use claude_exec::Error;
use claude_exec::executor::Scripted;
use claude_exec::http::Keyring;
use claude_exec::store::{Batch, Entry, Memory, Store, Written};
use claude_exec_openai::quota::{KeyLimits, Ledger};
use claude_exec_openai::{AnswerEnd, OpenAi};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use support::{Started, TOKEN, answered, call, chat, endpoint, first_word, get, header, refusal, soon, text};

/// 2026-11-24T12:00:00Z.
const NOON: u64 = 1_795_478_400 + 43_200;

const HALF_A_DAY: u64 = 43_200;

const OTHER: &str = "fedcba9876543210fedcba9876543210";

/// A disk that can be full.
#[derive(Default)]
struct Disk {
    memory: Memory,
    is_full: AtomicBool,
}

impl Store for Disk {
    fn get<'a>(
        &'a self,
        space: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, claude_exec::Result<Option<Bytes>>> {
        self.memory.get(space, key)
    }

    fn scan<'a>(
        &'a self,
        space: &'static str,
        after: &'a str,
    ) -> BoxFuture<'a, claude_exec::Result<Vec<Entry>>> {
        self.memory.scan(space, after)
    }

    fn write(&self, batch: Batch) -> BoxFuture<'_, claude_exec::Result<Written>> {
        if self.is_full.load(Ordering::Relaxed) {
            let full = Error::store("writing", "No space left on device");
            return std::future::ready(Err(full)).boxed();
        }
        self.memory.write(batch)
    }
}

struct Scene {
    disk: Arc<Disk>,
    clock: Arc<AtomicU64>,
    ledger: Ledger,
    endpoint: OpenAi,
    started: Started,
}

impl Scene {
    /// An endpoint whose key `tests` has these limits, beside the key `other` without any.
    async fn new(limits: KeyLimits, script: Scripted) -> Self {
        Self::on(Arc::default(), limits, script).await
    }

    async fn on(disk: Arc<Disk>, limits: KeyLimits, script: Scripted) -> Self {
        let clock = Arc::new(AtomicU64::new(NOON));
        let now = clock.clone();
        let keys = [("tests".to_owned(), limits), ("other".to_owned(), KeyLimits::default())];
        let ledger = Ledger::open_by(disk.clone(), keys, move || now.load(Ordering::Relaxed)).await.unwrap();
        let (builder, _, started) = endpoint(script, 2, 0);
        let keyring = Keyring::builder().token("tests", TOKEN).token("other", OTHER).build().unwrap();
        let endpoint = builder.keyring(keyring).ledger(ledger.clone()).build().unwrap();
        Self { disk, clock, ledger, endpoint, started }
    }

    async fn chat(&self) -> (u16, Value) {
        self.say(chat(json!({}))).await
    }

    async fn say(&self, request: Request<Full<Bytes>>) -> (u16, Value) {
        let response = call(&self.endpoint, request).await;
        let status = response.status().as_u16();
        (status, serde_json::from_str(&text(response).await).unwrap())
    }

    async fn usage(&self) -> Value {
        self.say(get("/v1/usage")).await.1
    }
}

fn limits() -> KeyLimits {
    KeyLimits::default()
}

/// The end of a turn that cost so many dollars.
fn costing(dollars: f64) -> Scripted {
    let result = json!({"type": "result", "subtype": "success", "is_error": false, "result": "so",
        "model_usage_since_last_result": {"m": {"inputTokens": 5, "outputTokens": 2, "costUSD": dollars}}});
    first_word("so").stdout(format!("{result}\n"))
}

fn posted(path: &str, body: Value) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap()
}

#[tokio::test]
async fn of_many_at_once_as_many_are_taken_as_are_left() {
    let scene = Scene::new(limits().requests_per_day(2), Scripted::answer("ok")).await;
    let answers = join_all((0..8).map(|_| scene.chat())).await;
    let mut statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 429, 429, 429, 429, 429, 429]);
    assert_eq!(scene.started.count(), 2);
    let (_, refused) = answers.iter().find(|(status, _)| *status == 429).unwrap();
    let error = &refused["error"];
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("insufficient_quota"), &json!("insufficient_quota"))
    );
    let response = call(&scene.endpoint, chat(json!({"stream": true}))).await;
    let told = ["retry-after", "x-should-retry"].map(|name| header(&response, name));
    assert_eq!((response.status().as_u16(), told), (429, [Some("43200"), Some("false")]));
}

#[tokio::test]
async fn a_place_comes_back_when_its_client_is_gone() {
    let scene =
        Scene::new(limits().concurrent(1.try_into().unwrap()), first_word("half").until_stopped()).await;
    let mut streaming = call(&scene.endpoint, chat(json!({"stream": true}))).await;
    assert!(streaming.body_mut().frame().await.is_some());
    let (status, refused) = scene.chat().await;
    assert_eq!((status, &refused["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    assert_eq!(scene.usage().await["running"], 1);
    drop(streaming);
    assert_eq!(scene.usage().await["running"], 0);
    let streaming = call(&scene.endpoint, chat(json!({"stream": true}))).await;
    assert_eq!(streaming.status(), 200);
    drop(streaming);
    // It was interrupted, told nothing, and is stopped all the same.
    soon("the processes are stopped", || scene.started.all_stopped()).await;
    let usage = scene.usage().await;
    assert_eq!((&usage["requests"], &usage["unknown_cost_requests"]), (&json!(2), &json!(2)));
    assert_eq!(usage["assumed_cost_usd"], 0.02);
}

#[tokio::test]
async fn the_next_request_of_a_key_with_one_place_may_come_at_once() {
    let scene = Scene::new(limits().concurrent(1.try_into().unwrap()), Scripted::answer("ok")).await;
    for stream in [true, false, true, false] {
        let response = call(&scene.endpoint, chat(json!({ "stream": stream }))).await;
        assert_eq!(response.status(), 200);
        // To its last byte, and not yet dropped.
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame;
            if frame.data_ref().is_some_and(|data| data.ends_with(b"[DONE]\n\n") || data.ends_with(b"}")) {
                break;
            }
        }
        assert_eq!(scene.usage().await["running"], 0);
        drop(body);
    }
}

#[tokio::test]
async fn dollars_are_those_that_the_cli_tells() {
    let scene = Scene::new(limits().usd_per_day("0.5".parse().unwrap()), costing(0.2)).await;
    let statuses = [scene.chat().await.0, scene.chat().await.0, scene.chat().await.0, scene.chat().await.0];
    assert_eq!(statuses, [200, 200, 200, 429], "the third one goes over it");
    let usage = scene.usage().await;
    assert_eq!(usage["cost_usd"], 0.6);
    let haiku = json!({"requests": 3, "input_tokens": 15, "cached_tokens": 0, "output_tokens": 6,
        "cost_usd": 0.6, "unknown_cost_requests": 0, "assumed_cost_usd": 0.0});
    assert_eq!(usage["models"], json!({ "haiku": haiku }));
    assert_eq!(usage["resets_at"], NOON + HALF_A_DAY);
    // Another day, as the clock goes over midnight.
    scene.clock.store(NOON + HALF_A_DAY, Ordering::Relaxed);
    assert_eq!(scene.chat().await.0, 200);
    let usage = scene.usage().await;
    assert_eq!((&usage["day"], &usage["cost_usd"]), (&json!("2026-11-25"), &json!(0.2)));
}

#[tokio::test]
async fn a_turn_whose_cost_nobody_tells_is_not_free() {
    let silent = first_word("so").stdout(answered("so"));
    let scene = Scene::new(limits().usd_per_day("0.02".parse().unwrap()), silent).await;
    assert_eq!([scene.chat().await.0, scene.chat().await.0, scene.chat().await.0], [200, 200, 429]);
    let usage = scene.usage().await;
    let told = ["cost_usd", "assumed_cost_usd", "unknown_cost_requests"].map(|name| usage[name].clone());
    assert_eq!(told, [json!(0.0), json!(0.02), json!(2)]);
}

#[tokio::test]
async fn all_wires_refuse_in_their_own_words() {
    let scene = Scene::new(limits().models(["sonnet"]).requests_per_day(0), Scripted::answer("ok")).await;
    let bodies = |model: &str| {
        let said = json!([{"role": "user", "content": "hi"}]);
        [
            ("/v1/chat/completions", json!({"model": model, "messages": said})),
            ("/v1/responses", json!({"model": model, "input": "hi"})),
            ("/v1/messages", json!({"model": model, "messages": said, "max_tokens": 9})),
        ]
    };
    for (path, body) in bodies("haiku") {
        let (status, refused) = scene.say(posted(path, body)).await;
        let (kind, code) = (&refused["error"]["type"], &refused["error"]["code"]);
        let anthropic = path.ends_with("messages");
        let expected = if anthropic { json!("permission_error") } else { json!("invalid_request_error") };
        assert_eq!((status, kind), (403, &expected), "{path}: {refused}");
        assert!(anthropic || code == "model_not_found", "{refused}");
    }
    for (path, body) in bodies("sonnet") {
        let (status, refused) = scene.say(posted(path, body)).await;
        let anthropic = path.ends_with("messages");
        let expected = if anthropic { json!("rate_limit_error") } else { json!("insufficient_quota") };
        assert_eq!((status, &refused["error"]["type"]), (429, &expected), "{path}: {refused}");
    }
    assert_eq!(scene.started.count(), 0);
    let (_, models) = scene.say(get("/v1/models")).await;
    assert_eq!(models["data"].as_array().unwrap().len(), 1);
    assert_eq!(models["data"][0]["id"], "sonnet");
    assert_eq!(scene.say(get("/v1/models/haiku")).await.0, 404);
    assert_eq!(scene.usage().await["requests"], 0, "a refused request is none");
}

#[tokio::test]
async fn a_full_disk_refuses_those_who_are_counted_and_says_so() {
    let scene = Scene::new(limits().requests_per_day(2), Scripted::answer("ok")).await;
    assert_eq!(scene.chat().await.0, 200);
    scene.disk.is_full.store(true, Ordering::Relaxed);
    let (status, refused) = scene.chat().await;
    assert_eq!((status, &refused["error"]["code"]), (503, &json!("usage_not_recorded")));
    assert_eq!(scene.started.count(), 1, "nothing was begun");
    let mut unlimited = chat(json!({}));
    unlimited.headers_mut().insert("authorization", format!("Bearer {OTHER}").parse().unwrap());
    assert_eq!(scene.say(unlimited).await.0, 200);
    scene.disk.is_full.store(false, Ordering::Relaxed);
    assert_eq!([scene.chat().await.0, scene.chat().await.0], [200, 429], "the refused one is not counted");
}

#[tokio::test]
async fn a_restart_keeps_the_count_and_charges_what_was_cut() {
    let may = || limits().requests_per_day(3).usd_per_day("9".parse().unwrap());
    let before = Scene::new(may(), costing(0.2)).await;
    assert_eq!(before.chat().await.0, 200);
    before.ledger.flush().await.unwrap();
    let cut = Scene::on(before.disk.clone(), may(), first_word("half").until_stopped()).await;
    let mut streaming = call(&cut.endpoint, chat(json!({"stream": true}))).await;
    assert!(streaming.body_mut().frame().await.is_some());
    // As after a kill: nobody had the time to write more.
    let after = Scene::on(before.disk.clone(), may(), Scripted::answer("ok")).await;
    let usage = after.usage().await;
    let told = ["requests", "cost_usd", "unknown_cost_requests", "assumed_cost_usd", "running"];
    assert_eq!(told.map(|name| usage[name].clone()), [json!(2), json!(0.2), json!(1), json!(0.2), json!(0)]);
    assert_eq!([after.chat().await.0, after.chat().await.0], [200, 429]);
    drop(streaming);
}

#[tokio::test]
async fn a_request_that_got_no_process_is_not_counted() {
    let scene = Scene::new(limits().requests_per_day(4), first_word("half").until_stopped()).await;
    // Two slots and no queue.
    let held = [
        call(&scene.endpoint, chat(json!({"stream": true}))).await,
        call(&scene.endpoint, chat(json!({"stream": true}))).await,
    ];
    let (status, refused) = scene.chat().await;
    assert_eq!((status, &refused["error"]["code"]), (429, &json!("queue_full")));
    let usage = scene.usage().await;
    assert_eq!((&usage["requests"], &usage["running"]), (&json!(2), &json!(2)));
    drop(held);
}

#[tokio::test]
async fn a_key_sees_its_own_figures_only() {
    let scene = Scene::new(limits(), costing(0.2)).await;
    assert_eq!(scene.chat().await.0, 200);
    let mut other = get("/v1/usage");
    other.headers_mut().insert("authorization", format!("Bearer {OTHER}").parse().unwrap());
    let (status, usage) = scene.say(other).await;
    let told = (status, &usage["key"], &usage["requests"], &usage["models"]);
    assert_eq!(told, (200, &json!("other"), &json!(0), &json!({})));
    let usage = scene.usage().await;
    assert_eq!((&usage["key"], &usage["requests"]), (&json!("tests"), &json!(1)));
    let (builder, _, _) = endpoint(Scripted::answer("ok"), 1, 0);
    assert_eq!(call(&builder.build().unwrap(), get("/v1/usage")).await.status(), 404, "nobody counts there");
}

#[tokio::test]
async fn a_ledger_that_does_not_fit_is_refused_at_the_start() {
    let open = async |name: &str, limits: KeyLimits| {
        Ledger::open(Arc::new(Memory::new()), [(name.to_owned(), limits)]).await.unwrap()
    };
    let build = |ledger| endpoint(Scripted::new(), 1, 0).0.ledger(ledger).build().map(drop);
    let error = build(open("somebody", limits()).await).unwrap_err();
    assert!(error.to_string().contains("does not know the key tests"), "{error}");
    let error = build(open("tests", limits().models(["gpt-4"])).await).unwrap_err();
    assert!(error.to_string().contains("`gpt-4` does not exist here"), "{error}");
    let unreadable = Disk::default();
    unreadable.memory.put("openai_usage", "tests", Bytes::from_static(b"{}")).await.unwrap();
    let error = Ledger::open(Arc::new(unreadable), [("tests".to_owned(), limits())]).await.unwrap_err();
    assert!(error.to_string().contains("tests"), "{error}");
}

#[tokio::test]
async fn a_stream_tells_how_it_ended() {
    let failing = first_word("half").stdout(refusal(529)).exit(1);
    for (script, expected) in [(costing(0.0), Some(200)), (failing, Some(503))] {
        let scene = Scene::new(limits(), script).await;
        let response = call(&scene.endpoint, chat(json!({"stream": true}))).await;
        assert_eq!(response.status(), 200);
        let end = response.extensions().get::<AnswerEnd>().unwrap().clone();
        assert_eq!(end.status(), None);
        text(response).await;
        assert_eq!(end.status(), expected);
    }
    let scene = Scene::new(limits(), first_word("half").until_stopped()).await;
    let response = call(&scene.endpoint, chat(json!({"stream": true}))).await;
    let end = response.extensions().get::<AnswerEnd>().unwrap().clone();
    drop(response);
    assert_eq!(end.status(), None, "its client left");
}
