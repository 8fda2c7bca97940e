//! The endpoint as its callers see it, over scripted processes.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use claude_exec::executor::{Scripted, Stdin, executor_fn};
use claude_exec::http::{BodyLimit, Keyring};
use claude_exec::jobs::{Gate, Workspaces, WorkspacesConfig};
use claude_exec_openai::{AgentModel, Models, OpenAi, Workspace};
use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use support::{TOKEN, call, chat, endpoint, first_word, get, header, post, refusal, refused, text};
use tower_service::Service;

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Puts `X` for the two values that differ each time.
fn without_ids(text: &str) -> String {
    let mut text = text.to_owned();
    for (key, end) in [("\"id\":\"chatcmpl-", '"'), ("\"created\":", ',')] {
        let mut rebuilt = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find(key) {
            rebuilt += &rest[..at + key.len()];
            rebuilt.push('X');
            rest = &rest[at + key.len()..];
            rest = &rest[rest.find(end).unwrap()..];
        }
        text = rebuilt + rest;
    }
    text
}

#[tokio::test]
async fn one_answer_in_one_piece() {
    let (builder, gate, started) = endpoint(Scripted::answer("Hello there."), 1, 0);
    let endpoint = builder.build().unwrap();
    let response = call(&endpoint, chat(json!({}))).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), Some("application/json"));
    assert!(header(&response, "x-request-id").unwrap().starts_with("req_"));
    assert_eq!(header(&response, "x-claude-exec-ignored"), None);
    let expected = concat!(
        r#"{"id":"chatcmpl-X","object":"chat.completion","created":X,"model":"haiku","choices":[{"index":0,"#,
        r#""message":{"role":"assistant","content":"Hello there.","refusal":null},"logprobs":null,"#,
        r#""finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"#,
        r#""prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}"#,
    );
    assert_eq!(without_ids(&text(response).await), expected);
    support::soon("the slot comes back", || gate.status().active == 0).await;
    assert_eq!(started.count(), 1);
    let command = started.command(0);
    assert!(
        command.args.iter().any(|arg| arg == "--model=haiku")
            && command.args.iter().any(|arg| arg == "--tools=")
    );
}

