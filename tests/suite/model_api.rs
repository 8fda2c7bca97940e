//! The stand-in for the model API, alone and with the real CLI in front of it.

use serde_json::json;

use crate::support::cli::{Home, Pipe, initialize, user};
use crate::support::model_api::{Action, DEFAULT_ANSWER, ModelApi, Scenario, TOOL_ANSWER};

const LIVE: [&str; 9] = [
    "-p",
    "--input-format=stream-json",
    "--output-format=stream-json",
    "--verbose",
    "--include-partial-messages",
    "--tools=",
    "--setting-sources=",
    "--strict-mcp-config",
    "--disable-slash-commands",
];

#[test]
fn markers_are_played_in_order_and_sections_answer_the_rounds_of_a_turn() {
    let text = r#"do [[thinking 1]] it [[tool Bash {"command":"echo [[1]]"}]] [[next]] [[text all done]]"#;
    let tool = Action::Tool { name: "Bash".to_owned(), input: json!({"command": "echo [[1]]"}) };
    let first = Scenario::default().then(Action::Thinking(vec!["word0 ".to_owned()])).then(tool);
    assert_eq!(Scenario::parse(text, 0), first);
    assert_eq!(Scenario::parse(text, 1), Scenario::text("all done"));
    assert_eq!(Scenario::parse(text, 2), Scenario::text(TOOL_ANSWER));
    assert_eq!(Scenario::parse("no marker, or [[an unknown one]]", 0), Scenario::text(DEFAULT_ANSWER));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn the_real_cli_talks_to_it_and_remembers() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut pipe = Pipe::spawn(home.command().args(LIVE));
    pipe.send(&initialize("i", json!({"systemPrompt": "S"}))).await;
    pipe.send(&user("hello [[words 3]]")).await;
    assert_eq!(pipe.result().await["result"], "word0 word1 word2 ");
    assert_eq!(pipe.turn("two").await["result"], DEFAULT_ANSWER);
    assert_eq!(pipe.turn("[[recall]]").await["result"], "hello [[words 3]] | two");
    assert!(pipe.finish().await.status.success());

    let requests = api.messages();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[2].user_texts(), ["hello [[words 3]]", "two", "[[recall]]"]);
    assert_eq!(requests[2].headers["x-api-key"], "sk-ant-stand-in");
    assert_eq!(api.active(), 0);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_held_answer_waits_for_the_test_and_a_script_overrides_the_markers() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut pipe = Pipe::spawn(home.command().args(LIVE));
    pipe.send(&user("[[words 1]] [[hold]] [[text after]]")).await;
    pipe.until(|line| line["event"]["delta"]["text"] == "word0 ").await;
    assert_eq!(api.active(), 1);
    api.release();
    assert_eq!(pipe.result().await["result"], "word0 after");

    api.script(|request| Scenario::text(&format!("{} messages", request.roles().len())));
    assert!(pipe.turn("[[words 9]]").await["result"].as_str().expect("text").ends_with(" messages"));
    pipe.finish().await;
}
