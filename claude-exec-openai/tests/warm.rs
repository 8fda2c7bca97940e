//! Conversations that keep their process, over a scripted CLI that remembers.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use claude_exec::brain::pool::Pool;
use claude_exec::cli;
use claude_exec::executor::{Answer, ScriptedCli};
use claude_exec::http::Keyring;
use claude_exec::jobs::Gate;
use claude_exec_openai::OpenAi;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use support::{TOKEN, call, soon, text};

const OTHER: &str = "another-token-0123456789abcdef0123456789";

/// Answers with all that it was told, roles and texts.
fn recall() -> ScriptedCli {
    ScriptedCli::new(|said| {
        let mut told: Vec<String> =
            said.history.iter().map(|(role, text)| format!("{role}: {text}")).collect();
        told.push(format!("user: {}", said.text));
        let told = told.join("; ");
        match said.text.as_str() {
            "hang" => Answer::text("begun ").hang(),
            "die" => Answer::text("begun ").exit(1),
            _ => Answer::text(&told),
        }
    })
}

struct Scene {
    endpoint: OpenAi,
    pool: Pool,
    gate: Gate,
}

fn scene(cli: ScriptedCli, spares: usize) -> Scene {
    let pool = Pool::builder(cli.clone()).processes(12).spares_per_key(spares).build().unwrap();
    let gate = Gate::new(4, 4).unwrap();
    let keyring = Keyring::builder().token("ana", TOKEN).token("bo", OTHER).build().unwrap();
    let endpoint = OpenAi::builder(cli, gate.clone()).keyring(keyring).pool(pool.clone()).build().unwrap();
    Scene { endpoint, pool, gate }
}

async fn warm(cli: ScriptedCli) -> Scene {
    let scene = scene(cli, 0);
    assert!(scene.endpoint.use_cli(cli::TESTED).await);
    scene
}

fn request(token: &str, fields: Value, turns: &[&str]) -> Request<Full<Bytes>> {
    let roles = ["user", "assistant"].into_iter().cycle();
    let messages: Vec<Value> =
        turns.iter().zip(roles).map(|(text, role)| json!({"role": role, "content": text})).collect();
    let mut body = json!({"model": "haiku", "messages": messages});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Request::post("/v1/chat/completions")
        .header("authorization", format!("Bearer {token}"))
        .body(Full::new(body.to_string().into()))
        .unwrap()
}

impl Scene {
    async fn ask_as(&self, token: &str, fields: Value, turns: &[&str]) -> Value {
        let response = call(&self.endpoint, request(token, fields, turns)).await;
        serde_json::from_str(&text(response).await).unwrap()
    }

