//! Conversations over a scripted CLI that knows sessions as the real one does.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use claude_exec::brain::Conversations;
use claude_exec::executor::{Command, Executor, Process, Scripted, executor_fn};
use claude_exec::store::{Memory, Store};
use claude_exec::{Invocation, Result};
use futures::StreamExt;

/// The sessions a fake CLI has, and what it was asked, as `new <id>` and `resume <id>`.
#[derive(Default)]
struct Cli {
    sessions: Mutex<HashSet<String>>,
    asked: Mutex<Vec<String>>,
    /// What the next turns do instead of answering.
    next: Mutex<Vec<Scripted>>,
}

impl Cli {
    fn executor(self: &Arc<Self>) -> impl Executor + use<> {
        let cli = Arc::clone(self);
        executor_fn(move |command| cli.start(command))
    }

    fn start(&self, command: Command) -> Result<Process> {
        let flag = |name: &str| {
            command.args.iter().find_map(|arg| Some(arg.to_str()?.strip_prefix(name)?.to_owned()))
        };
        if let Some(id) = flag("--resume=") {
            self.asked.lock().unwrap().push(format!("resume {id}"));
            if !self.sessions.lock().unwrap().contains(&id) {
                let line = format!(
                    "{{\"type\":\"result\",\"subtype\":\"error_during_execution\",\"is_error\":true,\
                     \"errors\":[\"No conversation found with session ID: {id}\"]}}\n"
                );
                return Ok(Scripted::new().stdout(line).exit(1).into_process());
            }
        }
        if let Some(id) = flag("--session-id=") {
            self.asked.lock().unwrap().push(format!("new {id}"));
            assert!(self.sessions.lock().unwrap().insert(id), "already in use");
        }
        let script = self.next.lock().unwrap().pop().unwrap_or_else(|| Scripted::answer("Yes."));
        Ok(script.into_process())
    }

    /// The kinds of what was asked, and whether all ids are one.
    fn asked(&self) -> (Vec<String>, usize) {
        let asked = self.asked.lock().unwrap();
        let kind = |ask: &String| ask.split(' ').next().unwrap().to_owned();
        let ids: HashSet<&str> = asked.iter().filter_map(|ask| ask.split(' ').nth(1)).collect();
        (asked.iter().map(kind).collect(), ids.len())
    }
}

fn conversations(store: &Arc<Memory>) -> Conversations {
    let store: Arc<dyn Store> = store.clone();
    Conversations::new(store, std::env::temp_dir())
}

async fn say(conversations: &Conversations, cli: &Arc<Cli>, id: &str) -> Result<String> {
    let seat = conversations.open(id).await?;
    let turn = seat.say(&cli.executor(), Invocation::conversational("hello"), ()).await?;
    turn.outcome().await.map(|outcome| outcome.text)
}

#[tokio::test]
async fn a_conversation_begins_once_and_goes_on_also_after_a_restart() {
    let (store, cli) = (Arc::new(Memory::new()), Arc::new(Cli::default()));
    for _ in 0..2 {
        assert_eq!(say(&conversations(&store), &cli, "kitchen").await.unwrap(), "Yes.");
    }
    assert_eq!(cli.asked(), (vec!["new".to_owned(), "resume".to_owned()], 1));
    say(&conversations(&store), &cli, "bathroom").await.unwrap();
    assert_eq!(cli.asked().1, 2, "another conversation is another session");
}

#[tokio::test]
async fn a_failed_first_turn_is_begun_anew() {
    let failed = "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"result\":\"API Error\"}\n";
    for script in [Scripted::new().stdout(failed).exit(1), Scripted::new().exit(1)] {
        let (store, cli) = (Arc::new(Memory::new()), Arc::new(Cli::default()));
        cli.next.lock().unwrap().push(script);
        let conversations = conversations(&store);
        let _failed = say(&conversations, &cli, "kitchen").await;
        assert_eq!(say(&conversations, &cli, "kitchen").await.unwrap(), "Yes.");
        assert_eq!(cli.asked(), (vec!["new".to_owned(), "new".to_owned()], 2));
    }
}

