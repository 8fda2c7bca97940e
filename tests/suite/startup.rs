//! How the bundled server starts, and refuses to: what an operator sees in the first minute.

use std::process::Output;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::server::{Server, Site, TOKEN};

/// Runs a server that is expected not to start.
async fn refused(site: &Site, args: &[&str]) -> (Option<i32>, String) {
    let output = Server::command(site).args(args).output().await;
    let Output { status, stdout, stderr } = output.expect("the program is there");
    assert!(stdout.is_empty(), "it must not say that it listens");
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[tokio::test]
async fn a_demo_needs_nothing_and_answers_the_line_that_it_prints() {
    let home = tempfile::tempdir().unwrap();
    let mut command = tokio::process::Command::new(Server::binary());
    command.args(["--role", "api", "--demo", "--listen", "127.0.0.1:0"]);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).current_dir(home.path());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).kill_on_drop(true);
    let mut demo = command.spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let ready = lines.next_line().await.unwrap().expect("a line");
    assert!(ready.starts_with("listening on http://127.0.0.1:"), "{ready}");
    let curl = lines.next_line().await.unwrap().expect("a line to paste");
    assert!(curl.starts_with("curl "), "{curl}");
    let mut warning = BufReader::new(demo.stderr.take().unwrap()).lines();
    let mut loud = String::new(); // among the lines of the log
    while !loud.contains("DEMO") {
        loud = warning.next_line().await.unwrap().expect("a warning");
    }
    assert!(loud.contains("no model"), "{loud}");

    let answer = tokio::process::Command::new("sh").args(["-c", &curl]).output().await.unwrap();
    let answer = String::from_utf8(answer.stdout).unwrap();
    assert!(answer.starts_with("data: {") && answer.ends_with("data: [DONE]\n\n"), "{answer}");
    assert!(answer.contains("demo"), "{answer}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "nothing is left where it was started");
}

#[tokio::test]
async fn without_a_cli_it_says_how_to_get_one() {
    for program in ["/nowhere/claude", "no-such-claude"] {
        let site = Site::fake().env("CLAUDE_BIN", program);
        let (code, told) = refused(&site, &[]).await;
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains("CLAUDE_BIN") && told.contains("npm install"), "{told}");
        assert!(told.contains("--demo"), "{told}");
        assert!(!site.jobs_dir().exists(), "nothing was made");
    }
}

#[tokio::test]
async fn a_cli_that_is_too_old_is_refused_and_one_never_seen_is_used() {
    let old = Site::fake().child_env("FAKE_CLAUDE_VERSION", "2.1.247 (Claude Code)");
    let (code, told) = refused(&old, &[]).await;
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("2.1.247") && told.contains("2.1.248") && told.contains("npm install"), "{told}");

    let new = Site::fake().child_env("FAKE_CLAUDE_VERSION", "9.0.1 (Claude Code)");
    let server = new.start().await;
    assert_eq!(server.chat("[[text well]]").await.answer(), "well");
    assert!(new.log().contains("9.0.1"), "{}", new.log());
    assert!(new.log().contains("WARN"), "a warning: {}", new.log());

    let broken = Site::fake().child_env("FAKE_CLAUDE_VERSION", "no version at all");
    assert_eq!(refused(&broken, &[]).await.0, Some(2));
}

#[tokio::test]
async fn bad_values_are_refused_with_their_names() {
    let table = [
        ("MAX_CONCURRENCY", "0"),
        ("MAX_QUEUE_DEPTH", "many"),
        ("JOBS_DIR", "relative"),
        ("WORKSPACE_DIR", "/nowhere"),
        ("CHILD_ENV", "API_BEARER_TOKEN"),
        ("EXECUTE_PERMISSION_MODE", "anything"),
        ("AGENT_MODELS", "triage"),
        ("RUST_LOG", "=="),
    ];
    for (name, value) in table {
        let site = Site::fake();
        let mut command = Server::command(&site);
        let output = command.env(name, value).output().await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{name}: {told}");
        assert!(told.contains(name), "{name}: {told}");
    }
    let (code, told) = refused(&Site::fake(), &["--no-such-flag"]).await;
    assert_eq!(code, Some(2), "{told}");
    // One role per process: a process that holds the emergency keys runs no agent of anybody's.
    let (code, told) = refused(&Site::fake(), &["--role", "breakglass"]).await;
    assert_eq!(code, Some(2), "{told}");
}

#[tokio::test]
async fn two_servers_do_not_share_a_state_nor_a_port() {
    let site = Site::fake();
    let server = site.start().await;
    let (code, told) = refused(&site, &[]).await;
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("STATE_DIR"), "{told}");
    let other = Site::fake().env("LISTEN_ADDR", &server.address.to_string());
    let mut command = tokio::process::Command::new(Server::binary());
    command.env_clear().envs(other.server_env());
    let output = command.output().await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("LISTEN_ADDR"), "{told}");
    assert_eq!(server.chat("[[text well]]").await.answer(), "well", "the first one goes on");
}

#[tokio::test]
async fn as_many_files_may_be_open_as_the_connections_need() {
    let server = Site::fake().env("MAX_CONNECTIONS", "900").start().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<u64> = files.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(numbers[0] >= 2312 || numbers[0] == numbers[1], "{files}");
}

#[tokio::test]
async fn only_a_demo_needs_a_temporary_directory() {
    let server = Site::fake().env("TMPDIR", "/nowhere");
    assert_eq!(server.start().await.chat("[[text well]]").await.answer(), "well");
    let (code, told) = refused(&server, &["--demo"]).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("temporary directory"), "{told}");
}

#[tokio::test]
async fn help_names_every_variable() {
    let output = tokio::process::Command::new(Server::binary()).arg("--help").output().await.unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    let names = "API_BEARER_TOKEN WORKSPACE_DIR JOBS_DIR GIT_CRYPT_KEY MAX_CONCURRENCY MAX_QUEUE_DEPTH \
                 JOB_TTL_SECONDS FETCH_DEBOUNCE_SECONDS CONVERSATIONAL_TIMEOUT_SECONDS CLAUDE_BIN CHILD_ENV \
                 EXECUTE_PERMISSION_MODE QUEUE_TIMEOUT_SECONDS";
    for name in names.split_whitespace() {
        assert!(help.contains(name), "{name}");
    }
    assert!(!help.contains(TOKEN));
}

#[tokio::test]
async fn jobs_without_a_repository_work_in_an_empty_directory_or_are_refused() {
    let site = Site::fake();
    let server = site.start().await;
    let id = server.submit(&json!({"prompt": "[[report]]", "agent": "general-purpose"})).await;
    let job = server.ended(&id).await;
    assert_eq!(job["status"], "completed", "{job}");

    // The original's default place, which this machine does not have.
    if !std::path::Path::new("/workspace/infra").exists() {
        let site = Site::fake();
        let mut command = Server::command(&site);
        command.env_remove("WORKSPACE_DIR").stdout(std::process::Stdio::piped());
        command.stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.next_line().await.unwrap().expect("it starts all the same");
        let address = ready.trim_start_matches("listening on http://").parse().unwrap();
        let server = Server::adopt(child, lines.into_inner(), address);
        let reply = server.post("/execute", &json!({"prompt": "p", "agent": "a"})).await;
        assert_eq!(reply.status, 503, "{reply:?}");
        assert!(reply.text().contains("WORKSPACE_DIR"), "{reply:?}");
        assert_eq!(server.chat("[[text well]]").await.answer(), "well");
    }
}
