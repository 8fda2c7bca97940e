//! Live sessions over a scripted CLI: one turn at a time, and nothing of a process after a doubt.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::time::Duration;

use claude_exec::brain::live::{Live, LiveTurn, Past, Spare, TurnOptions};
use claude_exec::executor::{Answer, Executor, Scripted, ScriptedCli, ScriptedHandle, executor_fn};
use claude_exec::invocation::{Deadlines, SessionChoice};
use claude_exec::protocol::{
    Ask, Content, Event, McpCall, McpServer, McpTool, PermissionAsk, Reply, Request, SessionId,
};
use claude_exec::{Error, Invocation, Result};
use futures::StreamExt;
use serde_json::{Value, json};

fn talk() -> Invocation {
    Invocation::conversational("").session(SessionChoice::New)
}

async fn live(executor: &dyn Executor) -> Live {
    Live::start(executor, &talk(), ()).await.unwrap()
}

/// One turn by its text, and the session after it.
async fn say(live: Live, text: &str) -> (Result<String>, Option<Live>) {
    let (outcome, live) = live.say(text, &TurnOptions::new()).finish().await;
    (outcome.map(|outcome| outcome.text), live)
}

/// Reads up to the first piece of text.
async fn first_text(turn: &mut LiveTurn) -> String {
    loop {
        match turn.next().await.unwrap() {
            Event::Text(text) => return text.text,
            Event::TurnEnd => panic!("it ended"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_session_goes_on_in_one_process() {
    let cli = ScriptedCli::new(|said| Answer::text(&format!("{} {}", said.text, said.history.len())));
    let mut session = live(&cli).await;
    for (text, answer) in [("one", "one 0"), ("two", "two 2"), ("three", "three 4")] {
        let (said, next) = say(session, text).await;
        assert_eq!(said.unwrap(), answer);
        session = next.unwrap();
    }
    assert_eq!((cli.starts().len(), session.vitals().await.turns), (1, 3));
    session.close().await;
}

#[tokio::test]
async fn a_spare_takes_any_conversation_with_its_launch_flags() {
    let cli = ScriptedCli::new(|said| Answer::text(said.system_prompt.as_deref().unwrap_or_default()));
    let spare = Spare::start(&cli, &talk(), ()).await.unwrap();
    assert_eq!(spare.key(), &talk().system_prompt("other").to_live_command().unwrap());
    let session = spare.initialize(&talk().system_prompt("BE BRIEF")).await.unwrap();
    assert_eq!(say(session, "who are you").await.0.unwrap(), "BE BRIEF");

    let spare = Spare::start(&cli, &talk(), ()).await.unwrap();
    let error = spare.initialize(&talk().model("opus")).await.unwrap_err();
    assert_eq!(error.field(), Some("invocation"));
    let spare = Spare::start(&cli, &talk(), ()).await.unwrap();
    let error = spare.initialize(&talk().system_prompt("a\0b")).await.unwrap_err();
    assert_eq!(error.field(), Some("system_prompt"));
}

#[tokio::test]
async fn bad_input_costs_nothing() {
    let cli = ScriptedCli::echo();
    let session = live(&cli).await;
    let (said, session) = say(session, " \n").await;
    assert_eq!(said.unwrap_err().field(), Some("prompt"));
    let hot = TurnOptions::new().temperature(7.0);
    let (outcome, session) = session.unwrap().say("hi", &hot).finish().await;
    assert_eq!(outcome.unwrap_err().field(), Some("temperature"));
    assert_eq!(say(session.unwrap(), "hello").await.0.unwrap(), "hello");
    assert_eq!(cli.starts().len(), 1);
}

#[tokio::test]
async fn options_are_of_their_turn_alone() {
    let cli = ScriptedCli::new(|said| {
        let value = |name: &str| said.env.get(name).cloned().unwrap_or_else(|| "-".to_owned());
        Answer::text(
            &[value("CLAUDE_CODE_MAX_OUTPUT_TOKENS"), value("CLAUDE_CODE_DISABLE_THINKING")].join("/"),
        )
    });
    let mut session = live(&cli).await;
    let table = [
        (TurnOptions::new(), "-/-"),
        (TurnOptions::new().max_tokens(66), "66/-"),
        (TurnOptions::new().thinking(true), "/"),
        (TurnOptions::new(), "/1"),
    ];
    for (options, seen) in table {
        let (outcome, next) = session.say("hi", &options).finish().await;
        assert_eq!(outcome.unwrap().text, seen, "{options:?}");
        session = next.unwrap();
    }
}

#[tokio::test]
async fn an_interrupt_ends_the_turn_and_not_the_process() {
    let cli = ScriptedCli::new(|said| match said.text.as_str() {
        "long" => Answer::text("half ").hang(),
        text => Answer::text(text),
    });
    let mut turn = live(&cli).await.say("long", &TurnOptions::new());
    assert_eq!(first_text(&mut turn).await, "half ");
    let old = turn.handle();
    turn.interrupt();
    assert!(matches!(turn.next().await, Some(Event::Cancelled)));
    // Its last word is said; what it has cost is told all the same.
    let Some(Event::Late(account)) = turn.next().await else { panic!("the CLI's account") };
    assert_eq!((account.is_success(), account.cost_usd), (false, Some(0.0)));
    assert!(matches!(turn.next().await, Some(Event::TurnEnd)));
    let (outcome, session) = turn.finish().await;
    assert!(outcome.unwrap_err().is_stopped());

    let turn = session.unwrap().say("short", &TurnOptions::new());
    old.stop(); // a handle means its own turn
    let (outcome, session) = turn.finish().await;
    assert_eq!(outcome.unwrap().text, "short");

    let turn = session.unwrap().say("long", &TurnOptions::new());
    assert_eq!(say(turn.cancel().await.unwrap(), "again").await.0.unwrap(), "again");
    assert_eq!(cli.starts().len(), 1);
}

#[tokio::test]
async fn a_process_that_dies_is_told_and_its_session_is_resumed() {
    let cli = ScriptedCli::new(|said| match said.text.as_str() {
        "die" => Answer::text("half").exit(9),
        _ => Answer::text(&format!("{}", said.history.len())),
    });
    let session = live(&cli).await;
    let id = session.session_id().unwrap().clone();
    let (said, session) = say(session, "one").await;
    assert_eq!(said.unwrap(), "0");
    let (said, session) = say(session.unwrap(), "die").await;
    assert_eq!(said.unwrap_err().exit().unwrap().code, Some(9));
    assert!(session.is_none(), "nothing of it is used again");

    let resumed = Live::start(&cli, &talk().session(SessionChoice::Resume(id.clone())), ()).await.unwrap();
    assert_eq!(resumed.session_id(), Some(&id));
    assert_eq!(say(resumed, "two").await.0.unwrap(), "3");
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let cli = ScriptedCli::echo();
    let unknown = SessionChoice::Resume(SessionId::from(uuid::Uuid::new_v4()));
    let error = Live::start(&cli, &talk().session(unknown), ()).await.unwrap_err();
    assert!(error.is_unknown_session() && error.is_not_found(), "{error}");

    let session = live(&cli).await;
    let id = session.session_id().unwrap().clone();
    let (_, _open) = say(session, "hi").await;
    let error = Live::start(&cli, &talk().session(SessionChoice::NewWithId(id)), ()).await.unwrap_err();
    assert!(error.stderr_tail().contains("already in use"), "{error}");

    let agents = Scripted::new().stdout(Scripted::knows(["claude"])).until_stopped();
    let agents = executor_fn(move |_| Ok(agents.clone().into_process()));
    let agent = Invocation::agent("").agent_name("deploy");
    let error = Live::start(&agents, &agent, ()).await.unwrap_err();
    assert!(error.is_not_found() && error.to_string().contains("deploy"), "{error}");
}

#[tokio::test]
async fn the_past_is_written_without_a_turn() {
    let cli = ScriptedCli::new(|said| {
        let texts: Vec<_> = said.history.iter().map(|(role, text)| format!("{role}:{text}")).collect();
        Answer::text(&texts.join(","))
    });
    let past = [
        Past::User(Content::from("U1")),
        Past::Assistant(Content::from("A1")),
        Past::User(Content::from("U2")),
        Past::Assistant(Content::from("A2")),
    ];
    let session = live(&cli).await.replay(past).await.unwrap();
    assert_eq!(session.vitals().await.turns, 0);
    assert_eq!(say(session, "U3").await.0.unwrap(), "user:U1,assistant:A1,user:U2,assistant:A2");
    let empty = live(&cli).await.replay([Past::User(Content::from(""))]).await;
    assert_eq!(empty.unwrap_err().field(), Some("prompt"));
}

fn permission(tool: &str) -> Value {
    json!({"subtype": "can_use_tool", "tool_name": tool, "input": {}, "tool_use_id": "t"})
}

#[tokio::test]
async fn a_request_waits_for_an_answer_from_anywhere_and_takes_it_once() {
    let cli = ScriptedCli::new(|_| Answer::text("may I? ").ask(permission("Bash")).then_text("done"));
    let mut turn = live(&cli).await.say("go", &TurnOptions::new());
    let handle = turn.handle();
    let id = loop {
        if let Event::ControlRequest(request) = turn.next().await.unwrap() {
            assert!(
                matches!(request.ask, Ask::Permission(PermissionAsk { ref tool_name, .. }) if tool_name == "Bash")
            );
            break request.request_id;
        }
    };
    let allow = Reply::Allow { updated_input: json!({}) };
    let answering = tokio::spawn(async move {
        handle.reply(&id, &allow).await.unwrap();
        assert!(handle.reply(&id, &allow).await.unwrap_err().is_not_found());
    });
    let (outcome, session) = turn.finish().await;
    assert!(outcome.unwrap().is_success() && session.is_some());
    answering.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_gives_is_given_in_time() {
    let cli = ScriptedCli::new(|_| Answer::text("may I? ").ask(permission("Bash")).then_text("done"));
    let mut deadlines = Deadlines::within(Duration::from_secs(100));
    (deadlines.answer, deadlines.idle) = (Duration::from_secs(60), Duration::from_secs(5));
    let options = TurnOptions::new().deadlines(deadlines);
    let mut turn = live(&cli).await.say("go", &options);
    let (mut asked, mut given_up) = (None, None);
    while let Some(event) = turn.next().await {
        match event {
            Event::ControlRequest(request) => asked = Some(request.request_id),
            Event::ControlCancel(id) => given_up = Some(id),
            Event::Error(error) => panic!("{error}"),
            _ => {}
        }
    }
    assert!(asked.is_some() && asked == given_up);
    let late = turn.handle().reply(&asked.unwrap(), &Reply::Allow { updated_input: json!({}) }).await;
    assert!(late.unwrap_err().is_not_found());
    assert!(turn.finish().await.0.unwrap().is_success());
}

#[tokio::test]
async fn a_tool_of_ours_is_called_and_its_handshake_is_not_our_callers() {
    let message = |id: u32, method: &str, params: Value| {
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        json!({"subtype": "mcp_message", "server_name": "client", "message": message})
    };
    let cli = ScriptedCli::new(move |_| {
        Answer::default()
            .ask(message(1, "tools/list", json!({})))
            .ask(message(2, "tools/call", json!({"name": "look", "arguments": {"at": "sky"}})))
            .then_text("blue")
    });
    let server = McpServer::new("client", [McpTool::new("look", "Looks.", json!({"type": "object"}))]);
    let session = Live::start(&cli, &talk().mcp_server(server), ()).await.unwrap();
    let mut turn = session.say("look", &TurnOptions::new());
    let mut calls = Vec::new();
    while let Some(event) = turn.next().await {
        if let Event::ControlRequest(request) = event {
            let call = McpCall::read(&request.ask).unwrap();
            calls.push((call.tool_name.clone(), call.arguments.get().to_owned()));
            turn.handle().reply(&request.request_id, &call.text("blue", false)).await.unwrap();
        }
    }
    assert_eq!(calls, [("look".to_owned(), r#"{"at":"sky"}"#.to_owned())]);
    assert_eq!(turn.finish().await.0.unwrap().text, "blue");
}

/// A session over a script, whose lines may name the message under way as `ID`.
async fn doubtful(lines: &'static [&'static str]) -> (Result<String>, Option<Live>) {
    let cli = ScriptedCli::new(move |said| match said.text.as_str() {
        "first" => Answer::text("ok"),
        _ => lines
            .iter()
            .fold(Answer::default(), |answer, line| answer.line(serde_json::from_str(line).unwrap())),
    });
    let (_, session) = say(live(&cli).await, "first").await;
    let (said, session) = say(session.unwrap(), "second").await;
    tokio::task::yield_now().await;
    (said, session)
}

#[tokio::test]
async fn a_result_of_another_message_is_never_ours() {
    let stray = r#"{"type":"result","subtype":"success","result":"THEIRS","result_index":1,"user_message_uuids":["x"]}"#;
    let lines: &[&str] = Box::leak(Box::new([stray]));
    let (said, session) = doubtful(lines).await;
    let error = said.unwrap_err();
    assert!(error.to_string().contains("another message") && session.is_none(), "{error}");
}

#[tokio::test]
async fn a_lost_result_is_noticed() {
    let gap = r#"{"type":"result","subtype":"success","result":"late","result_index":4}"#;
    let (said, session) = doubtful(Box::leak(Box::new([gap]))).await;
    assert!(said.is_err() && session.is_none());
}

#[tokio::test]
async fn a_turn_that_began_by_itself_retires_the_process() {
    for line in [
        r#"{"type":"result","subtype":"success","result":"again","result_index":9}"#,
        r#"{"type":"system","subtype":"init","session_id":"s","user_message_uuids":[]}"#,
    ] {
        let (process, handle) = until_written(line);
        let process = std::sync::Mutex::new(Some(process));
        let executor = executor_fn(move |_| Ok(process.lock().unwrap().take().unwrap()));
        let mut session = Live::start(&executor, &talk(), ()).await.unwrap();
        session.until_retired().await;
        assert!(session.retired().unwrap().to_string().contains("keeping step") && handle.is_stopped());
        let (said, session) = say(session, "hello").await;
        assert!(said.is_err() && session.is_none());
    }
}

/// A process that answers `initialize` and then says `line` unasked.
fn until_written(line: &str) -> (claude_exec::executor::Process, ScriptedHandle) {
    let script = Scripted::new().stdout(Scripted::knows([])).pause(3).stdout(format!("{line}\n"));
    script.until_stopped().into_process_with_handle()
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_control_request_retires_the_process() {
    let script = Scripted::new().stdout(Scripted::knows([])).until_stopped();
    let executor = executor_fn(move |_| Ok(script.clone().into_process()));
    let mut session = Live::start(&executor, &talk(), ()).await.unwrap();
    let error = session.request(&Request::Interrupt, Duration::from_secs(1)).await.unwrap_err();
    assert!(error.is_timeout());
    session.until_retired().await;
    assert!(say(session, "hello").await.1.is_none());
}

#[tokio::test]
async fn a_control_request_that_the_cli_refuses_is_an_error_and_no_doubt() {
    let cli = ScriptedCli::echo();
    let session = live(&cli).await;
    let nope = Request::Other { subtype: "nope".to_owned(), fields: serde_json::Map::new() };
    assert!(session.request(&nope, Duration::from_secs(5)).await.unwrap_err().is_unsupported());
    assert_eq!(say(session, "hello").await.0.unwrap(), "hello");
}

#[tokio::test]
async fn a_session_between_turns_ends_by_closing_stdin_and_then_drops_the_guard() {
    let cli = ScriptedCli::echo();
    let guard = Arc::new(());
    let session = Live::start(&cli, &talk(), Arc::clone(&guard)).await.unwrap();
    let (said, session) = say(session, "hello").await;
    assert_eq!((said.unwrap().as_str(), Arc::strong_count(&guard)), ("hello", 2));
    drop(session);
    gone(&guard).await;

    let hang = ScriptedCli::new(|_| Answer::text("half").hang());
    let mut turn =
        Live::start(&hang, &talk(), Arc::clone(&guard)).await.unwrap().say("x", &TurnOptions::new());
    first_text(&mut turn).await;
    drop(turn);
    gone(&guard).await;
}

async fn gone(guard: &Arc<()>) {
    for _ in 0..1000 {
        if Arc::strong_count(guard) == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the process is still there");
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_nobody_reads_ends_and_retires_its_process() {
    let cli = ScriptedCli::new(|_| Answer::text(&"word ".repeat(1000)).hang());
    let turn = live(&cli).await.say("flood", &TurnOptions::new());
    tokio::time::sleep(Duration::from_secs(40)).await;
    let (outcome, session) = turn.finish().await;
    assert!(outcome.as_ref().is_err_and(Error::is_timeout) && session.is_none(), "{outcome:?}");

    // An interrupt does not wait for a reader.
    let turn = live(&cli).await.say("flood", &TurnOptions::new());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(turn.cancel().await.is_some());
}
