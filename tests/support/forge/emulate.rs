//! GitHub and Slack with a memory: npm's emulate.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::git::git;
use crate::support::server::client;

/// The loop's own account there.
pub(crate) const BOT: &str = "token-of-the-bot";
/// A person who may write.
pub(crate) const HUMAN: &str = "token-of-a-person";
/// The token of the Slack app.
pub(crate) const SLACK: &str = "xoxb-of-the-suite";

/// How long it may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The running services.
pub(crate) struct Emulate {
    _child: Child,
    pub(crate) github: String,
    pub(crate) slack: String,
    /// The id of the channel that bells ring in.
    pub(crate) channel: String,
}

impl Emulate {
    /// Starts both with one repository, `octo/site`.
    pub(crate) async fn start(directory: &Path) -> Self {
        // A module finds its packages beside itself.
        let modules = PathBuf::from(installed("CLAUDE_EXEC_TEST_EMULATE"));
        std::os::unix::fs::symlink(modules, directory.join("node_modules")).expect("the directory is fresh");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/forge/hub.mjs");
        std::fs::copy(script, directory.join("hub.mjs")).expect("the directory is writable");
        let seed = json!({"bot": BOT, "human": HUMAN, "slack": SLACK});
        let mut child = Command::new(installed("CLAUDE_EXEC_TEST_NODE"))
            .arg(directory.join("hub.mjs"))
            .arg(seed.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is installed");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it starts");
        let line = line.expect("it writes text").expect("it says where it is");
        let urls: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        let url = |name: &str| urls[name].as_str().expect("a URL").to_owned();
        let (github, slack) = (url("github"), url("slack"));
        let list = call(&slack, SLACK, "POST", "/api/conversations.list", json!({})).await;
        let mut channels = list["channels"].as_array().expect("channels").iter();
        let channel = channels.find(|channel| channel["name"] == "afk").expect("the channel");
        let channel = channel["id"].as_str().expect("an id").to_owned();
        Self { _child: child, github, slack, channel }
    }

    /// A call to GitHub that must succeed.
    pub(crate) async fn call(&self, token: &str, method: &str, path: &str, body: Value) -> Value {
        call(&self.github, token, method, path, body).await
    }

    /// What was posted to the Slack channel, the oldest first.
    pub(crate) async fn bells(&self) -> Vec<String> {
        let asked = json!({"channel": self.channel});
        let history = call(&self.slack, SLACK, "POST", "/api/conversations.history", asked).await;
        let messages = history["messages"].as_array().cloned().unwrap_or_default();
        messages.iter().rev().map(|message| message["text"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Gives GitHub what was pushed to `main` of a bare repository: its objects have the same names there.
    pub(crate) async fn mirror(&self, bare: &Path, known: Option<&str>) -> String {
        let head = git(bare, &["rev-parse", "refs/heads/main"]);
        let range = known.map_or_else(|| head.clone(), |known| format!("{known}..{head}"));
        for sha in git(bare, &["rev-list", "--reverse", "--topo-order", &range]).lines() {
            self.commit(bare, sha).await;
        }
        let (method, path, body) = match known {
            None => ("POST", "refs", json!({"ref": "refs/heads/main", "sha": head})),
            Some(_) => ("PATCH", "refs/heads/main", json!({"sha": head})),
        };
        self.call(HUMAN, method, &format!("/repos/octo/site/git/{path}"), body).await;
        head
    }

    /// Waits until CI has said something final about `main`.
    pub(crate) async fn tested(&self, bare: &Path) {
        let head = git(bare, &["rev-parse", "refs/heads/main"]);
        loop {
            let path = format!("/repos/octo/site/commits/{head}/check-runs");
            let authorization = format!("Bearer {HUMAN}");
            let reply =
                raw(&self.github, "GET", &path, &[("authorization", &authorization)], String::new()).await;
            // GitHub does not know the commit before it is mirrored.
            if reply.status == 200 && reply.json()["check_runs"][0]["status"] == "completed" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn commit(&self, bare: &Path, sha: &str) {
        let mut tree = Vec::new();
        for line in git(bare, &["ls-tree", "-r", sha]).lines() {
            let (about, path) = line.split_once('\t').expect("a line of ls-tree");
            let [mode, kind, blob] = about.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let output =
                std::process::Command::new("git").current_dir(bare).args(["cat-file", kind, blob]).output();
            let content = String::from_utf8(output.expect("git is installed").stdout).expect("text files");
            tree.push(json!({"path": path, "mode": mode, "type": kind, "content": content}));
        }
        let tree = self.call(HUMAN, "POST", "/repos/octo/site/git/trees", json!({"tree": tree})).await;
        let shown =
            git(bare, &["log", "-1", "--format=%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B", sha]);
        let [parents, an, ae, at, cn, ce, ct, message] = shown.split('\0').collect::<Vec<_>>()[..] else {
            panic!("{shown}")
        };
        let commit = json!({
            "message": format!("{}\n", message.trim_end()), "tree": tree["sha"],
            "parents": parents.split_whitespace().collect::<Vec<_>>(),
            "author": {"name": an, "email": ae, "date": at}, "committer": {"name": cn, "email": ce, "date": ct},
        });
        let made = self.call(HUMAN, "POST", "/repos/octo/site/git/commits", commit).await;
        assert_eq!(made["sha"], sha, "the same object has the same name");
    }
}

async fn call(base: &str, token: &str, method: &str, path: &str, body: Value) -> Value {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let reply = raw(base, method, path, &headers, body).await;
    assert!((200..300).contains(&reply.status), "{method} {path}: {} {}", reply.status, reply.text());
    serde_json::from_slice(&reply.body).unwrap_or(Value::Null)
}

async fn raw(base: &str, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> client::Reply {
    let port = base.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    client::call(SocketAddr::from(([127, 0, 0, 1], port)), method, path, headers, body).await
}

fn installed(variable: &str) -> std::ffi::OsString {
    std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set: run tests/run.sh"))
}
