//! The whole unattended loop on real parts: emulate's GitHub and Slack, git over HTTP, act as the CI that truly runs and
//! truly fails, and the real CLI as the agent that edits, commits and pushes. Only its model is a stand-in.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::support::cli::{self, Home};
use crate::support::forge::{BOT, Ci, Emulate, GitHost, HUMAN, SLACK, git};
use crate::support::left_out;
use crate::support::model_api::{Action, ModelApi, Recorded, Scenario, system_text, tool_results};
use crate::support::process::{self, Marker};
use crate::support::server::{Server, TOKEN};

const REPO: &str = "octo/site";
/// Longer than it takes, so that a loop that does not come to rest fails the test.
const PATIENCE: Duration = Duration::from_secs(150);

/// What the agent does about an issue: the commands of each of its turns.
fn work(issue: u64, run: &str) -> Vec<Vec<String>> {
    let commit = |files: &str, message: &str| {
        format!(
            "git add {files} && git commit -q -m '{message}' -m \"$(printf 'Closes: #{issue}\\nAFK-Run: {run}')\" \
             && git push -q origin HEAD:main"
        )
    };
    let check = |name: &str| {
        format!("test \"$(cat {name}.txt)\" = 42 || {{ echo {name} is $(cat {name}.txt); exit 1; }}")
    };
    // Test first: it fails, then it passes.
    let tested = |name: &str| {
        vec![
            format!("printf '%s\\n' '{}' > {name}_test.sh", check(name)),
            format!("sh {name}_test.sh"),
            format!("echo 42 > {name}.txt"),
            format!("sh {name}_test.sh"),
        ]
    };
    match issue {
        1 => vec![
            [
                vec!["env; touch ../outside".into()],
                tested("total"),
                vec![commit("total_test.sh total.txt", "Show the total")],
            ]
            .concat(),
        ],
        // The file that makes it pass here is forgotten.
        2 => vec![
            [tested("rates"), vec![commit("rates_test.sh", "Round the rates")]].concat(),
            vec![commit("rates.txt", "Add the forgotten rates")],
        ],
        3 => vec![
            [tested("fees"), vec![commit("fees_test.sh", "Show the fees")]].concat(),
            vec![format!("echo 41 > fees.txt; {}", commit("fees.txt", "Guess the fees"))],
        ],
        other => panic!("issue {other} is not in the plot"),
    }
}

/// The model: reads of which run and issue it is from its rules, and goes on with what is left of its turn's work. Once,
/// in the middle of it, it says nothing until it is let go.
fn play(request: &Recorded, held: &AtomicBool) -> Scenario {
    let rules = system_text(&request.body);
    let told = |name: &str| {
        let value = rules.lines().find_map(|line| line.trim().strip_prefix(name))?;
        Some(value.trim().to_owned())
    };
    let Some(run) = told("AFK-Run:") else { return Scenario::text("A title.") };
    let issue = told("Closes: #").and_then(|number| number.parse().ok()).expect("an issue");
    let turns = work(issue, &run);
    let turn = fixes(request).min(turns.len() - 1);
    let before: usize = turns[..turn].iter().map(Vec::len).sum();
    let done = tool_results(&request.body).len() - before;
    if issue == 1 && done == HELD && !held.swap(true, Ordering::SeqCst) {
        return Scenario::text("One moment.").then(Action::Hold);
    }
    match turns[turn].get(done) {
        Some(command) => Scenario::tool("Bash", json!({"command": command, "description": "work"})),
        None => Scenario::text("That is all."),
    }
}

/// The first issue's command before which the model is silent: its test has failed, nothing is implemented.
const HELD: usize = 3;

/// How often this conversation was told that its commit is red.
fn fixes(request: &Recorded) -> usize {
    request.user_texts().iter().filter(|text| text.contains("is red: CI")).count()
}

struct Stage {
    root: TempDir,
    api: ModelApi,
    home: Home,
    host: GitHost,
    hub: Arc<Emulate>,
    agents: Marker,
    /// The command that keeps the agent in, where this machine has one.
    sandbox: Option<String>,
    _ci: Ci,
}

impl Stage {
    async fn new() -> Self {
        let root = tempfile::Builder::new().prefix("claude-exec-afk-").tempdir().expect("a directory");
        let api = ModelApi::start().await;
        let held = AtomicBool::new(false);
        api.script(move |request| play(request, &held));
        let home = Home::new(&api);
        let (pushed, pushes) = mpsc::channel(16);
        let host = GitHost::start(&root.path().join("remotes"), pushed).await;
        let bare = host.create(REPO);
        let hub = Arc::new(Emulate::start(&directory(root.path(), "hub")).await);
        let ci = Ci::start(Arc::clone(&hub), bare, root.path().join("ci"), pushes);
        let agents = Marker::new("SUITE_AGENT");
        let sandbox = sandbox(&home);
        let stage = Self { root, api, home, host, hub, agents, sandbox, _ci: ci };
        stage.first_commit().await;
        stage
    }

