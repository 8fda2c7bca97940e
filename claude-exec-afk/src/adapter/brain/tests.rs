//! The agent over a scripted CLI and real git.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use claude_exec::executor::{Answer, Command, Executor, LocalExecutor, Process, Said, Scripted, ScriptedCli};
use claude_exec::store::Memory;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;

use super::*;
use crate::names::{IssueKey, RunId};
use crate::port::{Accepted, Agent, Permit, Start, Task, Turn};
use crate::run::{Activity, Session};
use crate::{Seen, Usd};

/// Git is real, the CLI is not.
struct Mixed(ScriptedCli, LocalExecutor);

impl Executor for Mixed {
    fn start(&self, command: Command) -> BoxFuture<'_, claude_exec::Result<Process>> {
        if command.program == "git" {
            return self.1.start(command);
        }
        if command.args == ["--version"] {
            return Scripted::new().stdout("2.1.330 (Claude Code)\n").start_owned(command);
        }
        self.0.start(command)
    }
}

trait StartOwned {
    fn start_owned(self, command: Command) -> BoxFuture<'static, claude_exec::Result<Process>>;
}

impl StartOwned for Scripted {
    fn start_owned(self, _: Command) -> BoxFuture<'static, claude_exec::Result<Process>> {
        futures::future::ready(Ok(self.into_process())).boxed()
    }
}

struct Bench {
    dir: tempfile::TempDir,
    cli: ScriptedCli,
    store: Arc<Memory>,
}

