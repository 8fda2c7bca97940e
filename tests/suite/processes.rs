//! Whoever leaves or is killed, and whenever: nothing of a run is left. Over the real CLI, whose agent runs one
//! command and has detached others.

use serde_json::{Value, json};

use crate::support::model_api::ModelApi;
use crate::support::process::{self, Process};
use crate::support::server::{AGENT, Server, Site, Streamed, body_of};

/// Runs for longer than any test.
const SLEEP: &str = "python3 -c 'import time; time.sleep(600)'";

struct Scene {
    api: ModelApi,
    site: Site,
    server: Server,
}

impl Scene {
    async fn new() -> Self {
        Self::with("SHUTDOWN_GRACE_SECONDS", "0").await
    }

    async fn with(name: &str, value: &str) -> Self {
        let api = ModelApi::start().await;
        let site = Site::real(&api).repository().env(name, value);
        let server = site.start().await;
        Self { api, site, server }
    }

    /// Waits until the agent's tool runs, and both detached ones, each in a session of its own.
    async fn until_all_sleep(&self) {
        process::until("all three commands run", || {
            let mut sessions: Vec<i32> = self.python().iter().map(|process| process.session).collect();
            sessions.sort_unstable();
            sessions.dedup();
            sessions.len() == 3
        })
        .await;
        assert_eq!(self.site.workspaces().len(), 1);
        assert_eq!(self.server.health().await["active"], 1);
    }

    /// The commands themselves, without the shells that carry them in their arguments.
    fn python(&self) -> Vec<Process> {
        let ran = |process: &Process| process.command.contains("python3 -c import time");
        self.site.children().into_iter().filter(ran).collect()
    }

    async fn until_nothing_runs(&self) {
        process::until("no process of ours is alive", || self.site.children().is_empty()).await;
    }

    /// Slot, workspace and model are back, and the next caller is served.
    async fn assert_clean(&self) {
        self.until_nothing_runs().await;
        self.server.load_is(0, 0).await;
        process::until("the workspaces are gone", || self.site.workspaces().is_empty()).await;
        process::until("the model is left alone", || self.api.active() == 0).await;
        assert_eq!(self.server.chat("[[text still here]]").await.answer(), "still here");
    }

    async fn chat(&self, stream: bool) -> Streamed {
        self.server.open("/v1/chat/completions", &body_of(AGENT, &prompt(), stream)).await
    }
}

/// One detached child of the tool's shell, one that init has adopted, and the tool itself.
fn prompt() -> String {
    let detached = format!("setsid nohup {SLEEP} >/dev/null 2>&1 &");
    let command = format!("{detached} ({detached}) ; {SLEEP}");
    format!("[[text working]] [[tool Bash {}]]", json!({"command": command, "description": "d"}))
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_json_caller_that_hangs_up_ends_its_agent() {
    let scene = Scene::new().await;
    tokio::select! {
        reply = scene.chat(false) => panic!("an answer: {reply:?}"),
        () = scene.until_all_sleep() => {}
    }
    scene.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_streaming_caller_that_hangs_up_ends_its_agent() {
    let scene = Scene::new().await;
    let mut stream = scene.chat(true).await;
    assert_eq!(stream.first_text().await, "working");
    scene.until_all_sleep().await;
    drop(stream);
    scene.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_cancelled_job_leaves_nothing() {
    let scene = Scene::new().await;
    let id = scene.server.execute(&prompt()).await;
    scene.until_all_sleep().await;
    let reply = scene.server.post(&format!("/jobs/{id}/cancel"), &Value::Null).await;
    assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("cancelled")));
    assert_eq!(scene.site.children(), [], "the answer comes when nothing runs any more");
    scene.assert_clean().await;
    assert_eq!(scene.server.job(&id).await["status"], "cancelled");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_job_over_its_time_limit_leaves_nothing() {
    let scene = Scene::new().await;
    let body = json!({"prompt": prompt(), "agent": AGENT, "timeout_seconds": 8});
    let id = scene.server.submit(&body).await;
    scene.until_all_sleep().await;
    let job = scene.server.ended(&id).await;
    assert_eq!(job["status"], "timeout", "{job}");
    assert!(job["error"].as_str().is_some_and(|error| error.contains("longer than 8s")), "{job}");
    scene.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_server_that_is_told_to_end_leaves_nothing() {
    let scene = Scene::with("SHUTDOWN_GRACE_SECONDS", "0").await;
    let id = scene.server.execute(&prompt()).await;
    scene.until_all_sleep().await;
    // A stream that is under way at the same time ends with an error, and no word of success.
    let mut stream = scene.server.chat_stream("[[text begun]] [[silence]]").await;
    assert_eq!(stream.first_text().await, "begun");
    let Scene { api, site, server } = scene;
    let (exit, events) = tokio::join!(server.terminate(), stream.rest());
    assert_eq!(exit.code(), Some(0), "{}", site.log());
    let [error] = &events[..] else { panic!("{events:?}") };
    assert_eq!(error.json()["error"]["code"], "interrupted", "{events:?}");
    assert!(!stream.broken);
    assert_eq!(site.children(), [], "it ends after what it runs");
    assert!(site.workspaces().is_empty(), "{:?}", site.workspaces());

    let server = site.start().await;
    let job = server.job(&id).await;
    assert_eq!((&job["status"], &job["error"]), (&json!("interrupted"), &json!("the server shut down")));
    Scene { api, site, server }.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_server_that_is_killed_leaves_nothing_after_its_next_start() {
    let scene = Scene::new().await;
    let id = scene.server.execute(&prompt()).await;
    scene.until_all_sleep().await;
    let python = scene.python();
    let Scene { api, site, server } = scene;
    server.kill().await;
    // By themselves: the CLI, its shell, and the tool in the CLI's hands. What had left it may wait.
    let gone = |process: &&Process| python.iter().any(|left| left.pid == process.pid);
    process::until("only detached ones are alive", || site.children().iter().all(|process| gone(&process)))
        .await;
    process::until("the tool is gone", || site.children().iter().all(|process| process.parent == 1)).await;
    // Those are the next server's, unless one on this machine was started in the meantime: each ends what any
    // dead server has left.
    eprintln!("left: {:?}", site.children());

    let server = site.start().await;
    let job = server.job(&id).await;
    assert_eq!(job["status"], "interrupted", "{job}");
    Scene { api, site, server }.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_cli_that_is_killed_is_a_failure_and_leaves_no_tool() {
    let scene = Scene::new().await;
    let id = scene.server.execute(&prompt()).await;
    scene.until_all_sleep().await;
    let cli: Vec<Process> = scene.site.children();
    let cli = cli.iter().find(|process| process.command.contains("--input-format")).expect("it runs");
    process::kill(cli.pid, rustix::process::Signal::KILL);
    let job = scene.server.ended(&id).await;
    assert_eq!((&job["status"], &job["exit_code"]), (&json!("failed"), &json!(-9)), "{job}");
    scene.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_agent_that_ends_well_takes_what_it_detached_with_it() {
    let scene = Scene::new().await;
    let command = format!("setsid nohup {SLEEP} >/dev/null 2>&1 & echo started");
    let prompt = format!("[[tool Bash {}]]", json!({"command": command, "description": "d"}));
    let id = scene.server.execute(&prompt).await;
    let job = scene.server.ended(&id).await;
    assert_eq!((&job["status"], &job["result"]), (&json!("completed"), &json!("done")), "{job}");
    scene.assert_clean().await;
}
