//! GitHub's deployments: the contract of [`Deploy`], on a fake that remembers.

use std::sync::{Arc, Mutex};

use claude_exec_afk::adapter::{GitHub, GitHubDeployments, Token};
use claude_exec_afk::port::Deploy;
use claude_exec_afk::run::Deployed;
use claude_exec_afk::{Repo, Seen, Sha};
use serde_json::{Value, json};

use crate::stub::{Asked, Reply, Stub};

const SECRET: &str = "ghp_a-secret-of-the-test";

#[derive(Default)]
struct World {
    /// Commits in order: a later one holds the earlier ones.
    commits: Vec<String>,
    /// The oldest first; statuses the newest last.
    deployments: Vec<(String, Vec<&'static str>)>,
    lose: bool,
    hidden: bool,
}

impl World {
    fn answer(&mut self, asked: &Asked) -> Reply {
        assert_eq!(asked.header("authorization"), format!("Bearer {SECRET}"));
        if self.hidden {
            return Reply::json(404, &json!({"message": "Not Found"}));
        }
        let parts: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
        match (asked.method.as_str(), &parts[3..]) {
            ("GET", ["deployments"]) => {
                assert_eq!(asked.query("environment").as_deref(), Some("production"));
                let numbered = self.deployments.iter().enumerate().rev();
                let wanted =
                    numbered.filter(|(_, (sha, _))| asked.query("sha").is_none_or(|only| only == *sha));
                let found: Vec<_> = wanted.map(|(id, (sha, _))| json!({"id": id, "sha": sha})).collect();
                Reply::json(200, &Value::Array(found))
            }
            ("POST", ["deployments"]) => {
                assert_eq!(asked.body["required_contexts"], json!([]));
                assert_eq!(asked.body["auto_merge"], json!(false));
                self.deployments.push((asked.body["ref"].as_str().unwrap().to_owned(), vec![]));
                let answer = Reply::json(201, &json!({"id": self.deployments.len() - 1}));
                if std::mem::take(&mut self.lose) { Reply::empty(502) } else { answer }
            }
            ("GET", ["deployments", id, "statuses"]) => {
                let states = &self.deployments[id.parse::<usize>().unwrap()].1;
                let found: Vec<_> = states.iter().rev().map(|state| json!({"state": state})).collect();
                Reply::json(200, &Value::Array(found))
            }
            ("GET", ["compare", range]) => {
                let (older, newer) = range.split_once("...").unwrap();
                let place = |sha: &str| self.commits.iter().position(|commit| commit == sha);
                let (Some(older), Some(newer)) = (place(older), place(newer)) else {
                    return Reply::json(404, &json!({"message": "Not Found"}));
                };
                Reply::json(200, &json!({"status": if newer > older { "ahead" } else { "behind" }}))
            }
            _ => Reply::empty(404),
        }
    }
}

#[tokio::test]
async fn f10_what_is_deployed_is_what_the_statuses_say_now() {
    let sha = |digit: &str| digit.repeat(40).parse::<Sha>().unwrap();
    let (older, own, newer) = (sha("a"), sha("b"), sha("c"));
    let repo: Repo = "octo/site".parse().unwrap();
    let commits = [&older, &own, &newer].map(|sha| sha.as_str().to_owned()).to_vec();
    let world = Arc::new(Mutex::new(World { commits, ..World::default() }));
    let answering = world.clone();
    let stub = Stub::start(move |asked| answering.lock().unwrap().answer(asked)).await;
    let github = Arc::new(GitHub::new(&stub.url, Token::Fixed(SECRET.parse().unwrap())).unwrap());
    let reading = GitHubDeployments::new(github.clone(), "production");
    let making = GitHubDeployments::new(github, "production").create(true);
    let say = |id: usize, state| world.lock().unwrap().deployments[id].1.push(state);
    let add = |sha: &Sha| world.lock().unwrap().deployments.push((sha.as_str().to_owned(), vec![]));

    assert!(reading.look(&repo, &own).await.is_absent());
    add(&older);
    say(0, "success");
    assert_eq!(reading.look(&repo, &own).await, Seen::Known(Deployed::Pending));
    reading.begin(&repo, &own).await.unwrap();
    assert_eq!(world.lock().unwrap().deployments.len(), 1, "somebody else's work");
    // The deployment is made, and its answer lost: once all the same.
    world.lock().unwrap().lose = true;
    assert!(making.begin(&repo, &own).await.is_err_and(|error| error.is_transient()));
    making.begin(&repo, &own).await.unwrap();
    assert_eq!(world.lock().unwrap().deployments.len(), 2);
    say(1, "in_progress");
    assert_eq!(reading.look(&repo, &own).await, Seen::Known(Deployed::Pending));
    say(1, "success");
    say(0, "inactive");
    assert_eq!(reading.look(&repo, &own).await, Seen::Known(Deployed::Healthy(own.clone())));
    // A later commit takes its place; and then an older one.
    add(&newer);
    say(2, "success");
    say(1, "inactive");
    assert_eq!(reading.look(&repo, &own).await, Seen::Known(Deployed::Superseded(newer)));
    add(&older);
    say(3, "success");
    say(2, "inactive");
    assert_eq!(reading.look(&repo, &own).await, Seen::Known(Deployed::Failed(own.clone())), "rolled back");
    world.lock().unwrap().hidden = true;
    let seen = reading.look(&repo, &own).await;
    assert!(seen.is_unknown() && !format!("{seen:?} {reading:?}").contains(SECRET), "{seen:?}");
}