impl Bench {
    fn new(answer: impl Fn(&Said) -> Answer + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "--quiet", "--bare", "-b", "main", "remote/octo/site.git"]);
        git(dir.path(), &["clone", "--quiet", "remote/octo/site.git", "work"]);
        let bench = Self { dir, cli: ScriptedCli::new(answer), store: Arc::new(Memory::new()) };
        bench.commit("first");
        bench
    }

    fn commit(&self, name: &str) {
        let work = self.dir.path().join("work");
        std::fs::write(work.join(name), name).unwrap();
        git(&work, &["add", name]);
        git(&work, &["commit", "--quiet", "-m", name]);
        git(&work, &["push", "--quiet", "origin", "HEAD:main"]);
    }

    fn config(&self, sandbox: Sandbox) -> BrainConfig {
        let url = format!("file://{}/remote/{{}}.git", self.dir.path().display());
        BrainConfig::new(self.dir.path().join("trees"), url, sandbox).unwrap()
    }

    async fn agent(&self) -> BrainAgent {
        let executor = Mixed(self.cli.clone(), LocalExecutor::new());
        BrainAgent::open(self.config(Sandbox::Host), executor, self.store.clone()).await.unwrap()
    }

    fn tree(&self) -> PathBuf {
        self.dir.path().join("trees/octo.site/issue-7")
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .current_dir(dir)
        .args(["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"])
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn run(generation: u32) -> RunId {
    RunId::of(&issue(), "afk", generation).unwrap()
}

fn issue() -> IssueKey {
    "octo/site#7".parse().unwrap()
}

fn task(generation: u32) -> Task {
    Task { run: run(generation), issue: issue(), branch: "afk/issue-7".into(), budget: Usd::dollars(5) }
}

fn start(generation: u32) -> Start {
    Start { task: task(generation), preamble: "the rules".into(), prompt: "--the issue".into() }
}

fn turn(number: u32, prompt: &str) -> Turn {
    Turn { task: task(1), number, preamble: "the rules".into(), prompt: prompt.into() }
}

async fn started(agent: &BrainAgent) {
    assert_eq!(agent.start(&start(1), Permit::fixed(true)).await.unwrap(), Accepted::Begun);
}

async fn seen(agent: &BrainAgent) -> Session {
    match agent.look(&run(1)).await {
        Seen::Known(session) => session,
        other => panic!("{other:?}"),
    }
}

/// The session once its turn is over.
async fn ended(agent: &BrainAgent) -> Session {
    loop {
        let session = seen(agent).await;
        if session.activity != Activity::Busy {
            return session;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

fn bash(id: &str, command: &str, result: &str, is_error: bool) -> [serde_json::Value; 2] {
    let call = json!({"type": "tool_use", "id": id, "name": "Bash", "input": {"command": command}});
    let result = json!({"type": "tool_result", "tool_use_id": id, "content": result, "is_error": is_error});
    [
        json!({"type": "assistant", "message": {"id": id, "role": "assistant", "content": [call]},
            "parent_tool_use_id": null}),
        json!({"type": "user", "message": {"role": "user", "content": [result]}, "parent_tool_use_id": null}),
    ]
}

/// F2: two starts, at the same time or with a crash between, are one session and one first turn.
#[tokio::test]
async fn f02_a_run_is_started_once_and_goes_on_in_its_session() {
    let bench = Bench::new(|said| Answer::text(&format!("{} before", said.history.len())));
    let agent = bench.agent().await;
    assert_eq!(agent.look(&run(1)).await, Seen::Absent);
    let (one, other) = (start(1), start(1));
    let (one, other) =
        tokio::join!(agent.start(&one, Permit::fixed(true)), agent.start(&other, Permit::fixed(true)));
    assert_eq!((one.unwrap(), other.unwrap()), (Accepted::Begun, Accepted::Begun));
    let session = ended(&agent).await;
    assert_eq!((session.turns, session.activity, session.unpriced), (1, Activity::Idle, 0));
    assert!(session.evidence.worktree && session.work.is_absent());
    drop(agent);
    // Another process.
    let agent = bench.agent().await;
    started(&agent).await;
    assert_eq!(bench.cli.starts().len(), 1);
    assert_eq!(agent.turn(&turn(2, "go on"), Permit::fixed(true)).await.unwrap(), Accepted::Begun);
    assert_eq!(agent.turn(&turn(2, "go on"), Permit::fixed(true)).await.unwrap(), Accepted::Begun);
    assert_eq!(ended(&agent).await.turns, 2);
    let starts = bench.cli.starts();
    assert_eq!(starts.len(), 2, "{starts:?}");
    let flag = |at: usize, name: &str| {
        let args = starts[at].args.iter().map(|arg| arg.to_string_lossy().into_owned());
        args.into_iter().find_map(|arg| arg.strip_prefix(name).map(str::to_owned))
    };
    let id = flag(0, "--session-id=").expect("a session of our naming");
    assert_eq!(flag(1, "--resume="), Some(id.clone()));
    assert_eq!(flag(0, "--permission-mode="), Some("bypassPermissions".into()));
    assert_eq!(flag(0, "--max-budget-usd="), Some("5".into()));
    let said: Vec<_> = bench.cli.history(&id).unwrap().into_iter().map(|(_, text)| text).collect();
    assert_eq!(said, ["--the issue", "0 before", "go on", "2 before"]);
    // No text of an issue is in an argument vector.
    assert!(starts.iter().all(|command| !format!("{command}").contains("the issue")));
    assert_eq!(starts[0].cwd, Some(bench.tree()));
    assert_eq!(git(&bench.tree(), &["branch", "--show-current"]), "afk/issue-7");
}

#[tokio::test]
async fn the_permit_is_asked_last() {
    let bench = Bench::new(|_| Answer::text("x"));
    let agent = bench.agent().await;
    let refused = agent.start(&start(1), Permit::fixed(false)).await.unwrap();
    assert_eq!((refused, bench.cli.starts().len()), (Accepted::Refused, 0));
    assert!(bench.tree().join("first").exists(), "after everything slow");
    assert_eq!(agent.look(&run(1)).await, Seen::Absent);
}

/// F12: whoever was stopped starts nothing any more, in this process and in the next.
#[tokio::test]
async fn f12_a_stop_is_final() {
    let bench = Bench::new(|_| Answer::text("working").hang());
    let agent = bench.agent().await;
    started(&agent).await;
    assert_eq!(seen(&agent).await.activity, Activity::Busy);
    agent.stop(&run(1)).await.unwrap();
    agent.stop(&run(1)).await.unwrap();
    let session = seen(&agent).await;
    assert_eq!((session.activity, session.unpriced), (Activity::Failed, 1), "its price is not known");
    // One that never had a session is thereby refused one.
    agent.stop(&run(2)).await.unwrap();
    for agent in [agent, bench.agent().await] {
        for generation in [1, 2] {
            let again = agent.start(&start(generation), Permit::fixed(true)).await.unwrap();
            assert_eq!(again, Accepted::Refused);
        }
        assert_eq!(agent.turn(&turn(2, "x"), Permit::fixed(true)).await.unwrap(), Accepted::Refused);
        assert_eq!(agent.look(&run(2)).await, Seen::Absent);
    }
    assert_eq!(bench.cli.starts().len(), 1);
    assert!(bench.tree().join("first").exists(), "the worktree stays");
}

#[tokio::test]
async fn an_interrupt_means_one_turn_and_the_session_goes_on() {
    let bench = Bench::new(|said| match said.history.len() {
        0 => Answer::text("working").hang(),
        _ => Answer::text("done"),
    });
    let agent = bench.agent().await;
    started(&agent).await;
    agent.interrupt(&run(1), 2).await.unwrap();
    assert_eq!(seen(&agent).await.activity, Activity::Busy, "another turn was meant");
    assert!(agent.turn(&turn(2, "x"), Permit::fixed(true)).await.unwrap_err().is_transient());
    agent.interrupt(&run(1), 1).await.unwrap();
    assert_eq!(seen(&agent).await.activity, Activity::Failed);
    assert_eq!(agent.turn(&turn(2, "go on"), Permit::fixed(true)).await.unwrap(), Accepted::Begun);
    assert_eq!(ended(&agent).await.activity, Activity::Idle);
}

/// The process dies in mid-turn: what it left is found and taken up.
#[tokio::test]
async fn a_run_that_died_with_its_process_is_resumed_in_its_worktree() {
    let bench = Bench::new(|said| match said.text.ends_with("go on") {
        false => bash("a", "cargo test", "Exit code 101\nFAILED", true)
            .into_iter()
            .fold(Answer::text("working"), Answer::line)
            .hang(),
        true => Answer::text("done"),
    });
    let agent = bench.agent().await;
    started(&agent).await;
    std::fs::write(bench.tree().join("half"), "done").unwrap();
    while agent.records.get(&run(1)).await.unwrap().unwrap().evidence.red.is_none() {
        tokio::task::yield_now().await;
    }
    // As kill -9 does it: no end is written down.
    drop(agent);
    bench.cli.kill_all();
    let agent = bench.agent().await;
    let session = seen(&agent).await;
    assert_eq!((session.turns, session.activity, session.unpriced), (1, Activity::Failed, 1));
    assert!(session.work.known().is_some() && session.evidence.red.is_some(), "half of the work is there");
    assert_eq!(agent.turn(&turn(2, "go on"), Permit::fixed(true)).await.unwrap(), Accepted::Begun);
    assert_eq!(ended(&agent).await.activity, Activity::Idle);
    assert!(bench.tree().join("half").exists());
}

#[tokio::test]
async fn a_session_that_the_cli_has_lost_is_made_anew_and_told_its_task() {
    let bench = Bench::new(|said| Answer::text(&said.text));
    let agent = bench.agent().await;
    started(&agent).await;
    ended(&agent).await;
    bench.cli.lose_sessions();
    assert_eq!(agent.turn(&turn(2, "go on"), Permit::fixed(true)).await.unwrap(), Accepted::Begun);
    let session = ended(&agent).await;
    assert_eq!((session.turns, session.activity), (2, Activity::Idle));
    let starts = bench.cli.starts();
    let args = starts.last().unwrap().args.iter().map(|arg| arg.to_string_lossy().into_owned());
    let id = args.into_iter().find_map(|arg| arg.strip_prefix("--session-id=").map(str::to_owned)).unwrap();
    assert_eq!(bench.cli.history(&id).unwrap()[0].1, "--the issue\n\ngo on");
}

#[tokio::test]
async fn a_cli_that_begins_no_turn_is_an_error_and_costs_nothing() {
    let bench = Bench::new(|_| Answer::text("x"));
    let agent = bench.agent().await;
    std::fs::remove_dir_all(bench.dir.path().join("remote")).unwrap();
    let error = agent.start(&start(1), Permit::fixed(true)).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("git clone"), "{error}");
    let broke = Start { task: Task { budget: Usd::ZERO, ..task(1) }, ..start(1) };
    assert!(agent.start(&broke, Permit::fixed(true)).await.unwrap_err().is_refused());
    assert_eq!(agent.look(&run(1)).await, Seen::Absent);
}

/// C19: a phase is ticked by what was seen to happen.
#[tokio::test]
async fn c19_evidence_is_a_test_that_fails_and_then_passes() {
    let bench = Bench::new(|_| {
        let lines = [
            bash("a", "cargo test total", "Exit code 101\nFAILED", true),
            bash("b", "cargo test", "ok", false),
            bash("c", "cd . && cargo test total 2>&1", "ok", false),
        ];
        lines.into_iter().flatten().fold(Answer::text("look: "), Answer::line)
    });
    let agent = bench.agent().await;
    started(&agent).await;
    let evidence = ended(&agent).await.evidence;
    let (red, green) = (evidence.red.unwrap(), evidence.green.unwrap());
    assert_eq!((red.command.as_str(), red.exit), ("cargo test total", 101));
    assert_eq!((green.command, green.exit), (red.command, 0));
}

#[tokio::test]
async fn a_worktree_without_work_is_brought_up_to_date_and_one_with_work_stays() {
    let bench = Bench::new(|_| Answer::text("x"));
    let agent = bench.agent().await;
    started(&agent).await;
    ended(&agent).await;
    bench.commit("second");
    let begun = |generation: u32| {
        let (agent, start) = (&agent, start(generation));
        async move {
            assert_eq!(agent.start(&start, Permit::fixed(true)).await.unwrap(), Accepted::Begun);
            while agent.look(&run(generation)).await.known().is_none_or(|s| s.activity == Activity::Busy) {
                tokio::task::yield_now().await;
            }
        }
    };
    begun(2).await;
    assert!(bench.tree().join("second").exists());
    std::fs::write(bench.tree().join("left"), "by a dead run").unwrap();
    bench.commit("third");
    begun(3).await;
    assert!(bench.tree().join("left").exists() && !bench.tree().join("third").exists());
}

#[tokio::test]
async fn a_sandbox_that_does_not_work_is_said_before_anything_is_begun() {
    let bench = Bench::new(|_| Answer::text("x"));
    let words = ["sh", "-c", "echo no such user >&2; exit 1"].map(str::to_owned).to_vec();
    let config = bench.config(Sandbox::Command(words));
    let error = BrainAgent::open(config, LocalExecutor::new(), bench.store.clone()).await.unwrap_err();
    assert_eq!(error.field(), Some("AFK_SANDBOX"));
    assert!(error.to_string().contains("no such user"), "{error}");
    // One that works is around everything, git included.
    let log = bench.dir.path().join("log");
    let script = format!("echo \"$1 $2\" >> {}; exec \"$@\"", log.display());
    let words = ["sh", "-c", &script, "{}"].map(str::to_owned).to_vec();
    let config = bench.config(Sandbox::Command(words)).program("true");
    let error = BrainAgent::open(config, LocalExecutor::new(), bench.store.clone()).await.unwrap_err();
    assert!(error.is_unsupported(), "`true` is no CLI: {error}");
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "git --version\ntrue --version\n");
}
