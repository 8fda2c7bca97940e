//! One turn through the library's public face, on the real CLI.

use std::time::Duration;

use claude_exec::brain::{self, Turn};
use claude_exec::executor::LocalExecutor;
use claude_exec::invocation::{Deadlines, PermissionMode, SessionChoice};
use claude_exec::protocol::{Event, Failure, Outcome, SessionId};
use claude_exec::{Invocation, cli};
use futures::StreamExt;
use serde_json::json;

use crate::support::cli::{Home, VERSION, on, path};
use crate::support::model_api::{ModelApi, Scenario, TOOL_ANSWER, system_text, tool_results};
use crate::support::process;

async fn start(home: &Home, invocation: Invocation) -> Turn {
    brain::run(&LocalExecutor::new(), &on(home, invocation)).await.expect("the CLI starts")
}

async fn run(home: &Home, invocation: Invocation) -> Outcome {
    start(home, invocation).await.outcome().await.expect("the CLI gives a result")
}

/// The answer as a reader of the events takes it.
async fn read(turn: &mut Turn) -> (String, Vec<Event>) {
    let (mut answer, mut events) = (String::new(), Vec::new());
    while let Some(event) = turn.next().await {
        match &event {
            Event::Text(text) if text.parent.is_none() => answer += &text.text,
            Event::Restarted(void) if void.parent.is_none() => {
                answer.truncate(answer.len() - void.text_bytes)
            }
            _ => {}
        }
        events.push(event);
    }
    (answer, events)
}

