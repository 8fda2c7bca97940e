//! The role `afk` as a program: that it does nothing by itself, and what its demo shows.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::server::Server;
use crate::support::{left_out, process};

const TOKEN: &str = "a-token-of-the-suite-0123456789abcdef";

fn afk(program: Command) -> Command {
    let mut command = program;
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

fn server() -> Command {
    afk(Command::new(Server::binary()))
}

/// Runs it to its end: whether it went well, and all that it said.
async fn said(mut command: Command) -> (bool, String) {
    let output = command.output().await.unwrap();
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (output.status.success(), text)
}

/// A fresh configuration, traced: the calls that open a socket or could write a file.
#[tokio::test]
async fn a_fresh_configuration_opens_no_socket_and_writes_no_file() {
    let home = tempfile::tempdir().unwrap();
    let trace = home.path().join("trace");
    let calls = "trace=%network,open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,\
                 symlink,symlinkat,unlink,unlinkat,truncate,ftruncate,chmod,fchmodat,mknod,mknodat,fork,vfork,execve";
    let mut traced = afk(Command::new("strace"));
    traced.args(["-f", "-qq", "-e", calls, "-o"]).arg(&trace).arg(Server::binary());
    traced.args(["--role", "afk"]).current_dir(home.path());
    let output = match traced.output().await {
        Ok(output) => output,
        Err(error) => {
            return left_out(&format!("afk: a fresh configuration was not traced: strace: {error}"));
        }
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.starts_with("disabled: AFK_KILL_SWITCH is on"), "{output:?}");
    let calls = std::fs::read_to_string(&trace).unwrap();
    assert!(calls.contains("execve("), "it was traced: {calls}");
    let opens = |line: &&str| line.contains("socket") || line.contains("connect(") || line.contains("bind(");
    let writes = |line: &&str| {
        let opened =
            line.contains("open") && ["O_WRONLY", "O_RDWR", "O_CREAT"].iter().any(|flag| line.contains(flag));
        let changed = ["creat(", "mkdir", "rename", "link", "truncate(", "chmod", "mknod", "fork("];
        opened || changed.iter().any(|call| line.contains(call))
    };
    let found: Vec<_> = calls.lines().filter(|line| opens(line) || writes(line)).collect();
    assert_eq!(found, Vec::<&str>::new());
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "the trace alone");
}

#[tokio::test]
async fn a_setting_that_is_misspelt_is_not_ignored() {
    for (name, value) in [("AFK_KILLSWITCH", "off"), ("AFK_KILL_SWITCH", ""), ("AFK_ALLOWLIST", "infra")] {
        let mut refused = server();
        let output =
            refused.args(["--role", "afk", "--once", "--demo"]).env(name, value).output().await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{name}: {told}");
        assert!(told.contains("AFK_"), "{name}: {told}");
    }
}

struct Demo {
    child: Child,
    address: String,
}

impl Demo {
    async fn start() -> Self {
        let mut command = server();
        command.args(["--role", "afk", "--demo", "--listen", "127.0.0.1:0"]).env("API_BEARER_TOKEN", TOKEN);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.next_line().await.unwrap().expect("a line");
        let address = ready.strip_prefix("listening on http://").expect("an address").to_owned();
        let open = lines.next_line().await.unwrap().expect("a line to open");
        assert_eq!(open, format!("open http://afk:{TOKEN}@{address}/afk"));
        Self { child, address }
    }

