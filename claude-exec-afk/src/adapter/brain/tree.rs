//! The worktree of an issue: a clone of its own, kept over runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use claude_exec::executor::{Command, Executor, Output, output};

use super::config::BrainConfig;
use crate::error::{Error, Result};
use crate::names::{Digest, IssueKey, Sha};
use crate::port::Task;
use crate::seen::Seen;

/// How long a clone may take: a start ends within five minutes.
const CLONE_LIMIT: Duration = Duration::from_secs(270);
/// How long a fetch may take; a worktree that is there is used without it.
const FETCH_LIMIT: Duration = Duration::from_secs(60);
/// How long anything may take that stays on this machine.
const LOCAL_LIMIT: Duration = Duration::from_secs(20);
/// Changed files that a digest looks at.
const FILES: usize = 10_000;
/// Worktrees of a repository that are kept for whoever wants to see what runs have left: runs in one repository are one
/// after another, so none but the newest is in use.
const KEPT: usize = 50;
/// Says in a clone's own configuration that it is whole.
const WHOLE: &str = "afk.whole";

/// The worktrees, below one directory.
pub(super) struct Trees {
    executor: Arc<dyn Executor>,
    config: BrainConfig,
}

impl Trees {
    pub(super) fn new(executor: Arc<dyn Executor>, config: BrainConfig) -> Self {
        Self { executor, config }
    }

    /// Where the worktree of an issue is: always the same place, by which the CLI finds its sessions.
    pub(super) fn path(&self, issue: &IssueKey) -> PathBuf {
        let repo = format!("{}.{}", issue.repo.owner(), issue.repo.name());
        self.config.dir.join(repo).join(format!("issue-{}", issue.number))
    }

    /// Makes the worktree of a task, or takes up the one that an earlier run has left, and gives its commit.
    ///
    /// What an earlier run has changed or committed stays; one without any of it is brought up to date when the run
    /// is `new`.
    pub(super) async fn prepare(&self, task: &Task, new: bool) -> Result<Sha> {
        let path = self.path(&task.issue);
        fs::create_dir_all(&path).map_err(|error| unavailable("making it", &error))?;
        let whole = self.ask(&path, &["config", "--local", "--get", WHOLE], LOCAL_LIMIT).await?;
        if !whole.success() {
            self.make(&path, task).await?;
        } else if new {
            self.refresh(&path).await?;
        }
        self.run(&path, "rev-parse", &["rev-parse", "--verify", "HEAD"], LOCAL_LIMIT).await?.trim().parse()
    }

    async fn make(&self, path: &Path, task: &Task) -> Result<()> {
        if let Err(error) = forget_oldest(path, KEPT) {
            tracing::warn!(path = %path.display(), %error, "old worktrees cannot be removed");
        }
        // A clone that was cut off.
        empty(path).map_err(|error| unavailable("clearing it", &error))?;
        let url = self.config.address.of(&task.issue.repo);
        // No templates: they are where hooks would come from.
        let args = ["clone", "--quiet", "--template=", "--origin=origin", "--", &url, "."];
        self.run(path, "clone", &args, CLONE_LIMIT).await?;
        self.run(path, "checkout", &["checkout", "--quiet", "-B", &task.branch], LOCAL_LIMIT).await?;
        if !self.ask(path, &["config", "--get", "user.email"], LOCAL_LIMIT).await?.success() {
            self.run(path, "config", &["config", "user.name", "afk"], LOCAL_LIMIT).await?;
            self.run(path, "config", &["config", "user.email", "afk@localhost"], LOCAL_LIMIT).await?;
        }
        self.run(path, "config", &["config", "--local", WHOLE, "true"], LOCAL_LIMIT).await.map(drop)
    }

    async fn refresh(&self, path: &Path) -> Result<()> {
        let fetched = self.run(path, "fetch", &["fetch", "--quiet", "--prune", "origin"], FETCH_LIMIT).await;
        if let Err(error) = fetched {
            tracing::warn!(path = %path.display(), %error, "the worktree is used as it is");
            return Ok(());
        }
        let changed = self.status(path).await?;
        let kept =
            self.ask(path, &["merge-base", "--is-ancestor", "HEAD", "origin/HEAD"], LOCAL_LIMIT).await?;
        if changed.is_empty() && kept.success() {
            let args = ["merge", "--quiet", "--ff-only", "origin/HEAD"];
            self.run(path, "merge", &args, LOCAL_LIMIT).await?;
        }
        Ok(())
    }

