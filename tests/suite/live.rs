//! Live sessions on the real CLI.

use std::time::Duration;

use claude_exec::brain::live::{Live, LiveTurn, Past, Spare, TurnOptions};
use claude_exec::executor::LocalExecutor;
use claude_exec::invocation::{Effort, SessionChoice};
use claude_exec::protocol::{Content, Event, McpCall, McpServer, McpTool, Reply, SessionId};
use claude_exec::{Invocation, Result};
use futures::StreamExt;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::cli::{Home, on};
use crate::support::model_api::{ModelApi, system_text, tool_results};
use crate::support::process;

fn talk() -> Invocation {
    Invocation::conversational("").session(SessionChoice::New)
}

async fn live(home: &Home, invocation: Invocation) -> Live {
    Live::start(&LocalExecutor::new(), &on(home, invocation), ()).await.expect("the session opens")
}

async fn say(live: Live, text: &str) -> (Result<String>, Option<Live>) {
    let (outcome, live) = live.say(text, &TurnOptions::new()).finish().await;
    (outcome.map(|outcome| outcome.text), live)
}

/// A turn that must be good.
async fn good(live: Live, text: &str) -> (String, Live) {
    let (said, live) = say(live, text).await;
    (said.expect("the turn succeeds"), live.expect("the session goes on"))
}

async fn until_text(turn: &mut LiveTurn) {
    while let Some(event) = turn.next().await {
        if matches!(event, Event::Text(_)) {
            return;
        }
    }
    panic!("the turn said nothing");
}

