//! Jobs from submission to cleanup, over a shell script in the CLI's place.
#![cfg(all(unix, feature = "jobs", feature = "local"))]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use claude_exec::executor::{Executor, LocalExecutor};
use claude_exec::jobs::{
    AgentRunner, Followed, Gate, JobRecord, JobRequest, JobStatus, Place, Registry, RegistryConfig,
    Workspaces, WorkspacesConfig,
};
use claude_exec::store::Memory;
use claude_exec::{Error, Invocation};
use futures::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;

const RESULT: &str = r#"read -r _
echo '{"type":"system","subtype":"init","session_id":"00000000-0000-4000-8000-000000000000","model":"m"}'
echo '{"type":"assistant","message":{"id":"m1","content":[{"type":"text","text":"Done."}]},"parent_tool_use_id":null}'
echo '{"type":"result","subtype":"success","is_error":false,"result":"Done.","num_turns":1,"total_cost_usd":0.25,"usage":{"input_tokens":3,"output_tokens":4}}'
"#;

/// A directory with a script in the CLI's place, and a registry of one slot over it.
struct Server {
    dir: TempDir,
    registry: Registry,
}

impl Server {
    async fn new(script: &str) -> Self {
        Self::with(script, |_, config| config).await
    }

    async fn with(script: &str, base: impl FnOnce(&Path, WorkspacesConfig) -> WorkspacesConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("claude");
        fs::write(&program, format!("#!/bin/sh\ncd_was=$PWD; home={}\n{script}", dir.path().display()))
            .unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let executor: Arc<dyn Executor> = Arc::new(LocalExecutor::new());
        let config = base(dir.path(), WorkspacesConfig::new(dir.path().join("jobs")));
        let workspaces = Workspaces::open(Arc::clone(&executor), config).await.unwrap();
        let runner = AgentRunner::new(executor, workspaces, move |request: &JobRequest| {
            if request.agent == "unknown" {
                return Err(Error::invalid("agent", "no such agent"));
            }
            Ok(Invocation::agent(request.prompt.as_str()).program(&program).agent_name(&request.agent))
        });
        let runner =
            runner.place(|request| if request.agent == "git" { Place::Checkout } else { Place::Scratch });
        let gate = Gate::new(1, 1).unwrap();
        let config = RegistryConfig::new();
        let registry = Registry::open(Arc::new(Memory::new()), gate, runner, config).await.unwrap();
        Self { dir, registry }
    }

    async fn submit(&self, request: JobRequest) -> JobRecord {
        self.registry.submit(request, None).await.unwrap().record
    }

