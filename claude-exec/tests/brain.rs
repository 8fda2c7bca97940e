//! Conversations over a scripted CLI: they go on, one turn at a time.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use claude_exec::brain::live::TurnOptions;
use claude_exec::brain::{Brain, Busy, ConversationTurn, Message};
use claude_exec::executor::{Answer, Said, ScriptedCli};
use claude_exec::invocation::SessionChoice;
use claude_exec::protocol::Event;
use claude_exec::store::{Memory, Store};
use claude_exec::{Error, Invocation, Result};
use futures::StreamExt;
use serde_json::json;

/// A CLI that says how much was said before; `hang` never ends, `fail` fails, `die` dies.
fn cli() -> ScriptedCli {
    ScriptedCli::new(answer)
}

fn answer(said: &Said) -> Answer {
    let text = format!("{} before", said.history.len());
    match said.text.as_str() {
        "hang" => Answer::text("well, ").hang(),
        "fail" => Answer::text(&text).fail(529),
        "die" => Answer::text("well, ").exit(9),
        _ => Answer::text(&text),
    }
}

fn brain(cli: &ScriptedCli) -> Brain {
    Brain::builder(cli.clone()).build().unwrap()
}

fn with_store(cli: &ScriptedCli, store: &Arc<Memory>) -> Brain {
    let store: Arc<dyn Store> = store.clone();
    Brain::builder(cli.clone()).store(store).build().unwrap()
}

async fn say(brain: &Brain, id: &str, message: impl Into<Message>) -> Result<String> {
    let outcome = brain.say(id, message).await?.outcome().await?;
    if outcome.is_success() { Ok(outcome.text) } else { Err(Error::failed("turn", outcome.error_message())) }
}

/// Reads up to the first piece of text.
async fn until_text(turn: &mut ConversationTurn) {
    while !matches!(turn.next().await.unwrap(), Event::Text(_)) {}
}

/// How each process was started: `new`, or `resume`.
fn starts(cli: &ScriptedCli) -> Vec<&'static str> {
    let is_resumed = |command: &claude_exec::executor::Command| {
        command.args.iter().any(|arg| arg.to_str().unwrap().starts_with("--resume="))
    };
    cli.starts().iter().map(|command| if is_resumed(command) { "resume" } else { "new" }).collect()
}

#[tokio::test]
async fn a_conversation_goes_on_in_its_process_and_after_a_restart_in_another() {
    let (cli, store) = (cli(), Arc::new(Memory::new()));
    let first = with_store(&cli, &store);
    assert_eq!(say(&first, "kitchen", "one").await.unwrap(), "0 before");
    assert_eq!(say(&first, "kitchen", "two").await.unwrap(), "2 before");
    assert_eq!(starts(&cli), ["new"]);
    drop(first);
    let second = with_store(&cli, &store);
    assert_eq!(say(&second, "kitchen", "three").await.unwrap(), "4 before");
    assert_eq!(say(&second, "bathroom", "hello").await.unwrap(), "0 before", "another one knows nothing");
    assert_eq!(starts(&cli)[..2], ["new", "resume"]);
    let history = second.history("kitchen").await.unwrap();
    let said: Vec<_> = history.iter().map(|turn| (turn.said.as_str(), turn.answer.as_str())).collect();
    assert_eq!(said, [("one", "0 before"), ("two", "2 before"), ("three", "4 before")]);
}

#[tokio::test]
async fn a_failed_first_turn_leaves_nothing_to_its_retry() {
    for how in ["fail", "die"] {
        let cli = cli();
        let brain = brain(&cli);
        say(&brain, "kitchen", how).await.unwrap_err();
        assert!(brain.history("kitchen").await.unwrap().is_empty());
        assert_eq!(say(&brain, "kitchen", "again").await.unwrap(), "0 before", "{how}");
        assert_eq!(starts(&cli), ["new", "new"]);
    }
}

#[tokio::test]
async fn a_failed_later_turn_keeps_the_session() {
    for (how, kept, starts_after) in
        [("fail", "3 before", ["new"].as_slice()), ("die", "3 before", &["new", "resume"])]
    {
        let cli = cli();
        let brain = brain(&cli);
        say(&brain, "kitchen", "one").await.unwrap();
        say(&brain, "kitchen", how).await.unwrap_err();
        assert_eq!(say(&brain, "kitchen", "two").await.unwrap(), kept);
        assert_eq!(starts(&cli), starts_after);
        let history = brain.history("kitchen").await.unwrap();
        assert_eq!((history.len(), history[1].failed.is_some()), (3, true));
    }
}