    /// curl, as an operator has it: the status and the body.
    async fn curl(&self, path: &str, args: &[&str]) -> (u16, String) {
        let mut command = Command::new("curl");
        command
            .args(["-sS", "-w", "\n%{http_code}"])
            .args(args)
            .arg(format!("http://{}{path}", self.address));
        let output = command.output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    /// A verb of the operator's: whether it went well, and what it said.
    async fn verb(&self, words: &[&str]) -> (bool, String) {
        let mut command = server();
        command.args(["--listen", &self.address, "afk"]).args(words).env("API_BEARER_TOKEN", TOKEN);
        said(command).await
    }

    async fn status(&self) -> Value {
        let (status, body) =
            self.curl("/afk/status", &["-H", &format!("Authorization: Bearer {TOKEN}")]).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

#[tokio::test]
async fn the_demo_s_issues_end_in_every_way_and_the_page_shows_it() {
    let demo = Demo::start().await;
    assert_eq!(demo.curl("/afk", &[]).await.0, 401);
    assert_eq!(demo.curl("/afk", &["-u", "afk:wrong"]).await.0, 401);
    let user = format!("afk:{TOKEN}");
    let (status, page) = demo.curl("/afk", &["-u", &user]).await;
    assert_eq!(status, 200);
    assert!(page.starts_with("<!doctype html>") && !page.contains("<script"), "{page}");
    // A browser would send a remembered password along with a request that another site made it send.
    let halt = ["-u", &user, "-H", "content-type: application/json", "-d", "{\"mode\":\"Halt\"}"];
    assert_eq!(demo.curl("/afk/mode", &halt).await.0, 401);

    let mut outcomes = BTreeSet::new();
    for _ in 0..300 {
        for run in demo.status().await["runs"].as_array().unwrap() {
            if let Some(ended) = run["record"]["row"]["state"].get("Ended") {
                outcomes.insert(
                    ended.as_object().map_or("Done", |ended| ended.keys().next().unwrap()).to_owned(),
                );
            }
        }
        if outcomes.len() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), ["Done", "Escalated", "Frozen"]);
    let (_, page) = demo.curl("/afk", &["-u", &user]).await;
    for part in ["Waits for a person", "Running", "Ended", "octo/site#"] {
        assert!(page.contains(part), "{part}: {page}");
    }

    let bearer = format!("Authorization: Bearer {TOKEN}");
    let (status, why) = demo.curl("/afk/explain?issue=octo/other%231", &["-H", &bearer]).await;
    assert!(status == 200 && why.contains("AFK_ALLOWLIST"), "{why}");
    let (status, _) = demo.curl("/afk/mode", &["-H", &bearer, "-d", "{\"mode\":\"Halt\"}"]).await;
    assert_eq!((status, demo.status().await["mode"].clone()), (200, json!("Halt")));
}

#[tokio::test]
async fn the_operator_s_verbs_reach_the_server_that_runs() {
    let mut demo = Demo::start().await;
    for (verb, mode) in [("pause", "Pause"), ("drain", "Drain"), ("halt", "Halt"), ("resume", "Run")] {
        assert_eq!(demo.verb(&[verb]).await, (true, "done\n".into()));
        assert_eq!(demo.status().await["mode"], mode);
    }
    let (_, status) = demo.verb(&["status"]).await;
    assert!(status.starts_with("mode Run, ") && status.contains("octo/site#"), "{status}");
    let (_, why) = demo.verb(&["explain", "octo/other#1"]).await;
    assert_eq!(why, "octo/other#1: its repository is not in AFK_ALLOWLIST\n");
    assert_eq!(demo.verb(&["resume", "octo/site#100"]).await, (true, "done\n".into()));
    let (done, why) = demo.verb(&["ack", "octo/other#1"]).await;
    assert!(!done && why.contains("no bell rang"), "{why}");
    let (done, why) = demo.verb(&["explain", "#1"]).await;
    assert!(!done && why.contains("owner/name"), "{why}");
    let mut wrong = server();
    wrong
        .args(["--listen", &demo.address, "afk", "halt"])
        .env("API_BEARER_TOKEN", TOKEN.replace("token", "guess"));
    let (done, why) = said(wrong).await;
    assert!(!done && why.contains("401"), "{why}");
    // A signal ends it, whatever it is in the middle of.
    let pid = demo.child.id().unwrap().cast_signed();
    process::kill(pid, rustix::process::Signal::TERM);
    assert_eq!(demo.child.wait().await.unwrap().code(), Some(0));
    let (done, why) = demo.verb(&["status"]).await;
    assert!(!done && why.contains("STATE_DIR") && why.contains(&demo.address), "{why}");
}

/// Without a server the verbs use the ledger itself; what they say counts from its next start.
#[tokio::test]
async fn the_operator_s_verbs_work_on_a_ledger_that_nobody_holds() {
    let dir = tempfile::tempdir().unwrap();
    let verb = |words: &[&str]| {
        let mut command = server();
        command.arg("afk").args(words).env("STATE_DIR", dir.path()).env("AFK_KILL_SWITCH", "off");
        command.env("LISTEN_ADDR", "127.0.0.1:9").env("AFK_ALLOWLIST", "octo/site");
        said(command)
    };
    let (done, why) = verb(&["halt"]).await;
    assert!(!done && why.contains("no ledger there"), "{why}");
    let ledger = dir.path().join("afk.redb");
    drop(claude_exec::store::Embedded::open(&ledger).await.unwrap());
    let (done, told) = verb(&["halt"]).await;
    assert!(done && told.starts_with("mode: halt; no server holds the ledger"), "{told}");
    assert_eq!(verb(&["status"]).await.1, "mode Halt, 0.00 of 1000.00 USD spent\n");
    // What has to look at a tracker says which setting it misses.
    for words in [&["simulate"][..], &["explain", "octo/site#1"]] {
        let (done, why) = verb(words).await;
        assert!(!done && why.contains("AFK_TRACKER: must be set"), "{why}");
    }
}

/// Approvals are off in a sandbox that the operator names, and nowhere else.
#[tokio::test]
async fn without_a_sandbox_no_agent_is_started_and_the_server_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |sandbox: Option<&str>| {
        let mut command = server();
        command.args(["--role", "afk", "--once"]).env("STATE_DIR", dir.path()).env("AFK_KILL_SWITCH", "off");
        command
            .env("AFK_ALLOWLIST", "octo/site")
            .env("AFK_TRACKER", "github")
            .env("AFK_TRACKER_TOKEN", "x")
            .env("AFK_AGENT", "claude");
        command.envs(sandbox.map(|sandbox| ("AFK_SANDBOX", sandbox)));
        said(command)
    };
    let (done, why) = refused(None).await;
    assert!(!done && why.contains("AFK_SANDBOX: must name") && why.contains("bwrap"), "{why}");
    let (done, why) = refused(Some("/no/such/sandbox --")).await;
    assert!(!done && why.contains("AFK_SANDBOX: git cannot be run in it"), "{why}");
    assert!(!dir.path().join("worktrees/octo.site").exists());
}