    /// A workflow that runs every test there is, and CI's word that it passes.
    async fn first_commit(&self) {
        let work = directory(self.root.path(), "work");
        git(&work, &["init", "--quiet", "--initial-branch=main"]);
        std::fs::create_dir_all(work.join(".github/workflows")).expect("the directory is fresh");
        let workflow = "on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      \
                        - uses: actions/checkout@v4\n      - run: sh test.sh\n";
        std::fs::write(work.join(".github/workflows/test.yml"), workflow).expect("the directory is there");
        let all = "set -e\nfor test in *_test.sh; do sh \"$test\"; done\n";
        std::fs::write(work.join("test.sh"), all).expect("the directory is there");
        std::fs::write(work.join("true_test.sh"), "true\n").expect("the directory is there");
        git(&work, &["add", "."]);
        git(&work, &["commit", "--quiet", "--message=first"]);
        git(&work, &["push", "--quiet", &self.host.url().replace("{}", REPO), "HEAD:main"]);
        let path = format!("/repos/{REPO}/collaborators/afk-bot");
        self.hub.call(HUMAN, "PUT", &path, json!({"permission": "push"})).await;
    }

    /// A person writes an issue and marks it ready.
    async fn issue(&self, title: &str) -> u64 {
        let body = json!({"title": title, "body": "As the title says."});
        let made = self.hub.call(HUMAN, "POST", &format!("/repos/{REPO}/issues"), body).await;
        let number = made["number"].as_u64().expect("a number");
        let labels = json!({"labels": ["ready-for-agent"]});
        self.hub.call(HUMAN, "POST", &format!("/repos/{REPO}/issues/{number}/labels"), labels).await;
        number
    }

