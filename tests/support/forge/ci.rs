//! A CI that truly runs: each push to `main` is given to GitHub, and its workflow to act.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use serde_json::json;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::emulate::{Emulate, HUMAN};
use super::git::git;

/// The running CI. Stops when dropped.
pub(crate) struct Ci(JoinHandle<()>);

impl Ci {
    /// Runs the workflows of what is pushed to `bare`, and says on GitHub what came of them.
    pub(crate) fn start(
        hub: Arc<Emulate>,
        bare: PathBuf,
        work: PathBuf,
        mut pushed: mpsc::Receiver<()>,
    ) -> Self {
        Self(tokio::spawn(async move {
            let mut known: Option<String> = None;
            while pushed.recv().await.is_some() {
                let head = git(&bare, &["for-each-ref", "--format=%(objectname)", "refs/heads/main"]);
                // A push of a lock changes no branch.
                if head.is_empty() || known.as_ref() == Some(&head) {
                    continue;
                }
                let sha = hub.mirror(&bare, known.as_deref()).await;
                run(&hub, &bare, &work.join(&sha), &sha).await;
                known = Some(sha);
            }
        }))
    }
}

impl Drop for Ci {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run(hub: &Emulate, bare: &Path, tree: &Path, sha: &str) {
    let begun = json!({"name": "test", "head_sha": sha, "status": "in_progress"});
    let check = hub.call(HUMAN, "POST", "/repos/octo/site/check-runs", begun).await;
    std::fs::create_dir_all(tree).expect("the directory is writable");
    git(tree, &["clone", "--quiet", &bare.display().to_string(), "."]);
    let act =
        std::env::var_os("CLAUDE_EXEC_TEST_ACT").expect("CLAUDE_EXEC_TEST_ACT is not set: run tests/run.sh");
    let output = Command::new(act)
        .args(["push", "--platform=ubuntu-latest=-self-hosted"]) // on this machine, in no container
        .current_dir(tree)
        .env("HOME", tree.with_extension("home"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = output.await.expect("act is installed");
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    // It ran: a workflow that cannot be read would be red too.
    assert!(log.contains("Run Main sh test.sh"), "{log}");
    let conclusion = if output.status.success() { "success" } else { "failure" };
    let said: Vec<&str> =
        log.lines().filter_map(|line| line.split_once("  | ").map(|(_, said)| said)).collect();
    let mut ended = json!({"status": "completed", "conclusion": conclusion,
        "output": {"title": conclusion, "summary": conclusion}});
    if !output.status.success() {
        // As Actions tells a failure: by this the same one is known again.
        ended["output"]["annotations"] = json!([{"path": "test.sh", "start_line": 1, "end_line": 1,
            "annotation_level": "failure", "message": said.join("\n")}]);
    }
    let path = format!("/repos/octo/site/check-runs/{}", check["id"]);
    hub.call(HUMAN, "PATCH", &path, ended).await;
}
