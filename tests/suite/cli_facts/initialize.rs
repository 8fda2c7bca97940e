//! What may travel in the `initialize` request instead of argv.

use serde_json::json;

use super::common::{ARMED, lean, result, spawn};
use crate::support::cli::{Home, initialize, user};
use crate::support::model_api::{ModelApi, Scenario, system_text};

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn the_user_message_may_be_written_at_once_without_waiting_for_the_answer() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    for _ in 0..3 {
        let mut pipe = lean(&home, &[]);
        let system = initialize("i", json!({"systemPrompt": "BE BRIEF"}));
        pipe.send_raw(format!("{system}\n{}\n", user("hi")).as_bytes()).await;
        pipe.close();
        let done = pipe.finish().await;
        assert!(done.status.success(), "{}", done.stderr);
        assert_eq!(done.lines[0]["response"]["request_id"], "i", "the answer comes before anything else");
        assert_eq!(result(&done)["is_error"], false);
        let turn = api.messages().pop().expect("a turn");
        assert!(system_text(&turn.body).ends_with("BE BRIEF"), "{}", turn.body);
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_system_prompt_replaces_the_default_one_and_an_appended_one_follows_it() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let long = "a rule. ".repeat(40_000);
    for (fields, whole) in [
        (json!({"systemPrompt": "ALONE"}), true),
        (json!({"systemPrompt": long}), true),
        (json!({"systemPrompt": ["ONE", "TWO"]}), true),
        (json!({"appendSystemPrompt": "AFTERWARDS"}), false),
    ] {
        let mut pipe = lean(&home, &[]);
        pipe.send(&initialize("i", fields.clone())).await;
        pipe.turn("hi").await;
        let system = system_text(&api.messages().pop().expect("a turn").body);
        let prompt = match &fields["systemPrompt"] {
            serde_json::Value::String(text) => text.trim_end().to_owned(),
            serde_json::Value::Array(_) => "TWO".to_owned(),
            _ => "AFTERWARDS".to_owned(),
        };
        assert!(system.trim_end().ends_with(&prompt), "{system}");
        assert_eq!(system.len() < prompt.len() + 300, whole, "{}", system.len());
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_second_system_prompt_is_ignored() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut pipe = lean(&home, &[]);
    for (id, prompt) in [("a", "FIRST"), ("b", "SECOND")] {
        pipe.send(&initialize(id, json!({"systemPrompt": prompt}))).await;
        assert_eq!(pipe.control_response(id).await["response"]["subtype"], "success");
        pipe.turn("hi").await;
    }
    assert!(system_text(&api.messages()[1].body).ends_with("FIRST"));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn the_answer_names_the_agents_so_a_missing_one_can_be_found_before_a_turn() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let agents = json!({"critic": {"description": "d", "prompt": "YOU ARE THE CRITIC", "tools": ["Read"]}});
    for (agent, fields, known) in
        [("critic", json!({"agents": agents}), true), ("nope", json!({"agents": agents}), false)]
    {
        let mut pipe = spawn(&home, &[ARMED[0], &format!("--agent={agent}")]);
        pipe.send(&initialize("i", fields)).await;
        let answer = pipe.control_response("i").await;
        let names = answer["response"]["response"]["agents"].as_array().cloned().unwrap_or_default();
        assert_eq!(names.iter().any(|entry| entry["name"] == agent), known, "{names:?}");
        if known {
            pipe.turn("hi").await;
            let body = &api.messages().pop().expect("a turn").body;
            assert!(system_text(body).contains("YOU ARE THE CRITIC"));
            assert!(!body.to_string().contains("\"name\":\"Bash\""), "an agent's tools are all it has");
        }
    }
    assert_eq!(api.messages().len(), 1);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_schema_makes_the_result_carry_the_structure() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    for in_argv in [true, false] {
        let api = ModelApi::start().await;
        let home = Home::new(&api);
        let flag = format!("--json-schema={schema}");
        let flags = [flag.as_str()];
        let mut pipe = lean(&home, if in_argv { &flags } else { &[] });
        let fields = if in_argv { json!({}) } else { json!({"jsonSchema": schema}) };
        pipe.send(&initialize("i", fields)).await;
        let result = pipe.turn(r#"[[tool StructuredOutput {"n":7}]]"#).await;
        assert_eq!(result["structured_output"], json!({"n": 7}), "{result}");
        assert_eq!((&result["subtype"], &result["is_error"]), (&json!("success"), &json!(false)));
        let tools = api.messages()[0].body["tools"].as_array().cloned().unwrap_or_default();
        let tool = tools.iter().find(|tool| tool["name"] == "StructuredOutput").expect("the tool is there");
        assert_eq!(tool["input_schema"]["properties"], schema["properties"]);
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_model_that_only_talks_leaves_the_structure_out_of_a_success() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    api.script(|_| Scenario::text("words only"));
    let mut pipe = lean(&home, &[]);
    pipe.send(&initialize("i", json!({"jsonSchema": schema}))).await;
    let result = pipe.turn("hi").await;
    assert_eq!((&result["subtype"], &result["is_error"]), (&json!("success"), &json!(false)));
    assert_eq!(result.get("structured_output"), None);
    assert_eq!(api.messages().len(), 2, "it was told once to use the tool");
}