    /// The bundled server with everything configured by its environment.
    fn server(&self) -> Command {
        let mut command = Command::new(Server::binary());
        command
            .env_clear()
            .envs(self.home.env())
            .env(self.agents.name(), self.agents.value())
            .envs([
                ("CHILD_ENV", self.agents.name()),
                ("STATE_DIR", &self.root.path().display().to_string()),
                ("API_BEARER_TOKEN", TOKEN),
                ("CLAUDE_BIN", &cli::path().display().to_string()),
                ("AFK_KILL_SWITCH", "off"),
                ("AFK_ALLOWLIST", REPO),
                ("AFK_TICK_SECONDS", "1"),
                ("AFK_FIX_FORWARD_MAX_ATTEMPTS", "1"),
                ("AFK_TRACKER", "github"),
                ("AFK_TRACKER_URL", &self.hub.github),
                ("AFK_TRACKER_TOKEN", BOT),
                ("AFK_CI_REQUIRED", "test"),
                ("AFK_GIT_URL", &self.host.url()),
                ("AFK_SANDBOX", self.sandbox.as_deref().unwrap_or("host")),
                ("AFK_AGENT", "claude"),
                ("AFK_AGENT_MODEL", "sonnet"),
                ("AFK_BELL", "slack"),
                ("AFK_SLACK_URL", &format!("{}/api", self.hub.slack)),
                ("AFK_SLACK_TOKEN", SLACK),
                ("AFK_SLACK_CHANNEL", &self.hub.channel),
            ])
            .current_dir(self.root.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn start(&self) -> Server {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.root.path().join("log"));
        let mut command = self.server();
        command.args(["--role", "afk", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
        let mut child = command.stderr(log.expect("the log")).spawn().expect("the server starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        tokio::time::timeout(PATIENCE, stdout.read_line(&mut line)).await.expect("it starts").expect("text");
        let address = line.trim().strip_prefix("listening on http://").and_then(|text| text.parse().ok());
        let address = address.unwrap_or_else(|| panic!("{line:?} {}", self.log()));
        Server::adopt(child, stdout, address)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.root.path().join("log")).unwrap_or_default()
    }

    /// One of the operator's verbs: what it says.
    async fn verb(&self, words: &[&str]) -> String {
        let mut command = self.server();
        let output = command.arg("afk").args(words).output().await.expect("the server runs");
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
    }

    /// Waits until as many runs have ended and owe nothing; their rows by issue.
    async fn ended(&self, server: &Server, count: usize) -> Vec<Value> {
        let start = Instant::now();
        loop {
            let status = server.get("/afk/status").await.json();
            let mut records: Vec<Value> =
                status["runs"].as_array().expect("runs").iter().map(|run| run["record"].clone()).collect();
            let over = |record: &Value| {
                !record["row"]["state"]["Ended"].is_null()
                    && record["outbox"].as_array().is_some_and(Vec::is_empty)
            };
            if records.iter().filter(|record| over(record)).count() == count {
                records.sort_by_key(|record| record["row"]["issue"]["number"].as_u64());
                return records.into_iter().map(|record| record["row"].clone()).collect();
            }
            assert!(start.elapsed() < PATIENCE, "{status:#}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the status tells such a run.
    async fn until(&self, server: &Server, is: impl Fn(&Value) -> bool) {
        let start = Instant::now();
        loop {
            let status = server.get("/afk/status").await.json();
            let runs = status["runs"].as_array().expect("runs");
            if runs.iter().any(|run| is(&run["record"]["row"])) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{status:#}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn labels(&self, issue: u64) -> (String, Vec<String>) {
        let issue = self.hub.call(HUMAN, "GET", &format!("/repos/{REPO}/issues/{issue}"), Value::Null).await;
        let labels = issue["labels"].as_array().expect("labels").iter();
        let names = labels.map(|label| label["name"].as_str().unwrap_or_default().to_owned()).collect();
        (issue["state"].as_str().unwrap_or_default().to_owned(), names)
    }

    /// The comments on an issue.
    async fn comments(&self, issue: u64) -> Vec<String> {
        let path = format!("/repos/{REPO}/issues/{issue}/comments");
        let list = self.hub.call(HUMAN, "GET", &path, Value::Null).await;
        let list = list.as_array().expect("comments").iter();
        list.map(|comment| comment["body"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn refs(&self) -> Vec<String> {
        let refs = git(&self.host.bare(REPO), &["for-each-ref", "--format=%(refname)"]);
        refs.lines().map(str::to_owned).collect()
    }
}

/// Everything read-only, but for the worktree and the CLI's own home; nothing outlives the server.
fn sandbox(home: &Home) -> Option<String> {
    let home = home.path().display();
    let words = format!(
        "bwrap --ro-bind / / --dev /dev --proc /proc --bind {{}} {{}} --bind {home} {home} --unshare-pid \
         --die-with-parent --"
    );
    let probe = words.replace("{}", &home.to_string());
    let works = std::process::Command::new("sh").args(["-c", &format!("{probe} true")]).output();
    if works.is_ok_and(|output| output.status.success()) {
        return Some(words);
    }
    left_out("afk: the agent was kept in by nothing: bwrap is missing, or does not work here");
    None
}

fn directory(parent: &Path, name: &str) -> PathBuf {
    let path = parent.join(name);
    std::fs::create_dir_all(&path).expect("the directory is writable");
    path
}

/// The lines of the checklist that are ticked.
fn ticked(comment: &str) -> Vec<&str> {
    comment.lines().filter_map(|line| line.strip_prefix("- [x] ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_issue_is_closed_a_red_one_is_fixed_in_its_session_and_an_exhausted_one_is_frozen() {
    let stage = Stage::new().await;
    for (number, title) in [(1, "Show the total"), (2, "Round the rates"), (3, "Show the fees")] {
        assert_eq!(stage.issue(title).await, number);
    }
    stage.hub.tested(&stage.host.bare(REPO)).await;

    // A dry run says what would be done, and does nothing.
    let simulated = stage.verb(&["simulate"]).await;
    assert!(simulated.starts_with(&format!("{REPO}#1: would be claimed\n")), "{simulated}");
    assert_eq!(
        (stage.refs(), stage.labels(1).await.1),
        (vec!["refs/heads/main".to_owned()], vec!["ready-for-agent".into()])
    );

    // In the middle of the first issue's work the server dies, and the agent with it. The next server goes on.
    let server = stage.start().await;
    stage.api.wait_for_messages(HELD + 1).await;
    stage.until(&server, |row| !row["evidence"]["red"].is_null()).await;
    assert!(stage.api.active() == 1 && !stage.agents.live().is_empty(), "the agent waits for its model");
    server.kill().await;
    process::until("the agent is gone too", || stage.agents.live().is_empty()).await;
    let server = stage.start().await;
    let rows = stage.ended(&server, 3).await;

    let outcomes: Vec<_> = rows.iter().map(|row| row["state"]["Ended"].clone()).collect();
    assert_eq!(outcomes, [json!("Done"), json!("Done"), json!({"Frozen": "FixAttempts"})], "{}", stage.log());
    let turns: Vec<_> = rows.iter().map(|row| row["turns"].as_u64().expect("a number")).collect();
    assert_eq!(turns, [2, 2, 2]);
    // What the CLI said that it cost; the turn that was cut off has no price, and counts as the most that one may cost.
    let spent: Vec<_> = rows.iter().map(|row| row["spent"].as_u64().expect("micros")).collect();
    assert!((20_000_000..20_500_000).contains(&spent[0]), "{spent:?}");
    assert!(spent[1..].iter().all(|spent| (1..500_000).contains(spent)), "{spent:?}");

    // Git: every commit is the run's own, in order, and no lock is left.
    assert_eq!(stage.refs(), ["refs/heads/main"]);
    let format = "--format=%s|%(trailers:key=AFK-Run,valueonly,separator=)";
    let log = git(&stage.host.bare(REPO), &["log", "--reverse", format, "main"]);
    let run = |issue: u64| format!("octo.site.{issue}.afk.1");
    let expected = [
        ("first", String::new()),
        ("Show the total", run(1)),
        ("Round the rates", run(2)),
        ("Add the forgotten rates", run(2)),
        ("Show the fees", run(3)),
        ("Guess the fees", run(3)),
    ];
    assert_eq!(log.lines().collect::<Vec<_>>(), expected.map(|(subject, run)| format!("{subject}|{run}")));

    // The tracker: closed, or open and for a person; one comment each, ticked by what was seen.
    assert_eq!(stage.labels(1).await, ("closed".into(), vec![]));
    assert_eq!(stage.labels(2).await, ("closed".into(), vec![]));
    assert_eq!(stage.labels(3).await, ("open".into(), vec!["ready-for-human".into()]));
    for (number, (row, name)) in (1..).zip(rows.iter().zip(["total", "rates", "fees"])) {
        let comments = stage.comments(number).await;
        let [comment] = &comments[..] else { panic!("{comments:?}") };
        let head = row["pushed"].as_str().expect("a commit");
        let mut expected = vec![
            "Worktree created".to_owned(),
            format!("Failing test written (`sh {name}_test.sh`, exit 1)"),
            format!("Implementation passes it (`sh {name}_test.sh`, exit 0)"),
            format!("Pushed (`{}`)", &head[..10]),
        ];
        if number < 3 {
            expected.extend(["CI green on the pushed commit".into(), "Done: issue closed".into()]);
        }
        assert_eq!(ticked(comment), expected, "{comment}");
    }

    // The phone: once for each run and outcome, over the restart too.
    let bells = stage.hub.bells().await;
    for number in 1..=3 {
        let about = bells.iter().filter(|bell| bell.contains(&format!("{REPO}#{number}"))).count();
        assert_eq!(about, 1, "{bells:#?}");
    }
    assert!(bells.len() == 3 && bells[2].contains("[FROZEN]"), "{bells:#?}");

    // The model: one session per run, its fix in the same one, told once for each red commit.
    let asked = stage.api.messages();
    for (number, told) in [(1, 0), (2, 1), (3, 1)] {
        let start = format!("Implement {REPO}#{number}, end to end.");
        let is_of = |request: &&Recorded| request.user_texts().iter().any(|text| text.starts_with(&start));
        let of: Vec<_> = asked.iter().filter(is_of).collect();
        assert_eq!(of.iter().map(|request| fixes(request)).max(), Some(told), "#{number}");
        let begun = of.iter().filter(|request| tool_results(&request.body).is_empty()).count();
        assert_eq!(begun, 1, "#{number} was begun once");
    }
    // The agent was shown its environment, and no secret of ours was in it.
    let environment = asked.iter().flat_map(|request| tool_results(&request.body)).map(|(text, _)| text);
    let environment =
        environment.into_iter().find(|text| text.contains("CLAUDE_CONFIG_DIR=")).expect("`env` ran");
    for secret in [BOT, TOKEN, SLACK, "AFK_"] {
        assert!(!environment.contains(secret), "{secret}");
    }
    // Nor did it get out of its worktree.
    let outside = stage.root.path().join("worktrees/octo.site/outside");
    assert_eq!(outside.exists(), stage.sandbox.is_none());

    // Asked to end, it ends, and nothing of it runs; the worktrees stay.
    assert_eq!(server.terminate().await.code(), Some(0), "{}", stage.log());
    assert_eq!(stage.agents.live(), []);
    assert!(stage.root.path().join("worktrees/octo.site/issue-3/fees.txt").exists());
    let why = stage.verb(&["explain", &format!("{REPO}#3")]).await;
    assert!(why.contains("keeps it for a person"), "{why}");
}
