//! Woodpecker as CI: the contract of [`Ci`], on a fake with its traps.

use std::sync::{Arc, Mutex};

use claude_exec_afk::adapter::{Token, Woodpecker};
use claude_exec_afk::port::Ci;
use claude_exec_afk::run::Verdict;
use claude_exec_afk::{Repo, Seen, Sha};
use serde_json::{Value, json};

use crate::stub::{Asked, Reply, Stub};

const TOKEN: &str = "woodpecker-secret-of-the-test";

#[derive(Default)]
struct World {
    /// The oldest first.
    pipelines: Vec<Value>,
    log: String,
    restarts: usize,
    /// The next restart is made, and answered with 502.
    lose: bool,
}

struct Fake {
    stub: Stub,
    world: Arc<Mutex<World>>,
}

impl Fake {
    async fn start() -> Self {
        let world = Arc::new(Mutex::new(World::default()));
        let answering = world.clone();
        let stub = Stub::start(move |asked| answering.lock().unwrap().answer(asked)).await;
        Self { stub, world }
    }

    fn ci(&self) -> Woodpecker {
        Woodpecker::new(&self.stub.url, Token::Fixed(TOKEN.parse().unwrap())).unwrap()
    }

    fn add(&self, sha: &Sha, event: &str, status: &str) -> usize {
        self.world.lock().unwrap().add(sha.as_str(), event, status)
    }

    fn add_many(&self, count: usize, sha: &Sha) {
        for _ in 0..count {
            self.add(sha, "push", "success");
        }
    }

    fn set(&self, number: usize, key: &str, value: Value) {
        self.world.lock().unwrap().pipelines[number - 1][key] = value;
    }
}

impl World {
    fn add(&mut self, sha: &str, event: &str, status: &str) -> usize {
        let number = self.pipelines.len() + 1;
        let branch = if event == "pull_request" { "feature" } else { "main" };
        self.pipelines.push(json!({"id": 900 + number, "number": number, "parent": 0, "event": event,
            "status": status, "commit": sha, "branch": branch, "created": 1_790_000_000 + number, "errors": null,
            "cancel_info": null}));
        number
    }

    fn answer(&mut self, asked: &Asked) -> Reply {
        if asked.header("authorization") != format!("Bearer {TOKEN}") {
            return Reply { body: "User not authorized".into(), ..Reply::empty(401) };
        }
        let parts: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", ["api", "repos", "lookup", "octo", "site"]) => Reply::json(
                200,
                &json!({"id": 5, "full_name": "octo/site", "default_branch": "main", "active": true}),
            ),
            ("GET", ["api", "repos", "5", "pipelines"]) => self.page(asked),
            ("GET", ["api", "repos", "5", "pipelines", number]) => {
                let mut pipeline = self.pipelines[number.parse::<usize>().unwrap() - 1].clone();
                pipeline["workflows"] = json!([{"id": 1, "pid": 1, "name": "test", "state": "failure", "children": [
                    {"id": 71, "name": "clone", "state": "success"},
                    {"id": 72, "name": "cargo", "state": "failure", "error": ""}]}]);
                Reply::json(200, &pipeline)
            }
            ("GET", ["api", "repos", "5", "logs", _, "72"]) => {
                let lines = self.log.lines().map(|line| {
                    json!({"line": 1, "data": data_encoding::BASE64.encode(line.as_bytes()), "type": 0})
                });
                Reply::json(200, &Value::Array(lines.collect()))
            }
            ("POST", ["api", "repos", "5", "pipelines", number]) => {
                let old = self.pipelines[number.parse::<usize>().unwrap() - 1].clone();
                self.restarts += 1;
                self.add(old["commit"].as_str().unwrap(), old["event"].as_str().unwrap(), "pending");
                if std::mem::take(&mut self.lose) {
                    return Reply::empty(502);
                }
                Reply::json(200, self.pipelines.last().unwrap())
            }
            _ => Reply { body: "Not Found".into(), ..Reply::empty(404) },
        }
    }

    /// Newest first, at most fifty, no `Link`; an empty page after the last.
    fn page(&self, asked: &Asked) -> Reply {
        let number = |name: &str| asked.query(name).and_then(|text| text.parse::<usize>().ok());
        let size = number("perPage").unwrap_or(50).min(50);
        let from = (number("page").unwrap_or(1) - 1) * size;
        let fits = |pipeline: &&Value| {
            let one_of = |name: &str, key: &str| {
                asked.query(name).is_none_or(|text| text.split(',').any(|part| pipeline[key] == part))
            };
            one_of("event", "event") && one_of("branch", "branch")
        };
        let found: Vec<_> = self.pipelines.iter().rev().filter(fits).skip(from).take(size).cloned().collect();
        Reply::json(200, &Value::Array(found))
    }
}

fn repo() -> Repo {
    "octo/site".parse().unwrap()
}

fn sha(digit: &str) -> Sha {
    digit.repeat(40).parse().unwrap()
}

async fn verdict(ci: &Woodpecker, sha: &Sha) -> (u32, Verdict) {
    match ci.look(&repo(), sha).await {
        Seen::Known(run) => {
            assert_eq!(run.sha, *sha);
            (run.attempt, run.verdict)
        }
        seen => panic!("{seen:?}"),
    }
}

