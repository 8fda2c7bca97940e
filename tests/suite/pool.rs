//! The pool on the real CLI.

use std::time::Duration;

use claude_exec::Invocation;
use claude_exec::brain::live::TurnOptions;
use claude_exec::brain::pool::{Claimed, Eviction, Origin, Pool};
use claude_exec::executor::LocalExecutor;
use claude_exec::invocation::SessionChoice;
use claude_exec::protocol::SessionId;
use rustix::process::Signal;
use serde_json::json;

use crate::support::cli::{Home, on};
use crate::support::model_api::{ModelApi, system_text};
use crate::support::process::{self, Process};

fn new(home: &Home) -> Invocation {
    on(home, Invocation::conversational("").session(SessionChoice::New))
}

fn resume(home: &Home, id: &SessionId) -> Invocation {
    new(home).session(SessionChoice::Resume(id.clone()))
}

fn pool(processes: usize) -> Pool {
    Pool::builder(LocalExecutor::new()).processes(processes).build().expect("the bounds are fine")
}

/// The CLIs that work in this home.
fn processes(home: &Home) -> Vec<Process> {
    process::with_env("CLAUDE_CONFIG_DIR", &home.config().display().to_string())
}

async fn say(claimed: Claimed, text: &str) -> (String, SessionId) {
    let (live, place) = claimed.into_parts();
    let (outcome, live) = live.say(text, &TurnOptions::new()).finish().await;
    let live = live.expect("the session goes on");
    let id = live.session_id().expect("it has had a turn").clone();
    place.give_back(live);
    (outcome.expect("the turn succeeds").text, id)
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_spare_knows_nothing_until_it_is_claimed_and_then_its_own_conversation_only() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let pool = pool(3);
    let mut other = String::new();
    for _ in 0..2 {
        (other, _) = say(pool.claim(&new(&home)).await.unwrap(), "another's secret").await;
        assert_eq!(other, "Hello from the model.");
    }
    process::until("there is a spare", || pool.stats().spares == 1).await;

    let claimed = pool.claim(&new(&home).system_prompt("BE BRIEF")).await.unwrap();
    assert_eq!(claimed.origin(), Origin::Spare);
    let announced = claimed.session_id().cloned();
    let (_, id) = say(claimed, "my name is Ana").await;
    assert_eq!(announced.as_ref(), Some(&id));
    let request = api.messages().pop().unwrap();
    assert!(system_text(&request.body).ends_with("BE BRIEF"));
    assert!(!request.body.to_string().contains("another's secret"));

    let again = resume(&home, &id).system_prompt("BE BRIEF");
    let claimed = pool.claim(&again).await.unwrap();
    assert_eq!(claimed.origin(), Origin::Live);
    assert_eq!(say(claimed, "[[recall]]").await.0, "my name is Ana");
    assert!(pool.evict(&id));
    let claimed = pool.claim(&again).await.unwrap();
    assert_eq!(claimed.origin(), Origin::Resumed);
    assert_eq!(say(claimed, "[[recall]]").await.0, "my name is Ana | [[recall]]");

    // Nor does one that was opened already.
    pool.expect(&new(&home).system_prompt("BE BRIEF")).unwrap();
    process::until("there is a spare", || pool.stats().spares == 1).await;
    let claimed = pool.claim(&new(&home).system_prompt("BE BRIEF")).await.unwrap();
    assert_eq!((claimed.origin(), say(claimed, "hello").await.0), (Origin::Spare, other));
    let request = api.messages().pop().unwrap();
    assert!(system_text(&request.body).ends_with("BE BRIEF"));
    assert_eq!(request.user_texts(), ["hello"]);
    pool.shutdown(Duration::ZERO).await;
    assert_eq!(processes(&home), []);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn more_conversations_than_processes_take_turns_and_none_loses_a_word() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let pool = Pool::builder(LocalExecutor::new()).processes(2).spares_per_key(0).build().unwrap();
    let mut most = 0;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(say(pool.claim(&new(&home)).await.unwrap(), &format!("I am {n}")).await.1);
        most = most.max(processes(&home).len());
    }
    for (n, id) in ids.iter().enumerate() {
        let (answer, _) = say(pool.claim(&resume(&home, id)).await.unwrap(), "[[recall]]").await;
        assert_eq!(answer, format!("I am {n}"));
        most = most.max(processes(&home).len());
    }
    let stats = pool.stats();
    assert!(most <= 2, "{most} processes");
    assert_eq!((stats.claims.cold, stats.claims.resumed), (4, 4));
    assert_eq!(stats.starts.count(), 8);
    pool.shutdown(Duration::ZERO).await;
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_cli_that_is_killed_between_turns_is_noticed_and_resumed() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let pool = pool(2);
    let (_, id) = say(pool.claim(&new(&home)).await.unwrap(), "my name is Ana").await;
    for victim in processes(&home) {
        process::kill(victim.pid, Signal::KILL);
    }
    process::until("the pool has noticed", || pool.stats().processes() == 0).await;
    let claimed = pool.claim(&resume(&home, &id)).await.unwrap();
    assert_eq!(claimed.origin(), Origin::Resumed);
    assert_eq!(say(claimed, "[[recall]]").await.0, "my name is Ana");
    assert_eq!(pool.stats().evictions.of(Eviction::Died), 1);
    pool.shutdown(Duration::ZERO).await;
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn memory_counts_what_a_tool_of_the_cli_holds() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let pool = pool(1);
    let hog = "python3 -c 'import time; held = b\"x\" * 300_000_000; time.sleep(600)'";
    let tool = json!({"command": hog, "description": "d"});
    let invocation = new(&home).tools(["Bash"]).allowed_tools(["Bash"]);
    let (live, place) = pool.claim(&invocation).await.unwrap().into_parts();
    let turn = live.say(format!("[[tool Bash {tool}]]"), &TurnOptions::new());
    process::until("it is seen", || pool.stats().memory > 350_000_000).await;
    drop((turn, place));
    pool.shutdown(Duration::ZERO).await;
    assert_eq!(processes(&home), []);
}
