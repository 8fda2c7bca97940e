//! What the three wires ask of the model and what they make of its answers, over the real CLI.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::model_api::{DEFAULT_ANSWER, ModelApi, system_text};
use crate::support::process;
use crate::support::server::{Reply, Server, Site, Sse};

/// A PNG of two pixels by two.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEElEQVR4nGP4z8AARAwQCgAf7gP9i18U1AAAAABJRU5ErkJggg==";
const PDF: &str = "JVBERi0xLjQgeA==";

async fn scene() -> (ModelApi, Site, Server) {
    let api = ModelApi::start().await;
    let site = Site::real(&api);
    let server = site.start().await;
    (api, site, server)
}

fn chat(text: &str, fields: Value) -> Value {
    let mut body = json!({"model": "sonnet", "messages": [{"role": "user", "content": text}]});
    body.as_object_mut().expect("it is one").extend(fields.as_object().expect("it is one").clone());
    body
}

async fn ask(server: &Server, body: &Value) -> Reply {
    server.post("/v1/chat/completions", body).await
}

fn choice(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["choices"][0].clone()
}

/// The events of a stream, by type.
async fn streamed(server: &Server, path: &str, body: &Value) -> Vec<Value> {
    let mut stream = server.open(path, body).await;
    assert_eq!(stream.status, 200);
    stream.rest().await.iter().map(Sse::json).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().expect("a type")).collect()
}

