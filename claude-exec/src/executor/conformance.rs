//! The conformance test that any executor can be put through (feature `test-util`).

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;

use super::{Command, Executor, Exit, Frame, Process, Stdin, Stop, output};

/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks at a process, 20 ms apart, before it counts as left behind.
const LOOKS: u32 = 500;

/// Puts `executor` through the contract of [`Executor`], with commands of a POSIX `sh` where it runs them.
///
/// # Panics
///
/// With the number of the rule that was broken.
pub async fn conformance(executor: &dyn Executor) {
    let checks = async {
        exit_comes_once_and_last(executor).await;
        stdin_arrives_whole(executor).await;
        drop_stops_though_a_control_lives(executor).await;
        stop_is_firm_and_idempotent(executor).await;
        a_reader_that_stalls_holds_back_the_child_and_no_stop(executor).await;
        a_missing_program_is_an_error_of_start(executor).await;
        no_descendant_is_left(executor).await;
    };
    tokio::time::timeout(PATIENCE, checks).await.expect("every check ends");
}

fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

async fn start(executor: &dyn Executor, command: Command) -> Process {
    executor.start(command).await.expect("sh can be started")
}

async fn read(process: &mut Process) -> (Vec<u8>, Vec<u8>, Exit) {
    let (mut stdout, mut stderr, mut exit) = (Vec::new(), Vec::new(), None);
    while let Some(frame) = process.output.next().await {
        assert!(exit.is_none(), "rule 1: nothing follows the exit");
        match frame.expect("rule 6: a started process is read to its end") {
            Frame::Stdout(bytes) => stdout.extend_from_slice(&bytes),
            Frame::Stderr(bytes) => stderr.extend_from_slice(&bytes),
            Frame::Exit(how) => exit = Some(how),
        }
    }
    (stdout, stderr, exit.expect("rule 1: an exit comes"))
}

async fn exit_comes_once_and_last(executor: &dyn Executor) {
    let mut process = start(executor, sh("printf out; printf err >&2; exit 7")).await;
    let (stdout, stderr, exit) = read(&mut process).await;
    assert_eq!((stdout, stderr), (b"out".to_vec(), b"err".to_vec()));
    assert_eq!((exit.code, exit.stopped), (Some(7), false));
    // 1 MB of stderr before a word of stdout: read in the other order, it would block for ever.
    let script = "dd if=/dev/zero bs=1000 count=1000 >&2 2>/dev/null; printf done";
    let (stdout, stderr, _) = read(&mut start(executor, sh(script)).await).await;
    assert_eq!((stdout, stderr.len()), (b"done".to_vec(), 1_000_000));
}

async fn stdin_arrives_whole(executor: &dyn Executor) {
    let large = Bytes::from(vec![b'x'; 4_000_000]);
    let mut process = start(executor, Command::new("cat").stdin(Stdin::Once(large.clone()))).await;
    assert!(read(&mut process).await.0 == large, "4 MB in, the same 4 MB out");
    // Nobody reads it: that is no error, and the exit code comes through.
    let mut process = start(executor, sh("exit 3").stdin(Stdin::Once(large))).await;
    assert_eq!(read(&mut process).await.2.code, Some(3));

    let first = Stdin::Open(Bytes::from_static(b"one "));
    let mut process = start(executor, Command::new("cat").stdin(first)).await;
    process.control.write(Bytes::from_static(b"two ")).await.expect("stdin is open");
    process.control.write(Bytes::from_static(b"three")).await.expect("stdin is open");
    process.control.close_stdin();
    assert_eq!(read(&mut process).await.0, b"one two three");
    process.control.write(Bytes::from_static(b"late")).await.expect_err("stdin is closed");
    // No stdin is the end of a file, not an open pipe.
    assert_eq!(read(&mut start(executor, Command::new("cat")).await).await.0, b"");
}

