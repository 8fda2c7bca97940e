//! Tools that run at the client, over a scripted CLI: calls are told, turns wait, results reach their calls.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use claude_exec::brain::pool::Pool;
use claude_exec::cli;
use claude_exec::executor::{Answer, Said, ScriptedCli};
use claude_exec::http::Keyring;
use claude_exec::jobs::Gate;
use claude_exec_openai::OpenAi;
use serde_json::{Value, json};
use support::{TOKEN, call, soon, text};

fn line(event: Value) -> Value {
    json!({"type": "stream_event", "event": event, "parent_tool_use_id": null})
}

/// The end of a message and the begin of the next.
fn ended(answer: Answer, reason: &str, next: &str) -> Answer {
    answer
        .line(line(json!({"type": "message_delta", "delta": {"stop_reason": reason}})))
        .line(line(json!({"type": "message_stop"})))
        .line(line(json!({"type": "message_start", "message": {"id": next}})))
}

/// A model that looks one thing up and says what it was told.
fn calls(said: &Said) -> Answer {
    if let Some(results) = said.content.as_array().filter(|blocks| blocks[0]["type"] == "tool_result") {
        return Answer::text(&format!("replayed {}", results[0]["content"][0]["text"].as_str().unwrap()));
    }
    if !said.text.starts_with("look ") {
        return Answer::text(&said.text);
    }
    let (id, input) = (format!("toolu_{}", &said.text[5..]), json!({ "at": said.text[5..] }));
    let name = "mcp__client__look";
    let block = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
    let whole = json!({"type": "tool_use", "id": id, "name": name, "input": input});
    let json = input.to_string();
    let (one, other) = json.split_at(4);
    let delta = |text: &str| {
        line(json!({"type": "content_block_delta", "index": 1,
            "delta": {"type": "input_json_delta", "partial_json": text}}))
    };
    let answer = Answer::text("let me ")
        .line(line(json!({"type": "content_block_stop", "index": 0})))
        .line(line(json!({"type": "content_block_start", "index": 1, "content_block": block})))
        .line(delta(one))
        .line(delta(other))
        .line(json!({"type": "assistant", "parent_tool_use_id": null, "session_id": said.session_id,
            "message": {"id": "msg_0", "content": [whole]}}))
        .line(line(json!({"type": "content_block_stop", "index": 1})));
    let request = json!({"subtype": "mcp_message", "server_name": "client", "message": {
        "jsonrpc": "2.0", "id": 3, "method": "tools/call",
        "params": {"name": "look", "arguments": input, "_meta": {"claudecode/toolUseId": id}},
    }});
    ended(answer, "tool_use", "msg2").ask_then(request, |reply| {
        let result = &reply["mcp_response"]["result"];
        Answer::text(&format!("{} {}", result["content"][0]["text"].as_str().unwrap(), result["isError"]))
    })
}

struct Scene {
    endpoint: OpenAi,
    pool: Pool,
    gate: Gate,
}

async fn scene(most: usize, limit: Duration) -> Scene {
    let cli = ScriptedCli::new(calls);
    let pool = Pool::builder(cli.clone()).processes(8).spares_per_key(0).build().unwrap();
    let gate = Gate::new(4, 400).unwrap();
    let keyring = Keyring::builder().token("ana", TOKEN).build().unwrap();
    let endpoint =
        OpenAi::builder(cli, gate.clone()).keyring(keyring).pool(pool.clone()).parking(most, limit);
    let endpoint = endpoint.build().unwrap();
    assert!(endpoint.use_cli(cli::TESTED).await);
    Scene { endpoint, pool, gate }
}

const LONG: Duration = Duration::from_secs(600);

fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {"at": {"type": "string"}}});
    json!([{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": schema}}])
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn result(id: &str, text: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": text})
}

impl Scene {
    async fn ask(&self, messages: &[Value]) -> Value {
        let request =
            support::post(json!({"model": "haiku", "messages": messages, "tools": tools()}).to_string());
        let reply: Value = serde_json::from_str(&text(call(&self.endpoint, request).await).await).unwrap();
        assert!(reply["error"].is_null(), "{reply}");
        reply["choices"][0].clone()
    }

    /// Asks for a look, and gives the conversation so far.
    async fn call(&self, at: &str) -> Vec<Value> {
        let question = user(&format!("look {at}"));
        let choice = self.ask(std::slice::from_ref(&question)).await;
        let call = json!({"id": format!("toolu_{at}"), "type": "function",
            "function": {"name": "look", "arguments": json!({ "at": at }).to_string()}});
        assert_eq!(choice["finish_reason"], "tool_calls");
        assert_eq!(
            (&choice["message"]["content"], &choice["message"]["tool_calls"]),
            (&json!("let me "), &json!([call]))
        );
        vec![question, choice["message"].clone()]
    }

    fn started(&self) -> u64 {
        let claims = self.pool.stats().claims;
        claims.cold + claims.spare
    }
}

fn said(choice: &Value) -> &str {
    choice["message"]["content"].as_str().unwrap()
}

#[tokio::test]
async fn a_turn_waits_for_its_result_and_goes_on() {
    let scene = scene(4, LONG).await;
    let mut messages = scene.call("sky").await;
    assert_eq!(scene.gate.status().active, 0, "who waits for a client holds no slot");
    assert_eq!(scene.pool.stats().claimed, 1);
    messages.push(result("toolu_sky", "blue"));
    let choice = scene.ask(&messages).await;
    assert_eq!((said(&choice), &choice["finish_reason"]), ("blue false", &json!("stop")));
    // And so does the conversation, in the same process.
    messages.extend([choice["message"].clone(), user("and then?")]);
    assert_eq!(said(&scene.ask(&messages).await), "and then?");
    assert_eq!((scene.started(), scene.pool.stats().claims.live), (1, 1));
}

#[tokio::test]
async fn a_streamed_call_comes_in_pieces_by_the_clients_name() {
    let scene = scene(4, LONG).await;
    let body = json!({"messages": [user("look sky")], "tools": tools(), "stream": true});
    let stream = text(call(&scene.endpoint, support::post(body.to_string())).await).await;
    let chunks: Vec<Value> = stream
        .split_terminator("\n\n")
        .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ")?).ok())
        .collect();
    let calls: Vec<&Value> = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0])
        .filter(|call| !call.is_null())
        .collect();
    assert_eq!((&calls[0]["id"], &calls[0]["function"]["name"]), (&json!("toolu_sky"), &json!("look")));
    let pieces: Vec<&str> = calls
        .iter()
        .filter_map(|call| call["function"]["arguments"].as_str())
        .filter(|piece| !piece.is_empty())
        .collect();
    assert_eq!(pieces, [r#"{"at"#, r#"":"sky"}"#]);
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn what_cannot_be_answered_in_its_turn_is_replayed() {
    let scene = scene(4, LONG).await;
    // The same results twice; with other words; too long; from a turn that nobody knows.
    let messages = [scene.call("sky").await, vec![result("toolu_sky", "blue")]].concat();
    assert_eq!(said(&scene.ask(&messages).await), "blue false");
    assert_eq!(said(&scene.ask(&messages).await), "replayed blue");
    let messages = [scene.call("sea").await, vec![result("toolu_sea", "grey"), user("and hurry")]].concat();
    assert_eq!(said(&scene.ask(&messages).await), "replayed grey");
    let long = "x".repeat(100_000);
    let messages = [scene.call("ice").await, vec![result("toolu_ice", &long)]].concat();
    assert_eq!(said(&scene.ask(&messages).await), format!("replayed {long}"));
    let mut messages = [scene.call("old").await, vec![result("toolu_old", "dust")]].concat();
    messages[0] = user("another question");
    assert_eq!(said(&scene.ask(&messages).await), "replayed dust");
    soon("only the last one still waits", || scene.pool.stats().claimed == 1).await;
}

#[tokio::test]
async fn a_client_that_does_not_come_back_keeps_no_process() {
    let scene = scene(4, Duration::from_millis(50)).await;
    let messages = [scene.call("sky").await, vec![result("toolu_sky", "blue")]].concat();
    soon("its process ends", || scene.pool.stats().processes() == 0).await;
    assert_eq!(said(&scene.ask(&messages).await), "replayed blue");
}

#[tokio::test]
async fn the_oldest_gives_way_and_a_shutdown_ends_all() {
    let scene = scene(2, LONG).await;
    let first = scene.call("a").await;
    scene.call("b").await;
    let last = scene.call("c").await;
    soon("there are two", || scene.pool.stats().processes() == 2).await;
    let messages = [first, vec![result("toolu_a", "A")]].concat();
    assert_eq!(said(&scene.ask(&messages).await), "replayed A");
    let messages = [last, vec![result("toolu_c", "C")]].concat();
    assert_eq!(said(&scene.ask(&messages).await), "C false");
    scene.endpoint.shutdown();
    soon("none waits", || scene.pool.stats().claimed == 0).await;
}

#[tokio::test]
async fn without_a_pool_tools_are_refused() {
    let cli = ScriptedCli::new(calls);
    let endpoint = OpenAi::builder(cli, Gate::new(1, 0).unwrap()).authenticated_in_front().build().unwrap();
    let body = json!({"messages": [user("look sky")], "tools": tools()});
    let response = call(&endpoint, support::post(body.to_string())).await;
    assert_eq!(response.status(), 400);
    assert!(text(response).await.contains(r#""param":"tools""#));
}

/// A hundred loops at once: some hang up while their call is made, some answer late, some twice.
#[tokio::test(flavor = "multi_thread")]
async fn every_result_reaches_its_own_call() {
    let scene = std::sync::Arc::new(scene(4, LONG).await);
    let loops: Vec<_> = (0..100)
        .map(|number: u64| {
            let scene = scene.clone();
            tokio::spawn(async move {
                let at = format!("n{number}");
                if number.is_multiple_of(5) {
                    // The same beginning, and a hang-up somewhere in it.
                    let question = [user(&format!("look {at}"))];
                    let asked =
                        tokio::time::timeout(Duration::from_micros(number * 40), scene.ask(&question));
                    let _left = asked.await;
                }
                let messages = scene.call(&at).await;
                if number.is_multiple_of(3) {
                    tokio::time::sleep(Duration::from_millis(number % 7)).await;
                }
                let own = format!("result of {number}");
                let answered = [messages, vec![result(&format!("toolu_{at}"), &own)]].concat();
                let expected = [format!("{own} false"), format!("replayed {own}")];
                let (one, other) = if number.is_multiple_of(7) {
                    tokio::join!(scene.ask(&answered), scene.ask(&answered))
                } else {
                    let one = scene.ask(&answered).await;
                    (one.clone(), one)
                };
                for choice in [one, other] {
                    assert!(expected.contains(&said(&choice).to_owned()), "{number}: {choice}");
                }
            })
        })
        .collect();
    for task in loops {
        task.await.expect("no loop got another's result");
    }
    soon("no slot is held", || scene.gate.status().active == 0).await;
}
