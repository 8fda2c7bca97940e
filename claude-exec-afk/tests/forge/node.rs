//! Programs on Node.js that `tests/run.sh` installs: GitHub with a memory, and the judge.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use claude_exec_afk::IssueKey;
use claude_exec_afk::adapter::GitHub;
use claude_exec_afk::port::Tracker;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::hub::{BOT, READY, REPO, TOKEN};
use crate::stage::{By, Stage, key, token};

/// How long a program may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn installed(variable: &str) -> PathBuf {
    std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set: run tests/run.sh")).into()
}

/// Starts a script of `tests/clients/forge` where its modules are; the list of addresses that it prints first.
async fn start(
    script: &str,
    modules: &str,
    argument: &Value,
) -> (Child, Vec<String>, Lines<BufReader<ChildStdout>>) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients/forge").join(script);
    let mut child = Command::new(installed("CLAUDE_EXEC_TEST_NODE"))
        .arg(script.canonicalize().unwrap())
        .arg(argument.to_string())
        .current_dir(installed(modules).parent().unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it starts").unwrap().unwrap();
    let addresses = serde_json::from_str(&first).unwrap_or_else(|_| panic!("{first}"));
    (child, addresses, lines)
}

/// Which service, if one, and what.
pub(crate) type Told = (Option<usize>, String);

/// Prism before services, telling what their descriptions do not allow.
pub(crate) struct Judge {
    _child: Child,
    pub(crate) urls: Vec<String>,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Judge {
    /// Before each of `services`: the name of its description, and where it is.
    pub(crate) async fn start(services: &[(&str, &str)]) -> Self {
        let descriptions = installed("CLAUDE_EXEC_TEST_OPENAPI");
        let services: Vec<Value> = services
            .iter()
            .map(|(name, url)| json!({ "description": descriptions.join(format!("{name}.json")), "upstream": url }))
            .collect();
        let (child, urls, mut lines) = start("judge.mjs", "CLAUDE_EXEC_TEST_PRISM", &json!(services)).await;
        let told = Arc::new(Mutex::new(Vec::new()));
        let telling = told.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let line: Value = serde_json::from_str(&line).unwrap();
                let service = line["service"].as_u64().map(|service| usize::try_from(service).unwrap());
                telling.lock().unwrap().push((service, line["text"].as_str().unwrap().to_owned()));
            }
        });
        Self { _child: child, urls, told }
    }

    /// What was told so far. Each service is asked for something that it does not have: everything before that has
    /// been told when the judge tells that.
    pub(crate) async fn told(&self) -> Vec<Told> {
        const LAST: &str = "Violation: request Selected route not found";
        let before = self.told.lock().unwrap().iter().filter(|(_, text)| text == LAST).count();
        for url in &self.urls {
            reqwest::get(format!("{url}/nowhere")).await.unwrap();
        }
        for _ in 0..1000 {
            let told = self.told.lock().unwrap().clone();
            if told.iter().filter(|(_, text)| text == LAST).count() >= before + self.urls.len() {
                return told.into_iter().filter(|(_, text)| text != LAST).collect();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the judge does not tell the last one: {:?}", self.told.lock().unwrap());
    }
}

/// npm's emulate as GitHub.
pub(crate) struct Emulate {
    _child: Child,
    pub(crate) url: String,
    /// Where the adapter asks; a judge may stand in between.
    pub(crate) asked: String,
}

impl Emulate {
    pub(crate) async fn start() -> Self {
        let scopes = json!(["repo", "user"]);
        let seed = json!({
            "tokens": {
                TOKEN: { "login": BOT, "scopes": scopes },
                "octo": { "login": "octo", "scopes": scopes },
                "helper": { "login": "helper", "scopes": scopes },
            },
            "github": {
                "users": [{ "login": "octo" }, { "login": BOT }, { "login": "helper" }],
                "repos": [{ "owner": "octo", "name": "site", "auto_init": true }],
            },
        });
        let (child, urls, _) = start("github.mjs", "CLAUDE_EXEC_TEST_EMULATE", &seed).await;
        Self { _child: child, url: urls[0].clone(), asked: urls[0].clone() }
    }

    async fn call(&self, who: &str, method: &str, path: String, body: Value) -> Value {
        let url = format!("{}/repos/{REPO}{path}", self.url);
        let request = reqwest::Client::new().request(method.parse().unwrap(), url).bearer_auth(who);
        let request = if body.is_null() {
            request
        } else {
            request.header("content-type", "application/json").body(body.to_string())
        };
        let response = request.send().await.unwrap();
        assert!(response.status().is_success(), "{method} {path}: {}", response.status());
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default()
    }
}

impl Stage for Emulate {
    fn tracker(&self) -> Arc<dyn Tracker> {
        Arc::new(GitHub::new(&self.asked, token()).unwrap().pace(Duration::ZERO))
    }

    fn ready<'a>(&'a self, title: &'a str, body: &'a str) -> BoxFuture<'a, IssueKey> {
        async move {
            let made =
                self.call("octo", "POST", "/issues".into(), json!({ "title": title, "body": body })).await;
            let key = key(made["number"].as_u64().unwrap());
            let labels = format!("/issues/{}/labels", key.number);
            self.call("octo", "POST", labels, json!({ "labels": [READY] })).await;
            key
        }
        .boxed()
    }

    fn relabel<'a>(&'a self, key: &'a IssueKey, by: By) -> BoxFuture<'a, ()> {
        async move {
            let who = match by {
                By::Triager => "helper",
                By::Bot => TOKEN,
            };
            let labels = format!("/issues/{}/labels", key.number);
            self.call(who, "DELETE", format!("{labels}/{READY}"), Value::Null).await;
            self.call(who, "POST", labels, json!({ "labels": [READY] })).await;
        }
        .boxed()
    }

    fn close<'a>(&'a self, key: &'a IssueKey) -> BoxFuture<'a, ()> {
        async move {
            self.call("octo", "PATCH", format!("/issues/{}", key.number), json!({ "state": "closed" })).await;
        }
        .boxed()
    }

    fn comments<'a>(&'a self, key: &'a IssueKey) -> BoxFuture<'a, Vec<String>> {
        async move {
            let comments =
                self.call(TOKEN, "GET", format!("/issues/{}/comments", key.number), Value::Null).await;
            let texts = comments
                .as_array()
                .unwrap()
                .iter()
                .map(|comment| comment["body"].as_str().unwrap().to_owned());
            texts.collect()
        }
        .boxed()
    }
}
