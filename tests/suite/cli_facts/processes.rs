//! Processes: how it ends, and what it leaves behind.

use rustix::process::Signal;
use serde_json::json;

use super::common::{ARMED, lean, spawn};
use crate::support::cli::{Home, Pipe, user};
use crate::support::model_api::ModelApi;
use crate::support::process::{self, Marker, Process};

const MARK: &str = "CLAUDE_EXEC_RUN";

/// A Bash call that sleeps and, before that, starts something in a session of its own.
fn command(detached: &str) -> String {
    let sleeper = "python3 -c 'import time; time.sleep(600)'";
    let input = json!({"command": format!("{detached}{sleeper}"), "description": "d"});
    format!("[[tool Bash {input}]]")
}

const DETACHED: &str =
    "setsid nohup python3 -c 'import time; time.sleep(601)' >/dev/null 2>&1 < /dev/null & ";

/// The same, and its parent is gone at once.
const ORPHANED: &str =
    "(setsid nohup python3 -c 'import time; time.sleep(601)' >/dev/null 2>&1 < /dev/null &) ; ";

fn sleepers(marker: &Marker, seconds: &str) -> Vec<Process> {
    let wanted = format!("time.sleep({seconds})");
    // The shell that started it has the same words in its command line.
    let python = |process: &Process| {
        let program = process.command.split(' ').next().and_then(|path| path.rsplit('/').next());
        program.is_some_and(|name| name.starts_with("python")) && process.command.contains(&wanted)
    };
    marker.live().into_iter().filter(python).collect()
}

/// A process in the middle of a Bash call.
async fn in_a_tool(home: &Home, marker: &Marker, detached: &str) -> Pipe {
    let mut pipe = spawn(home, &ARMED);
    pipe.send(&user(&command(detached))).await;
    process::until("the tool runs", || sleepers(marker, "600").len() == 1).await;
    pipe
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_variable_of_its_environment_reaches_every_descendant() {
    let api = ModelApi::start().await;
    let marker = Marker::new(MARK);
    let home = Home::new(&api).env_var(MARK, marker.value());
    let pipe = in_a_tool(&home, &marker, DETACHED).await;
    process::until("the detached one runs", || sleepers(&marker, "601").len() == 1).await;
    let foreground = sleepers(&marker, "600").remove(0);
    let detached = sleepers(&marker, "601").remove(0);
    let cli = pipe.pid().cast_signed();
    // Each tool has a session of its own, so no signal to the group reaches it ...
    assert_ne!(foreground.session, process::all().iter().find(|p| p.pid == cli).expect("alive").session);
    assert_ne!(foreground.group, cli);
    // ... nor one to the tool's session what detached itself from it.
    assert_eq!((foreground.session == foreground.pid, detached.session), (false, detached.pid));
}

/// What a child of the tool's shell does does not matter, `setsid` included: its parent is still known.
#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_signal_that_can_be_caught_ends_the_tool_and_all_that_descends_from_it() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 0), (Signal::HUP, 129)] {
        let api = ModelApi::start().await;
        let marker = Marker::new(MARK);
        let home = Home::new(&api).env_var(MARK, marker.value());
        let mut pipe = in_a_tool(&home, &marker, DETACHED).await;
        process::until("the detached one runs", || sleepers(&marker, "601").len() == 1).await;
        pipe.signal(signal);
        assert_eq!(pipe.wait().await.code(), Some(code), "{signal:?}");
        process::until("the tool is gone", || marker.live().is_empty()).await;
    }
}

