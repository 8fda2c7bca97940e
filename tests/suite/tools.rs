//! Tools that run at the client, on the real CLI.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use super::openai_python::python;
use crate::support::model_api::{ModelApi, tool_results};
use crate::support::server::{Server, Site, TOKEN};

async fn scene() -> (ModelApi, Site, Server) {
    let api = ModelApi::start().await;
    let site = Site::real(&api).env("POOL_SPARES", "0");
    let server = site.start().await;
    (api, site, server)
}

fn call(name: &str, input: Value) -> String {
    format!("[[tool mcp__client__{name} {input}]]")
}

/// Kinds of the blocks of the last request's messages, without the CLI's own.
fn shape(body: &Value) -> Vec<String> {
    let messages = body["messages"].as_array().expect("a list").iter();
    messages
        .filter(|message| message["role"] != "system")
        .map(|message| {
            let kinds: Vec<&str> = match &message["content"] {
                Value::Array(blocks) => blocks.iter().filter_map(|block| block["type"].as_str()).collect(),
                _ => vec!["text"],
            };
            format!("{}: {}", message["role"].as_str().unwrap_or_default(), kinds.join(" "))
        })
        .collect()
}

/// The texts of the results in the last request's messages.
fn results(body: &Value) -> Vec<String> {
    tool_results(body).into_iter().map(|(text, _)| text).collect()
}