    /// A digest of what has been done since `base`: the commit, and the changed files by name, size and time.
    pub(super) async fn work(&self, issue: &IssueKey, base: &Sha) -> Seen<Digest> {
        let path = self.path(issue);
        let looked = async {
            let head = self.run(&path, "rev-parse", &["rev-parse", "--verify", "HEAD"], LOCAL_LIMIT).await?;
            Ok::<_, Error>((head, self.status(&path).await?))
        };
        let (head, changed) = match looked.await {
            Ok(looked) => looked,
            Err(error) => return Seen::unknown(error),
        };
        if head.trim() == base.as_str() && changed.is_empty() {
            return Seen::Absent;
        }
        let mut shown = changed.clone();
        // `XY path` parted by NUL (git-status(1), porcelain v1 with `-z`).
        for entry in changed.split('\0').filter_map(|entry| entry.get(3..)).take(FILES) {
            if let Ok(file) = fs::symlink_metadata(path.join(entry)) {
                let time = file.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                shown.push_str(&format!("{entry} {} {:?}\n", file.len(), time.unwrap_or_default()));
            }
        }
        Seen::Known(Digest::of(head.trim(), &shown))
    }

    async fn status(&self, path: &Path) -> Result<String> {
        // The agent's own git must never find the index locked by ours.
        let args = ["--no-optional-locks", "status", "--porcelain=v1", "-z", "--untracked-files=all"];
        self.run(path, "status", &args, LOCAL_LIMIT).await
    }

    async fn run(&self, path: &Path, step: &'static str, args: &[&str], limit: Duration) -> Result<String> {
        let done = self.ask(path, args, limit).await?;
        if done.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
        }
        Err(Error::unavailable("the worktree", format_args!("git {step}: {}", done.last_error_line()), None))
    }

    /// Runs git inside the sandbox; its exit code is the caller's to judge.
    async fn ask(&self, path: &Path, args: &[&str], limit: Duration) -> Result<Output> {
        let parent = path.parent().unwrap_or(path);
        let command = Command::new("git")
            .cwd(path)
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            // A directory without a repository must not be taken for a part of one around it.
            .env("GIT_CEILING_DIRECTORIES", parent)
            .args(args.iter().copied());
        let command = self.config.env.iter().fold(command, |command, (name, value)| command.env(name, value));
        Ok(output(&*self.executor, command, limit).await?)
    }
}

fn unavailable(step: &str, error: &std::io::Error) -> Error {
    Error::unavailable("the worktree", format_args!("{step}: {error}"), None)
}

/// Removes the oldest of the directories beside `path`, such that no more than `kept` of all are left.
fn forget_oldest(path: &Path, kept: usize) -> std::io::Result<()> {
    let mut all = Vec::new();
    for entry in fs::read_dir(path.parent().unwrap_or(path))? {
        let entry = entry?;
        if entry.path() != path {
            all.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    all.sort();
    for (_, oldest) in all.iter().take((all.len() + 1).saturating_sub(kept)) {
        fs::remove_dir_all(oldest)?;
    }
    Ok(())
}

fn empty(path: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_worktrees_are_forgotten_and_never_the_one_in_use() {
        let dir = tempfile::tempdir().unwrap();
        for (age, name) in [(50, "issue-3"), (10, "issue-1"), (30, "issue-2"), (90, "issue-4")] {
            fs::create_dir_all(dir.path().join(name).join("sub")).unwrap();
            let time = std::time::SystemTime::now() - Duration::from_secs(age);
            fs::File::open(dir.path().join(name)).unwrap().set_modified(time).unwrap();
        }
        let left = || {
            let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        };
        forget_oldest(&dir.path().join("issue-4"), 4).unwrap();
        assert_eq!(left().len(), 4);
        forget_oldest(&dir.path().join("issue-4"), 3).unwrap();
        assert_eq!(left(), ["issue-1", "issue-2", "issue-4"]);
    }
}
