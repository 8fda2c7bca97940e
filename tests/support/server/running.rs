//! A server that listens.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use super::client::{self, Reply, Streamed};
use super::site::Site;
use crate::support::process;

/// What callers prove themselves with.
pub(crate) const TOKEN: &str = "a-token-of-the-suite-0123456789abcdef";

/// Longer than anything here takes, so that a hang fails one test instead of stopping the suite.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// A running server. Dropping it kills it, as `kill -9` does.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    _stdout: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// The bundled server, as `cargo build --examples` leaves it beside this suite.
    ///
    /// # Panics
    ///
    /// When it was not built.
    pub(crate) fn binary() -> PathBuf {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_fake-claude"));
        let binary = binary.with_file_name("examples").join("server");
        assert!(binary.is_file(), "no server at {}: run `cargo build --examples` first", binary.display());
        binary
    }

    /// A command that starts one on a free port.
    pub(crate) fn command(site: &Site) -> Command {
        let mut command = Command::new(Self::binary());
        command
            .args(site.flags())
            .env_clear()
            .envs(site.server_env())
            .current_dir(site.home().work())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub(super) async fn start(site: &Site) -> Self {
        let log = OpenOptions::new().create(true).append(true).open(site.log_path());
        let mut command = Self::command(site);
        command.stdout(Stdio::piped()).stderr(log.expect("the site is writable"));
        let mut child = command.spawn().expect("the server starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, stdout.read_line(&mut line)).await;
        let address = line.trim().strip_prefix("listening on http://").and_then(|text| text.parse().ok());
        let Some(address) = address else { panic!("{read:?}, {line:?}, log:\n{}", site.log()) };
        Self { child, _stdout: stdout, address }
    }

    /// One that a test has started by itself.
    pub(crate) fn adopt(child: Child, stdout: BufReader<ChildStdout>, address: SocketAddr) -> Self {
        Self { child, _stdout: stdout, address }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().expect("the server was not waited for").cast_signed()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// SIGTERM, and what it exits with.
    pub(crate) async fn terminate(mut self) -> ExitStatus {
        process::kill(self.pid(), Signal::TERM);
        self.exit().await
    }

    /// `kill -9`.
    pub(crate) async fn kill(mut self) {
        process::kill(self.pid(), Signal::KILL);
        self.exit().await;
    }

    /// Waits until it has exited.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        let exit = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        exit.expect("the server ends").expect("it is our child")
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        client::send(self.address, client::request("GET", path, headers, String::new())).await
    }

    /// A request without a body, by any method.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        client::send(self.address, client::request(method, path, headers, String::new())).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_with(path, &[], body).await
    }

    pub(crate) async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        self.post_text(path, headers, &body.to_string()).await
    }

    /// Posts a body that need not be JSON.
    pub(crate) async fn post_text(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        client::send(self.address, client::request("POST", path, headers, body.to_owned())).await
    }

    /// Begins a request whose answer is read as it comes; dropping it hangs up.
    pub(crate) async fn open(&self, path: &str, body: &Value) -> Streamed {
        client::open(self.address, client::request("POST", path, &[], body.to_string())).await
    }

    /// Sends a request as it is, and reads the answer as it comes; dropping it hangs up.
    pub(crate) async fn open_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Streamed {
        client::open(self.address, client::request(method, path, headers, body.to_owned())).await
    }

    /// A chat completion of one user message.
    pub(crate) async fn chat(&self, text: &str) -> Reply {
        self.post("/v1/chat/completions", &client::body_of("sonnet", text, false)).await
    }

    pub(crate) async fn chat_stream(&self, text: &str) -> Streamed {
        self.open("/v1/chat/completions", &client::body_of("sonnet", text, true)).await
    }

    /// A turn of a conversation.
    pub(crate) async fn say(&self, session: &str, message: &str) -> Reply {
        self.post("/v1/conversational", &json!({"session_id": session, "message": message})).await
    }

    /// Submits a job of the repository's agent and gives its id.
    pub(crate) async fn execute(&self, prompt: &str) -> String {
        self.submit(&json!({"prompt": prompt, "agent": super::AGENT})).await
    }

    pub(crate) async fn submit(&self, body: &Value) -> String {
        let reply = self.post("/execute", body).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        reply.json()["job_id"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn job(&self, id: &str) -> Value {
        self.get(&format!("/jobs/{id}")).await.json()
    }

    /// Waits until the job has one of these states.
    pub(crate) async fn job_is(&self, id: &str, states: &[&str]) -> Value {
        let start = Instant::now();
        loop {
            let job = self.job(id).await;
            if job["status"].as_str().is_some_and(|status| states.contains(&status)) {
                return job;
            }
            assert!(start.elapsed() < PATIENCE, "not {states:?}: {job}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until the job has ended, in whatever way.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        self.job_is(id, &["completed", "failed", "timeout", "cancelled", "error", "interrupted"]).await
    }

    /// The events of a job, after number `after`.
    pub(crate) async fn events(&self, id: &str, after: Option<u64>) -> Streamed {
        match after {
            Some(after) => self.events_after(id, &after.to_string()).await,
            None => self.follow(id, &[]).await,
        }
    }

    /// The events of a job, after whatever this says.
    pub(crate) async fn events_after(&self, id: &str, cursor: &str) -> Streamed {
        self.follow(id, &[("last-event-id", cursor)]).await
    }

    async fn follow(&self, id: &str, headers: &[(&str, &str)]) -> Streamed {
        let path = format!("/jobs/{id}/events");
        client::open(self.address, client::request("GET", &path, headers, String::new())).await
    }

    /// The value of one line of `/metrics`.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let scrape = self.get("/metrics").await.text();
        let line = scrape.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in:\n{scrape}"))
    }

    /// Waits until nothing of `site` runs but what the server keeps for the turns to come.
    pub(crate) async fn keeps_only(&self, site: &Site) {
        let start = Instant::now();
        loop {
            let mut counts = [0.0; 5];
            for (state, count) in ["starting", "spare", "idle", "claimed", "retiring"].iter().zip(&mut counts)
            {
                *count = self.metric(&format!("claude_exec_pool_processes{{state=\"{state}\"}}")).await;
            }
            let children = site.children();
            let [starting, spares, idle, claimed, retiring] = counts;
            if starting + claimed + retiring == 0.0 && children.len() as f64 == spares + idle {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{counts:?}, and there are {children:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    pub(crate) async fn health(&self) -> Value {
        self.get("/health").await.json()
    }

    /// Waits until this many run and this many wait.
    pub(crate) async fn load_is(&self, active: u64, queued: u64) {
        let start = Instant::now();
        loop {
            let health = self.health().await;
            if (&health["active"], &health["queued"]) == (&json!(active), &json!(queued)) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "not {active} active and {queued} queued: {health}");
            tokio::time::sleep(POLL).await;
        }
    }
}
