//! The brain on the real CLI: conversations go on, whatever becomes of their process.

use std::sync::Arc;

use claude_exec::brain::pool::Pool;
use claude_exec::brain::{Brain, BrainBuilder, Busy, ConversationTurn, Message};
use claude_exec::executor::LocalExecutor;
use claude_exec::protocol::Event;
use claude_exec::store::Embedded;
use claude_exec::{Invocation, Result};
use futures::StreamExt;
use rustix::process::Signal;

use crate::support::cli::{Home, on, path};
use crate::support::model_api::{DEFAULT_ANSWER, ModelApi, Scenario};
use crate::support::process;

/// A brain without spares: each process is a conversation's.
fn builder(home: &Home) -> BrainBuilder {
    let pool = Pool::builder(LocalExecutor::new()).spares_per_key(0).build().expect("the bounds are fine");
    Brain::on(pool).invocation(on(home, Invocation::conversational("")))
}

fn brain(home: &Home) -> Brain {
    builder(home).build().expect("the invocation is fine")
}

async fn say(brain: &Brain, id: &str, message: impl Into<Message>) -> Result<String> {
    brain.say(id, message).await?.outcome().await.map(|outcome| outcome.text)
}

async fn until_text(turn: &mut ConversationTurn) {
    while !matches!(turn.next().await.expect("it goes on"), Event::Text(_)) {}
}

/// SIGKILL to the one CLI of this home.
fn kill(home: &Home) {
    let found = process::with_env("CLAUDE_CONFIG_DIR", &home.config().display().to_string());
    assert_eq!(found.len(), 1, "{found:?}");
    process::kill(found[0].pid, Signal::KILL);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_killed_process_costs_at_most_the_turn_it_had() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let brain = brain(&home);
    say(&brain, "kitchen", "my name is Ana").await.unwrap();
    kill(&home);
    assert_eq!(say(&brain, "kitchen", "[[recall]]").await.unwrap(), "my name is Ana");

    let mut turn = brain.say("kitchen", "[[words 2]] [[silence]]").await.unwrap();
    until_text(&mut turn).await;
    kill(&home);
    let error = turn.outcome().await.unwrap_err();
    assert_eq!(error.exit().and_then(|exit| exit.signal), Some(9), "{error}");
    assert!(error.to_string().contains("without a result"), "{error}");
    assert!(say(&brain, "kitchen", "[[recall]]").await.unwrap().starts_with("my name is Ana"));
    let claims = brain.pool().stats().claims;
    assert_eq!((claims.cold, claims.resumed), (1, 2));
    let history = brain.history("kitchen").await.unwrap();
    assert_eq!((history.len(), history[2].failed.is_some()), (4, true));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn two_turns_at_once_wait_interrupt_or_are_refused() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let brain = brain(&home);
    say(&brain, "kitchen", "hello").await.unwrap();

    let held = brain.say("kitchen", "[[hold]] [[text first]]").await.unwrap();
    let second = tokio::spawn({
        let brain = brain.clone();
        async move { say(&brain, "kitchen", "[[recall]]").await }
    });
    let refused = brain.say("kitchen", Message::new("now").busy(Busy::Refuse)).await;
    assert!(refused.unwrap_err().is_conflict());
    api.wait_for_messages(2).await;
    api.release();
    assert_eq!(held.outcome().await.unwrap().text, "first");
    assert_eq!(second.await.unwrap().unwrap(), "hello | [[hold]] [[text first]]");

    let mut long = brain.say("kitchen", "[[words 2]] [[silence]]").await.unwrap();
    until_text(&mut long).await;
    let barge_in = Message::new("[[recall]] barge-in").busy(Busy::Interrupt);
    assert!(say(&brain, "kitchen", barge_in).await.unwrap().contains("[[words 2]] [[silence]]"));
    assert!(long.outcome().await.unwrap_err().is_stopped());
    let claims = brain.pool().stats().claims;
    assert_eq!((claims.cold, claims.resumed), (1, 0), "all of it in one process");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_conversation_goes_on_after_an_eviction_and_after_a_restart() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let open = async || {
        let store = Embedded::open(home.path().join("brain.redb")).await.unwrap();
        builder(&home).store(Arc::new(store)).build().unwrap()
    };
    let first = open().await;
    let mut session_id = None;
    for n in 1..=2 {
        let turn = first.say("kitchen", format!("[[text n{n}]] message {n}")).await.unwrap();
        let id = turn.session_id().clone();
        assert_eq!(session_id.get_or_insert_with(|| id.clone()), &id);
        turn.outcome().await.unwrap();
        assert!(first.pool().evict(&id), "it waits for its next turn");
    }
    assert_eq!(first.pool().stats().claims.resumed, 1);
    first.pool().shutdown(std::time::Duration::from_secs(5)).await;
    drop(first);
    let second = open().await;
    let recalled = say(&second, "kitchen", "[[recall]]").await.unwrap();
    assert_eq!(recalled, "[[text n1]] message 1 | [[text n2]] message 2");
    let answers = second.history("kitchen").await.unwrap();
    let answers: Vec<_> = answers.iter().map(|turn| turn.answer.as_str()).collect();
    assert_eq!(answers, ["n1", "n2", &recalled]);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn the_example_says_what_it_promises() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    api.script(|asked| {
        if asked.user_texts().last().is_some_and(|text| text.contains("long story")) {
            Scenario::parse("[[words 2]] [[silence]]", 0)
        } else {
            Scenario::text(DEFAULT_ANSWER)
        }
    });
    let program = std::path::PathBuf::from(env!("CARGO_BIN_EXE_fake-claude"));
    let program = program.with_file_name("examples").join("brain");
    assert!(program.is_file(), "run `cargo build --workspace --all-features --examples` first");
    let bin = path().parent().expect("it lies in a directory").display().to_string();
    let mut command = home.command_of(program);
    command.env("PATH", format!("{bin}:{}", std::env::var("PATH").expect("PATH is set")));
    let output = command.output().await.expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let expected = format!("{DEFAULT_ANSWER}\n").repeat(4) + "4 turns in the kitchen\n";
    assert_eq!(said, expected);
    assert_eq!(process::with_env("CLAUDE_CONFIG_DIR", &home.config().display().to_string()), []);
}