#[tokio::test]
async fn the_same_answer_as_a_stream_to_the_byte() {
    let (builder, _, _) = endpoint(Scripted::answer("Hello there."), 1, 0);
    let endpoint = builder.build().unwrap();
    let asked = json!({"stream": true, "stream_options": {"include_usage": true}});
    let response = call(&endpoint, chat(asked)).await;
    assert_eq!(response.status(), 200);
    assert!(header(&response, "content-type").unwrap().starts_with("text/event-stream"));
    assert_eq!(header(&response, "cache-control"), Some("no-cache"));
    assert_eq!(header(&response, "x-accel-buffering"), Some("no"));
    assert!(header(&response, "x-request-id").is_some());
    let head = r#"data: {"id":"chatcmpl-X","object":"chat.completion.chunk","created":X,"model":"haiku","choices":["#;
    let chunk = |delta: &str, finish: &str| {
        format!(
            "{head}{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}],\"usage\":null}}\n\n"
        )
    };
    let usage = concat!(
        r#"],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"#,
        r#""prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}"#
    );
    let expected = [
        chunk(r#"{"role":"assistant","content":""}"#, "null"),
        chunk(r#"{"content":"Hello "}"#, "null"),
        chunk(r#"{"content":"there."}"#, "null"),
        chunk("{}", "\"stop\""),
        format!("{head}{usage}\n\n"),
        "data: [DONE]\n\n".to_owned(),
    ];
    assert_eq!(without_ids(&text(response).await), expected.concat());
}

#[tokio::test]
async fn chunks_that_are_ready_together_travel_together() {
    let (builder, _, _) = endpoint(Scripted::answer(&"word ".repeat(100)), 1, 0);
    let response = call(&builder.build().unwrap(), chat(json!({"stream": true}))).await;
    let (mut body, mut frames, mut chunks) = (response.into_body(), 0, 0);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame;
        frames += 1;
        chunks += String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap().matches("data: ").count();
    }
    assert_eq!(chunks, 103);
    assert!(frames < 20, "{frames} frames");
}

#[tokio::test]
async fn early_failures_have_their_true_status_on_both_wires() {
    for stream in [false, true] {
        for (status, expected, code) in [
            (400, 400, Value::Null),
            (401, 502, json!("upstream_auth")),
            (404, 404, json!("model_not_found")),
            (413, 400, json!("context_length_exceeded")),
            (429, 429, json!("rate_limit_exceeded")),
            (529, 503, json!("overloaded")),
        ] {
            let (builder, _, _) = endpoint(refused(status), 1, 0);
            let response = call(&builder.build().unwrap(), chat(json!({"stream": stream}))).await;
            assert_eq!(response.status(), expected, "{status} {stream}");
            assert_eq!(header(&response, "retry-after").is_some(), [429, 503].contains(&expected));
            assert_eq!(header(&response, "content-type"), Some("application/json"));
            assert_eq!(parsed(&text(response).await)["error"]["code"], code);
        }
    }
}

#[tokio::test]
async fn a_failure_in_the_middle_is_an_error_object_and_then_silence() {
    let (builder, _, _) = endpoint(first_word("half").stdout(refusal(529)).exit(1), 1, 0);
    let response = call(&builder.build().unwrap(), chat(json!({"stream": true}))).await;
    assert_eq!(response.status(), 200);
    let body = text(response).await;
    let last = body.trim_end().rsplit("\n\n").next().unwrap();
    assert_eq!(parsed(last.strip_prefix("data: ").unwrap())["error"]["code"], "overloaded");
    assert!(!body.contains("[DONE]") && !body.contains("\"stop\""));
}

#[tokio::test]
async fn a_process_that_ends_without_a_word_is_no_empty_answer() {
    for stream in [false, true] {
        let script = Scripted::new().stderr("Error: s3cret path").exit(1);
        let (builder, _, _) = endpoint(script, 1, 0);
        let response = call(&builder.build().unwrap(), chat(json!({"stream": stream}))).await;
        assert_eq!(response.status(), 502);
        let body = text(response).await;
        assert!(body.contains("exit code 1") && !body.contains("s3cret"), "{body}");
    }
}

#[tokio::test]
async fn a_program_that_cannot_start_is_502_and_gives_its_slot_back() {
    let gate = Gate::new(1, 0).unwrap();
    let executor =
        executor_fn(|_| Err(claude_exec::Error::spawn("/x/claude", std::io::ErrorKind::NotFound.into())));
    let endpoint = OpenAi::builder(executor, gate.clone()).authenticated_in_front().build().unwrap();
    let response = call(&endpoint, chat(json!({}))).await;
    assert_eq!((response.status().as_u16(), header(&response, "x-should-retry")), (502, Some("false")));
    assert_eq!(gate.status().active, 0);
}

#[tokio::test(start_paused = true)]
async fn silence_is_filled_with_comments_once_the_model_works() {
    let (builder, _, _) = endpoint(first_word("half").until_stopped(), 1, 0);
    let response = call(&builder.build().unwrap(), chat(json!({"stream": true}))).await;
    let mut body = response.into_body();
    let mut frames = Vec::new();
    for _ in 0..3 {
        let Ok(frame) = body.frame().await.unwrap();
        frames.push(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap());
    }
    assert!(frames[0].starts_with("data: ") && frames[0].contains("half"));
    assert_eq!(frames[1..], [": keep-alive\n\n", ": keep-alive\n\n"]);
}

#[tokio::test(start_paused = true)]
async fn a_status_is_not_held_until_proxies_give_up() {
    let (builder, _, _) = endpoint(Scripted::new().until_stopped(), 1, 0);
    let response = call(&builder.build().unwrap(), chat(json!({"stream": true}))).await;
    assert_eq!(response.status(), 200);
    let body = text(response).await;
    assert!(body.starts_with(": keep-alive\n\n"), "{body}");
    // The role belongs to the first token, and none came.
    assert!(body.contains("\"code\":\"timeout\"") && !body.contains("assistant"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_is_504_for_one_piece() {
    let (builder, _, started) = endpoint(Scripted::new().until_stopped(), 1, 0);
    let response = call(&builder.build().unwrap(), chat(json!({}))).await;
    assert_eq!((response.status().as_u16(), header(&response, "x-should-retry")), (504, Some("false")));
    assert!(started.all_stopped());
}

#[tokio::test]
async fn a_full_queue_is_429_with_a_time_and_starts_nothing() {
    let (builder, gate, started) = endpoint(first_word("x").until_stopped(), 1, 0);
    let endpoint = builder.build().unwrap();
    let running = call(&endpoint, chat(json!({"stream": true}))).await;
    for stream in [false, true] {
        let response = call(&endpoint, chat(json!({"stream": stream}))).await;
        assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (429, Some("2")));
        assert_eq!(header(&response, "x-should-retry"), None);
        assert_eq!(parsed(&text(response).await)["error"]["code"], "queue_full");
    }
    assert_eq!((gate.status().active, started.count()), (1, 1));
    drop(running);
    support::soon("the slot comes back", || gate.status().active == 0).await;
    assert!(started.all_stopped());
}

#[tokio::test]
async fn a_shutdown_ends_every_turn_with_an_error() {
    let (builder, _, started) = endpoint(first_word("half").until_stopped(), 2, 0);
    let endpoint = builder.build().unwrap();
    let streaming = call(&endpoint, chat(json!({"stream": true}))).await;
    let (in_one_piece, ()) = tokio::join!(call(&endpoint, chat(json!({}))), async {
        support::soon("both turns run", || started.count() == 2).await;
        endpoint.shutdown();
    });
    assert_eq!(in_one_piece.status(), 503);
    let body = text(streaming).await;
    assert!(body.contains("\"code\":\"interrupted\"") && !body.contains("[DONE]"), "{body}");
    support::soon("both processes are stopped", || started.all_stopped()).await;
}

/// A body that nobody may touch.
struct Untouchable;

impl http_body::Body for Untouchable {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        panic!("the body was read");
    }
}

#[tokio::test]
async fn callers_are_known_before_a_byte_of_their_body_is_read() {
    let (builder, _, started) = endpoint(Scripted::answer("x"), 1, 0);
    let mut endpoint = builder.build().unwrap();
    let wrong = format!("Bearer {}", TOKEN.replace('0', "1"));
    for authorization in [None, Some("Bearer \u{fe}"), Some(wrong.as_str()), Some("Basic eA==")] {
        for path in ["/v1/chat/completions", "/v1/models", "/nowhere"] {
            let mut request = Request::post(path).body(Untouchable).unwrap();
            if let Some(value) = authorization {
                let value = http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
                request.headers_mut().insert("authorization", value);
            }
            let Ok(response) = endpoint.call(request).await;
            assert_eq!(response.status(), 401);
            assert!(header(&response, "www-authenticate").unwrap().starts_with("Bearer"));
            let error = &parsed(&text(response).await)["error"];
            assert_eq!(
                (&error["type"], &error["code"]),
                (&json!("invalid_request_error"), &json!("invalid_api_key"))
            );
        }
    }
    assert_eq!(started.count(), 0);
}

#[tokio::test]
async fn an_endpoint_without_a_keyring_is_not_built() {
    let builder = || OpenAi::builder(Scripted::answer("x"), Gate::new(1, 0).unwrap());
    assert_eq!(builder().build().unwrap_err().field(), Some("keyring"));
    let keyring = Keyring::builder().token("a", TOKEN).build().unwrap();
    let job = Models::default().agent(AgentModel::new("triage")).unwrap();
    let built = builder().keyring(keyring.clone()).models(job).build();
    assert_eq!(built.unwrap_err().field(), Some("workspaces"));
    let agent = AgentModel::new("triage").workspace(Workspace::None).max_budget_usd(f64::NAN);
    let built = builder().keyring(keyring).models(Models::default().agent(agent).unwrap()).build();
    assert_eq!(built.unwrap_err().field(), Some("max_budget_usd"));
}

#[tokio::test]
async fn what_is_not_honoured_is_named_or_refused() {
    let (builder, _, started) = endpoint(Scripted::answer("x"), 4, 0);
    let endpoint = builder.build().unwrap();
    let asked = || chat(json!({"seed": 1, "logit_bias": {"1": 1}, "temperature": 1}));
    let response = call(&endpoint, asked()).await;
    assert_eq!(
        (response.status().as_u16(), header(&response, "x-claude-exec-ignored")),
        (200, Some("seed,logit_bias"))
    );
    for value in ["true", "1", "TRUE"] {
        let mut strict = asked();
        strict.headers_mut().insert("x-claude-exec-strict", value.parse().unwrap());
        let response = call(&endpoint, strict).await;
        assert_eq!(response.status(), 400);
        assert_eq!(parsed(&text(response).await)["error"]["param"], "seed");
    }
    assert_eq!(started.count(), 1);
    let (builder, _, started) = support::endpoint(Scripted::answer("x"), 4, 0);
    let endpoint = builder.strict(true).build().unwrap();
    assert_eq!(call(&endpoint, asked()).await.status(), 400);
    assert_eq!(call(&endpoint, chat(json!({"temperature": 1}))).await.status(), 200);
    assert_eq!(started.count(), 1);
}

#[tokio::test]
async fn refusals_have_openais_shape_and_start_nothing() {
    let (builder, _, started) = endpoint(Scripted::answer("x"), 1, 0);
    let endpoint = builder.body_limit(BodyLimit::default().bytes(1_000)).build().unwrap();
    let with = |method: Method, path: &str| {
        let mut request = get(path);
        *request.method_mut() = method;
        request
    };
    for (request, status, code, param) in [
        (post("{"), 400, json!("invalid_json"), Value::Null),
        (post("x".repeat(1_001)), 413, json!("request_too_large"), Value::Null),
        (chat(json!({"model": "gpt-4"})), 400, json!("model_not_found"), json!("model")),
        (chat(json!({"messages": []})), 400, Value::Null, json!("messages")),
        (chat(json!({"tools": [{}]})), 400, json!("missing_required_parameter"), json!("tools[0].type")),
        (get("/v1/models/gpt-4"), 404, json!("model_not_found"), json!("model")),
        (get("/v1/nothing"), 404, json!("unknown_url"), Value::Null),
        (get("/"), 404, json!("unknown_url"), Value::Null),
        (get("/v1/chat/completions"), 405, json!("method_not_supported"), Value::Null),
        (with(Method::POST, "/v1/models"), 405, json!("method_not_supported"), Value::Null),
        (with(Method::DELETE, "/v1/models/haiku"), 405, json!("method_not_supported"), Value::Null),
    ] {
        let what = format!("{request:?}");
        let response = call(&endpoint, request).await;
        assert_eq!(response.status(), status, "{what}");
        assert_eq!(header(&response, "allow").is_some(), status == 405, "{what}");
        assert!(header(&response, "x-request-id").is_some());
        let body = parsed(&text(response).await);
        let error = body["error"].as_object().unwrap();
        assert_eq!((error.len(), &error["code"], &error["param"]), (4, &code, &param), "{what}");
    }
    assert_eq!(started.count(), 0);
}

#[tokio::test]
async fn models_are_listed_and_agents_marked() {
    let (builder, _, _) = endpoint(Scripted::answer("x"), 1, 0);
    let agent = AgentModel::new("triage").workspace(Workspace::None);
    let endpoint = builder.models(Models::default().agent(agent).unwrap()).build().unwrap();
    let list = parsed(&text(call(&endpoint, get("/v1/models")).await).await);
    let ids: Vec<&str> =
        list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids[..4], ["haiku", "sonnet", "opus", "fable"]);
    assert_eq!(ids.last(), Some(&"triage"));
    let one = parsed(&text(call(&endpoint, get("/v1/models/triage")).await).await);
    assert_eq!((&one["object"], &one["claude_exec_agent"]), (&json!("model"), &json!(true)));
}

#[tokio::test]
async fn an_agent_runs_as_its_operator_says_on_both_wires() {
    for stream in [false, true] {
        let (builder, _, started) = endpoint(Scripted::answer("x"), 1, 0);
        let agent = AgentModel::new("triage").agent_name("issue-triage").workspace(Workspace::None);
        let builder = builder.models(Models::default().agent(agent).unwrap());
        let endpoint = builder.prepare(|invocation| invocation.cwd("/srv/agents")).build().unwrap();
        let response =
            call(&endpoint, chat(json!({"model": "triage", "stream": stream, "max_tokens": 5}))).await;
        assert_eq!(header(&response, "x-claude-exec-ignored"), Some("max_tokens"));
        text(response).await;
        let command = started.command(0);
        assert!(command.args.iter().any(|arg| arg == "--agent=issue-triage"));
        assert!(!command.args.iter().any(|arg| arg == "--tools="));
        assert_eq!(command.cwd.as_deref(), Some(std::path::Path::new("/srv/agents")));
    }
}

#[tokio::test]
async fn a_checkout_is_there_for_its_turn_and_gone_before_its_slot_is_free() {
    let dir = std::env::temp_dir().join(format!("claude-exec-openai-{}", std::process::id()));
    let config = WorkspacesConfig::new(&dir);
    let workspaces = Workspaces::open(Arc::new(Scripted::new()), config).await.unwrap();
    let (builder, gate, started) = endpoint(first_word("x").until_stopped(), 1, 0);
    let models = Models::default().agent(AgentModel::new("triage")).unwrap();
    let endpoint = builder.models(models).workspaces(workspaces).build().unwrap();
    let response = call(&endpoint, chat(json!({"model": "triage", "stream": true}))).await;
    let checkout = started.command(0).cwd.unwrap();
    assert!(checkout.starts_with(&dir) && checkout.is_dir(), "{checkout:?}");
    drop(response);
    support::soon("the slot comes back", || gate.status().active == 0).await;
    assert!(!checkout.exists());
    drop(endpoint);
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn what_an_agent_did_is_not_done_again_by_a_retry() {
    for (model, expected) in [("triage", Some("false")), ("haiku", None)] {
        let (builder, _, _) = endpoint(refused(529), 1, 0);
        let agent = AgentModel::new("triage").workspace(Workspace::None);
        let endpoint = builder.models(Models::default().agent(agent).unwrap()).build().unwrap();
        let response = call(&endpoint, chat(json!({"model": model}))).await;
        assert_eq!((response.status().as_u16(), header(&response, "x-should-retry")), (503, expected));
    }
}

#[tokio::test]
async fn no_text_of_the_caller_is_in_argv() {
    let (builder, _, started) = endpoint(Scripted::answer("x"), 1, 0);
    let hostile = "--dangerously-skip-permissions";
    let messages = json!([{"role": "system", "content": hostile}, {"role": "user", "content": hostile}]);
    text(call(&builder.build().unwrap(), chat(json!({"messages": messages, "stop": hostile}))).await).await;
    let command = started.command(0);
    assert!(command.args.iter().all(|arg| !arg.to_str().unwrap().contains("dangerously")));
    let Stdin::Open(stdin) = command.stdin else { panic!("the prompt travels on stdin") };
    assert_eq!(String::from_utf8(stdin.to_vec()).unwrap().matches(hostile).count(), 2);
}

#[tokio::test]
async fn a_sane_request_id_comes_back() {
    let (builder, _, _) = endpoint(Scripted::answer("x"), 1, 0);
    let mut request = get("/v1/models");
    request.headers_mut().insert("x-request-id", "abc-1".parse().unwrap());
    assert_eq!(header(&call(&builder.build().unwrap(), request).await, "x-request-id"), Some("abc-1"));
}

#[tokio::test]
async fn it_mounts_in_axum() {
    let (builder, _, _) = endpoint(Scripted::answer("Hi."), 1, 0);
    let mut app = axum::Router::new().fallback_service(builder.build().unwrap());
    let Ok(response) = Service::<Request<axum::body::Body>>::call(
        &mut app,
        chat(json!({"stream": true})).map(axum::body::Body::new),
    )
    .await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(b"data: [DONE]\n\n"));
}

#[tokio::test]
async fn the_accounts_limits_are_headers_of_good_and_bad_answers() {
    let line = |status: &str| {
        let info = json!({"status": status, "resetsAt": 4_102_444_800u64, "rateLimitType": "five_hour",
            "utilization": 0.5});
        Bytes::from(format!(
            "{}\n",
            json!({"type": "rate_limit_event", "rate_limit_info": info, "session_id": "s"})
        ))
    };
    for stream in [false, true] {
        let script = Scripted::new().stdout(line("rejected")).stdout(refusal(429)).exit(1);
        let (builder, _, _) = endpoint(script, 1, 0);
        let response = call(&builder.build().unwrap(), chat(json!({"stream": stream}))).await;
        assert_eq!(response.status(), 429);
        assert_eq!(header(&response, "x-ratelimit-remaining-requests"), Some("0"));
        assert!(header(&response, "x-ratelimit-reset-requests").unwrap().ends_with('s'));
        // The reset is years away: no client is to wait for it.
        assert!(header(&response, "retry-after").unwrap().parse::<u64>().unwrap() > 1_000_000);
        assert_eq!(header(&response, "x-should-retry"), Some("false"));
    }
    let script = Scripted::new().stdout(line("allowed_warning")).stdout(support::answered("Hi.")).exit(0);
    let (builder, _, _) = endpoint(script, 1, 0);
    let response = call(&builder.build().unwrap(), chat(json!({}))).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "x-ratelimit-remaining-requests"), None);
    assert_eq!(header(&response, "x-ratelimit-utilization"), Some("0.5"));
    assert_eq!(header(&response, "x-ratelimit-kind"), Some("five_hour"));
}

