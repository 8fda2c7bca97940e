//! A git repository for agents to work in: a remote, and the warm base that was cloned from it.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The agent that is defined in it.
pub(crate) const AGENT: &str = "probe";
/// What the agent's file says.
pub(crate) const AGENT_PROMPT: &str = "You are the probe of a test suite.";
/// What `note.txt` says.
pub(crate) const NOTE: &str = "a note in the repository";

/// The base and its remote, gone with the test.
#[derive(Debug)]
pub(crate) struct Repository {
    root: TempDir,
}

impl Repository {
    /// One commit on a branch that is not called `master`.
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("claude-exec-git-").tempdir();
        let root = root.expect("the temporary directory is writable");
        let remote = root.path().join("remote");
        std::fs::create_dir_all(remote.join(".claude/agents")).expect("the directory is fresh");
        let agent = format!("---\nname: {AGENT}\ndescription: Probes.\n---\n{AGENT_PROMPT}\n");
        std::fs::write(remote.join(".claude/agents/probe.md"), agent).expect("the directory is there");
        std::fs::write(remote.join("note.txt"), NOTE).expect("the directory is there");
        git(&remote, &["init", "--quiet", "--initial-branch=trunk"]);
        git(&remote, &["add", "."]);
        git(&remote, &["commit", "--quiet", "--message=first"]);
        git(root.path(), &["clone", "--quiet", "--no-hardlinks", "remote", "base"]);
        Self { root }
    }

    /// `WORKSPACE_DIR`.
    pub(crate) fn base(&self) -> PathBuf {
        self.root.path().join("base")
    }

    /// What `git status` says of the base: nothing, as long as no job has touched it.
    pub(crate) fn base_status(&self) -> String {
        git(&self.base(), &["status", "--porcelain"])
    }

    /// Changes a file and commits it at the remote, which the base has not fetched yet.
    pub(crate) fn commit(&self, name: &str, text: &str) {
        let remote = self.root.path().join("remote");
        std::fs::write(remote.join(name), text).expect("the directory is there");
        git(&remote, &["add", "."]);
        git(&remote, &["commit", "--quiet", "--message=next"]);
    }
}

fn git(directory: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Suite", "-c", "user.email=suite@example.com", "-c", "commit.gpgsign=false"])
        .args(args)
        .current_dir(directory)
        .output()
        .expect("git is installed");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
