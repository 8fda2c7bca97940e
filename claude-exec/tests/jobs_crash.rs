//! A server killed by SIGKILL, and the next one on the same files.
#![cfg(all(unix, feature = "jobs", feature = "local"))]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use claude_exec::executor::{Executor, LocalExecutor};
use claude_exec::jobs::{
    Ending, Gate, Job, JobId, JobReport, JobRequest, JobStatus, Registry, RegistryConfig, Runner, Workspaces,
    WorkspacesConfig,
};
use claude_exec::store::Embedded;
use futures::FutureExt;
use futures::future::BoxFuture;

/// Names the directory of the server to be killed, in the process that is it.
const VICTIM: &str = "JOBS_CRASH_VICTIM";

/// Works in a scratch workspace: for ever, or not at all.
struct Worker(Workspaces);

impl Runner for Worker {
    fn run(&self, job: Job) -> BoxFuture<'static, Ending> {
        let workspaces = self.0.clone();
        async move {
            let workspace = workspaces.scratch(job.id.as_str()).await.unwrap();
            fs::write(workspace.path().join("file"), "work").unwrap();
            if job.request.prompt == "hang" {
                job.cancelled.wait().await;
            }
            workspace.close().await.unwrap();
            Ending::completed(JobReport::default())
        }
        .boxed()
    }
}

async fn open(dir: &Path) -> Registry {
    let executor: Arc<dyn Executor> = Arc::new(LocalExecutor::new());
    let workspaces = Workspaces::open(executor, WorkspacesConfig::new(dir.join("jobs"))).await.unwrap();
    let store = Arc::new(Embedded::open(dir.join("state")).await.unwrap());
    let gate = Gate::new(1, 5).unwrap();
    Registry::open(store, gate, Worker(workspaces), RegistryConfig::new()).await.unwrap()
}

async fn submit(registry: &Registry, prompt: &str, key: Option<&str>) -> JobId {
    registry.submit(JobRequest::new("agent", prompt), key).await.unwrap().record.job_id
}

/// Files that jobs wrote into their workspaces.
fn work(dir: &Path) -> Vec<PathBuf> {
    let instances = fs::read_dir(dir.join("jobs")).unwrap().flatten();
    let jobs = instances.flat_map(|instance| fs::read_dir(instance.path()).unwrap().flatten());
    jobs.map(|job| job.path().join("file")).filter(|file| file.exists()).collect()
}

/// The server to be killed: three jobs, one of each kind, then its ids in a file.
async fn be_the_victim(dir: &Path) {
    let registry = open(dir).await;
    let done = submit(&registry, "work", None).await;
    registry.wait(&done).await.unwrap();
    let running = submit(&registry, "hang", Some("key")).await;
    let queued = submit(&registry, "hang", None).await;
    while work(dir).is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    fs::write(dir.join("new"), format!("{done} {running} {queued}")).unwrap();
    fs::rename(dir.join("new"), dir.join("ids")).unwrap();
    // Not for ever, should the test that kills it have failed.
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn the_next_server_knows_the_jobs_and_cleans_up() {
    if let Some(dir) = std::env::var_os(VICTIM) {
        return be_the_victim(Path::new(&dir)).await;
    }
    let dir = tempfile::tempdir().unwrap();
    // A server that lives beside it, on the same jobs directory.
    let executor: Arc<dyn Executor> = Arc::new(LocalExecutor::new());
    let neighbour = Workspaces::open(executor, WorkspacesConfig::new(dir.path().join("jobs"))).await.unwrap();
    let kept = neighbour.scratch("kept").await.unwrap();

    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_next_server_knows_the_jobs_and_cleans_up"])
        .env(VICTIM, dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let ids = loop {
        match fs::read_to_string(dir.path().join("ids")) {
            Ok(ids) => break ids,
            Err(_) => assert!(victim.try_wait().unwrap().is_none(), "the victim ended by itself"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert_eq!(work(dir.path()).len(), 1);

    let registry = open(dir.path()).await;
    let statuses = [JobStatus::Completed, JobStatus::Interrupted, JobStatus::Interrupted];
    for (id, status) in ids.split(' ').zip(statuses) {
        let record = registry.get(&JobId::parse(id).unwrap()).await.unwrap();
        assert_eq!((record.status, record.finished_at.is_some()), (status, true));
    }
    let again = registry.submit(JobRequest::new("agent", "hang"), Some("key")).await.unwrap();
    assert_eq!((again.created, Some(again.record.job_id.as_str())), (false, ids.split(' ').nth(1)));
    assert!(work(dir.path()).is_empty());
    assert!(kept.path().exists());
    let id = submit(&registry, "work", None).await;
    assert_eq!(registry.wait(&id).await.unwrap().status, JobStatus::Completed);
}
