//! What the loop costs: `cargo bench -p claude-exec-afk --features sim`.
//!
//! Each figure is printed beside its bound; a bound that is passed ends with an error, unless `--test` asks only
//! whether it runs.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use claude_exec::store::{Embedded, Memory};
use claude_exec_afk::engine::{Engine, SystemClock};
use claude_exec_afk::issue::{Issue, IssueState, Labelling, Permission};
use claude_exec_afk::ledger::Ledger;
use claude_exec_afk::policy::{Claim, RepoView, World, plan};
use claude_exec_afk::run::{
    Activity, CiRun, Claimed, Effect, Evidence, Head, Holder, IssueView, Mode, Observation, Room, Row,
    Session, State, Verdict, step,
};
use claude_exec_afk::sim;
use claude_exec_afk::{Config, Digest, Fence, IssueKey, Now, Repo, Seen, Sha, Usd};

const NOW: Now = Now::from_millis(1_000_000_000_000);

fn config(repos: usize) -> Config {
    let mut config = Config::default();
    config.kill_switch = false;
    config.max_running = 1000;
    config.allowlist = (0..repos).map(repo).collect();
    config
}

fn repo(number: usize) -> Repo {
    format!("octo/repo-{number}").parse().expect("a name")
}

fn text() -> Digest {
    Digest::of("title", "body")
}

fn issue(number: usize, repos: usize) -> Issue {
    Issue {
        key: IssueKey::new(repo(number % repos), number as u64 + 1),
        title: "title".into(),
        state: IssueState::Open,
        labels: vec!["bug".into(), "ready-for-agent".into(), format!("priority:{}", number % 5)],
        text: Seen::Known(text()),
        editor: Seen::Absent,
        labelling: Seen::Known(Labelling {
            actor: "octocat".into(),
            at: 5,
            permission: Seen::Known(Permission::Write),
            text: Seen::Known(text()),
        }),
        blockers: Seen::Known(vec![]),
        updated: 1,
    }
}

fn claim(number: usize) -> Claim {
    let claimed = Claimed { title: "title".into(), labeller: "octocat".into(), text: text(), labelled: 5 };
    Claim { key: IssueKey::new(repo(number), 1), priority: 1, claimed }
}

fn row(state: State) -> Row {
    let claim = claim(0);
    let mut row = Row::claimed("octo.repo-0.1.afk.1".parse().expect("a name"), claim.key, claim.claimed, NOW);
    (row.state, row.fence, row.starts, row.turns) = (state, Some(Fence(1)), 1, 1);
    if state == State::CiWait {
        row.pushed = Some(sha());
    }
    row
}

fn sha() -> Sha {
    "0123456789abcdef0123456789abcdef01234567".parse().expect("a hash")
}

fn seen(row: &Row, verdict: Verdict) -> Observation {
    Observation {
        mode: Mode::Run,
        pending: false,
        room: Room { repo_day: Usd::ONE, total: Usd::ONE },
        lock: Seen::Known(Holder { run: row.run.clone(), fence: Fence(1) }),
        issue: Seen::Known(IssueView {
            state: IssueState::Open,
            ready: true,
            marked: true,
            human: false,
            text: Seen::Known(text()),
            editor: Seen::Absent,
            labelled: Seen::Known(5),
        }),
        session: Seen::Known(Session {
            turns: 1,
            activity: Activity::Busy,
            quiet_seconds: 0,
            spent: Usd::ONE,
            unpriced: 0,
            work: Seen::Known(text()),
            evidence: Evidence::default(),
        }),
        head: row.pushed.clone().map_or(Seen::Absent, |sha| Seen::Known(Head::Pushed(sha))),
        ci: Seen::Known(CiRun { sha: sha(), attempt: 1, verdict }),
        deploy: Seen::Absent,
    }
}

/// The middle of several measurements of `work`, each over `times` calls, per call.
fn measure(times: u32, mut work: impl FnMut()) -> Duration {
    let mut runs: Vec<Duration> = (0..9)
        .map(|_| {
            let start = Instant::now();
            (0..times).for_each(|_| work());
            start.elapsed() / times
        })
        .collect();
    runs.sort();
    runs[runs.len() / 2]
}

struct Report(bool);

impl Report {
    fn say(&mut self, what: &str, found: Duration, bound: Duration) {
        let kept = found <= bound;
        println!("{} {what}: {found:?} (bound {bound:?})", if kept { "ok  " } else { "OVER" });
        self.0 &= kept;
    }
}