async fn drop_stops_though_a_control_lives(executor: &dyn Executor) {
    let mut process = start(executor, sh("echo $$; exec sleep 1000")).await;
    let pid = lines(&mut process, 1).await;
    let control = process.control.clone();
    drop(process);
    until_gone(executor, &pid, 2).await;
    control.stop(Stop::Now);
    control.write(Bytes::from_static(b"x")).await.expect_err("rule 2: the process is gone");
}

async fn stop_is_firm_and_idempotent(executor: &dyn Executor) {
    let ready = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    let mut process = start(executor, sh(ready)).await;
    lines(&mut process, 1).await;
    process.control.stop(Stop::Graceful { grace: Duration::from_millis(100) });
    process.control.stop(Stop::Graceful { grace: Duration::from_millis(100) });
    let exit = read(&mut process).await.2;
    assert_eq!((exit.signal, exit.stopped), (Some(9), true), "rule 3: after the grace comes SIGKILL");
    process.control.stop(Stop::Now);

    let mut process =
        start(executor, sh("trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done")).await;
    lines(&mut process, 1).await;
    process.control.stop(Stop::GRACEFUL);
    assert_eq!(read(&mut process).await.2.code, Some(5), "rule 3: SIGTERM comes first");
}

async fn a_reader_that_stalls_holds_back_the_child_and_no_stop(executor: &dyn Executor) {
    let process = start(executor, sh("exec cat /dev/zero")).await;
    // Time for a flood to fill every buffer, were there one without a bound.
    tokio::time::sleep(Duration::from_millis(200)).await;
    process.control.stop(Stop::Now);
    let mut process = process;
    let (stdout, _, exit) = read(&mut process).await;
    assert!(exit.stopped, "rule 5: the stop was obeyed");
    assert!(stdout.len() < 16 * 1024 * 1024, "rule 5: {} bytes were read ahead", stdout.len());
}

async fn a_missing_program_is_an_error_of_start(executor: &dyn Executor) {
    let missing = executor.start(Command::new("/nonexistent/claude-exec-conformance")).await;
    // Elsewhere, the missing program may be told by a shell: its exit code is 127 (POSIX XCU 2.8.2).
    match missing {
        Err(error) => assert!(error.is_spawn() || error.is_not_found(), "rule 6: {error}"),
        Ok(mut process) => assert_eq!(read(&mut process).await.2.code, Some(127), "rule 6"),
    }
}

async fn no_descendant_is_left(executor: &dyn Executor) {
    // One in the group that keeps the pipe open, one in a session of its own that does not.
    let script =
        "sleep 1000 & echo $!; setsid sh -c 'echo $$; exec sleep 1000' & wait_for=$!; read go; exit 0";
    let mut process = start(executor, sh(script).stdin(Stdin::Open(Bytes::new()))).await;
    let pids = lines(&mut process, 2).await;
    process.control.write(Bytes::from_static(b"go\n")).await.expect("it reads");
    let exit = read(&mut process).await.2;
    assert_eq!(exit.code, Some(0));
    until_gone(executor, &pids, 7).await;
}

/// The first `count` lines of stdout; how they are cut into frames means nothing.
async fn lines(process: &mut Process, count: usize) -> String {
    let mut read = Vec::new();
    while read.iter().filter(|byte| **byte == b'\n').count() < count {
        match process.output.next().await {
            Some(Ok(Frame::Stdout(bytes))) => read.extend_from_slice(&bytes),
            other => panic!("a line was expected, not {other:?}"),
        }
    }
    String::from_utf8(read).expect("sh prints ASCII").trim().to_owned()
}

/// Waits until the process `pid` is gone where the executor runs things; a zombie counts as gone.
async fn until_gone(executor: &dyn Executor, pids: &str, rule: u32) {
    for pid in pids.split_ascii_whitespace() {
        let alive =
            format!("kill -0 {pid} 2>/dev/null && ! grep -q '^State:.Z' /proc/{pid}/status 2>/dev/null");
        let mut looks = 0;
        while output(executor, sh(&alive), PATIENCE).await.expect("sh can be started").success() {
            assert!(looks < LOOKS, "rule {rule}: process {pid} is still alive");
            looks += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
