//! The fake CLI: that it says what the real one says, and misbehaves when told to.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::cli::{self, Finished, Home, Pipe, control, initialize, user};
use crate::support::model_api::ModelApi;
use crate::support::process::{self, Marker};

const FAKE: &str = env!("CARGO_BIN_EXE_fake-claude");
const STREAM: [&str; 4] = ["-p", "--input-format=stream-json", "--output-format=stream-json", "--verbose"];

/// The lines without what differs from run to run: type, subtype, event, delta.
fn shape(lines: &[Value]) -> Vec<String> {
    let parts = |line: &Value| {
        let paths = ["/type", "/subtype", "/event/type", "/event/delta/type", "/state", "/error"];
        let parts = paths.iter().filter_map(|path| line.pointer(path)?.as_str().map(str::to_owned));
        parts.collect::<Vec<_>>().join(" ")
    };
    lines.iter().map(parts).collect()
}

/// A home without a model: what is refused is refused before a request.
fn lonely() -> Home {
    Home::with_base_url("http://127.0.0.1:9")
}

async fn run(home: &Home, program: &Path, argv: &[&str], lines: &[Value]) -> Finished {
    let mut pipe = Pipe::spawn(home.command_of(program).args(argv));
    for line in lines {
        pipe.send(line).await;
    }
    pipe.finish().await
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn it_refuses_what_the_real_one_refuses_in_the_same_words() {
    let unknown = "--resume=11111111-1111-4111-8111-111111111111";
    for extra in [
        vec!["--nope"],
        vec!["--session-id=abc"],
        vec!["--output-format=nope"],
        vec!["--permission-mode=nope"],
        vec!["--max-turns=x"],
        vec!["--max-budget-usd=NaN"],
        vec!["--max-budget-usd=-1"],
        vec!["--setting-sources=nope"],
        vec!["--system-prompt-snapshot=nope"],
        vec!["--resume=abc"],
        vec![unknown],
        vec!["--session-id=11111111-1111-4111-8111-111111111111", unknown],
        vec!["--output-format=json"],
    ] {
        let argv = [&STREAM[..], &extra[..]].concat();
        let real = run(&lonely(), &cli::path(), &argv, &[user("hi")]).await;
        let fake = run(&lonely(), Path::new(FAKE), &argv, &[user("hi")]).await;
        let told = |run: &Finished| (run.status.code(), first_line(&run.stderr), shape(&run.lines));
        assert_eq!(told(&fake), told(&real), "{extra:?}");
        assert_eq!(fake.status.code(), Some(1), "{extra:?}");
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn its_turns_have_the_shape_of_real_ones() {
    let partial = "--include-partial-messages";
    let cases = [
        (vec![partial], "[[words 3]]", "[[words 3]]"),
        (vec![], "[[words 3]]", "[[words 3]]"),
        (vec![partial], "[[thinking 2]] [[words 2]]", "[[thinking 2]] [[words 2]]"),
        (vec![partial], "[[words 2]] [[block]] [[words 1]]", "[[words 2]] [[block]] [[words 1]]"),
        (vec![partial], "[[error_event]]", "[[restart 3 ok]]"),
        (vec![partial], "[[cut times=1]] [[words 2]]", "[[abandon 3]] [[words 2]]"),
        (vec![partial], "[[status 400]]", "[[is_error 400 API Error: 400 stand-in says 400]]"),
        (vec![partial], "[[status 529 times=1]] [[words 1]]", "[[api_retry 529]] [[words 1]]"),
        (vec![partial, "--tools=Nope"], "[[words 1]]", "[[words 1]]"),
    ];
    let api = ModelApi::start().await;
    for (extra, for_real, for_fake) in cases {
        let argv = [&STREAM[..], &["--setting-sources=", "--strict-mcp-config"], &extra[..]].concat();
        let real = run(&Home::new(&api), &cli::path(), &argv, &[user(for_real)]).await;
        let fake = run(&lonely(), Path::new(FAKE), &argv, &[user(for_fake)]).await;
        let told = |run: &Finished| {
            let result = run.lines.iter().find(|line| line["type"] == "result").cloned().unwrap_or_default();
            let fields =
                ["is_error", "subtype", "result", "api_error_status", "terminal_reason", "num_turns"];
            let fields = fields.map(|name| result[name].clone());
            (run.status.code(), fields, shape(&run.lines))
        };
        assert_eq!(told(&fake), told(&real), "{for_real}");
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_interrupt_and_messages_that_waited_come_out_as_with_the_real_one() {
    let api = ModelApi::start().await;
    let mut shapes = Vec::new();
    for program in [cli::path(), FAKE.into()] {
        let home = Home::new(&api);
        let argv = [&STREAM[..], &["--tools=", "--setting-sources=", "--include-partial-messages"]].concat();
        let mut pipe = Pipe::spawn(home.command_of(program).args(argv));
        pipe.send(&initialize("i", json!({"systemPrompt": "S"}))).await;
        pipe.send(&user("[[words 2]] [[silence]]")).await;
        pipe.until(|line| line["event"]["delta"]["text"] == "word1 ").await;
        pipe.send(&user("[[words 1]]")).await;
        pipe.send(&user("B")).await;
        pipe.send(&control("stop", json!({"subtype": "interrupt"}))).await;
        pipe.result().await;
        pipe.result().await;
        pipe.send(&control("nope", json!({"subtype": "nope"}))).await;
        pipe.control_response("nope").await;
        let done = pipe.finish().await;
        assert!(done.status.success());
        shapes.push(shape(&done.lines));
    }
    let fake = shapes.pop();
    assert_eq!(fake, shapes.pop());
}

#[tokio::test]
async fn a_conversation_is_kept_resumed_and_not_begun_twice() {
    let home = lonely();
    let id = uuid::Uuid::new_v4().to_string();
    let (new, resume) = (format!("--session-id={id}"), format!("--resume={id}"));
    let turn = async |flag: &str, text: &str| {
        run(&home, Path::new(FAKE), &[&STREAM[..], &[flag]].concat(), &[user(text)]).await
    };
    assert!(turn(&new, "first").await.status.success());
    let again = turn(&new, "second").await;
    assert_eq!(first_line(&again.stderr), format!("Error: Session ID {id} is already in use."));
    let resumed = turn(&resume, "[[recall]]").await;
    assert_eq!(resumed.lines.last().expect("a result")["result"], "first");
    assert_eq!(home.sessions().len(), 1);
}

#[tokio::test]
async fn a_permission_is_asked_for_and_the_answer_counts() {
    for (answer, told, denials) in [
        (json!({"behavior": "allow", "updatedInput": {"command": "id"}}), "ran {\"command\":\"id\"}", 0),
        (json!({"behavior": "deny", "message": "not today"}), "not today", 1),
    ] {
        let argv = [&STREAM[..], &["--permission-prompt-tool=stdio"]].concat();
        let mut pipe = Pipe::spawn(lonely().command_of(FAKE).args(argv));
        pipe.send(&user(r#"[[permission Bash {"command":"id"}]]"#)).await;
        let asked = pipe.until(|line| line["type"] == "control_request").await;
        assert_eq!(asked["request"]["tool_name"], "Bash");
        let response = json!({"subtype": "success", "request_id": asked["request_id"], "response": answer});
        pipe.send(&json!({"type": "control_response", "response": response})).await;
        let result = pipe.until(|line| line["type"] == "user").await;
        assert_eq!(result["message"]["content"][0]["content"], told);
        let result = pipe.result().await;
        assert_eq!(result["result"], "done");
        assert_eq!(result["permission_denials"].as_array().map(Vec::len), Some(denials));
        pipe.finish().await;
    }
}

#[tokio::test]
async fn it_reports_how_it_was_started() {
    let home = lonely().env_var("CANARY", "1");
    let done = run(&home, Path::new(FAKE), &STREAM, &[user("[[report]]")]).await;
    let report = done.lines.last().and_then(|line| line["result"].as_str()).expect("a report");
    let report: Value = serde_json::from_str(report).expect("the report is JSON");
    assert_eq!(report["argv"].as_array().map(|argv| argv[1..].to_vec()), json!(STREAM).as_array().cloned());
    assert_eq!(report["env"]["CANARY"], "1");
    assert_eq!(report["cwd"], json!(home.work()));
}

#[tokio::test]
async fn it_leaves_children_and_ends_as_told() {
    let marker = Marker::new("FAKE_CLAUDE_TEST");
    let home = lonely().env_var(marker.name(), marker.value());
    let mut pipe = Pipe::spawn(home.command_of(FAKE).args(STREAM));
    pipe.send(&user("[[detached]] [[grandchild]] [[text partly]] [[exit 7]]")).await;
    assert_eq!(pipe.wait().await.code(), Some(7));
    let left = marker.live();
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(left.iter().filter(|process| process.session == process.pid).count(), 1, "{left:?}");
    drop(marker);
    process::until("the pipe's last holder is gone", || left.iter().all(|p| !process::is_alive(p.pid))).await;
    assert!(!pipe.finish().await.lines.iter().any(|line| line["type"] == "result"));
}

#[tokio::test]
async fn a_signal_ends_it_unless_it_was_told_to_ignore_it() {
    let mut pipe = Pipe::spawn(lonely().command_of(FAKE).args(STREAM));
    pipe.send(&user("[[text a]] [[silence]]")).await;
    pipe.until(|line| line["subtype"] == "init").await;
    pipe.signal(rustix::process::Signal::TERM);
    assert_eq!(pipe.wait().await.code(), Some(143));

    let home = lonely().env_var("FAKE_CLAUDE_START", "[[ignore_sigterm]] [[raw \"ready\"]]");
    let mut pipe = Pipe::spawn(home.command_of(FAKE).args(STREAM));
    pipe.until(|line| line == "ready").await;
    pipe.signal(rustix::process::Signal::TERM);
    assert_eq!(pipe.turn("[[text still here]]").await["result"], "still here");
    assert!(pipe.finish().await.status.success());
}

#[tokio::test]
async fn odd_lines_come_out_as_written() {
    let home =
        lonely().env_var("FAKE_CLAUDE", "[[not_objects]] [[null_message]] [[next]] [[string_content s]]");
    let mut pipe = Pipe::spawn(home.command_of(FAKE).args(STREAM));
    pipe.turn("one").await;
    assert!(pipe.seen.contains(&json!("[SandboxDebug] hello")), "{:#?}", pipe.seen);
    assert_eq!(pipe.turn("two").await["result"], "s");
    assert_eq!(pipe.turn("the last section stays").await["result"], "s");
    pipe.finish().await;

    let done =
        run(&lonely(), Path::new(FAKE), &STREAM, &[user("[[stderr 200000]] [[long_line 5000000]]")]).await;
    assert_eq!(done.stderr.len(), 200_000);
    assert_eq!(done.lines.last().and_then(|line| line["result"].as_str()).map(str::len), Some(5_000_000));
}
