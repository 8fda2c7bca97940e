//! The unattended loop's agent on the real CLI: what a stop leaves, and what a turn may cost.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use claude_exec::executor::LocalExecutor;
use claude_exec::store::Memory;
use claude_exec_afk::adapter::brain::{BrainAgent, BrainConfig, Sandbox};
use claude_exec_afk::port::{Accepted, Agent, Permit, Start, Task, Turn};
use claude_exec_afk::run::{Activity, Session};
use claude_exec_afk::{IssueKey, RunId, Seen, Usd};
use serde_json::json;

use crate::support::cli::{self, Home};
use crate::support::forge::git;
use crate::support::model_api::ModelApi;
use crate::support::process::{self, Marker};

struct Bench {
    home: Home,
    marker: Marker,
    agent: BrainAgent,
}

impl Bench {
    async fn new(api: &ModelApi) -> Self {
        let (home, marker) = (Home::new(api), Marker::new("SUITE_AGENT"));
        let remote = home.path().join("remotes/octo/site.git");
        std::fs::create_dir_all(&remote).expect("the directory is fresh");
        git(&remote, &["init", "--quiet", "--initial-branch=main"]);
        git(&remote, &["commit", "--quiet", "--allow-empty", "--message=first"]);
        let url = format!("file://{}/remotes/{{}}.git", home.path().display());
        let config = BrainConfig::new(home.path().join("trees"), url, Sandbox::Host).expect("an address");
        let config = config.program(cli::path()).model("sonnet").env(marker.name(), marker.value());
        let config = home.env().into_iter().fold(config, |config, (name, value)| config.env(name, value));
        let agent = BrainAgent::open(config, LocalExecutor::new(), Arc::new(Memory::new())).await;
        Self { home, marker, agent: agent.expect("an agent") }
    }

    async fn start(&self, prompt: &str) {
        let start = Start { task: task(), preamble: "The rules.".into(), prompt: prompt.into() };
        let begun = self.agent.start(&start, Permit::fixed(true)).await.expect("a start");
        assert_eq!(begun, Accepted::Begun);
    }

    async fn look(&self) -> Session {
        match self.agent.look(&run()).await {
            Seen::Known(session) => session,
            other => panic!("{other:?}"),
        }
    }

    async fn ended(&self) -> Session {
        loop {
            let session = self.look().await;
            if session.activity != Activity::Busy {
                return session;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn issue() -> IssueKey {
    "octo/site#7".parse().expect("an issue")
}

fn run() -> RunId {
    RunId::of(&issue(), "afk", 1).expect("a run")
}

fn task() -> Task {
    Task { run: run(), issue: issue(), branch: "afk/issue-7".into(), budget: Usd::dollars(5) }
}

fn bash(command: &str) -> String {
    format!("[[tool Bash {}]]", json!({"command": command, "description": "work"}))
}

/// What detached itself from the CLI included, and whatever a tool is in the middle of.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_stop_leaves_no_process_and_a_worktree() {
    let api = ModelApi::start().await;
    let bench = Bench::new(&api).await;
    let detached = bash("setsid nohup tail -f /dev/null >/dev/null 2>&1 & echo half > done.txt");
    bench.start(&format!("{detached} [[next]] {}", bash("tail -f /dev/null"))).await;
    let tails =
        || bench.marker.live().iter().filter(|process| process.command.starts_with("tail -f")).count();
    process::until("both run", || tails() == 2).await;
    let session = bench.look().await;
    assert_eq!((session.turns, session.activity), (1, Activity::Busy));
    assert!(session.evidence.worktree && session.work.known().is_some(), "{session:?}");
    bench.agent.stop(&run()).await.expect("a stop");
    assert_eq!(bench.marker.live(), []);
    assert_eq!(bench.look().await.activity, Activity::Failed);
    let tree: PathBuf = bench.home.path().join("trees/octo.site/issue-7");
    assert_eq!(std::fs::read_to_string(tree.join("done.txt")).expect("the work"), "half\n");
}

/// The budget is each turn's own, though the session's cost goes on counting over a resume.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_turn_may_cost_what_is_left_and_no_more() {
    let api = ModelApi::start().await;
    let bench = Bench::new(&api).await;
    // Two dollars for a million tokens in.
    let four = "[[usage input_tokens=2000000]] [[text done]]";
    bench.start(four).await;
    let first = bench.ended().await;
    assert_eq!((first.activity, first.unpriced), (Activity::Idle, 0), "{first:?}");
    let dollars = |session: &Session| session.spent.micros().div_ceil(1_000_000);
    assert_eq!(dollars(&first), 5, "four and a bit for what it said");
    let turn = |number: u32, prompt: &str| Turn {
        task: task(),
        number,
        preamble: "The rules.".into(),
        prompt: prompt.into(),
    };
    let begun = bench.agent.turn(&turn(2, four), Permit::fixed(true)).await.expect("a turn");
    assert_eq!(begun, Accepted::Begun);
    let second = bench.ended().await;
    assert_eq!((second.turns, second.activity, dollars(&second)), (2, Activity::Idle, 9), "{second:?}");
    // One that passes it is ended by the CLI itself.
    let six = format!("[[usage input_tokens=3000000]] {} [[next]] [[text never]]", bash("true"));
    let begun = bench.agent.turn(&turn(3, &six), Permit::fixed(true)).await.expect("a turn");
    assert_eq!(begun, Accepted::Begun);
    let third = bench.ended().await;
    assert_eq!((third.turns, third.activity, third.unpriced), (3, Activity::Failed, 0), "{third:?}");
    assert_eq!(dollars(&third), 15);
}
