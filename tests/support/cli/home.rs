//! A home of the CLI's own: its configuration, its sessions and a place to work, gone with the test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use crate::support::model_api::ModelApi;

/// Directories and environment for one or more runs that share their sessions.
#[derive(Debug)]
pub(crate) struct Home {
    root: TempDir,
    base_url: String,
    extra: BTreeMap<String, String>,
}

impl Home {
    /// A fresh one whose model is `api`.
    pub(crate) fn new(api: &ModelApi) -> Self {
        Self::with_base_url(&api.base_url())
    }

    pub(crate) fn with_base_url(base_url: &str) -> Self {
        let root = tempfile::Builder::new().prefix("claude-exec-").tempdir();
        let root = root.expect("the temporary directory is writable");
        for name in ["home", "config", "work", "tmp"] {
            std::fs::create_dir(root.path().join(name)).expect("the directory is fresh");
        }
        Self { root, base_url: base_url.to_owned(), extra: BTreeMap::new() }
    }

    /// One more variable for every run.
    #[must_use]
    pub(crate) fn env_var(mut self, name: &str, value: &str) -> Self {
        self.extra.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The working directory. Sessions belong to it.
    pub(crate) fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// `CLAUDE_CONFIG_DIR`.
    pub(crate) fn config(&self) -> PathBuf {
        self.root.path().join("config")
    }

    /// `TMPDIR`.
    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.path().join("tmp")
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    /// The whole environment: nothing but the stand-in is called, and nothing of this machine's user is read.
    pub(crate) fn env(&self) -> BTreeMap<String, String> {
        let home = self.root.path().join("home").display().to_string();
        let config = self.config().display().to_string();
        let tmp = self.tmp().display().to_string();
        let mut env: BTreeMap<String, String> = [
            ("ANTHROPIC_BASE_URL", self.base_url.as_str()),
            ("ANTHROPIC_API_KEY", "sk-ant-stand-in"),
            ("HOME", &home),
            ("CLAUDE_CONFIG_DIR", &config),
            ("TMPDIR", &tmp), // it leaves a directory per session and, killed, a socket
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
            ("DISABLE_TELEMETRY", "1"),
            ("DISABLE_ERROR_REPORTING", "1"),
            ("DISABLE_AUTOUPDATER", "1"),
            ("IS_SANDBOX", "1"), // a suite that runs as root may still bypass permissions
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        let path = std::env::var("PATH").expect("PATH is set");
        env.insert("PATH".to_owned(), path);
        env.extend(self.extra.clone());
        env
    }

    /// A command of `program` with that environment and nothing else, in [`work`](Self::work).
    pub(crate) fn command_of(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env_clear().envs(self.env()).current_dir(self.work()).kill_on_drop(true);
        command
    }

    /// A command of the real CLI.
    pub(crate) fn command(&self) -> Command {
        self.command_of(super::path())
    }

    /// The session files written so far, by session id.
    pub(crate) fn sessions(&self) -> Vec<(String, PathBuf)> {
        let Ok(projects) = std::fs::read_dir(self.config().join("projects")) else { return Vec::new() };
        let files = projects.flatten().filter_map(|project| std::fs::read_dir(project.path()).ok());
        let paths = files.flatten().flatten().map(|file| file.path());
        let sessions = paths.filter(|path| path.extension().is_some_and(|kind| kind == "jsonl"));
        sessions.filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), path))).collect()
    }
}