#[tokio::test]
async fn a_failed_later_turn_keeps_the_session() {
    let (store, cli) = (Arc::new(Memory::new()), Arc::new(Cli::default()));
    let conversations = conversations(&store);
    say(&conversations, &cli, "kitchen").await.unwrap();
    cli.next.lock().unwrap().push(Scripted::new().exit(1));
    say(&conversations, &cli, "kitchen").await.unwrap_err();
    say(&conversations, &cli, "kitchen").await.unwrap();
    assert_eq!(cli.asked(), (["new", "resume", "resume"].map(str::to_owned).to_vec(), 1));
}

#[tokio::test]
async fn a_session_that_the_cli_lost_is_begun_anew() {
    let (store, cli) = (Arc::new(Memory::new()), Arc::new(Cli::default()));
    let conversations = conversations(&store);
    say(&conversations, &cli, "kitchen").await.unwrap();
    cli.sessions.lock().unwrap().clear();
    assert_eq!(say(&conversations, &cli, "kitchen").await.unwrap(), "Yes.");
    assert_eq!(say(&conversations, &cli, "kitchen").await.unwrap(), "Yes.");
    assert_eq!(cli.asked().0, ["new", "resume", "new", "resume"]);
}

#[tokio::test]
async fn a_caller_who_leaves_in_the_first_turn_finds_it_in_the_history() {
    let (store, cli) = (Arc::new(Memory::new()), Arc::new(Cli::default()));
    cli.next.lock().unwrap().push(Scripted::new().until_stopped());
    let conversations = conversations(&store);
    let seat = conversations.open("kitchen").await.unwrap();
    drop(seat.say(&cli.executor(), Invocation::conversational("hello"), ()).await.unwrap());
    say(&conversations, &cli, "kitchen").await.unwrap();
    assert_eq!(cli.asked(), (vec!["new".to_owned(), "resume".to_owned()], 1));
}

#[tokio::test]
async fn one_turn_at_a_time_and_the_next_begins_when_the_process_is_gone() {
    let (store, cli) = (Arc::new(Memory::new()), Arc::new(Cli::default()));
    let conversations = conversations(&store);
    cli.next.lock().unwrap().push(Scripted::answer("First.").until_stopped());
    let seat = conversations.open("kitchen").await.unwrap();
    let mut first = seat.say(&cli.executor(), Invocation::conversational("hello"), ()).await.unwrap();
    let second = tokio::spawn({
        let (conversations, cli) = (conversations.clone(), Arc::clone(&cli));
        async move { say(&conversations, &cli, "kitchen").await }
    });
    while !matches!(first.next().await, Some(claude_exec::protocol::Event::Finished(_))) {}
    tokio::task::yield_now().await;
    assert_eq!(cli.asked().0.len(), 1, "the first process still runs");
    first.handle().stop();
    assert_eq!(second.await.unwrap().unwrap(), "Yes.");
    // Another conversation never waited.
    assert_eq!(say(&conversations, &cli, "bathroom").await.unwrap(), "Yes.");
}

#[tokio::test]
async fn the_line_before_a_conversation_is_bounded_and_a_place_in_it_is_given_back() {
    let store = Arc::new(Memory::new());
    let conversations = conversations(&store);
    let seat = conversations.open("kitchen").await.unwrap();
    let mut line: Vec<_> = (0..8).map(|_| Box::pin(conversations.open("kitchen"))).collect();
    for waiting in &mut line {
        assert!(futures::poll!(waiting.as_mut()).is_pending());
    }
    assert!(conversations.open("kitchen").await.unwrap_err().is_queue_full());
    line.pop();
    let mut ninth = Box::pin(conversations.open("kitchen"));
    assert!(futures::poll!(ninth.as_mut()).is_pending());
    drop((seat, line));
    drop(ninth.await.unwrap());
}

#[tokio::test]
async fn an_id_is_any_text_within_bounds() {
    let store = Arc::new(Memory::new());
    let conversations = conversations(&store);
    for id in ["-rf", "../../etc", "кухня", "a b\n"] {
        assert!(conversations.open(id).await.is_ok(), "{id}");
    }
    for id in ["", &"x".repeat(257)] {
        assert_eq!(conversations.open(id).await.unwrap_err().field(), Some("session_id"));
    }
}