/// The roles and texts that the last request to the model held.
fn messages(api: &ModelApi) -> Vec<(String, String)> {
    let body = api.messages().pop().expect("a request").body;
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    let text = |content: &Value| match content {
        Value::String(text) => text.clone(),
        blocks => {
            let blocks = blocks.as_array().cloned().unwrap_or_default();
            let kind = |block: &Value| block["text"].as_str().or(block["type"].as_str()).map(str::to_owned);
            blocks.iter().filter_map(kind).collect::<Vec<_>>().join("+")
        }
    };
    let role = |message: &Value| message["role"].as_str().unwrap_or_default().to_owned();
    let told = messages.iter().filter(|message| message["role"] != "system");
    told.map(|message| (role(message), text(&message["content"]))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(role, text)| ((*role).to_owned(), (*text).to_owned())).collect()
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_spare_becomes_a_conversation_that_goes_on() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let invocation = on(&home, talk());
    let spare = Spare::start(&LocalExecutor::new(), &invocation, ()).await.unwrap();
    let session = spare.initialize(&invocation.clone().system_prompt("BE BRIEF")).await.unwrap();
    let id = session.session_id().cloned();
    let (_, session) = good(session, "my name is Ana").await;
    let (answer, session) = good(session, "[[recall]]").await;
    assert_eq!(answer, "my name is Ana");
    assert_eq!(session.session_id(), id.as_ref(), "the id is known before anything is said");
    assert!(system_text(&api.messages()[1].body).ends_with("BE BRIEF"));
    let vitals = session.vitals().await;
    assert_eq!(vitals.turns, 2);
    if cfg!(target_os = "linux") {
        assert!(vitals.memory.is_some_and(|bytes| bytes > 20_000_000), "{vitals:?}");
    }
    session.close().await;
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_interrupt_ends_the_turn_wherever_it_is_and_the_session_goes_on() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut turn = live(&home, talk()).await.say("[[words 2]] [[silence]]", &TurnOptions::new());
    until_text(&mut turn).await;
    turn.interrupt();
    let mut last = Vec::new();
    while let Some(event) = turn.next().await {
        match event {
            Event::Cancelled => last.push("cancelled"),
            Event::Finished(_) | Event::Error(_) => last.push("other"),
            Event::TurnEnd => last.push("end"),
            _ => {}
        }
    }
    assert_eq!(last, ["cancelled", "end"]);
    let session = turn.finish().await.1.expect("the session goes on");
    // Before the CLI has begun the turn it takes the message back, and no result comes.
    let session = session.say("never", &TurnOptions::new()).cancel().await.expect("the session goes on");
    let (answer, _) = good(session, "[[echo]]").await;
    assert_eq!(answer, "[[echo]]");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn options_reach_the_model_in_their_own_turn_only() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut session = live(&home, talk()).await;
    let all = TurnOptions::new().max_tokens(66).temperature(0.25).top_p(0.5).stop(["YY"]);
    let thinking = TurnOptions::new().thinking(true).effort(Effort::Low);
    for options in [TurnOptions::new(), all, thinking, TurnOptions::new()] {
        let (outcome, next) = session.say("hi", &options).finish().await;
        assert!(outcome.expect("the turn ends").is_success());
        session = next.expect("the session goes on");
    }
    let sent: Vec<Vec<Value>> = api
        .messages()
        .iter()
        .map(|request| {
            let body = &request.body;
            let names = ["max_tokens", "temperature", "top_p", "stop_sequences", "thinking"];
            let mut values: Vec<Value> = names.iter().map(|name| body[*name].clone()).collect();
            values.push(body["output_config"]["effort"].clone());
            values
        })
        .collect();
    assert_eq!(sent[1][..5], [json!(66), json!(0.25), json!(0.5), json!(["YY"]), Value::Null]);
    assert!(sent[2][4]["type"] != Value::Null && sent[2][5] == "low", "{:?}", sent[2]);
    assert_eq!(sent[2][1..4], [Value::Null, Value::Null, Value::Null]);
    assert_eq!(sent[3], sent[0]);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_replayed_past_reaches_the_model_as_it_is() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let call = json!([{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "sky"}}]);
    let result = json!([{"type": "tool_result", "tool_use_id": "toolu_1", "content": "blue"}]);
    let blocks = |value: &Value| Content::Blocks(value.as_array().cloned().unwrap_or_default());
    let past = [
        Past::User("@/etc/hostname /clear".into()),
        Past::Assistant("A1".into()),
        Past::User("U2".into()),
        Past::Assistant(blocks(&call)),
        Past::User(blocks(&result)),
        Past::Assistant("A3".into()),
    ];
    let session = live(&home, talk()).await.replay(past).await.expect("the past is taken");
    assert_eq!(api.messages().len(), 0, "the model is not asked");
    let _open = good(session, "U4").await;
    let expected = [
        ("user", "@/etc/hostname /clear"),
        ("assistant", "A1"),
        ("user", "U2"),
        ("assistant", "tool_use"),
        ("user", "tool_result"),
        ("assistant", "A3"),
        ("user", "U4"),
    ];
    assert_eq!((api.messages().len(), messages(&api)), (1, pairs(&expected)));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_tool_of_ours_is_parked_answered_from_elsewhere_and_interrupted() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let tool = |name: &str| {
        McpTool::new(name, "Looks.", json!({"type": "object", "properties": {}})).read_only(true)
    };
    let server = McpServer::new("client", [tool("look"), tool("listen")]);
    let session = live(&home, talk().mcp_server(server).allowed_tools(["mcp__client"])).await;
    let prompt = "[[tool mcp__client__look {}]] [[tool mcp__client__listen {}]]";
    let mut turn = session.say(prompt, &TurnOptions::new());
    let mut parked = Vec::new();
    while parked.len() < 2 {
        if let Event::ControlRequest(request) =
            turn.next().await.expect("both are called before one is answered")
        {
            parked.push((request.request_id, McpCall::read(&request.ask).expect("a call")));
        }
    }
    let handle = turn.handle();
    let answering = tokio::spawn(async move {
        for (id, call) in parked.into_iter().rev() {
            let text = format!("{} result", call.tool_name);
            handle.reply(&id, &call.text(&text, false)).await.expect("it waits");
        }
    });
    let (outcome, session) = turn.finish().await;
    assert!(outcome.expect("the turn ends").is_success());
    answering.await.expect("the answers are taken");
    let results = tool_results(&api.messages()[1].body);
    let texts: Vec<_> = results.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(texts, ["look result", "listen result"]);

    let mut turn = session.expect("it goes on").say(prompt, &TurnOptions::new());
    while !matches!(turn.next().await, Some(Event::ControlRequest(_))) {}
    let session = turn.cancel().await.expect("a parked call is no obstacle");
    let _open = good(session, "and then?").await;
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_person_is_asked_in_each_turn_of_a_live_session() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut session = live(&home, Invocation::breakglass("")).await;
    for (file, allow) in [("never", false), ("made", true)] {
        let prompt = format!(r#"[[tool Bash {{"command":"touch {file}","description":"d"}}]]"#);
        let mut turn = session.say(prompt, &TurnOptions::new());
        while let Some(event) = turn.next().await {
            let Event::ControlRequest(request) = event else { continue };
            let reply = if allow {
                Reply::Allow { updated_input: json!({"command": format!("touch {file}")}) }
            } else {
                Reply::Deny { message: "no".to_owned(), interrupt: false }
            };
            turn.handle().reply(&request.request_id, &reply).await.expect("it waits");
        }
        session = turn.finish().await.1.expect("the session goes on");
        assert_eq!(home.work().join(file).exists(), allow);
    }
}