/// Once its parent is gone nobody finds it by a walk: this is what a marker in the environment is for.
#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn what_lost_its_parent_outlives_every_signal() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::KILL] {
        let api = ModelApi::start().await;
        let marker = Marker::new(MARK);
        let home = Home::new(&api).env_var(MARK, marker.value());
        let mut pipe = in_a_tool(&home, &marker, ORPHANED).await;
        process::until("the detached one runs", || sleepers(&marker, "601").len() == 1).await;
        let cli = pipe.pid().cast_signed();
        let orphan = sleepers(&marker, "601").remove(0);
        assert!(!process::descendants(cli).contains(&orphan), "{orphan:?}");
        pipe.signal(signal);
        pipe.wait().await;
        if signal != Signal::KILL {
            process::until("the tool is gone", || sleepers(&marker, "600").is_empty()).await;
        }
        assert_eq!(sleepers(&marker, "601"), [orphan], "{signal:?}");
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn sigkill_leaves_the_tool_running() {
    let api = ModelApi::start().await;
    let marker = Marker::new(MARK);
    let home = Home::new(&api).env_var(MARK, marker.value());
    let mut pipe = in_a_tool(&home, &marker, "").await;
    pipe.signal(Signal::KILL);
    pipe.wait().await;
    assert_eq!(sleepers(&marker, "600").len(), 1);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_interrupt_ends_the_tool_and_not_what_lost_its_parent() {
    let api = ModelApi::start().await;
    let marker = Marker::new(MARK);
    let home = Home::new(&api).env_var(MARK, marker.value());
    let mut pipe = in_a_tool(&home, &marker, ORPHANED).await;
    pipe.send(&crate::support::cli::control("stop", json!({"subtype": "interrupt"}))).await;
    assert_eq!(pipe.result().await["terminal_reason"], "aborted_tools");
    process::until("the tool is gone", || sleepers(&marker, "600").is_empty()).await;
    assert_eq!(sleepers(&marker, "601").len(), 1);
    assert_eq!(pipe.turn("go on").await["is_error"], false);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn sigterm_in_mid_turn_gives_no_result_and_sigint_gives_one() {
    for (signal, code, results) in [(Signal::TERM, 143, 0), (Signal::INT, 0, 1)] {
        let api = ModelApi::start().await;
        let home = Home::new(&api);
        let mut pipe = lean(&home, &[]);
        pipe.send(&user("[[words 1]] [[silence]]")).await;
        pipe.until(|line| line["event"]["delta"]["text"] == "word0 ").await;
        pipe.signal(signal);
        let done = pipe.finish().await;
        assert_eq!(done.status.code(), Some(code), "{signal:?}");
        let of_the_end = done.lines.iter().filter(|line| line["type"] == "result").collect::<Vec<_>>();
        assert_eq!(of_the_end.len(), results, "{of_the_end:?}");
        process::until("the model's answer is given up", || api.active() == 0).await;
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn the_end_of_stdin_ends_it_between_turns_and_lets_a_turn_finish() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut pipe = lean(&home, &[]);
    pipe.turn("one").await;
    assert_eq!(pipe.finish().await.status.code(), Some(0));

    let mut pipe = lean(&home, &[]);
    pipe.send(&user("[[words 1]] [[hold]] [[text end]]")).await;
    pipe.until(|line| line["event"]["delta"]["text"] == "word0 ").await;
    pipe.close();
    api.release();
    let done = pipe.finish().await;
    assert_eq!(super::common::result(&done)["result"], "word0 end");
    assert_eq!(done.status.code(), Some(0));
}

/// It spends tokens for nobody: a parent has to see to it.
#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn it_outlives_a_parent_that_was_killed() {
    let api = ModelApi::start().await;
    let marker = Marker::new(MARK);
    let home = Home::new(&api).env_var(MARK, marker.value());
    // A shell between us and it, whose stdin holds one message and then stays open.
    let script = r#"exec 3<&0; "$@" <&3 & echo $!; wait"#;
    let mut command = home.command_of("/bin/sh");
    command.args(["-c", script, "sh"]).arg(crate::support::cli::path());
    let mut pipe = Pipe::spawn(command.args(super::common::STREAM).args(super::common::LEAN));
    pipe.send(&user("[[words 1]] [[silence]]")).await;
    pipe.until(|line| line["event"]["delta"]["text"] == "word0 ").await;
    let cli = pipe.seen[0].as_i64().expect("the shell tells its child first") as i32;
    pipe.signal(Signal::KILL);
    pipe.wait().await;
    assert!(process::is_alive(cli));
    assert_eq!(api.active(), 1, "the answer is still being paid for");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_bare_sleep_in_the_bash_tool_is_refused() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut pipe = spawn(&home, &ARMED);
    pipe.turn(r#"[[tool Bash {"command":"sleep 600"}]]"#).await;
    let results = crate::support::model_api::tool_results(&api.messages()[1].body);
    let [(text, is_error)] = &results[..] else { panic!("{results:?}") };
    assert!(*is_error, "{text}");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn the_prompt_shows_in_no_command_line() {
    let api = ModelApi::start().await;
    let marker = Marker::new(MARK);
    let home = Home::new(&api).env_var(MARK, marker.value());
    let mut pipe = lean(&home, &[]);
    pipe.send(&user("SECRET WORDS [[words 1]] [[silence]]")).await;
    pipe.until(|line| line["event"]["delta"]["text"] == "word0 ").await;
    let all = marker.live();
    assert!(!all.is_empty() && all.iter().all(|process| !process.command.contains("SECRET")), "{all:?}");
}

/// So a turn ends with its result, not with the end of the process.
#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_background_task_keeps_it_alive_after_the_result_and_the_end_of_stdin() {
    let api = ModelApi::start().await;
    let marker = Marker::new(MARK);
    let home = Home::new(&api).env_var(MARK, marker.value());
    let mut pipe = spawn(&home, &ARMED);
    let sleeper = "python3 -c 'import time; time.sleep(600)'";
    let input = json!({"command": sleeper, "description": "d", "run_in_background": true});
    assert_eq!(pipe.turn(&format!("[[tool Bash {input}]]")).await["result"], "done");
    pipe.close();
    // Without the task it would be gone in a tenth of this.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(sleepers(&marker, "600").len(), 1);
    pipe.signal(Signal::TERM);
    assert_eq!(pipe.wait().await.code(), Some(143));
    process::until("the task is gone", || marker.live().is_empty()).await;
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn background_tasks_can_be_switched_off() {
    let api = ModelApi::start().await;
    let home = Home::new(&api).env_var("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1");
    let mut pipe = spawn(&home, &ARMED);
    pipe.turn(r#"[[tool Bash {"command":"true","run_in_background":true}]]"#).await;
    let results = crate::support::model_api::tool_results(&api.messages()[1].body);
    assert!(results[0].0.contains("unexpected parameter `run_in_background`"), "{results:?}");
    assert!(pipe.finish().await.status.success());
}

/// So each run of ours has a `TMPDIR` of its own, which goes away with it.
#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn each_session_leaves_a_directory_in_tmpdir_and_a_killed_one_a_socket() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let entries = |folder: &str| {
        let folder = std::fs::read_dir(home.tmp().join(folder)).into_iter().flatten().flatten();
        folder.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    let mut pipe = spawn(&home, &ARMED);
    pipe.turn(r#"[[tool Bash {"command":"true"}]]"#).await;
    pipe.finish().await;
    let uid = format!("claude-{}", rustix::process::getuid().as_raw());
    assert!(!entries(&uid).is_empty());
    assert!(entries("cc-socks").is_empty());

    let mut pipe = spawn(&home, &ARMED);
    pipe.turn("hi").await;
    let socket = format!("{}.sock", pipe.pid());
    pipe.signal(Signal::KILL);
    pipe.wait().await;
    assert_eq!(entries("cc-socks"), [socket]);
}