    async fn run(&self, request: JobRequest) -> JobRecord {
        let id = self.submit(request).await.job_id;
        self.registry.wait(&id).await.unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The slot is back now, and the workspace goes at once, off the runtime's threads.
    async fn assert_all_given_back(&self) {
        let status = self.registry.gate().status();
        assert_eq!((status.active, status.queued), (0, 0));
        until("the workspace is gone", || {
            let instances = fs::read_dir(self.path("jobs")).unwrap();
            instances.flatten().all(|instance| fs::read_dir(instance.path()).unwrap().count() <= 1)
        })
        .await;
    }
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}

fn lives(pid_file: &Path) -> bool {
    let pid = fs::read_to_string(pid_file).unwrap();
    // A zombie has no command line: it is dead, and its parent has not looked yet.
    fs::read(Path::new("/proc").join(pid.trim()).join("cmdline")).is_ok_and(|line| !line.is_empty())
}

#[tokio::test]
async fn a_job_runs_in_its_workspace_and_reports() {
    let server = Server::new(&format!("pwd > $home/cwd; echo \"$@\" > $home/argv\n{RESULT}")).await;
    let mut request = JobRequest::new("agent", "--not-a-flag");
    request.max_budget_usd = 1.5;
    request.model = Some("haiku".into());
    let id = server.submit(request).await.job_id;
    let events: Vec<_> = server.registry.follow(&id, 0).await.unwrap().collect().await;
    let kinds: Vec<_> = events
        .iter()
        .map(|event| match event {
            Followed::Event(event) => {
                let json: Value = serde_json::from_str(&event.json).unwrap();
                json["kind"].as_str().unwrap().to_owned()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["status", "session", "text", "result", "status"]);

    let record = server.registry.wait(&id).await.unwrap();
    let report = &record.report;
    assert_eq!(
        (record.status, report.exit_code, report.is_error),
        (JobStatus::Completed, Some(0), Some(false))
    );
    assert_eq!((report.result.as_deref(), report.total_cost_usd), (Some("Done."), Some(0.25)));
    assert_eq!(report.usage.map(|usage| (usage.input_tokens, usage.output_tokens)), Some((3, 4)));
    let line: Value = serde_json::from_str(&report.output.as_ref().unwrap()[0]).unwrap();
    assert_eq!((&line["type"], &line["result"]), (&json!("result"), &json!("Done.")));
    let cwd = fs::read_to_string(server.path("cwd")).unwrap();
    assert!(cwd.trim().ends_with(&format!("/job-{id}")), "{cwd}");
    let argv = fs::read_to_string(server.path("argv")).unwrap();
    assert!(argv.contains("--max-budget-usd=1.5") && argv.contains("--model=haiku"), "{argv}");
    assert!(!argv.contains("not-a-flag"), "{argv}");
    server.assert_all_given_back().await;
}

#[tokio::test]
async fn a_run_that_hangs_is_killed_at_its_time_limit_with_its_descendants() {
    let server = Server::new("setsid sh -c 'echo $$ > '$home'/pid; exec sleep 600' & sleep 600").await;
    let mut request = JobRequest::new("agent", "p");
    request.timeout_seconds = 1;
    let record = server.run(request).await;
    assert_eq!(record.status, JobStatus::Timeout);
    assert_eq!(record.error.as_deref(), Some("the turn took longer than 1s"));
    assert_eq!((record.report.exit_code, record.report.output), (None, None));
    assert!(!lives(&server.path("pid")));
    server.assert_all_given_back().await;
}

#[tokio::test]
async fn a_cancelled_run_is_gone_when_the_cancel_returns() {
    let server = Server::new("setsid sh -c 'echo $$ > '$home'/pid; exec sleep 600' & sleep 600").await;
    let id = server.submit(JobRequest::new("agent", "p")).await.job_id;
    until("it runs", || fs::read_to_string(server.path("pid")).is_ok_and(|pid| pid.ends_with('\n'))).await;
    let record = server.registry.cancel(&id).await.unwrap();
    assert_eq!((record.status, record.error), (JobStatus::Cancelled, None));
    assert!(!lives(&server.path("pid")));
    server.assert_all_given_back().await;
}

#[tokio::test]
async fn a_job_cancelled_during_its_preparation_stops_git_first() {
    let hang = "#!/bin/sh\necho $$ > pid.new && mv pid.new $PIDFILE; exec sleep 600\n";
    let server = Server::with(RESULT, |dir, config| {
        let run = |args: &[&str]| {
            assert!(
                std::process::Command::new("git").args(args).current_dir(dir).status().unwrap().success()
            );
        };
        run(&["init", "-q", "base"]);
        let script = hang.replace("$PIDFILE", dir.join("pid").to_str().unwrap());
        fs::write(dir.join("hang"), script).unwrap();
        fs::set_permissions(dir.join("hang"), fs::Permissions::from_mode(0o755)).unwrap();
        run(&["-C", "base", "config", "core.sshCommand", dir.join("hang").to_str().unwrap()]);
        run(&["-C", "base", "config", "remote.origin.url", "ssh://nowhere.invalid/x"]);
        config.base(dir.join("base"))
    })
    .await;
    let id = server.submit(JobRequest::new("git", "p")).await.job_id;
    until("git fetches", || server.path("pid").exists()).await;
    assert_eq!(server.registry.get(&id).await.unwrap().status, JobStatus::Running);
    assert_eq!(server.registry.cancel(&id).await.unwrap().status, JobStatus::Cancelled);
    until("git is gone", || !lives(&server.path("pid"))).await;
    server.assert_all_given_back().await;
}

#[tokio::test]
async fn every_bad_end_gives_everything_back() {
    let server = Server::new("read -r _; echo 'why it failed' >&2; exit 3").await;
    let record = server.run(JobRequest::new("agent", "p")).await;
    assert_eq!((record.status, record.report.exit_code), (JobStatus::Failed, Some(3)));
    assert_eq!(record.report.stderr.as_deref().map(str::trim), Some("why it failed"));
    assert_eq!(record.error.as_deref(), Some("ended without a result (exit code 3): why it failed"));
    server.assert_all_given_back().await;

    // No CLI.
    fs::remove_file(server.path("claude")).unwrap();
    let record = server.run(JobRequest::new("agent", "p")).await;
    assert_eq!(record.status, JobStatus::Error);
    assert!(record.error.unwrap().starts_with("cannot start "));
    server.assert_all_given_back().await;

    // No base to clone.
    let record = server.run(JobRequest::new("git", "p")).await;
    let error = "preparing the workspace: no base repository is configured to clone";
    assert_eq!((record.status, record.error.as_deref()), (JobStatus::Error, Some(error)));
    server.assert_all_given_back().await;

    // No directory to work in, as on a full or vanished disk.
    fs::remove_dir_all(server.path("jobs")).unwrap();
    for _ in 0..3 {
        let record = server.run(JobRequest::new("agent", "p")).await;
        let error = record.error.unwrap();
        assert_eq!(record.status, JobStatus::Error);
        assert!(error.starts_with("preparing the workspace: making a workspace: "), "{error}");
    }
    assert_eq!(server.registry.gate().status().active, 0);
}

#[tokio::test]
async fn what_the_template_refuses_is_never_queued() {
    let server = Server::new(RESULT).await;
    for agent in ["unknown", "a\0b"] {
        let error = server.registry.submit(JobRequest::new(agent, "p"), None).await.unwrap_err();
        assert_eq!(error.field(), Some("agent"));
    }
    assert!(server.registry.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_shutdown_ends_the_running_and_the_queued() {
    let server = Server::new("echo $$ > $home/pid.$$; mv $home/pid.$$ $home/pid; exec sleep 600").await;
    let running = server.submit(JobRequest::new("agent", "p")).await.job_id;
    let queued = server.submit(JobRequest::new("agent", "p")).await.job_id;
    until("it runs", || server.path("pid").exists()).await;
    server.registry.shutdown(Duration::from_secs(20)).await;
    for id in [running, queued] {
        assert_eq!(server.registry.get(&id).await.unwrap().status, JobStatus::Interrupted);
    }
    assert!(!lives(&server.path("pid")));
    server.assert_all_given_back().await;
}