#[tokio::test]
async fn one_verdict_for_one_commit_and_nothing_from_its_neighbours() {
    let fake = Fake::start().await;
    let (ci, own, other) = (fake.ci(), sha("a"), sha("b"));
    fake.add(&other, "push", "success");
    fake.add(&own, "pull_request", "failure");
    fake.add(&own, "deployment", "failure");
    assert!(ci.look(&repo(), &own).await.is_absent(), "no pipeline of its push");
    let number = fake.add(&own, "push", "skipped");
    assert!(ci.look(&repo(), &own).await.is_absent(), "skipped alone is no CI at all");
    for (status, want) in [
        ("pending", Verdict::Pending),
        ("running", Verdict::Pending),
        ("blocked", Verdict::Blocked),
        ("success", Verdict::Green),
    ] {
        fake.set(number, "status", json!(status));
        assert_eq!(verdict(&ci, &own).await, (1, want), "{status}");
    }
    // Cancelled for a later one: that one has the say, and cannot be run again for this commit.
    let later = fake.add(&other, "push", "running");
    fake.set(number, "status", json!("canceled"));
    fake.set(number, "cancel_info", json!({"superseded_by": later}));
    assert_eq!(verdict(&ci, &own).await, (1, Verdict::Pending));
    fake.set(later, "status", json!("failure"));
    assert!(matches!(verdict(&ci, &own).await.1, Verdict::Red { rerunnable: false, .. }));
    assert!(matches!(verdict(&ci, &other).await, (2, Verdict::Red { rerunnable: true, .. })));
    fake.set(later, "cancel_info", json!({"superseded_by": number}));
    fake.set(later, "status", json!("canceled"));
    assert!(ci.look(&repo(), &own).await.is_unknown(), "a circle");
}

#[tokio::test]
async fn t02_pages_are_read_until_an_empty_one() {
    let fake = Fake::start().await;
    let (ci, own, other) = (fake.ci(), sha("a"), sha("b"));
    fake.add(&own, "push", "success");
    fake.add_many(120, &other);
    assert_eq!(verdict(&ci, &own).await, (1, Verdict::Green));
    fake.add_many(80, &other);
    assert!(ci.look(&repo(), &own).await.is_absent(), "two hundred later ones: not of this hour");
}

#[tokio::test]
async fn a_rerun_is_made_once_whatever_becomes_of_its_answer() {
    let fake = Fake::start().await;
    let (ci, own) = (fake.ci(), sha("a"));
    let red = fake.add(&own, "push", "failure");
    assert!(matches!(verdict(&ci, &own).await, (1, Verdict::Red { rerunnable: true, .. })));
    fake.world.lock().unwrap().lose = true;
    assert!(ci.rerun(&repo(), &own, 1).await.is_err_and(|error| error.is_transient()));
    // Tried again, by two at once.
    let (repo, other) = (repo(), fake.ci());
    let (a, b) = tokio::join!(ci.rerun(&repo, &own, 1), other.rerun(&repo, &own, 1));
    a.unwrap();
    b.unwrap();
    assert_eq!(fake.world.lock().unwrap().restarts, 1);
    assert_eq!(verdict(&ci, &own).await, (2, Verdict::Pending));
    fake.set(red + 1, "status", json!("success"));
    assert_eq!(verdict(&ci, &own).await, (2, Verdict::Green));
}

#[tokio::test]
async fn f24_the_same_failure_has_the_same_digest() {
    let fake = Fake::start().await;
    let (ci, first, second) = (fake.ci(), sha("a"), sha("b"));
    fake.add(&first, "push", "failure");
    fake.add(&second, "push", "failure");
    let failure = async |sha: &Sha, log: &str| {
        fake.world.lock().unwrap().log = log.into();
        match verdict(&ci, sha).await.1 {
            Verdict::Red { failure: Some(failure), .. } => failure,
            verdict => panic!("{verdict:?}"),
        }
    };
    let totals = failure(&first, "running 3 tests\ntest totals ... FAILED in 0.3s").await;
    assert_eq!(totals, failure(&second, "running 4 tests\ntest totals ... FAILED in 1.7s").await);
    assert_ne!(totals, failure(&second, "running 4 tests\ntest sums ... FAILED in 1.7s").await);
    fake.world.lock().unwrap().log.clear();
    assert_eq!(verdict(&ci, &second).await.1, Verdict::Red { failure: None, rerunnable: true });
}

#[tokio::test]
async fn the_trunk_is_the_newest_pipeline_of_the_branch() {
    let fake = Fake::start().await;
    let ci = fake.ci();
    assert!(ci.trunk(&repo()).await.is_absent());
    fake.add(&sha("a"), "push", "success");
    fake.add(&sha("b"), "pull_request", "failure");
    fake.add(&sha("c"), "push", "skipped");
    assert_eq!(ci.trunk(&repo()).await, Seen::Known(Verdict::Green));
    fake.add(&sha("d"), "push", "failure");
    assert!(matches!(ci.trunk(&repo()).await, Seen::Known(Verdict::Red { .. })));
}

#[tokio::test]
async fn what_cannot_be_seen_is_unknown_and_no_secret_is_told() {
    let fake = Fake::start().await;
    let hidden = fake.ci().look(&"octo/other".parse().unwrap(), &sha("a")).await;
    assert!(matches!(&hidden, Seen::Unknown(reason) if reason.contains("404")), "{hidden:?}");
    let wrong = Woodpecker::new(&fake.stub.url, Token::Fixed("another-secret".parse().unwrap())).unwrap();
    let refused = wrong.look(&repo(), &sha("a")).await;
    assert!(
        refused.is_unknown() && !format!("{refused:?} {wrong:?}").contains("another-secret"),
        "{refused:?}"
    );
}
