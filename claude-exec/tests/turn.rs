//! A turn over scripted processes: its last word, its time limits, its guard.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use claude_exec::Invocation;
use claude_exec::brain::{self, Turn};
use claude_exec::executor::{Executor, Scripted, ScriptedHandle, Stop, executor_fn};
use claude_exec::invocation::Deadlines;
use claude_exec::protocol::{Event, Failure};
use futures::StreamExt;

fn hello() -> Invocation {
    Invocation::conversational("hello")
}

/// The turn's events that end it, as words.
async fn ends(turn: &mut Turn) -> Vec<&'static str> {
    let mut ends = Vec::new();
    while let Some(event) = turn.next().await {
        match event {
            Event::Finished(_) => ends.push("finished"),
            Event::Error(error) if error.is_timeout() => ends.push("timeout"),
            Event::Error(error) if error.exit().is_some() => ends.push("exited"),
            Event::Error(_) => ends.push("error"),
            Event::Cancelled => ends.push("cancelled"),
            Event::TurnEnd => ends.push("end"),
            _ => {}
        }
    }
    ends
}

async fn start(executor: &dyn Executor, invocation: Invocation) -> Turn {
    brain::run(executor, &invocation).await.unwrap()
}

/// A turn over `script`, and the handle of its process.
async fn watched(script: Scripted, invocation: Invocation) -> (Turn, ScriptedHandle) {
    let handles = std::sync::Mutex::new(None);
    let executor = executor_fn(|_| {
        let (process, handle) = script.clone().into_process_with_handle();
        *handles.lock().unwrap() = Some(handle);
        Ok(process)
    });
    let turn = start(&executor, invocation).await;
    let handle = handles.lock().unwrap().take().unwrap();
    (turn, handle)
}

const HALF: &str = concat!(
    "{\"type\":\"assistant\",\"message\":{\"id\":\"a\",\"content\":[{\"type\":\"text\",\"text\":\"half\"}]}}",
    "\n"
);

#[tokio::test]
async fn a_good_turn_closes_stdin_and_ends() {
    let (mut turn, handle) = watched(Scripted::answer("One two."), hello()).await;
    assert_eq!(ends(&mut turn).await, ["finished", "end"]);
    assert!(handle.is_stdin_closed() && turn.next().await.is_none());
    assert!(turn.outcome().await.unwrap().is_success());
}

#[tokio::test]
async fn a_process_that_ends_without_a_result_is_an_error_with_its_stderr() {
    let script = Scripted::new().stderr("warming up\nError: Session ID x is already in use.\n").exit(1);
    let error = start(&script, hello()).await.outcome().await.unwrap_err();
    assert_eq!(error.exit().unwrap().code, Some(1));
    assert!(error.to_string().ends_with("Error: Session ID x is already in use."), "{error}");
}

#[tokio::test(start_paused = true)]
async fn every_time_limit_ends_the_turn_once() {
    let second = Duration::from_secs(1);
    let long = Deadlines::within(Duration::from_secs(1000));
    let silent = Scripted::new().until_stopped();
    let half = Scripted::new().stdout(HALF).until_stopped();
    let table = [
        ("first byte", silent, {
            let mut d = long;
            d.first_byte = second;
            d
        }),
        ("idle", half.clone(), {
            let mut d = long;
            d.idle = second;
            d
        }),
        ("total", half, Deadlines::within(second)),
    ];
    for (name, script, deadlines) in table {
        let (mut turn, handle) = watched(script, hello().deadlines(deadlines)).await;
        assert_eq!(ends(&mut turn).await, ["timeout", "end"], "{name}");
        assert!(handle.is_stopped(), "{name}");
        assert!(turn.outcome().await.unwrap_err().is_timeout(), "{name}");
    }
}