#[tokio::test]
async fn a_process_that_died_in_mid_turn_is_told_to_that_caller_alone() {
    let cli = cli();
    let brain = brain(&cli);
    say(&brain, "kitchen", "one").await.unwrap();
    let error = brain.say("kitchen", "die").await.unwrap().outcome().await.unwrap_err();
    assert_eq!(error.exit().unwrap().code, Some(9));
    assert_eq!(brain.history("kitchen").await.unwrap()[1].answer, "well, ", "what was said stays said");
}

#[tokio::test]
async fn a_session_that_the_cli_lost_is_begun_anew() {
    let (cli, store) = (cli(), Arc::new(Memory::new()));
    say(&with_store(&cli, &store), "kitchen", "one").await.unwrap();
    cli.lose_sessions();
    let brain = with_store(&cli, &store);
    say(&brain, "kitchen", "fail").await.unwrap_err();
    assert_eq!(say(&brain, "kitchen", "two").await.unwrap(), "0 before");
    assert_eq!(say(&brain, "kitchen", "three").await.unwrap(), "2 before");
    let history = brain.history("kitchen").await.unwrap();
    let said: Vec<_> = history.iter().map(|turn| turn.said.as_str()).collect();
    assert_eq!(said, ["one", "two", "three"], "what was said before is still told");
}

#[tokio::test]
async fn a_turn_that_is_dropped_is_interrupted_and_its_process_goes_on() {
    let cli = cli();
    let brain = brain(&cli);
    let mut turn = brain.say("kitchen", "hang").await.unwrap();
    until_text(&mut turn).await;
    drop(turn);
    assert_eq!(say(&brain, "kitchen", "two").await.unwrap(), "2 before", "the message and its interruption");
    assert_eq!(starts(&cli), ["new"]);
    let history = brain.history("kitchen").await.unwrap();
    assert_eq!((history[0].answer.as_str(), history[0].failed.as_deref()), ("well, ", Some("stopped")));
}

#[tokio::test]
async fn turns_wait_in_line() {
    let cli = cli();
    let brain = brain(&cli);
    let mut first = brain.say("kitchen", "hang").await.unwrap();
    until_text(&mut first).await;
    let second = tokio::spawn({
        let brain = brain.clone();
        async move { say(&brain, "kitchen", "two").await }
    });
    assert_eq!(say(&brain, "bathroom", "hello").await.unwrap(), "0 before", "others never wait");
    assert!(!second.is_finished());
    first.interrupt();
    assert!(first.outcome().await.unwrap_err().is_stopped());
    assert_eq!(second.await.unwrap().unwrap(), "2 before");
}

#[tokio::test]
async fn a_barge_in_ends_the_turn_under_way_whether_it_is_read_or_not() {
    let cli = cli();
    let brain = brain(&cli);
    let mut first = brain.say("kitchen", "hang").await.unwrap();
    until_text(&mut first).await;
    let barge = |text: &str| Message::new(text).busy(Busy::Interrupt);
    assert_eq!(say(&brain, "kitchen", barge("two")).await.unwrap(), "2 before");
    assert!(first.outcome().await.unwrap_err().is_stopped());
    assert_eq!(starts(&cli), ["new"], "the process goes on");

    let _unread = brain.say("kitchen", "hang").await.unwrap();
    assert_eq!(say(&brain, "kitchen", barge("three")).await.unwrap(), "6 before");
}

#[tokio::test]
async fn a_busy_conversation_may_refuse() {
    let brain = brain(&cli());
    let turn = brain.say("kitchen", "hang").await.unwrap();
    let refused = brain.say("kitchen", Message::new("two").busy(Busy::Refuse)).await;
    assert!(refused.unwrap_err().is_conflict());
    assert!(brain.interrupt("kitchen").unwrap());
    assert!(turn.outcome().await.unwrap_err().is_stopped());
    assert!(!brain.interrupt("kitchen").unwrap() && !brain.interrupt("unknown").unwrap());
    // Its end is the end: by then the conversation is free.
    let free = say(&brain, "kitchen", Message::new("three").busy(Busy::Refuse)).await;
    assert_eq!(free.unwrap(), "2 before");
}

#[tokio::test]
async fn a_model_may_change_and_what_a_session_keeps_may_not() {
    let cli = cli();
    let brain = brain(&cli);
    let opened = Message::new("one").model("haiku").system_prompt("BE BRIEF");
    say(&brain, "kitchen", opened).await.unwrap();
    assert_eq!(say(&brain, "kitchen", Message::new("two").model("opus")).await.unwrap(), "2 before");
    assert_eq!(say(&brain, "kitchen", "three").await.unwrap(), "4 before");
    assert_eq!(starts(&cli), ["new", "resume"]);
    assert!(cli.starts()[1].args.iter().any(|arg| arg == "--model=opus"));
    for message in [Message::new("x").system_prompt("other"), Message::new("x").cwd("/")] {
        assert!(say(&brain, "kitchen", message).await.unwrap_err().is_conflict());
    }
}

