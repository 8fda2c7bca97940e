//! Limits of keys, over the real CLI: what its turns cost is what their key is charged.

use serde_json::{Value, json};

use crate::support::model_api::ModelApi;
use crate::support::server::{Reply, Server, Site};

/// Of the suite's token.
const DIGEST: &str = "999bff83b142c0047ad86aadb3c5db1ea421221c117584cf02fb68e7d2a3d487";

const ADMIN: &str = "an-admins-token-0123456789abcdef0123";

/// Servers on which the suite's key has these limits, beside one without any.
fn limited(site: Site, limits: &str) -> Site {
    let file = site.home().path().join("keys");
    let line = format!("# the suite's\nsuite {limits} sha256={DIGEST}\n");
    std::fs::write(&file, line).expect("the directory is writable");
    site.tokens(&format!("admin:{ADMIN}")).env("API_KEYS_FILE", &file.display().to_string())
}

async fn usage(server: &Server) -> Value {
    let reply = server.get("/v1/usage").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

/// One request of each surface.
async fn all_surfaces(server: &Server, model: &str) -> [Reply; 4] {
    let said = json!([{"role": "user", "content": "hello"}]);
    [
        server.post("/v1/chat/completions", &json!({"model": model, "messages": said})).await,
        server.post("/v1/responses", &json!({"model": model, "input": "hello"})).await,
        server.post("/v1/messages", &json!({"model": model, "messages": said, "max_tokens": 99})).await,
        server
            .post("/v1/conversational", &json!({"session_id": "a", "message": "hello", "model": model}))
            .await,
    ]
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn every_surface_is_counted_by_what_the_cli_tells_and_a_restart_forgets_nothing() {
    let api = ModelApi::start().await;
    let site = limited(
        Site::real(&api).repository(),
        "models=sonnet,haiku concurrent=2 requests_per_day=9 usd_per_day=5",
    );
    let server = site.start().await;
    let statuses = all_surfaces(&server, "opus").await.map(|reply| reply.status);
    assert_eq!(statuses, [403, 403, 403, 403]);
    assert_eq!(api.messages().len(), 0, "the model heard nothing");
    let statuses = all_surfaces(&server, "sonnet").await.map(|reply| reply.status);
    assert_eq!(statuses, [200, 200, 200, 200]);
    let told = usage(&server).await;
    let each = told["cost_usd"].as_f64().expect("a price") / 4.0;
    assert!(each > 0.0 && told["output_tokens"].as_u64().expect("a count") >= 4, "{told}");
    assert_eq!((&told["requests"], &told["unknown_cost_requests"]), (&json!(4), &json!(0)));

    // Who hangs up pays what it has cost by then.
    let mut held = server.chat_stream("[[words 2]] [[hold]] [[text never]]").await;
    held.first_text().await;
    assert_eq!(usage(&server).await["running"], 1);
    drop(held);
    server.load_is(0, 0).await;
    let after = usage(&server).await;
    assert!(after["cost_usd"].as_f64() > told["cost_usd"].as_f64(), "{after}");
    assert_eq!((&after["running"], &after["unknown_cost_requests"]), (&json!(0), &json!(0)), "{after}");

    // A turn with calls of the client's is two requests, and is paid once, at its end.
    let tools = json!([{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]);
    let question = json!({"role": "user", "content": "[[tool mcp__client__look {}]] [[next]] [[text seen]]"});
    let body = json!({"model": "sonnet", "messages": [question], "tools": tools});
    let asked = server.post("/v1/chat/completions", &body).await.json();
    let said = &asked["choices"][0]["message"];
    let before = usage(&server).await["cost_usd"].clone();
    let result = json!({"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "a tree"});
    let body = json!({"model": "sonnet", "messages": [question, said, result], "tools": tools});
    assert_eq!(server.post("/v1/chat/completions", &body).await.answer(), "seen");
    let told = usage(&server).await;
    assert!(told["cost_usd"].as_f64() > before.as_f64(), "{told}");
    assert_eq!((&told["requests"], &told["unknown_cost_requests"]), (&json!(7), &json!(0)), "{told}");

    // The admission of this one is on the disk, and with it all that was there before.
    assert_eq!(server.chat("hello").await.status, 200);
    let before = usage(&server).await;
    server.kill().await;
    let server = site.start().await;
    let told = usage(&server).await;
    let total = |usage: &Value| {
        let price = |name: &str| usage[name].as_f64().expect("a price");
        price("cost_usd") + price("assumed_cost_usd")
    };
    assert_eq!(told["requests"], 8);
    assert!(total(&told) >= total(&before), "{told} after {before}");

    assert_eq!(server.chat("hello").await.status, 200);
    for reply in all_surfaces(&server, "haiku").await {
        assert_eq!(reply.status, 429, "{reply:?}");
        assert_eq!(reply.headers["x-should-retry"], "false");
        let is_quota = reply.error().1 == "insufficient_quota";
        assert!(is_quota || reply.json()["error"]["type"] == "rate_limit_error", "{reply:?}");
    }
    let job = server.post("/execute", &json!({"prompt": "x", "agent": "probe"})).await;
    assert_eq!(job.status, 403, "{job:?}");

    let admin = format!("Bearer {ADMIN}");
    let scrape = server.get_with("/metrics", &[("authorization", &admin)]).await.text();
    for line in [
        r#"claude_exec_key_requests_total{key="suite",model="sonnet"} 1"#,
        r#"claude_exec_key_refused_total{key="suite",reason="requests"} 4"#,
        r#"claude_exec_key_unknown_cost_requests_total{key="suite",model="sonnet"} 0"#,
    ] {
        assert!(scrape.lines().any(|found| found == line), "{line} in\n{scrape}");
    }
    let own = server.get_with("/v1/usage", &[("authorization", &admin)]).await.json();
    assert_eq!((&own["key"], &own["requests"]), (&json!("admin"), &json!(0)));
}

#[tokio::test]
async fn one_that_barges_in_takes_the_place_of_the_turn_it_interrupts() {
    let site = limited(Site::fake(), "concurrent=1");
    let server = site.start().await;
    let mut body = json!({"session_id": "a", "message": "[[words 1]] [[silence]]", "stream": true});
    let mut speaking = server.open("/v1/conversational", &body).await;
    speaking.until("delta").await;
    assert_eq!(server.say("b", "hello").await.error(), (429, "rate_limit_exceeded".to_owned()));
    body = json!({"session_id": "a", "message": "[[text instead]]", "interrupt": true});
    assert_eq!(server.post("/v1/conversational", &body).await.reply(), "instead");
    assert_eq!(speaking.until("error").await.json()["error"]["code"], "interrupted");
    let told = usage(&server).await;
    assert_eq!((&told["requests"], &told["running"]), (&json!(2), &json!(0)), "{told}");
}

#[tokio::test]
async fn limits_that_cannot_be_used_are_refused_at_the_start() {
    let table = [
        ("models=gpt-4", "API_KEYS_FILE: "),
        ("usd_per_day=free", "API_KEYS_FILE: line 2: usd_per_day is US dollars"),
        ("dollars=1", "API_KEYS_FILE: line 2: the fields are models, concurrent"),
    ];
    for (limits, expected) in table {
        let site = limited(Site::fake(), limits);
        let output = Server::command(&site).output().await.expect("it starts");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{limits}: {told}");
        assert!(told.contains(expected), "{limits}: {told}");
        assert!(!told.contains(&DIGEST[..8]), "{told}");
    }
}
