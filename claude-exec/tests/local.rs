//! The local executor on real children.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use claude_exec::executor::{
    Command, Executor, Frame, LocalExecutor, Rewrite, Stdin, Stop, conformance, output, wrapper,
};
use futures::StreamExt;

const LIMIT: Duration = Duration::from_secs(20);

fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

/// Processes alive (zombies are dead) whose command line holds `needle`.
fn alive(needle: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    entries
        .filter(|process| {
            let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
            !command.is_empty()
                && String::from_utf8_lossy(&command).contains(needle)
                && process.file_name().unwrap() != std::process::id().to_string().as_str()
        })
        .collect()
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain until {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_executor_conforms() {
    conformance(&LocalExecutor::new()).await;
}

#[tokio::test]
async fn it_conforms_on_a_runtime_of_one_thread() {
    conformance(&LocalExecutor::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrapped_executor_conforms() {
    conformance(&Rewrite::new(wrapper(["env"]), LocalExecutor::new())).await;
}

#[tokio::test]
async fn the_environment_is_clean() {
    let output = output(&LocalExecutor::new(), Command::new("env").env("GIVEN", "1"), LIMIT).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let names: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert!(names.contains(&"GIVEN") && names.contains(&"PATH") && names.contains(&"CLAUDE_EXEC_RUN"));
    // Set by cargo for every test process, and by nobody's allowlist.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some() && !names.contains(&"CARGO_MANIFEST_DIR"));
}

#[tokio::test]
async fn an_operator_passes_a_variable_on_by_name() {
    let executor = LocalExecutor::new().pass_env(["CARGO_MANIFEST_DIR"]);
    let output = output(&executor, sh("printf %s \"$CARGO_MANIFEST_DIR\""), LIMIT).await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), env!("CARGO_MANIFEST_DIR"));
}

#[tokio::test]
async fn a_missing_directory_is_not_a_missing_program() {
    let error = LocalExecutor::new().start(sh("true").cwd("/nonexistent")).await.unwrap_err();
    assert_eq!((error.field(), error.is_not_found()), (Some("cwd"), false));
}

#[tokio::test]
async fn a_detached_process_that_left_session_and_group_is_found_by_its_marker() {
    let name = format!("61.{}", std::process::id());
    let script = format!("setsid nohup sleep {name} >/dev/null 2>&1 & sleep 0.2; echo started; read end");
    let command = sh(&script).stdin(Stdin::Open(Bytes::new()));
    let mut process = LocalExecutor::new().start(command).await.unwrap();
    assert!(matches!(process.output.next().await, Some(Ok(Frame::Stdout(_)))));
    let sleep = format!("sleep\0{name}");
    until("it runs", || alive(&sleep).len() == 1).await;
    process.control.close_stdin();
    while process.output.next().await.is_some() {}
    assert_eq!(alive(&sleep), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_descendant_that_hides_its_environment_is_found_by_the_walk() {
    let name = format!("62.{}", std::process::id());
    let script = format!("setsid env -i sleep {name} & echo started; wait");
    let mut process = LocalExecutor::new().start(sh(&script)).await.unwrap();
    process.output.next().await;
    let sleep = format!("sleep\0{name}");
    until("it runs", || alive(&sleep).len() == 1).await;
    process.control.stop(Stop::Now);
    while process.output.next().await.is_some() {}
    assert_eq!(alive(&sleep), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_start_that_nobody_waits_for_leaves_nothing() {
    let name = format!("64.{}", std::process::id());
    let sleep = format!("sleep\0{name}");
    let executor = LocalExecutor::new();
    let mut start = executor.start(sh(&format!("setsid sleep {name} & sleep {name} & sleep {name}; true")));
    let begun = futures::poll!(start.as_mut()); // on a busy machine the start may be over already
    // Not polled again: the child is there, and on its way to a caller who leaves.
    until("all run", || alive(&sleep).len() == 3).await;
    drop((start, begun));
    until("all are gone", || alive(&sleep).is_empty()).await;
}

#[test]
fn a_runtime_that_shuts_down_kills_its_children() {
    let name = format!("63.{}", std::process::id());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sleep = format!("sleep\0{name}");
    let process = runtime.block_on(async {
        let script = format!("setsid sleep {name} & sleep {name}");
        let process = LocalExecutor::new().start(sh(&script)).await.unwrap();
        until("both run", || alive(&sleep).len() == 2).await;
        process
    });
    drop(runtime);
    drop(process);
    for _ in 0..1000 {
        if alive(&sleep).is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("alive: {:?}", alive(&sleep));
}

#[tokio::test]
async fn a_child_outlives_the_thread_that_asked_for_it() {
    // PDEATHSIG is tied to the forking thread: a runtime that ends must not take the child's signal with it.
    let handle = tokio::runtime::Handle::current();
    let asking = std::thread::spawn(move || {
        handle.block_on(LocalExecutor::new().start(sh("sleep 0.3; echo alive"))).unwrap()
    });
    let mut process = tokio::task::spawn_blocking(|| asking.join().unwrap()).await.unwrap();
    let Some(Ok(Frame::Stdout(bytes))) = process.output.next().await else { panic!("it was killed") };
    assert_eq!(bytes, "alive\n");
}