/// The blocks of a kind that the user's side sent with the last request.
fn sent(api: &ModelApi, kind: &str) -> Vec<Value> {
    let request = api.messages().pop().expect("a request");
    let messages = request.body["messages"].as_array().expect("messages").clone();
    let blocks = messages.into_iter().filter(|message| message["role"] == "user");
    let blocks = blocks.filter_map(|message| message["content"].as_array().cloned()).flatten();
    blocks.filter(|block| block["type"] == kind).collect()
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn images_and_files_reach_the_model_from_every_wire_and_from_history() {
    let (api, _site, server) = scene().await;
    let inline =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}});
    let remote = json!({"type": "image", "source": {"type": "url", "url": "https://example.com/x.png"}});
    let document = json!({"type": "document", "title": "a.pdf",
        "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}});
    let pictures = json!([
        {"type": "text", "text": "what?"},
        // The bytes say what it is.
        {"type": "image_url", "image_url": {"url": format!("data:image/jpeg;base64,{PNG}")}},
        {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": format!("data:application/pdf;base64,{PDF}")}},
    ]);
    let now = json!({"messages": [{"role": "user", "content": pictures}]});
    let before = json!({"messages": [{"role": "user", "content": pictures},
        {"role": "assistant", "content": "I see."}, {"role": "user", "content": "and?"}]});
    for body in [now, before] {
        assert_eq!(choice(&ask(&server, &body).await)["message"]["content"], DEFAULT_ANSWER);
        assert_eq!(sent(&api, "image"), [inline.clone(), remote.clone()], "{body}");
        assert_eq!(sent(&api, "document"), std::slice::from_ref(&document), "{body}");
    }
    let body = json!({"input": [{"role": "user", "content": [
        {"type": "input_text", "text": "what?"},
        {"type": "input_image", "image_url": format!("data:image/png;base64,{PNG}")},
        {"type": "input_file", "filename": "a.pdf", "file_data": format!("data:application/pdf;base64,{PDF}")}]}]});
    assert_eq!(server.post("/v1/responses", &body).await.status, 200);
    assert_eq!((sent(&api, "image"), sent(&api, "document")), (vec![inline.clone()], vec![document.clone()]));
    let body = json!({"max_tokens": 9, "messages": [{"role": "user", "content":
        [{"type": "text", "text": "what?"}, inline.clone(), remote.clone(), document.clone()]}]});
    assert_eq!(server.post("/v1/messages", &body).await.status, 200);
    assert_eq!((sent(&api, "image"), sent(&api, "document")), (vec![inline, remote], vec![document]));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_answer_fits_its_schema_or_is_an_error() {
    let (api, _site, server) = scene().await;
    // As pydantic and zod write them, with words that the CLI's own validator refuses.
    let schema = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Place", "type": "object",
        "properties": {"city": {"$ref": "#/$defs/city"}, "at": {"type": "array", "prefixItems": [{"type": "number"}]}},
        "required": ["city"], "additionalProperties": false, "x-mine": 1,
        "$defs": {"city": {"type": "string", "pattern": "^[A-Z]", "example": "Sofia"}}});
    let format = |strict: Value| json!({"type": "json_schema", "json_schema": {"name": "place", "strict": strict, "schema": schema}});
    let good = r#"Here you are. [[tool StructuredOutput {"city":"Sofia","at":[42.7]}]]"#;
    let place = json!({"city": "Sofia", "at": [42.7]});
    let parsed = |text: &Value| -> Value {
        serde_json::from_str(text.as_str().expect("a text")).expect("JSON and nothing else")
    };
    let bad = r#"[[tool StructuredOutput {"city":"sofia"}]] [[next]] [[text so be it]]"#;
    for strict in [json!(true), json!(false), Value::Null] {
        let answered = choice(&ask(&server, &chat(good, json!({"response_format": format(strict)}))).await);
        assert_eq!(parsed(&answered["message"]["content"]), place);
        assert_eq!(answered["finish_reason"], "stop");
    }
    let request = api.messages().pop().expect("a request");
    let tools = request.body["tools"].as_array().expect("tools").clone();
    let tool = tools.iter().find(|tool| tool["name"] == "StructuredOutput").expect("the CLI's tool");
    assert_eq!(tool["input_schema"]["required"], json!(["city"]));
    assert_eq!(tool["input_schema"]["$defs"]["city"]["pattern"], "^[A-Z]");
    let names = tool["input_schema"]["properties"].as_object().expect("properties").keys();
    assert_eq!(names.collect::<Vec<_>>(), ["city", "at"], "in the order of the request");

    let wanted = json!({"response_format": format(json!(true))});
    for text in ["[[text Sofia, of course.]]", bad] {
        let refused = ask(&server, &chat(text, wanted.clone())).await;
        assert_eq!(refused.error(), (502, "invalid_output".to_owned()), "{text}");
    }
    // The status is held until it is known.
    let mut streaming = chat("[[text Sofia, of course.]]", wanted.clone());
    streaming["stream"] = json!(true);
    assert_eq!(ask(&server, &streaming).await.error(), (502, "invalid_output".to_owned()));
    let mut streaming = chat(good, wanted.clone());
    streaming["stream"] = json!(true);
    let mut stream = server.open("/v1/chat/completions", &streaming).await;
    let events = stream.rest().await;
    let text: String = events[..events.len() - 1]
        .iter()
        .filter_map(|event| event.json()["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(
        serde_json::from_str::<Value>(&text).expect("JSON alone"),
        json!({"city": "Sofia", "at": [42.7]})
    );

    let any =
        chat(r#"[[tool StructuredOutput {"x":[1]}]]"#, json!({"response_format": {"type": "json_object"}}));
    assert_eq!(choice(&ask(&server, &any).await)["message"]["content"], r#"{"x":[1]}"#);
    let body = json!({"input": good, "text": {"format": {"type": "json_schema", "name": "place", "schema": schema}}});
    let reply = server.post("/v1/responses", &body).await.json();
    assert_eq!(parsed(&reply["output"][0]["content"][0]["text"]), place);
    let body = json!({"max_tokens": 99, "messages": [{"role": "user", "content": good}],
        "output_config": {"format": {"type": "json_schema", "schema": schema}}});
    let reply = server.post("/v1/messages", &body).await.json();
    assert_eq!(parsed(&reply["content"][0]["text"]), place);
    let refused = ask(
        &server,
        &chat(
            "x",
            json!({"response_format": {"type": "json_schema", "json_schema":
        {"name": "x", "schema": {"type": "object", "properties": 7}}}}),
        ),
    )
    .await;
    assert_eq!(refused.error(), (400, "invalid_json_schema".to_owned()));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn limits_and_sampling_reach_the_model_from_every_wire() {
    let (api, _site, server) = scene().await;
    let last = |names: &[&str]| {
        let body = api.messages().pop().expect("a request").body;
        names.iter().map(|name| body[*name].clone()).collect::<Vec<_>>()
    };
    let names = ["max_tokens", "temperature", "top_p", "top_k", "stop_sequences"];
    let sampled =
        json!({"max_tokens": 7, "temperature": 0.2, "top_p": 0.5, "top_k": 3, "stop": ["X"], "seed": 1});
    let reply = ask(&server, &chat("hi", sampled)).await;
    assert_eq!(reply.headers["x-claude-exec-ignored"], "seed");
    assert_eq!(last(&names), [json!(7), json!(0.2), json!(0.5), json!(3), json!(["X"])]);
    let body = json!({"input": "hi", "max_output_tokens": 8, "temperature": 0.3});
    assert_eq!(server.post("/v1/responses", &body).await.status, 200);
    assert_eq!(last(&names[..2]), [json!(8), json!(0.3)]);
    let body = json!({"max_tokens": 9, "temperature": 0.4, "top_k": 5, "stop_sequences": ["Y"],
        "messages": [{"role": "user", "content": "[[text so]] [[stop stop_sequence]]"}]});
    let message = server.post("/v1/messages", &body).await.json();
    assert_eq!(last(&names), [json!(9), json!(0.4), Value::Null, json!(5), json!(["Y"])]);
    assert_eq!((&message["stop_reason"], &message["stop_sequence"]), (&json!("stop_sequence"), &json!("Y")));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn thinking_is_off_until_it_is_asked_for_and_then_shown() {
    let (api, _site, server) = scene().await;
    let thought = || {
        let body = api.messages().pop().expect("a request").body;
        (
            body["thinking"]["type"].clone(),
            body["thinking"]["display"].clone(),
            body["output_config"]["effort"].clone(),
        )
    };
    let text = "[[thinking 2]] [[text so]] [[usage output_tokens=9]]";
    for fields in [json!({}), json!({"reasoning_effort": "none"}), json!({"reasoning_effort": "minimal"})] {
        assert_eq!(ask(&server, &chat("[[text so]]", fields)).await.status, 200);
        assert_eq!(thought().0, Value::Null);
    }
    assert_eq!(thought().2, "low");
    let fields = json!({"reasoning_effort": "high", "temperature": 0.2});
    let reply = ask(&server, &chat(text, fields.clone())).await;
    assert_eq!(thought(), (json!("adaptive"), json!("summarized"), json!("high")));
    assert_eq!(reply.headers["x-claude-exec-ignored"], "temperature");
    let message = choice(&reply)["message"].clone();
    assert_eq!(
        (&message["content"], message["reasoning_content"].is_string()),
        (&json!("so"), true),
        "{message}"
    );
    assert_eq!(reply.json()["usage"]["completion_tokens"], 9);

    let mut streaming = chat(text, fields);
    streaming["stream"] = json!(true);
    let mut stream = server.open("/v1/chat/completions", &streaming).await;
    let events = stream.rest().await;
    let deltas = events[..events.len() - 1].iter().map(|event| event.json()["choices"][0]["delta"].clone());
    let mut told: BTreeMap<&str, String> = BTreeMap::new();
    for delta in deltas {
        for name in ["reasoning_content", "content"] {
            *told.entry(name).or_default() += delta[name].as_str().unwrap_or_default();
        }
    }
    assert_eq!(
        (&told["content"], &told["reasoning_content"]),
        (&"so".to_owned(), &message["reasoning_content"].as_str().expect("text").to_owned())
    );

    let body = json!({"input": text, "reasoning": {"effort": "low", "summary": "auto"}});
    let reply = server.post("/v1/responses", &body).await.json();
    assert_eq!(
        (&reply["output"][0]["type"], &reply["output"][1]["type"]),
        (&json!("reasoning"), &json!("message"))
    );
    let body = json!({"max_tokens": 4000, "thinking": {"type": "adaptive"},
        "messages": [{"role": "user", "content": text}]});
    let reply = server.post("/v1/messages", &body).await.json();
    assert_eq!(
        (&reply["content"][0]["type"], &reply["content"][1]["text"]),
        (&json!("thinking"), &json!("so"))
    );
    // Unasked for it is not shown.
    let body = json!({"max_tokens": 4000, "messages": [{"role": "user", "content": text}]});
    assert_eq!(
        server.post("/v1/messages", &body).await.json()["content"],
        json!([{"type": "text", "text": "so"}])
    );
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn every_finish_is_told_on_every_wire() {
    let (_api, _site, server) = scene().await;
    for (marker, finish, incomplete, stop) in [
        ("", "stop", Value::Null, "end_turn"),
        ("[[stop max_tokens]]", "length", json!({"reason": "max_output_tokens"}), "max_tokens"),
        ("[[stop refusal]]", "content_filter", json!({"reason": "content_filter"}), "refusal"),
    ] {
        let text = format!("[[text so]] {marker}");
        assert_eq!(choice(&ask(&server, &chat(&text, json!({}))).await)["finish_reason"], finish);
        let response = server.post("/v1/responses", &json!({ "input": text })).await.json();
        assert_eq!(response["incomplete_details"], incomplete);
        let events = streamed(&server, "/v1/responses", &json!({"input": text, "stream": true})).await;
        let last = if incomplete.is_null() { "response.completed" } else { "response.incomplete" };
        assert_eq!(events.last().expect("events")["type"], last);
        let body = json!({"max_tokens": 9, "messages": [{"role": "user", "content": text}]});
        assert_eq!(server.post("/v1/messages", &body).await.json()["stop_reason"], stop);
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_streamed_response_has_openais_events_and_a_message_anthropics() {
    let (_api, _site, server) = scene().await;
    let body = json!({"input": "[[words 2]] [[usage input_tokens=7]]", "stream": true});
    let events = streamed(&server, "/v1/responses", &body).await;
    let expected = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(kinds(&events), expected);
    let numbers: Vec<u64> = events.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
    assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    let usage = &events[9]["response"]["usage"];
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(7), &json!(2)));
    let body =
        json!({"max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "[[words 2]]"}]});
    let events = streamed(&server, "/v1/messages", &body).await;
    let expected = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(kinds(&events), expected);
    assert_eq!(events[5]["usage"]["output_tokens"], 2);
    // In the middle of either a failure is an event of its wire, and the last one.
    let body = json!({"input": "[[words 3]] [[cut]]", "stream": true});
    let events = streamed(&server, "/v1/responses", &body).await;
    let last = events.last().expect("events");
    assert_eq!(
        (&last["type"], &last["response"]["error"]["code"]),
        (&json!("response.failed"), &json!("answer_restarted"))
    );
    let body = json!({"max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "[[words 3]] [[cut]]"}]});
    let events = streamed(&server, "/v1/messages", &body).await;
    assert_eq!(events.last().expect("events")["error"]["type"], "api_error");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_response_is_gone_on_from_over_a_restart_until_it_is_deleted() {
    let (api, site, server) = scene().await;
    let first = json!({"input": "my name is Ana", "instructions": "Be kind."});
    let first = server.post("/v1/responses", &first).await.json();
    assert_eq!((&first["status"], &first["store"]), (&json!("completed"), &json!(true)));
    assert_eq!(server.terminate().await.code(), Some(0));
    let server = site.start().await;
    let path = format!("/v1/responses/{}", first["id"].as_str().expect("an id"));
    assert_eq!(server.get(&path).await.json(), first);
    let more = json!({"input": "who am I?", "previous_response_id": first["id"]});
    let second = server.post("/v1/responses", &more).await.json();
    assert_eq!(second["previous_response_id"], first["id"]);
    let request = api.messages().pop().expect("a request").body;
    let said = request["messages"].to_string();
    for text in ["my name is Ana", DEFAULT_ANSWER, "who am I?"] {
        assert!(said.contains(text), "{text} in {said}");
    }
    assert!(!system_text(&request).contains("Be kind."), "instructions are each request's own");
    let gone = server.send("DELETE", &path, &[]).await;
    assert_eq!((gone.status, &gone.json()["deleted"]), (200, &json!(true)));
    assert_eq!(server.get(&path).await.status, 404);
    assert_eq!(
        server.post("/v1/responses", &more).await.error(),
        (400, "previous_response_not_found".to_owned())
    );
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_response_that_is_cancelled_leaves_nothing_running() {
    let (api, site, server) = scene().await;
    let body = json!({"input": "[[words 2]] [[silence]]", "stream": true});
    let mut stream = server.open("/v1/responses", &body).await;
    let created = stream.next().await.expect("an event").json();
    let path = format!("/v1/responses/{}", created["response"]["id"].as_str().expect("an id"));
    assert_eq!(server.get(&path).await.json()["status"], "in_progress");
    let cancel = format!("{path}/cancel");
    let nothing = json!({});
    let (events, cancelled) = tokio::join!(stream.rest(), server.post(&cancel, &nothing));
    assert_eq!((cancelled.status, &cancelled.json()["status"]), (200, &json!("cancelled")));
    assert_eq!(events.last().expect("events").json()["response"]["status"], "cancelled");
    assert_eq!(server.get(&path).await.json()["status"], "cancelled");
    assert_eq!(server.post(&cancel, &json!({})).await.status, 400);
    server.load_is(0, 0).await;
    process::until("the model is left alone", || api.active() == 0).await;
    assert_eq!(site.children(), []);
}