#[tokio::test]
async fn two_servers_with_one_store_run_a_conversation_in_turn() {
    let (cli, store) = (cli(), Arc::new(Memory::new()));
    let dir = tempfile::tempdir().unwrap();
    let server = || {
        let store: Arc<dyn Store> = store.clone();
        Brain::builder(cli.clone()).store(store).locks(dir.path()).build().unwrap()
    };
    let (one, two) = (server(), server());
    for (turn, brain) in [&one, &two, &one, &one, &two].into_iter().enumerate() {
        // A process that another server has gone on without is never used.
        assert_eq!(say(brain, "kitchen", "hi").await.unwrap(), format!("{} before", 2 * turn));
    }
    let turn = one.say("kitchen", "hang").await.unwrap();
    let refused = two.say("kitchen", Message::new("x").busy(Busy::Refuse)).await;
    assert!(refused.unwrap_err().to_string().contains("another server"));
    let waiting = say(&two, "kitchen", "after");
    let (_, after) = tokio::join!(async { drop(turn) }, waiting);
    assert_eq!(after.unwrap(), "12 before");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_forgotten_begins_anew() {
    let cli = cli();
    let brain = brain(&cli);
    say(&brain, "kitchen", "one").await.unwrap();
    brain.forget("kitchen").await.unwrap();
    assert!(brain.history("kitchen").await.unwrap().is_empty());
    assert_eq!(say(&brain, "kitchen", "two").await.unwrap(), "0 before");
    brain.forget("never was").await.unwrap();
}

#[tokio::test]
async fn bad_input_costs_nothing() {
    let cli = cli();
    let brain = brain(&cli);
    let long = "x".repeat(513);
    let hot = || Message::new("hi").options(TurnOptions::new().temperature(9.0));
    let table = [
        ("", Message::new("hi"), "session_id"),
        (&long, Message::new("hi"), "session_id"),
        ("kitchen", Message::new(" "), "prompt"),
        ("kitchen", Message::new("a\0b"), "prompt"),
        ("kitchen", hot(), "temperature"),
    ];
    for (id, message, field) in table {
        assert_eq!(brain.say(id, message).await.unwrap_err().field(), Some(field));
    }
    assert!(cli.starts().is_empty());
    for id in ["-rf", "../../etc", "кухня", "a b\n"] {
        assert_eq!(say(&brain, id, "hi").await.unwrap(), "0 before");
    }
}

#[tokio::test]
async fn an_image_travels_as_it_is() {
    let cli = ScriptedCli::new(|said| Answer::text(said.content[1]["source"]["data"].as_str().unwrap()));
    let source = json!({"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="});
    let blocks =
        vec![json!({"type": "text", "text": "what is this"}), json!({"type": "image", "source": source})];
    let brain = brain(&cli);
    assert_eq!(say(&brain, "kitchen", blocks).await.unwrap(), "iVBORw0KGgo=");
    assert_eq!(brain.history("kitchen").await.unwrap()[0].said, "what is this\n[image]");
}

#[tokio::test]
async fn a_guard_is_held_until_the_turn_has_ended() {
    struct Guard(Arc<AtomicBool>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let brain = brain(&cli());
    let dropped = Arc::new(AtomicBool::new(false));
    let mut turn =
        brain.say("a", Message::new("hang").after(ready(Ok(Guard(Arc::clone(&dropped)))))).await.unwrap();
    until_text(&mut turn).await;
    assert!(!dropped.load(Ordering::SeqCst));
    turn.interrupt();
    assert!(turn.outcome().await.is_err() && dropped.load(Ordering::SeqCst));
    let refused = ready(Err::<(), _>(Error::queue_full(1)));
    let refused = brain.say("a", Message::new("x").after(refused)).await;
    assert!(refused.unwrap_err().is_queue_full());
}

#[tokio::test]
async fn a_process_that_died_while_it_waited_costs_no_turn() {
    let cli = cli();
    let brain = brain(&cli);
    say(&brain, "kitchen", "one").await.unwrap();
    // No task runs in between: nobody has noticed yet.
    cli.kill_all();
    assert_eq!(say(&brain, "kitchen", "two").await.unwrap(), "2 before");
    assert_eq!(starts(&cli), ["new", "resume"]);
    // Nor does a spare that was opened already.
    let next = Invocation::conversational("").session(SessionChoice::New);
    brain.pool().expect(&next).unwrap();
    while brain.pool().stats().spares == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    cli.kill_all();
    assert_eq!(say(&brain, "hall", "one").await.unwrap(), "0 before");
}