fn agent(prompt: &str) -> Invocation {
    Invocation::agent(prompt).permission_mode(PermissionMode::BypassPermissions)
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn the_cli_gate_knows_the_tested_version() {
    let version = cli::check(&LocalExecutor::new(), path().as_os_str()).await.unwrap();
    assert_eq!((version, version.to_string().as_str()), (cli::TESTED, VERSION));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_conversational_turn_streams_and_costs_little_context() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut turn = start(&home, Invocation::conversational("hello [[words 4]]")).await;
    let (answer, events) = read(&mut turn).await;
    assert_eq!(answer, "word0 word1 word2 word3 ");
    let pieces = events.iter().filter(|event| matches!(event, Event::Text(_))).count();
    assert_eq!(pieces, 4, "each delta is an event");
    assert!(matches!(events.last(), Some(Event::TurnEnd)));
    let Some(Event::Finished(outcome)) = events.iter().rev().nth(1) else { panic!("{events:?}") };
    assert!(outcome.is_success() && outcome.text == answer && outcome.usage.output_tokens > 0);

    let requests = api.messages();
    assert_eq!(requests.len(), 1);
    let body = &requests[0].body;
    assert!(body["tools"].as_array().is_none_or(Vec::is_empty), "no tools means none: {}", body["tools"]);
    assert!(body["thinking"].is_null(), "{}", body["thinking"]);
    let system = system_text(body);
    assert!(system.ends_with(claude_exec::invocation::SPOKEN_SYSTEM_PROMPT), "{system}");
    // claude-cli measured 1,709 with a system prompt of one word; ours is what it adds.
    assert!(requests[0].body_len < 3500, "{} bytes", requests[0].body_len);
    assert!(home.sessions().is_empty(), "no session is kept");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_prompt_reaches_the_model_byte_for_byte() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let long = "Жълтата дюля. ".repeat(300 * 1024 / 25);
    let texts =
        ["@/etc/hostname", "/clear", "/cost", "--dangerously-skip-permissions", "  two\n\nlines\t", &long];
    for text in texts {
        for invocation in [Invocation::conversational(text), agent(text)] {
            let before = api.messages().len();
            assert!(run(&home, invocation).await.is_success());
            let requests = api.messages();
            assert_eq!(requests.len(), before + 1);
            assert!(requests[before].user_texts() == [text], "{:.80?}", requests[before].user_texts());
        }
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn expansion_happens_only_for_the_caller_who_asks() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    std::fs::write(home.work().join("note.txt"), "the secret of the note").unwrap();
    run(&home, agent("@note.txt").expand_prompt(true)).await;
    assert!(api.messages()[0].body.to_string().contains("the secret of the note"));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_prompt_over_the_models_context_is_told_as_such() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let outcome = run(&home, Invocation::conversational("x".repeat(2_000_000))).await;
    assert_eq!(outcome.failure(), Some(Failure::PromptTooLong), "{outcome:?}");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_agent_runs_tools_in_its_directory() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let prompt = r#"[[tool Bash {"command":"pwd > here.txt; echo ran","description":"d"}]]"#;
    let mut turn = start(&home, agent(prompt).max_budget_usd(5.0)).await;
    let (answer, events) = read(&mut turn).await;
    assert_eq!(answer, TOOL_ANSWER);
    assert!(events.iter().any(|event| matches!(event, Event::Tool(tool) if tool.name == "Bash")));
    assert!(events.iter().any(|event| matches!(event, Event::ToolResult(result) if !result.is_error)));
    assert_eq!(tool_results(&api.messages()[1].body), [("ran".to_owned(), false)]);
    let here = std::fs::read_to_string(home.work().join("here.txt")).unwrap();
    assert_eq!(here.trim(), home.work().display().to_string());
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn what_nobody_is_there_to_allow_is_refused() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let prompt = r#"[[tool Bash {"command":"touch never","description":"d"}]]"#;
    assert!(run(&home, Invocation::agent(prompt)).await.is_success());
    assert!(tool_results(&api.messages()[1].body)[0].1, "the model reads an error");
    assert!(!home.work().join("never").exists());
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_person_is_asked_and_decides() {
    use claude_exec::protocol::{Ask, Reply};
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    for (allow, exists) in [(false, false), (true, true)] {
        let prompt = r#"[[tool Bash {"command":"touch asked","description":"d"}]]"#;
        let mut turn = start(&home, Invocation::breakglass(prompt)).await;
        let mut asked = 0;
        while let Some(event) = turn.next().await {
            let Event::ControlRequest(request) = event else { continue };
            let Ask::Permission(ask) = request.ask else { panic!("{request:?}") };
            assert_eq!(ask.tool_name, "Bash");
            let input: serde_json::Value = serde_json::from_str(ask.input.get()).unwrap();
            assert_eq!(input["command"], "touch asked");
            let reply = match allow {
                true => Reply::Allow { updated_input: input },
                false => Reply::Deny { message: "not now".to_owned(), interrupt: false },
            };
            turn.handle().reply(&request.request_id, &reply).await.unwrap();
            asked += 1;
        }
        assert_eq!((asked, home.work().join("asked").exists()), (1, exists));
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_refused_credential_ends_the_turn_at_once() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let outcome = run(&home, Invocation::conversational("[[status 401]]")).await;
    assert_eq!(outcome.failure(), Some(Failure::Api(Some(401))));
    assert_eq!(api.messages().len(), 1, "no retry was waited for");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_overloaded_api_is_retried_to_the_answer() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut turn = start(&home, Invocation::conversational("[[status 529 times=2]] [[words 2]]")).await;
    let (answer, events) = read(&mut turn).await;
    assert_eq!(answer, "word0 word1 ");
    let retries: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Retry(retry) => Some((retry.attempt, retry.status)),
            _ => None,
        })
        .collect();
    assert_eq!(retries, [(1, Some(529)), (2, Some(529))]);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn void_text_is_never_the_answer() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    for fault in ["[[cut]]", "[[error_event]]"] {
        let mut turn = start(&home, Invocation::conversational(format!("[[words 3]] {fault}"))).await;
        let (answer, events) = read(&mut turn).await;
        assert_eq!(answer, "ok", "{fault}");
        let void: Vec<usize> = events
            .iter()
            .filter_map(|event| match event {
                Event::Restarted(void) => Some(void.text_bytes),
                _ => None,
            })
            .collect();
        assert!(
            !void.is_empty() && void.iter().all(|bytes| *bytes == "word0 word1 word2 ".len()),
            "{void:?}"
        );
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_interrupted_turn_is_cancelled_and_leaves_nothing() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut turn = start(&home, Invocation::conversational("[[words 2]] [[silence]]")).await;
    while !matches!(turn.next().await.unwrap(), Event::Text(_)) {}
    turn.interrupt();
    let (_, events) = read(&mut turn).await;
    let ends: Vec<_> = events.iter().filter(|event| !matches!(event, Event::Text(_))).collect();
    assert!(matches!(ends[..], [.., Event::Cancelled, Event::Late(_), Event::TurnEnd]), "{ends:?}");
    assert!(process::with_command(&home.work().display().to_string()).is_empty());
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_time_limit_ends_the_cli_and_its_tools_the_detached_ones_too() {
    let api = ModelApi::start().await;
    let home = Home::new(&api).env_var("TURN_TEST", &format!("limit-{}", std::process::id()));
    let sleep = "python3 -c 'import time; time.sleep(600)'";
    let command = format!("setsid nohup {sleep} >/dev/null 2>&1 & {sleep}");
    let tool = json!({"command": command, "description": "d"});
    let deadlines = Deadlines::within(Duration::from_secs(12)); // a loaded machine takes 5 s to get there
    let turn = start(&home, agent(&format!("[[tool Bash {tool}]]")).deadlines(deadlines)).await;
    let marked = || process::with_env("TURN_TEST", &format!("limit-{}", std::process::id()));
    let sleepers = || marked().into_iter().filter(|process| process.command.contains("time.sleep")).count();
    process::until("both sleep", || sleepers() >= 2).await;
    let error = turn.outcome().await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(marked(), [], "when the outcome is there, nothing runs");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_session_goes_on_by_its_id_and_an_unknown_one_is_told() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let id = SessionId::from(uuid::Uuid::new_v4());
    let first = Invocation::conversational("my name is Ana").session(SessionChoice::NewWithId(id.clone()));
    let first = run(&home, first).await;
    assert_eq!(first.session_id, Some(id.clone()));
    let second = Invocation::conversational("[[recall]]").session(SessionChoice::Resume(id));
    let second = run(&home, second).await;
    assert_eq!(second.text, "my name is Ana");
    let cost = |outcome: &Outcome| outcome.cost_usd.expect("this CLI tells what a turn cost");
    let sum = cost(&first) + cost(&second);
    assert!(
        (second.total_cost_usd.unwrap() - sum).abs() < 1e-9,
        "{} is not {sum}",
        second.total_cost_usd.unwrap()
    );

    let unknown = SessionChoice::Resume(SessionId::from(uuid::Uuid::new_v4()));
    let outcome = run(&home, Invocation::conversational("hello").session(unknown)).await;
    assert_eq!(outcome.failure(), Some(Failure::UnknownSession));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_schema_travels_on_stdin_and_comes_back_as_json() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    api.script(|_| Scenario::tool("StructuredOutput", json!({"city": "Sofia"})));
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let outcome = run(&home, Invocation::conversational("where?").json_schema(schema)).await;
    assert_eq!(outcome.structured_output.expect("it fits").get(), r#"{"city":"Sofia"}"#);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn nothing_is_left_in_tmpdir_after_a_tool_ran_or_the_cli_was_killed() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let left = || std::fs::read_dir(home.tmp()).unwrap().count();
    let during = home.tmp().join("*/claude-*");
    let prompt = format!(r#"[[tool Bash {{"command":"ls -d {} && mktemp"}}]]"#, during.display());
    assert_eq!(run(&home, agent(&prompt)).await.text, TOOL_ANSWER);
    let results = tool_results(&api.messages()[1].body);
    assert!(!results[0].1, "the CLI and its tool used a directory of the run's own: {results:?}");
    assert_eq!(left(), 0);

    let mut turn = start(&home, agent("[[silence]]")).await;
    while !matches!(turn.next().await, Some(Event::Session(_))) {}
    turn.stop();
    while turn.next().await.is_some() {}
    assert_eq!(left(), 0);
}
