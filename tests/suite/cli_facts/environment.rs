//! Variables that change what the CLI does.

use serde_json::Value;

use super::common::{lean, once, result};
use crate::support::cli::{Home, initialize};
use crate::support::model_api::{ModelApi, Recorded};

/// The request of a new conversation under these variables.
async fn request(variables: &[(&str, &str)]) -> Recorded {
    let api = ModelApi::start().await;
    let home = variables.iter().fold(Home::new(&api), |home, (name, value)| home.env_var(name, value));
    let mut pipe = lean(&home, &[]);
    pipe.send(&initialize("i", serde_json::json!({"systemPrompt": "S"}))).await;
    assert_eq!(pipe.turn("hi").await["is_error"], false);
    api.messages().remove(0)
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_lean_request_holds_the_prompts_and_an_environment_block() {
    let lean = request(&[]).await;
    assert_eq!(lean.roles(), ["user", "system"]);
    assert!(lean.body["messages"][1].to_string().contains("# Environment"));
    assert_eq!(lean.body["thinking"]["type"], "adaptive");
    assert!(lean.body_len < 2_500, "{}", lean.body_len);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn thinking_can_be_switched_off() {
    let without = request(&[("CLAUDE_CODE_DISABLE_THINKING", "1")]).await;
    assert!(matches!(&without.body["thinking"], Value::Null), "{}", without.body["thinking"]);
    for half in [("MAX_THINKING_TOKENS", "0")] {
        let still = request(&[half]).await;
        assert_eq!(still.body["thinking"]["type"], "adaptive", "{half:?}");
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn simple_mode_leaves_out_the_environment_block() {
    let simple = request(&[("CLAUDE_CODE_SIMPLE", "1"), ("CLAUDE_CODE_DISABLE_THINKING", "1")]).await;
    assert_eq!(simple.body["messages"][1]["content"], serde_json::json!([]));
    assert!(simple.body_len < 1_200, "{}", simple.body_len);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn no_key_is_a_result_and_no_request() {
    let api = ModelApi::start().await;
    let home = Home::new(&api).env_var("ANTHROPIC_API_KEY", "");
    let done = once(&home, &[], "hi").await;
    assert_eq!(result(&done)["is_error"], true);
    let text = result(&done)["result"].as_str().unwrap_or_default().to_owned();
    assert!(text.contains("Not logged in"), "{text}");
    assert!(api.requests().is_empty());
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_mark_of_a_nested_run_changes_nothing_here() {
    let nested = request(&[("CLAUDECODE", "1"), ("CLAUDE_CODE_ENTRYPOINT", "cli")]).await;
    assert_eq!(nested.user_texts(), ["hi"]);
}

/// Nothing but the stand-in is called, and no probe either.
#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn one_turn_is_one_request() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    once(&home, &[], "hi").await;
    let paths: Vec<String> = api.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/v1/messages?beta=true"]);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn its_version_is_one_line() {
    let home = Home::with_base_url("http://127.0.0.1:9");
    let output = home.command().arg("--version").output().await.expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2.1.330 (Claude Code)\n");
}
