//! openai-python, unmodified, against the server over the real CLI: what its users see, and what the model gets.
//!
//! The scripts are in `tests/clients/openai_python`; each prints what it saw as lines of JSON.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::model_api::{DEFAULT_ANSWER, ModelApi, system_text};
use crate::support::process;
use crate::support::server::{Server, Site, TOKEN};

/// Longer than any script takes.
const PATIENCE: Duration = Duration::from_secs(100);

/// The interpreter that has the client: `CLAUDE_EXEC_TEST_PYTHON`, or the one that `tests/run.sh` has installed.
pub(super) fn python() -> PathBuf {
    if let Some(path) = std::env::var_os("CLAUDE_EXEC_TEST_PYTHON") {
        return PathBuf::from(path);
    }
    let home = std::env::var_os("HOME").expect("HOME is set");
    let installed = std::fs::read_dir(PathBuf::from(home).join(".cache/claude-exec-tests/python"));
    let complete = |path: &PathBuf| path.join("complete").exists();
    let found = installed.into_iter().flatten().flatten().map(|entry| entry.path()).find(complete);
    found.expect("no Python client: run tests/run.sh, or set CLAUDE_EXEC_TEST_PYTHON").join("bin/python")
}

/// A running script.
struct Script {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Script {
    fn start(name: &str, server: &Server) -> Self {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/openai_python");
        let mut child = Command::new(python())
            .arg(directory.join(name))
            .env("OPENAI_BASE_URL", format!("{}/v1", server.url()))
            .env("OPENAI_API_KEY", TOKEN)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env_remove("HTTP_PROXY")
            .env_remove("http_proxy")
            .env_remove("ALL_PROXY")
            .env_remove("all_proxy")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the interpreter starts");
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        Self { child, lines }
    }

    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect("it says something");
        let line = line.expect("it is text").expect("the script failed; stderr says why");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"))
    }

    async fn nudge(&mut self) {
        self.child.stdin.as_mut().expect("stdin is piped").write_all(b"\n").await.expect("it reads");
    }

    async fn end(mut self) {
        let exit = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends");
        assert!(exit.expect("it is our child").success());
    }
}

async fn run(name: &str, server: &Server) -> Value {
    let mut script = Script::start(name, server);
    let told = script.next().await;
    script.end().await;
    told
}