    async fn ask(&self, turns: &[&str]) -> String {
        let reply = self.ask_as(TOKEN, json!({}), turns).await;
        reply["choices"][0]["message"]["content"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
    }

    /// Claims by their own process, and by another.
    fn claims(&self) -> (u64, u64) {
        let claims = self.pool.stats().claims;
        (claims.live, claims.cold + claims.spare)
    }
}

#[tokio::test]
async fn the_next_turn_is_said_to_the_process_that_gave_the_last_answer() {
    let scene = warm(recall()).await;
    assert_eq!(scene.ask(&["a"]).await, "user: a");
    assert_eq!(scene.ask(&["a", "user: a", "b"]).await, "user: a; assistant: user: a; user: b");
    assert_eq!(scene.claims(), (1, 1));
    assert_eq!((scene.gate.status().active, scene.pool.stats().idle), (0, 1));
}

#[tokio::test]
async fn a_streamed_answer_can_be_gone_on_from_at_once() {
    let scene = warm(recall()).await;
    for _ in 0..20 {
        let mut body =
            call(&scene.endpoint, request(TOKEN, json!({"stream": true}), &["a"])).await.into_body();
        while let Some(frame) = body.frame().await {
            if frame.unwrap().into_data().unwrap().ends_with(b"data: [DONE]\n\n") {
                break;
            }
        }
        scene.ask(&["a", "user: a", "b"]).await;
    }
    assert_eq!(scene.claims(), (20, 20));
}

#[tokio::test]
async fn a_process_goes_to_nobody_else() {
    let scene = warm(recall()).await;
    scene.ask(&["a"]).await;
    let turns = ["a", "user: a", "b"];
    let told = "user: a; assistant: user: a; user: b";
    // Another caller, another model, other instructions, another answer, another form: each has a process of its own.
    let system = json!({"messages": [
        {"role": "system", "content": "S"}, {"role": "user", "content": "a"},
        {"role": "assistant", "content": "user: a"}, {"role": "user", "content": "b"},
    ]});
    for (token, fields, turns) in [
        (OTHER, json!({}), turns),
        (TOKEN, json!({"model": "opus"}), turns),
        (TOKEN, system, turns),
        (TOKEN, json!({"reasoning_effort": "high"}), turns),
    ] {
        let reply = scene.ask_as(token, fields, &turns).await;
        assert_eq!(reply["choices"][0]["message"]["content"], told);
    }
    assert_eq!(scene.ask(&["a", "user: A", "b"]).await, "user: a; assistant: user: A; user: b");
    assert_eq!(scene.claims().0, 0);
    // It was not taken by any of them, and two at once do not share it.
    let (one, other) = tokio::join!(scene.ask(&turns), scene.ask(&turns));
    assert_eq!((one.as_str(), other.as_str()), (told, told));
    assert_eq!(scene.claims().0, 1);
}

#[tokio::test]
async fn settings_of_a_turn_are_its_own() {
    let cli = ScriptedCli::new(|said| {
        let mut env: Vec<_> = said.env.iter().filter(|(_, value)| !value.is_empty()).collect();
        env.sort();
        Answer::text(&format!("{env:?}"))
    });
    let scene = warm(cli).await;
    let plain = scene.ask(&["a"]).await;
    let fields = json!({"max_tokens": 7, "temperature": 0.5});
    let reply = scene.ask_as(TOKEN, fields, &["a", &plain, "b"]).await;
    let sampled = reply["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(sampled.contains(r#"("CLAUDE_CODE_MAX_OUTPUT_TOKENS", "7")"#), "{sampled}");
    assert!(sampled.contains("temperature"), "{sampled}");
    assert_eq!(scene.ask(&["a", &plain, "b", sampled, "c"]).await, plain);
    assert_eq!(scene.claims(), (2, 1));
}

#[tokio::test]
async fn after_a_hang_up_its_process_is_not_used_again() {
    let scene = warm(recall()).await;
    scene.ask(&["a"]).await;
    let turns = ["a", "user: a", "hang"];
    let mut body = call(&scene.endpoint, request(TOKEN, json!({"stream": true}), &turns)).await.into_body();
    body.frame().await;
    assert_eq!(scene.gate.status().active, 1);
    drop(body);
    soon("the slot and the process are given back", || {
        scene.gate.status().active == 0 && scene.pool.stats().processes() == 0
    })
    .await;
    let told = scene.ask(&["a", "user: a", "hang", "begun ", "b"]).await;
    assert_eq!(told, "user: a; assistant: user: a; user: hang; assistant: begun ; user: b");
    assert_eq!(scene.claims(), (1, 2));
}

#[tokio::test]
async fn after_a_crash_the_conversation_goes_on() {
    let scene = warm(recall()).await;
    scene.ask(&["a"]).await;
    let reply = scene.ask_as(TOKEN, json!({}), &["a", "user: a", "die"]).await;
    assert_eq!(reply["error"]["code"], "execution_failed", "{reply}");
    assert_eq!(scene.ask(&["a", "user: a", "b"]).await, "user: a; assistant: user: a; user: b");
    assert_eq!(scene.claims(), (1, 2));
}

#[tokio::test]
async fn a_spare_that_died_while_it_waited_costs_no_answer() {
    let cli = recall();
    let scene = scene(cli.clone(), 1);
    assert!(scene.endpoint.use_cli(cli::TESTED).await);
    // The first time the pool itself finds out; later it has spares that are opened already.
    for chats in [2, 20] {
        for _ in 0..chats {
            scene.ask(&["hello"]).await;
        }
        while scene.pool.stats().spares == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        cli.kill_all();
        let told = scene.ask(&["a", "x", "b"]).await;
        assert_eq!(told, "user: a; assistant: x; user: b");
    }
}

#[tokio::test]
async fn an_answer_that_a_limit_cut_or_a_schema_shaped_is_not_gone_on_from() {
    let cut = |said: &claude_exec::executor::Said| {
        let delta = json!({"type": "message_delta", "delta": {"stop_reason": "max_tokens"}});
        let stop = json!({"type": "message_stop"});
        let line = |event: Value| json!({"type": "stream_event", "event": event, "parent_tool_use_id": null});
        match said.text.as_str() {
            "cut" => Answer::text("half").line(line(delta)).line(line(stop)).hang(),
            text => Answer::text(text),
        }
    };
    let scene = warm(ScriptedCli::new(cut)).await;
    let reply = scene.ask_as(TOKEN, json!({"max_tokens": 1}), &["cut"]).await;
    assert_eq!(reply["choices"][0]["finish_reason"], "length", "{reply}");
    assert_eq!(scene.ask(&["cut", "half", "b"]).await, "b");
    let fields = json!({"response_format": {"type": "json_object"}});
    scene.ask_as(TOKEN, fields.clone(), &["c"]).await;
    scene.ask_as(TOKEN, fields, &["c", "c", "d"]).await;
    assert_eq!(scene.claims().0, 0);
}

#[tokio::test]
async fn odd_conversations_reach_the_model_as_documented() {
    let scene = warm(recall()).await;
    let ask = async |messages: Value| {
        let reply = scene.ask_as(TOKEN, json!({ "messages": messages }), &[]).await;
        reply["choices"][0]["message"]["content"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
    };
    let of = |role: &str, text: &str| json!({"role": role, "content": text});
    let told = ask(json!([of("user", "a"), of("user", "b"), of("assistant", ""), of("user", "c")])).await;
    assert_eq!(told, "user: a\nb\nc", "one message of three blocks");
    let told =
        ask(json!([of("user", "a"), of("assistant", "x"), of("assistant", "y"), of("user", "c")])).await;
    assert_eq!(told, "user: a; assistant: x\ny; user: c");
    for packed in [
        json!([of("user", "a"), of("assistant", "x")]),
        json!([of("assistant", "x"), of("user", "a")]),
        json!([of("user", "a"), of("assistant", "(no content)"), of("user", "b")]),
    ] {
        let told = ask(packed).await;
        assert!(told.starts_with("user: The conversation so far is the JSON array"), "{told}");
    }
    assert_eq!(scene.pool.stats().idle, 2, "what was packed is not gone on from");
}

#[tokio::test]
async fn until_replay_is_known_to_hold_earlier_turns_are_packed() {
    let scene = scene(recall(), 0);
    let unseen = "9.9.9".parse().unwrap();
    let turns = ["a", "x", "b"];
    let is_packed = |told: String| told.starts_with("user: The conversation so far");
    assert!(is_packed(scene.ask(&turns).await));
    // This one asks no model, so the test of it fails.
    assert!(!scene.endpoint.use_cli(unseen).await);
    assert!(is_packed(scene.ask(&turns).await));
    // What the process has lived through needs no replay.
    assert_eq!(scene.ask(&["a"]).await, "user: a");
    assert_eq!(scene.ask(&["a", "user: a", "b"]).await, "user: a; assistant: user: a; user: b");
    assert!(scene.endpoint.use_cli(cli::TESTED).await);
    assert_eq!(scene.ask(&turns).await, "user: a; assistant: x; user: b");
}

#[tokio::test]
async fn who_waits_too_long_for_a_slot_is_told_to_come_back() {
    let (builder, gate, _) = support::endpoint(support::first_word("x").until_stopped(), 1, 4);
    let endpoint = builder.queue_limit(Duration::from_millis(50)).build().unwrap();
    let _held = gate.enter().await.unwrap();
    let response = call(&endpoint, request("0123456789abcdef0123456789abcdef", json!({}), &["a"])).await;
    assert_eq!((response.status().as_u16(), support::header(&response, "retry-after")), (429, Some("2")));
    assert_eq!(gate.status().queued, 0);
}