#[tokio::test]
async fn a_flood_does_not_outrun_the_total_limit() {
    // Every frame is ready at once, so no timer is ever polled: only a look at the clock after each frame helps.
    let mut script = Scripted::new();
    for _ in 0..2000 {
        script = script.stdout("[noise]\n".repeat(5));
    }
    let deadlines = Deadlines::within(Duration::ZERO);
    let (mut turn, handle) = watched(script.exit(0), hello().deadlines(deadlines)).await;
    assert_eq!(ends(&mut turn).await, ["timeout", "end"]);
    assert!(handle.is_stopped());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stalls_loses_its_process_and_reads_the_rest_later() {
    let script = Scripted::new().stdout(HALF.repeat(1000)).until_stopped();
    let (mut turn, handle) = watched(script, hello()).await;
    while !handle.is_stopped() {
        tokio::time::sleep(Duration::from_secs(1)).await; // reads nothing
    }
    assert_eq!(ends(&mut turn).await, ["timeout", "end"]);
}

#[tokio::test]
async fn a_dropped_turn_stops_its_process_and_then_drops_the_guard() {
    struct Guard(Arc<AtomicBool>, ScriptedHandle);
    impl Drop for Guard {
        fn drop(&mut self) {
            assert!(self.1.is_gone(), "the guard outlives the process");
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (process, handle) = Scripted::new().stdout(HALF).until_stopped().into_process_with_handle();
    let process = std::sync::Mutex::new(Some(process));
    let executor = executor_fn(move |_| Ok(process.lock().unwrap().take().unwrap()));
    let dropped = Arc::new(AtomicBool::new(false));
    let guard = Guard(Arc::clone(&dropped), handle);
    let mut turn = brain::run_holding(&executor, &hello(), guard).await.unwrap();
    assert!(matches!(turn.next().await, Some(Event::Text(_))));
    assert!(!dropped.load(Ordering::SeqCst));
    drop(turn);
    for _ in 0..1000 {
        if dropped.load(Ordering::SeqCst) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the guard was never dropped");
}

#[tokio::test]
async fn a_guard_is_dropped_when_nothing_could_be_started() {
    let guard = Arc::new(());
    let missing = executor_fn(|_| Err(claude_exec::Error::not_found("claude")));
    assert!(brain::run_holding(&missing, &hello(), Arc::clone(&guard)).await.is_err());
    assert!(brain::run_holding(&missing, &Invocation::agent(""), Arc::clone(&guard)).await.is_err());
    assert_eq!(Arc::strong_count(&guard), 1);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_asks_first_and_a_stop_does_not() {
    let script = Scripted::new().stdout(HALF).until_stopped();
    let (mut turn, handle) = watched(script.clone(), hello()).await;
    turn.next().await;
    turn.interrupt();
    turn.interrupt();
    assert_eq!(ends(&mut turn).await, ["cancelled", "end"]);
    let written = String::from_utf8(handle.written()).unwrap();
    assert_eq!(written.matches("\"subtype\":\"interrupt\"").count(), 1, "{written}");
    assert_eq!(handle.stops(), [Stop::GRACEFUL], "it did not end by itself in time");

    let (mut turn, handle) = watched(script, hello()).await;
    turn.stop();
    assert_eq!(ends(&mut turn).await, ["cancelled", "end"]);
    assert_eq!(handle.stops(), [Stop::GRACEFUL]);
    assert!(handle.written().is_empty() && handle.is_stdin_closed());
    assert!(turn.outcome().await.unwrap_err().is_stopped());
}

#[tokio::test]
async fn an_agent_is_asked_only_when_the_cli_knows_it() {
    let agent = || Invocation::agent("do it").agent_name("deploy");
    let script = |agents: &[&str]| {
        Scripted::new().stdout(Scripted::knows(agents.iter().copied())).stdout(HALF).pause(5).until_stopped()
    };
    let (mut turn, handle) = watched(script(&["claude", "deploy"]), agent()).await;
    while !matches!(turn.next().await, Some(Event::Text(_))) {}
    tokio::task::yield_now().await;
    assert!(String::from_utf8(handle.written()).unwrap().contains("\"do it\""));

    let (mut turn, handle) = watched(script(&["claude"]), agent()).await;
    assert_eq!(ends(&mut turn).await, ["error", "end"]);
    let error = turn.outcome().await.unwrap_err();
    assert!(error.is_not_found() && error.to_string().contains("deploy"), "{error}");
    assert!(handle.written().is_empty() && handle.is_stopped());
}

#[tokio::test]
async fn what_nobody_understands_is_refused_and_not_left_waiting() {
    let ask = concat!(
        "{\"type\":\"control_request\",\"request_id\":\"r1\",",
        "\"request\":{\"subtype\":\"elicitation\"}}\n"
    );
    let (mut turn, handle) = watched(Scripted::new().stdout(ask).until_stopped(), hello()).await;
    assert!(matches!(turn.next().await, Some(Event::ControlRequest(_))));
    while handle.written().is_empty() {
        tokio::task::yield_now().await;
    }
    let written = String::from_utf8(handle.written()).unwrap();
    assert!(written.contains("\"request_id\":\"r1\"") && written.contains("\"error\""), "{written}");
}

#[tokio::test]
async fn a_hopeless_retry_ends_the_turn_as_the_apis_refusal() {
    let retry = |status: u16| {
        format!("{{\"type\":\"system\",\"subtype\":\"api_retry\",\"attempt\":1,\"error_status\":{status}}}\n")
    };
    for status in [401, 403] {
        let script = Scripted::new().stdout(retry(status)).until_stopped();
        let outcome = start(&script, hello()).await.outcome().await.unwrap();
        assert_eq!(outcome.failure(), Some(Failure::Api(Some(status))));
    }
}

#[tokio::test]
async fn what_comes_after_the_result_changes_nothing() {
    let late = "{\"type\":\"result\",\"subtype\":\"error_during_execution\",\"is_error\":true}\n";
    let script = Scripted::answer("Yes.").stdout(late).stdout(HALF).exit(1);
    let mut turn = start(&script, hello()).await;
    assert_eq!(ends(&mut turn).await, ["finished", "end"]);
    assert_eq!(turn.outcome().await.unwrap().text, "Yes.");
}