async fn scene(env: &[(&str, &str)]) -> (ModelApi, Site, Server) {
    let api = ModelApi::start().await;
    let site = env.iter().fold(Site::real(&api).repository(), |site, (name, value)| site.env(name, value));
    let server = site.start().await;
    (api, site, server)
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn whole_answers() {
    let (api, _site, server) = scene(&[]).await;
    let told = run("chat.py", &server).await;
    let models: Vec<&str> =
        told["models"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    for name in ["haiku", "sonnet", "opus", "fable", "claude-sonnet-4-6", "probe"] {
        assert!(models.contains(&name), "{name} in {models:?}");
    }
    assert_eq!(told["one_model"], "haiku");
    let plain = json!({
        "id": "chatcmpl-", "object": "chat.completion", "model": "sonnet", "role": "assistant",
        "content": "word0 word1 word2 ", "finish_reason": "stop", "usage": [7, 3, 10],
    });
    assert_eq!(told["plain"], plain);
    assert_eq!((&told["ignored"], &told["request_id"]), (&json!("seed"), &json!(true)));
    assert_eq!(told["long"], DEFAULT_ANSWER);
    assert_eq!(told["cut"], json!(["word0 word1 word2 word3 ", "length"]));

    let requests = api.messages();
    // The CLI itself goes on where a limit cuts it, and may have asked once more before it was stopped.
    assert!(requests.len() == 3 || requests.len() == 4, "{}", requests.len());
    let long = &requests[1].body;
    assert!(system_text(long).contains("You are terse.\n\nBe kind."), "{}", system_text(long));
    let told =
        long["messages"].as_array().expect("a list").iter().filter(|message| message["role"] != "system");
    let roles: Vec<&Value> = told.map(|message| &message["role"]).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    assert_eq!(requests[1].user_texts(), ["one", "three"]);
    let sampling = (&long["max_tokens"], &long["temperature"], &long["stop_sequences"]);
    assert_eq!(sampling, (&json!(66), &json!(0.25), &json!(["YY"])));
    assert!(long["model"].as_str().is_some_and(|model| model.contains("haiku")), "{}", long["model"]);
    for request in requests {
        assert!(request.body["tools"].as_array().is_none_or(Vec::is_empty), "no tools");
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn streamed_answers() {
    let (api, _site, server) = scene(&[]).await;
    let told = run("stream.py", &server).await;
    let plain = json!([
        ["assistant", "", null, null],
        [null, "word0 ", null, null],
        [null, "word1 ", null, null],
        [null, "word2 ", null, null],
        [null, null, "stop", null],
    ]);
    assert_eq!(told["plain"], plain);
    assert_eq!(
        (&told["ids"], &told["kinds"], &told["models"]),
        (&json!(1), &json!(["chat.completion.chunk"]), &json!(["sonnet"]))
    );
    let usage = told["usage"].as_array().expect("chunks");
    assert_eq!(usage.last(), Some(&json!([null, null, null, [7, 2, 9]])));
    assert!(usage[..usage.len() - 1].iter().all(|chunk| chunk[3].is_null()), "{usage:?}");
    let helper = json!([["chunk", "content.delta", "content.done"], "Добър ден", "stop"]);
    assert_eq!(told["helper"], helper);
    assert_eq!(api.messages().len(), 3);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_long_conversation_stays_in_one_process() {
    let (api, site, server) = scene(&[]).await;
    let told = run("conversation.py", &server).await;
    assert_eq!(told["answers"].as_array().expect("a list").len(), 20, "{told}");
    let claims = async |origin: &str| {
        server.metric(&format!("claude_exec_pool_claims_total{{origin=\"{origin}\"}}")).await
    };
    assert_eq!((claims("cold").await, claims("live").await), (1.0, 19.0), "turns 2 to 20 are warm");
    // Nothing but what the client has sent: 20 questions, 19 answers.
    let requests = api.messages();
    assert_eq!(requests.len(), 20);
    let messages = requests[19].body["messages"].as_array().expect("a list");
    let messages: Vec<&Value> = messages.iter().filter(|message| message["role"] != "system").collect();
    assert_eq!(messages.len(), 39);
    for (at, message) in messages.iter().enumerate() {
        let text = match &message["content"] {
            Value::String(text) => text.as_str(),
            blocks => {
                assert_eq!(blocks.as_array().expect("blocks").len(), 1);
                blocks[0]["text"].as_str().expect("a text")
            }
        };
        let sent = &told["messages"][at];
        assert_eq!((&message["role"], &json!(text)), (&sent["role"], &sent["content"]), "message {at}");
    }
    server.keeps_only(&site).await;
    assert_eq!(server.terminate().await.code(), Some(0));
    assert_eq!(site.children(), [], "the server takes them with it");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn several_at_once() {
    let (api, _site, server) = scene(&[]).await;
    assert_eq!(run("async_client.py", &server).await, json!(["one", "two", "three", "four"]));
    assert_eq!(api.messages().len(), 4);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn failures_are_the_exceptions_they_should_be() {
    let (_api, _site, server) = scene(&[]).await;
    let told = run("errors.py", &server).await;
    let table = [
        ("wrong_key", "AuthenticationError", json!(401), json!("invalid_api_key")),
        ("wrong_key_models", "AuthenticationError", json!(401), json!("invalid_api_key")),
        ("unknown_model", "BadRequestError", json!(400), json!("model_not_found")),
        ("unknown_model_retrieved", "NotFoundError", json!(404), json!("model_not_found")),
        ("no_messages", "BadRequestError", json!(400), json!(null)),
        ("bad_role", "BadRequestError", json!(400), json!(null)),
        ("too_long", "BadRequestError", json!(400), json!("context_length_exceeded")),
        ("upstream_400", "BadRequestError", json!(400), json!(null)),
        // Not the caller's 401: its key is good.
        ("upstream_401", "InternalServerError", json!(502), json!("upstream_auth")),
        ("upstream_401_stream", "InternalServerError", json!(502), json!("upstream_auth")),
        ("upstream_404", "NotFoundError", json!(404), json!("model_not_found")),
        ("mid_stream", "APIError", json!(null), json!("answer_restarted")),
    ];
    for (name, class, status, code) in table {
        let error = &told[name];
        assert_eq!((&error["class"], &error["status"]), (&json!(class), &status), "{name}: {error}");
        assert!(code.is_null() || error["code"] == code, "{name}: {error}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{name}: {error}");
    }
    assert_eq!(told["mid_stream"]["text"], "word0 word1 word2 ");
    assert!(
        told["unknown_model"]["message"].as_str().is_some_and(|text| text.contains("sonnet")),
        "the list"
    );
    assert_eq!(told["unknown_model"]["param"], "model");
    assert_eq!(told["after_all"], "fine");
    server.load_is(0, 0).await;
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn leaving_ends_the_turn_while_the_client_lives_on() {
    let (api, site, server) = scene(&[]).await;
    let mut script = Script::start("cancel.py", &server);
    let told = script.next().await;
    assert_eq!(told, json!(["word0 ", true, "APITimeoutError"]));
    assert_eq!(api.messages().len(), 3);
    server.load_is(0, 0).await;
    process::until("the model is left alone", || api.active() == 0).await;
    server.keeps_only(&site).await;
    script.nudge().await;
    script.end().await;
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn the_client_comes_back_when_it_is_worth_it_and_only_then() {
    let (api, site, server) = scene(&[("MAX_CONCURRENCY", "1"), ("MAX_QUEUE_DEPTH", "0")]).await;
    let mut held = server.chat_stream("[[words 1]] [[hold]] [[text released]]").await;
    assert_eq!(held.first_text().await, "word0 ");
    let mut script = Script::start("retries.py", &server);
    assert_eq!(script.next().await, json!(["RateLimitError", "queue_full", "2"]));
    script.nudge().await;
    process::until("it has been refused again", || {
        let log = site.log();
        log.matches("queue_full").count() >= 2
    })
    .await;
    api.release();
    assert_eq!(held.rest().await.last().expect("an end").data, "[DONE]");
    let told = script.next().await;
    assert_eq!(told, json!(["served", "InternalServerError", "upstream_auth"]));
    script.end().await;
    let mut texts: Vec<String> = api.messages().iter().flat_map(|request| request.user_texts()).collect();
    texts.dedup(); // the CLI may have asked once more before it was stopped
    assert_eq!(texts, ["[[words 1]] [[hold]] [[text released]]", "[[text served]]", "[[status 401]]"]);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn responses() {
    let (api, _site, server) = scene(&[]).await;
    let told = run("responses.py", &server).await;
    assert_eq!(told["plain"], json!(["word0 word1 ", "completed", [7, 2, 9]]));
    assert_eq!(told["again"], "word0 word1 ");
    assert!(told["recalled"].as_str().is_some_and(|text| text.ends_with("recalled")), "{}", told["recalled"]);
    let items = json!([
        ["user", "[[words 2]] [[usage input_tokens=7]]"],
        ["assistant", "word0 word1 "],
        ["user", "[[text recalled]]"]
    ]);
    assert_eq!(told["items"], items, "over two pages");
    let kinds = json!([
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed"
    ]);
    assert_eq!(told["stream"], json!([kinds, "Добър ден"]));
    assert_eq!(told["raw"], json!("word0 word1 word2 "));
    assert_eq!(told["cut"], json!(["incomplete", "max_output_tokens"]));
    assert_eq!(told["thought"], json!(["reasoning", "message"]));
    assert_eq!(told["async"], "so");
    assert_eq!(told["gone"], json!(["NotFoundError", 404]));
    assert_eq!(told["no_previous"], json!(["BadRequestError", "previous_response_not_found"]));
    let recalled =
        api.messages().into_iter().find(|request| request.body.to_string().contains("text recalled"));
    let recalled = recalled.expect("it was asked").body.to_string();
    assert!(recalled.contains("word0 word1 ") && !recalled.contains("Be terse."), "{recalled}");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn pictures_and_files() {
    let (api, _site, server) = scene(&[]).await;
    let told = run("content.py", &server).await;
    assert_eq!(told["chat"], DEFAULT_ANSWER);
    assert_eq!(told["responses"], DEFAULT_ANSWER);
    let refused = |param: &str, code: Value| json!(["BadRequestError", param, code]);
    assert_eq!(
        told["no_image"],
        refused("messages[0].content[1].image_url.url", json!("invalid_image_format"))
    );
    assert_eq!(told["too_large"], refused("messages[0].content[1].image_url.url", json!("file_too_large")));
    assert_eq!(told["audio"], refused("messages[0].content[0].input_audio", json!("unsupported_parameter")));
    let requests = api.messages();
    assert_eq!(requests.len(), 2);
    for request in requests {
        let messages = request.body["messages"].to_string();
        for kind in ["\"type\":\"image\"", "\"type\":\"document\"", "\"url\":\"https://example.com/x.png\""] {
            assert!(messages.contains(kind), "{kind}");
        }
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn structured_answers() {
    let (_api, _site, server) = scene(&[]).await;
    let told = run("structured.py", &server).await;
    let place = json!({"city": "Sofia", "mood": "calm", "visits": [{"year": 2025, "note": null}]});
    assert_eq!(told["chat"], place);
    assert_eq!(told["stream"], place);
    assert_eq!(told["responses"], place);
    assert_eq!(told["responses_stream"], place);
    assert_eq!(told["object"], json!({"any": [1]}));
    assert_eq!(told["prose"], json!(["InternalServerError", "invalid_output"]));
    assert_eq!(told["cut"], "LengthFinishReasonError");
}