/// SIGKILL to the CLI of this home.
fn kill(home: &Home) {
    let found = process::with_env("CLAUDE_CONFIG_DIR", &home.config().display().to_string());
    let pid = found.iter().map(|process| process.pid).min().expect("the CLI runs");
    process::kill(pid, Signal::KILL);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_killed_process_is_told_and_its_session_is_resumed_with_its_first_system_prompt() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let session = live(&home, talk().system_prompt("FIRST")).await;
    let id = session.session_id().cloned().expect("it has an id");
    let (_, session) = good(session, "one").await;
    let mut turn = session.say("[[words 2]] [[silence]]", &TurnOptions::new());
    until_text(&mut turn).await;
    kill(&home);
    let (outcome, session) = turn.finish().await;
    assert_eq!(outcome.expect_err("it was cut").exit().and_then(|exit| exit.signal), Some(9));
    assert!(session.is_none());

    let resume = || talk().session(SessionChoice::Resume(id.clone())).system_prompt("SECOND");
    let mut session = live(&home, resume()).await;
    let (_, next) = good(session, "[[recall]]").await;
    session = next;
    let body = api.messages().pop().expect("a request").body;
    assert!(system_text(&body).ends_with("FIRST"), "a session keeps its system prompt: {body}");
    assert_eq!(messages(&api)[0], ("user".to_owned(), "one".to_owned()));

    // Between turns.
    kill(&home);
    session.until_retired().await;
    let (said, gone) = say(session, "hello?").await;
    assert!(said.is_err() && gone.is_none());
    let (answer, _) = good(live(&home, resume()).await, "[[echo]]").await;
    assert_eq!(answer, "[[echo]]");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_session_that_does_not_exist_is_told_as_such() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let unknown = SessionChoice::Resume(SessionId::from(uuid::Uuid::new_v4()));
    let opened = Live::start(&LocalExecutor::new(), &on(&home, talk().session(unknown)), ()).await;
    assert!(opened.expect_err("there is none").is_unknown_session());
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_failed_turn_leaves_the_session_usable() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let session = live(&home, talk()).await;
    let (outcome, session) = session.say("[[status 400 no]]", &TurnOptions::new()).finish().await;
    assert!(!outcome.expect("the CLI tells it").is_success());
    let (answer, session) = good(session.expect("it goes on"), "[[echo]]").await;
    assert_eq!(answer, "[[echo]]");
    let limit = Duration::from_secs(30);
    let nope =
        claude_exec::protocol::Request::Other { subtype: "nope".to_owned(), fields: serde_json::Map::new() };
    assert!(session.request(&nope, limit).await.expect_err("it is unknown").is_unsupported());
}