#[tokio::test]
async fn hostile_bodies_are_refused_on_every_path_and_start_nothing() {
    let (builder, _, started) = endpoint(Scripted::answer("x"), 1, 0);
    let endpoint = builder.build().unwrap();
    let nested = |open: &str, close: &str| {
        format!("{{\"messages\":{0}1{1},\"input\":{0}1{1}}}", open.repeat(5_000), close.repeat(5_000))
    };
    let text = |content: &str| {
        let messages = format!("[{{\"role\":\"user\",\"content\":{content}}}]");
        format!("{{\"messages\":{messages},\"input\":{messages}}}")
    };
    let bodies = [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        nested("[", "]"),
        nested("{\"a\":", "}"),
        format!("{{\"messages\":[{}1],\"input\":[{}1]}}", "1,".repeat(300_000), "1,".repeat(300_000)),
        text("null"),
        text("7"),
        text("\"\\ud800\""),
        text("\"\\u0000\""),
        text("[{\"type\":\"text\",\"text\":7}]"),
        text("[{\"type\":\"input_audio\"}]"),
        text("\"hi\"").replace("\"user\"", "\"king\""),
        text("\"hi\"").replace("\"role\"", "\"role\":\"user\",\"role\""),
        text("\"hi\"").replace("}]}", "}],\"temperature\":\"0.5\"}"),
        text("\"hi\"").replace("}]}", "}],\"temperature\":1e999}"),
        text("\"hi\"").replace("}]}", "}],\"stream\":\"yes\"}"),
        format!("{{\"x\":\"{}\"}}", "x".repeat(10 * 1024 * 1024)),
        "x".repeat(17 * 1024 * 1024),
    ];
    for path in ["/v1/chat/completions", "/v1/responses", "/v1/messages"] {
        for body in &bodies {
            let mut request = post(body.clone());
            *request.uri_mut() = path.parse().unwrap();
            let response = call(&endpoint, request).await;
            let status = response.status().as_u16();
            assert!([400, 413].contains(&status), "{status} {path} {body:.60}");
            let error = &parsed(&support::text(response).await)["error"];
            assert!(error["type"].is_string() && error["message"].is_string(), "{path} {body:.60}");
        }
    }
    assert_eq!(started.count(), 0);
}
