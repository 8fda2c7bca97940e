//! Conversations: begun, resumed, lost.

use serde_json::json;

use super::common::{lean, once, result};
use crate::support::cli::{Home, initialize, user};
use crate::support::model_api::{ModelApi, system_text};
use crate::support::process::kill;

fn fresh() -> (String, String, String) {
    let id = uuid::Uuid::new_v4().to_string();
    (format!("--session-id={id}"), format!("--resume={id}"), id)
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_conversation_is_resumed_with_its_history_and_its_id() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let (new, resume, id) = fresh();
    once(&home, &[&new], "one").await;
    let done = once(&home, &[&resume], "[[recall]]").await;
    assert_eq!((&result(&done)["result"], &result(&done)["session_id"]), (&json!("one"), &json!(id)));
    assert_eq!(home.sessions().into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [id]);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_id_is_taken_once_and_refused_on_stderr_alone() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let (new, _, id) = fresh();
    once(&home, &[&new], "one").await;
    let done = once(&home, &[&new], "two").await;
    assert_eq!(done.status.code(), Some(1));
    assert_eq!(done.stderr.trim(), format!("Error: Session ID {id} is already in use."));
    assert!(done.lines.is_empty());
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_unknown_id_is_one_result_and_the_initialize_is_never_answered() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let (_, resume, id) = fresh();
    let mut pipe = lean(&home, &[&resume]);
    pipe.send(&initialize("i", json!({}))).await;
    let done = pipe.finish().await;
    let says = format!("No conversation found with session ID: {id}");
    let [line] = &done.lines[..] else { panic!("{:?}", done.lines) };
    assert_eq!((&line["subtype"], &line["errors"]), (&json!("error_during_execution"), &json!([says])));
    assert_eq!((done.status.code(), done.stderr.trim()), (Some(1), says.as_str()));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_conversation_is_found_from_another_working_directory() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let (new, resume, _) = fresh();
    once(&home, &[&new], "one").await;
    let elsewhere = home.path().join("home");
    let mut command = home.command();
    command.args(super::common::STREAM).args(super::common::LEAN).arg(&resume).current_dir(elsewhere);
    let mut pipe = crate::support::cli::Pipe::spawn(&mut command);
    pipe.send(&user("[[recall]]")).await;
    let done = pipe.finish().await;
    assert_eq!(result(&done)["result"], "one");
    assert_eq!(home.sessions().len(), 1, "it goes on where it began");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_fork_has_the_history_under_a_new_id() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let (new, resume, id) = fresh();
    let (fork_id, _, other) = fresh();
    once(&home, &[&new], "one").await;
    let done = once(&home, &[&resume, "--fork-session", &fork_id], "[[recall]]").await;
    assert_eq!((&result(&done)["result"], &result(&done)["session_id"]), (&json!("one"), &json!(other)));
    let done = once(&home, &[&resume], "[[recall]]").await;
    assert_eq!((&result(&done)["result"], &result(&done)["session_id"]), (&json!("one"), &json!(id)));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn nothing_is_kept_when_asked_not_to() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    assert!(once(&home, &["--no-session-persistence"], "hi").await.status.success());
    assert_eq!(home.sessions(), []);
}

/// A resumed conversation keeps the system prompt it began with, whatever the new process says.
#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_resumed_conversation_keeps_its_first_system_prompt_unless_the_snapshot_is_off() {
    let api = ModelApi::start().await;
    for (flag, second) in
        [("--system-prompt-snapshot=on", "FIRST"), ("--system-prompt-snapshot=off", "SECOND")]
    {
        let home = Home::new(&api);
        let (new, resume, _) = fresh();
        for (session, prompt) in [(&new, "FIRST"), (&resume, "SECOND")] {
            let mut pipe = lean(&home, &[session, flag]);
            pipe.send(&initialize("i", json!({"systemPrompt": prompt}))).await;
            pipe.turn("hi").await;
            pipe.finish().await;
        }
        let system = system_text(&api.messages().pop().expect("a turn").body);
        assert!(system.ends_with(second), "{flag}: {system}");
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn killed_in_mid_turn_a_conversation_keeps_the_users_words() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let (new, resume, _) = fresh();
    let mut pipe = lean(&home, &[&new]);
    pipe.send(&user("[[text half]] [[silence]]")).await;
    pipe.until(|line| line["event"]["delta"]["text"] == "half").await;
    let transcript = || home.sessions().first().and_then(|(_, path)| std::fs::read_to_string(path).ok());
    let written = || transcript().is_some_and(|text| text.contains("[[text half]]"));
    crate::support::process::until("the words are on disk", written).await;
    kill(pipe.pid().cast_signed(), rustix::process::Signal::KILL);
    pipe.wait().await;

    let done = once(&home, &[&resume], "[[recall]]").await;
    assert_eq!(result(&done)["is_error"], false);
    let body = &api.messages().pop().expect("a turn").body;
    let texts: Vec<&str> = body["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .filter(|message| message["role"] != "system")
        .map(|message| {
            message["content"].as_str().or(message["content"][0]["text"].as_str()).unwrap_or_default()
        })
        .collect();
    assert_eq!(texts, ["[[text half]] [[silence]]", "No response requested.", "[[recall]]"]);
}

/// One turn at a time per conversation: nobody refuses the second, and one of the two is gone.
#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn two_processes_on_one_conversation_lose_a_turn_without_a_word() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let (new, resume, _) = fresh();
    once(&home, &[&new], "zero").await;
    let mut left = lean(&home, &[&resume]);
    let mut right = lean(&home, &[&resume]);
    // Both have read the history before either adds to it.
    for pipe in [&mut left, &mut right] {
        pipe.send(&initialize("i", json!({}))).await;
        pipe.control_response("i").await;
    }
    assert_eq!(left.turn("left").await["is_error"], false);
    assert_eq!(right.turn("right").await["is_error"], false);
    left.finish().await;
    right.finish().await;
    let done = once(&home, &[&resume], "[[recall]]").await;
    let remembered = result(&done)["result"].as_str().expect("text").to_owned();
    assert!(["zero | left", "zero | right"].contains(&remembered.as_str()), "{remembered}");
}
