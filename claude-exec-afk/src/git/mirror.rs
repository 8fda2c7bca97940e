//! A bare repository for each remote, and git as commands: never a prompt, never a hook, always a limit.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use claude_exec::executor::{Command, Executor, LocalExecutor, Output, Stdin, output};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::address::Address;
use crate::error::{Error, Result};
use crate::names::{Repo, Sha};

/// The longest that one command may take: ports promise to end within a minute.
const LIMIT: Duration = Duration::from_secs(50);

/// Bare repositories, one for each remote, made when they are first needed. Cheap to clone.
#[derive(Clone)]
pub struct Mirrors {
    executor: Arc<dyn Executor>,
    dir: PathBuf,
    address: Address,
    busy: Arc<Mutex<HashMap<Repo, Arc<Mutex<()>>>>>,
}

/// One of them, which nobody else uses meanwhile.
pub(super) struct Mirror {
    executor: Arc<dyn Executor>,
    dir: PathBuf,
    url: String,
    repo: Repo,
    _alone: OwnedMutexGuard<()>,
}

/// How a push ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    /// All refs are as wanted.
    Done,
    /// None is: one of them was not as expected.
    Rejected,
}

impl Mirrors {
    /// Mirrors in `dir` of remotes at `url`, in which `{}` stands for `owner/name`, such as
    /// `https://github.com/{}.git`. The variables that `executor` passes on are all that git sees.
    ///
    /// # Errors
    ///
    /// When `url` has no `{}`, begins with `-`, or holds a password, which would end up in logs.
    pub fn new(dir: impl Into<PathBuf>, url: impl Into<String>, executor: LocalExecutor) -> Result<Self> {
        let address = Address::new(url)?;
        Ok(Self { executor: Arc::new(executor), dir: dir.into(), address, busy: Arc::default() })
    }

    /// The mirror of a repository, made when there is none.
    pub(super) async fn open(&self, repo: &Repo) -> Result<Mirror> {
        let lock = self.busy.lock().await.entry(repo.clone()).or_default().clone();
        let mirror = Mirror {
            executor: self.executor.clone(),
            dir: self.dir.join(format!("{}.{}.git", repo.owner(), repo.name())),
            url: self.address.of(repo),
            repo: repo.clone(),
            _alone: lock.lock_owned().await,
        };
        if !mirror.dir.join("HEAD").exists() {
            std::fs::create_dir_all(&mirror.dir).map_err(|error| {
                Error::unavailable("git", format_args!("making the mirror: {error}"), None)
            })?;
            mirror.run("init", &["init", "--quiet", "--bare", "."]).await?;
        }
        Ok(mirror)
    }
}

impl Mirror {
    /// Runs one command; its exit code is the caller's to judge.
    pub(super) async fn ask(&self, args: &[&str], stdin: Stdin) -> Result<Output> {
        let unset = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"];
        let command = unset.into_iter().fold(Command::new("git").cwd(&self.dir), Command::env_remove);
        let command = command
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "")
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "core.hooksPath")
            .env("GIT_CONFIG_VALUE_0", "/dev/null")
            .env("GIT_AUTHOR_NAME", "afk")
            .env("GIT_AUTHOR_EMAIL", "afk@localhost")
            .env("GIT_COMMITTER_NAME", "afk")
            .env("GIT_COMMITTER_EMAIL", "afk@localhost")
            .stdin(stdin)
            .args(args.iter().copied());
        Ok(output(&*self.executor, command, LIMIT).await?)
    }

    /// Runs one command that must succeed; its standard output.
    pub(super) async fn run(&self, step: &'static str, args: &[&str]) -> Result<String> {
        let done = self.ask(args, Stdin::Null).await?;
        if done.success() { Ok(text(&done)) } else { Err(self.failed(step, &done)) }
    }

    /// The refs of the remote that match `pattern`, as they are now.
    pub(super) async fn remote_refs(&self, pattern: &str) -> Result<Vec<(Sha, String)>> {
        let listed = self.run("ls-remote", &["ls-remote", "--quiet", &self.url, pattern]).await?;
        listed
            .lines()
            .map(|line| {
                let (sha, name) = line.split_once('\t').unwrap_or((line, ""));
                Ok((sha.parse()?, name.to_owned()))
            })
            .collect()
    }

    /// Fetches what `refspec` names.
    pub(super) async fn fetch(&self, refspec: &str) -> Result<()> {
        let args = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", &self.url, refspec];
        self.run("fetch", &args).await.map(drop)
    }

    /// Makes a commit of nothing with this message.
    pub(super) async fn commit(&self, message: &str) -> Result<Sha> {
        let tree = self.run("mktree", &["mktree"]).await?;
        let made =
            self.ask(&["commit-tree", tree.trim()], Stdin::Once(Bytes::from(message.to_owned()))).await?;
        if made.success() { text(&made).trim().parse() } else { Err(self.failed("commit-tree", &made)) }
    }

    /// Sets refs of the remote all together or not at all, each from what it is expected to be (`None`: absent)
    /// to what it is to be (`None`: absent).
    pub(super) async fn swap(&self, refs: &[(&str, Option<&Sha>, Option<&Sha>)]) -> Result<Pushed> {
        let mut args = vec!["push".to_owned(), "--quiet".into(), "--porcelain".into(), "--atomic".into()];
        let sha = |sha: Option<&Sha>| sha.map(ToString::to_string).unwrap_or_default();
        args.extend(refs.iter().map(|(name, old, _)| format!("--force-with-lease={name}:{}", sha(*old))));
        args.push(self.url.clone());
        args.extend(refs.iter().map(|(name, _, new)| format!("{}:{name}", sha(*new))));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let pushed = self.ask(&args, Stdin::Null).await?;
        if pushed.success() {
            return Ok(Pushed::Done);
        }
        // git-push(1), --porcelain: `!<tab>refs<tab>reason` for each ref that was rejected.
        let rejected = text(&pushed).lines().any(|line| line.starts_with("!\t"));
        if rejected { Ok(Pushed::Rejected) } else { Err(self.failed("push", &pushed)) }
    }

    /// What git said when it failed. Trying again may work: whether it was the network cannot be told apart.
    pub(super) fn failed(&self, step: &'static str, output: &Output) -> Error {
        let said = output.last_error_line().replace(&self.url, self.repo.as_str());
        Error::unavailable("git", format_args!("{step}: {said}"), None)
    }
}

pub(super) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl fmt::Debug for Mirrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirrors").field("dir", &self.dir).finish_non_exhaustive()
    }
}