fn tools() -> Value {
    let schema =
        json!({"type": "object", "properties": {"where": {"type": "string"}, "at": {"type": "string"}}});
    json!([{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": schema}}])
}

async fn ask(server: &Server, messages: &[Value], fields: Value) -> Value {
    let mut body = json!({"model": "sonnet", "messages": messages, "tools": tools()});
    body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    let reply = server.post("/v1/chat/completions", &body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["choices"][0].clone()
}

fn answers(choice: &Value, text: impl Fn(&Value) -> String) -> Vec<Value> {
    let calls = choice["message"]["tool_calls"].as_array().expect("calls");
    calls
        .iter()
        .map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": text(call)}))
        .collect()
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_agent_of_openai_python_has_three_rounds_in_one_session() {
    let (api, _site, server) = scene().await;
    let question = [
        call("temperature", json!({"city": "Sofia"})),
        call("temperature", json!({"city": "Varna"})),
        "[[next]]".to_owned(),
        call("temperature", json!({"city": "Burgas"})),
        "[[next]]".to_owned(),
        call("fahrenheit", json!({"celsius": 25})),
        "[[next]] [[text Burgas is the warmest. ]]".to_owned(),
    ];
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/clients/weather_agent.py");
    let output = tokio::process::Command::new(python())
        .arg(script)
        .arg(question.join(" "))
        .env("OPENAI_BASE_URL", format!("{}/v1", server.url()))
        .env("OPENAI_API_KEY", TOKEN)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the interpreter starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}");
    assert_eq!(out.trim(), "Burgas is the warmest.");
    assert_eq!(err.lines().count(), 4, "{err}");

    let requests = api.messages();
    assert_eq!(requests.len(), 4, "one for each round and one for the answer");
    let body = &requests[3].body;
    let expected = [
        "user: text",
        "assistant: tool_use tool_use",
        "user: tool_result tool_result",
        "assistant: tool_use",
        "user: tool_result",
        "assistant: tool_use",
        "user: tool_result",
    ];
    assert_eq!(shape(body), expected);
    let texts: Vec<String> = requests[1..].iter().flat_map(|request| results(&request.body)).collect();
    assert!(
        texts.starts_with(&["21 °C".to_owned(), "24 °C".to_owned()]),
        "in the order of the calls: {texts:?}"
    );
    assert!(texts.contains(&"77 °F".to_owned()), "{texts:?}");
    let tools = body["tools"].as_array().expect("tools").iter().map(|tool| &tool["name"]);
    assert_eq!(
        tools.collect::<Vec<_>>(),
        ["mcp__client__fahrenheit", "mcp__client__temperature"],
        "and no other"
    );
    let claims = async |origin: &str| {
        server.metric(&format!("claude_exec_pool_claims_total{{origin=\"{origin}\"}}")).await
    };
    assert_eq!((claims("cold").await, claims("live").await), (1.0, 0.0), "one live session");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_restart_of_the_server_loses_no_call() {
    let (api, site, server) = scene().await;
    let input = json!({"where": "sky", "at": "dawn"});
    let prompt = format!("{} [[next]] [[text seen]]", call("look", input.clone()));
    let mut messages = vec![json!({"role": "user", "content": prompt})];
    let choice = ask(&server, &messages, json!({})).await;
    assert_eq!(choice["finish_reason"], "tool_calls", "{choice}");
    messages.push(choice["message"].clone());
    messages.extend(answers(&choice, |_| "blue".to_owned()));
    assert_eq!(server.terminate().await.code(), Some(0));
    assert_eq!(site.children(), [], "a turn that waits is ended too");
    let server = site.start().await;
    let choice = ask(&server, &messages, json!({})).await;
    assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&json!("seen"), &json!("stop")));
    let body = api.messages().pop().expect("a request").body;
    assert_eq!(shape(&body), ["user: text", "assistant: tool_use", "user: tool_result"]);
    assert_eq!(results(&body), ["blue"]);
    // Members come in the order in which they were written: the tool's, and those of the call that is replayed.
    let names = body["tools"][0]["input_schema"]["properties"].as_object().expect("properties").keys();
    assert_eq!(names.collect::<Vec<_>>(), ["where", "at"]);
    let calls = body["messages"].as_array().expect("messages").iter();
    let call = calls.filter_map(|message| message["content"].as_array()).flatten();
    let call = call.filter(|block| block["type"] == "tool_use").map(|block| block["input"].to_string());
    assert_eq!(call.collect::<Vec<_>>(), [input.to_string()]);
    assert_eq!(
        body["messages"].to_string().matches("mcp__client__look").count(),
        1 + 1,
        "the prompt and the call"
    );
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn the_choice_and_the_limits_are_those_of_each_request() {
    let (api, _site, server) = scene().await;
    let prompt = format!("{} [[next]] [[text seen]]", call("look", json!({"at": "sky"})));
    let mut messages = vec![json!({"role": "user", "content": prompt})];
    let fields = json!({"tool_choice": "required", "parallel_tool_calls": false, "max_tokens": 77});
    let choice = ask(&server, &messages, fields).await;
    messages.push(choice["message"].clone());
    messages.extend(answers(&choice, |call| format!("{} seen", call["function"]["name"])));
    let choice = ask(&server, &messages, json!({"temperature": 0.5, "max_tokens": 66})).await;
    messages.extend([choice["message"].clone(), json!({"role": "user", "content": "and?"})]);
    let named = json!({"type": "function", "function": {"name": "look"}});
    ask(&server, &messages, json!({"tool_choice": named})).await;
    messages.pop();
    messages.push(json!({"role": "user", "content": "or?"}));
    ask(&server, &messages, json!({"tool_choice": "none"})).await;
    let sent: Vec<Value> = api
        .messages()
        .iter()
        .map(|request| json!([request.body["tool_choice"], request.body["temperature"]]))
        .collect();
    let any = json!({"type": "any", "disable_parallel_tool_use": true});
    let expected = [
        json!([any, null]),
        json!([null, 0.5]),
        json!([{"type": "tool", "name": "mcp__client__look"}, null]),
        json!([{"type": "none"}, null]),
    ];
    assert_eq!(sent, expected);
    let limits: Vec<Value> =
        api.messages()[..2].iter().map(|request| request.body["max_tokens"].clone()).collect();
    assert_eq!(limits, [77, 66]);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn loops_at_once_keep_their_results_apart() {
    let (api, _site, server) = scene().await;
    let run = async |number: usize| {
        let own = format!("n{number}");
        let calls = [call("look", json!({"at": own})), call("look", json!({"at": format!("{own}b")}))];
        let prompt = format!("loop {number} {} {} [[next]] [[text end {number}]]", calls[0], calls[1]);
        let mut messages = vec![json!({"role": "user", "content": prompt})];
        if number.is_multiple_of(3) {
            let hasty = ask(&server, &messages, json!({}));
            let _left = tokio::time::timeout(std::time::Duration::from_millis(300), hasty).await;
        }
        let choice = ask(&server, &messages, json!({})).await;
        messages.push(choice["message"].clone());
        messages.extend(answers(&choice, |call| {
            format!("loop {number} of {}", call["function"]["arguments"].as_str().unwrap_or_default())
        }));
        let choice = ask(&server, &messages, json!({})).await;
        assert_eq!(choice["message"]["content"], format!("end {number}"));
    };
    futures::future::join_all((0..8).map(run)).await;
    let mut rounds = 0;
    for request in api.messages() {
        let all = request.body["messages"].to_string();
        let given = results(&request.body);
        if given.is_empty() {
            continue;
        }
        rounds += 1;
        let number: usize =
            (0..8).find(|number| all.contains(&format!("loop {number} [["))).expect("one asked");
        let of = |at: String| format!("loop {number} of {}", json!({ "at": at }));
        assert_eq!(given, [of(format!("n{number}")), of(format!("n{number}b"))]);
    }
    assert_eq!(rounds, 8);
}