fn main() -> ExitCode {
    let mut report = Report(true);
    steps(&mut report);
    plans(&mut report);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(ledger(&mut report));
    runtime.block_on(ticks(&mut report));
    let quick = std::env::args().any(|arg| arg == "--test");
    if report.0 || quick { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn steps(report: &mut Report) {
    let config = config(1);
    let working = row(State::Working);
    let quiet = seen(&working, Verdict::Pending);
    let bound = Duration::from_micros(2);
    let found = measure(100_000, || {
        black_box(step(black_box(&working), black_box(&quiet), &config, NOW));
    });
    report.say("step, nothing to do", found, bound);
    let waiting = row(State::CiWait);
    let green = seen(&waiting, Verdict::Green);
    let found = measure(100_000, || {
        black_box(step(black_box(&waiting), black_box(&green), &config, NOW));
    });
    report.say("step, green: a verdict and six effects", found, bound);
}

fn plans(report: &mut Report) {
    let config = config(200);
    let issues: Vec<Issue> = (0..10_000).map(|number| issue(number, 200)).collect();
    let view = RepoView {
        trunk: Seen::Known(Verdict::Green),
        room: Room { repo_day: Usd::ONE, total: Usd::ONE },
        holder: Seen::Absent,
    };
    let repos: BTreeMap<Repo, RepoView> =
        config.allowlist.iter().map(|repo| (repo.clone(), view.clone())).collect();
    let failures = BTreeMap::new();
    let world = World { mode: Mode::Run, issues: &issues, runs: &[], repos: &repos, failures: &failures };
    assert_eq!(plan(&world, &config).claims.len(), 200);
    let found = measure(3, || {
        black_box(plan(black_box(&world), &config));
    });
    report.say("plan over 10,000 issues of 200 repositories", found, Duration::from_millis(10));
}

/// Claim, decide, acknowledge: three durable transitions of each of many runs, as many at once as a tick does.
async fn ledger(report: &mut Report) {
    const RUNS: usize = 64;
    const ROUNDS: usize = 8;
    let dir = tempfile::tempdir().expect("a directory");
    let store = Embedded::open(dir.path().join("ledger.redb")).await.expect("a store");
    let ledger = Ledger::new(Arc::new(store));
    let config = config(RUNS);
    let start = Instant::now();
    let runs = (0..RUNS).map(|number| {
        let (ledger, config) = (ledger.clone(), config.clone());
        async move {
            let claimed = ledger.claim(&claim(number), None, &config, NOW).await.expect("written");
            let mut stored = claimed.expect("nobody else claims it");
            for turn in 0..ROUNDS {
                let mut row = stored.record.row.clone();
                row.turns = u32::try_from(turn).expect("few");
                // A turn's price comes now and then.
                row.spent += Usd::from_micros(u64::from(turn == 0));
                let decided = ledger.decide(&stored, row, vec![Effect::Lock], NOW).await.expect("written");
                drop(decided);
                let run = stored.record.row.run.clone();
                let done = ledger.acknowledge(&run, &Effect::Lock, NOW).await.expect("written");
                stored = done.expect("it is there");
            }
        }
    });
    futures::future::join_all(runs).await;
    let transitions = u32::try_from(RUNS * (1 + 2 * ROUNDS)).expect("few");
    report.say(
        "ledger, one durable transition of many at once",
        start.elapsed() / transitions,
        Duration::from_millis(1),
    );
}

/// Two hundred repositories with nothing to do.
async fn ticks(report: &mut Report) {
    let config = config(200);
    let world = sim::World::new(&config);
    let ledger = Ledger::new(Arc::new(Memory::new()));
    let engine = Engine::new(config, ledger, world.ports(), Arc::new(SystemClock::new()));
    engine.tick().await.expect("a tick");
    let before = world.calls("list");
    let start = Instant::now();
    let count = 20;
    for _ in 0..count {
        engine.tick().await.expect("a tick");
    }
    let found = start.elapsed() / count;
    let calls = world.calls("list") - before;
    assert_eq!(calls, 200 * count as usize, "one request for each repository");
    assert_eq!(
        (world.calls("issue"), world.calls("trunk"), world.calls("lock")),
        (0, 0, 0),
        "and nothing else"
    );
    report.say(
        "tick over 200 repositories with nothing to do (no network)",
        found,
        Duration::from_millis(50),
    );
}
