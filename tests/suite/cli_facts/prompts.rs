//! What happens to a user's text on its way to the model.

use serde_json::{Value, json};

use super::common::{lean, once, result, spawn};
use crate::support::cli::{Home, Pipe, user};
use crate::support::model_api::ModelApi;

/// A user message that the CLI may expand.
fn expandable(text: &str) -> Value {
    json!({"type": "user", "message": {"role": "user", "content": text}, "parent_tool_use_id": null})
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn client_composed_text_reaches_the_model_as_exactly_those_bytes() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let long = "0123456789".repeat(30_000);
    let texts = [
        "@/etc/hostname",
        "/clear",
        "/cost",
        "--dangerously-skip-permissions",
        "!id",
        "# remember this",
        "  two spaces around \n",
        "Здравей, как си? 👋 \u{1f469}\u{200d}\u{1f4bb} \r\n\t\"quoted\" \\ \u{7f}\u{2028}",
        "<system-reminder>not the CLI's</system-reminder> ultrathink",
        long.as_str(),
    ];
    for text in texts {
        let done = once(&home, &[], text).await;
        assert!(done.status.success(), "{}", done.stderr);
        let last = api.messages().pop().expect("a turn");
        assert_eq!(last.user_texts(), [text], "one-shot");
    }
    assert_eq!(api.messages().len(), texts.len(), "no message was taken for a command");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn client_composed_text_is_verbatim_in_a_live_process_with_tools_too() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut pipe = spawn(&home, &["--setting-sources="]);
    let texts = ["@/etc/hostname", "/clear", "/compact", "--version"];
    for text in texts {
        pipe.turn(text).await;
    }
    assert_eq!(api.messages().pop().expect("a turn").user_texts(), texts);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn other_text_is_expanded_and_executed() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let secret = home.path().join("secret.txt");
    std::fs::write(&secret, "THE CONTENT OF A FILE").expect("fresh");
    let mention = format!("@{}", secret.display());

    let mut pipe = spawn(&home, &["--tools=", "--setting-sources=", "--system-prompt=x"]);
    pipe.send(&expandable(&mention)).await;
    pipe.result().await;
    assert!(api.messages()[0].body.to_string().contains("THE CONTENT OF A FILE"));
    pipe.send(&expandable("/cost")).await;
    pipe.result().await;
    assert_eq!(api.messages().len(), 1, "a command asks no model");

    let home = Home::new(&api).env_var("CLAUDE_CODE_DISABLE_FILE_MENTIONS", "1");
    let mut pipe = spawn(&home, &["--tools=", "--setting-sources="]);
    pipe.send(&expandable(&mention)).await;
    pipe.result().await;
    let body = api.messages()[1].body.to_string();
    assert!(body.contains(&mention) && !body.contains("THE CONTENT OF A FILE"));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_prompt_that_is_too_long_is_an_error_result() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    // The newest models are guarded by the CLI itself ...
    let done = once(&home, &["--model=opus"], &"x".repeat(3_000_000)).await;
    assert!(api.messages().is_empty(), "it never left the machine");
    let local = (done.status.code(), told(result(&done)));
    assert_eq!(local, (Some(1), json!([true, "success", "Prompt is too long", null, "blocking_limit"])));
    // ... at three megabytes; below that, and for older ones, the API has the last word.
    for flag in ["--model=opus", "--model=claude-haiku-4-5"] {
        let done = once(&home, &[flag], &"x".repeat(2_000_000)).await;
        assert_eq!(result(&done)["terminal_reason"], "prompt_too_long", "{flag}");
    }
    assert_eq!(api.messages().len(), 2);
    let long = "[[status 400 prompt is too long: 210000 tokens > 200000 maximum]]";
    let done = once(&home, &["--model=claude-haiku-4-5"], long).await;
    let mut remote = told(result(&done));
    assert!(remote[2].as_str().is_some_and(|text| text.starts_with("Prompt is too long")), "{remote}");
    remote[2] = Value::Null;
    assert_eq!(remote, json!([true, "success", null, 400, "prompt_too_long"]));
}

/// What a caller needs of a result.
fn told(result: &Value) -> Value {
    ["is_error", "subtype", "result", "api_error_status", "terminal_reason"]
        .iter()
        .map(|name| result[*name].clone())
        .collect()
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn images_travel_as_blocks() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    // One white pixel.
    let data =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg==";
    let source = json!({"type": "base64", "media_type": "image/png", "data": data});
    let content = json!([{"type": "text", "text": "what is it"}, {"type": "image", "source": source}]);
    let mut message = user("");
    message["message"]["content"] = content;
    let mut pipe = lean(&home, &[]);
    pipe.send(&message).await;
    assert_eq!(pipe.result().await["is_error"], false);
    let body = &api.messages()[0].body;
    let blocks = body["messages"][0]["content"].as_array().expect("blocks");
    assert!(blocks.iter().any(|block| block["source"]["data"] == data), "{body}");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_line_that_is_not_json_kills_the_session_and_what_was_queued() {
    let home = Home::with_base_url("http://127.0.0.1:9");
    for (line, says) in
        [("garbage", "SyntaxError"), ("null", "TypeError"), (r#"{"type":"user"}"#, "role 'user'")]
    {
        let mut pipe = lean(&home, &[]);
        pipe.send(&user("hi")).await;
        pipe.send_raw(format!("{line}\n").as_bytes()).await;
        let done = pipe.finish().await;
        assert_eq!(done.status.code(), Some(1), "{line}");
        assert!(done.stderr.contains(says), "{line}: {}", done.stderr);
        assert!(!done.lines.iter().any(|line| line["type"] == "result"));
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn other_odd_lines_are_ignored() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut pipe = lean(&home, &[]);
    pipe.send_raw(b"\n   \n[1,2]\n\"text\"\n{}\n{\"type\":\"brand_new\"}\n{\"type\":\"keep_alive\"}\r\n")
        .await;
    assert_eq!(pipe.turn("hi").await["is_error"], false);
    assert!(pipe.finish().await.status.success());
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_line_of_twenty_megabytes_is_read() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut pipe = Pipe::spawn(home.command().args(super::common::STREAM).args(super::common::LEAN));
    let mut message = user("hi");
    message["padding"] = "x".repeat(20_000_000).into();
    pipe.send(&message).await;
    assert_eq!(pipe.result().await["is_error"], false);
    assert_eq!(api.messages()[0].user_texts(), ["hi"]);
}
