//! Where servers are started, one after another, over the same directories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::repository::Repository;
use super::running::{Server, TOKEN};
use crate::support::cli::{self, Home};
use crate::support::model_api::ModelApi;
use crate::support::process::{Marker, Process};

/// Variables of every process that a server starts, and of the server.
const RUN: &str = "SUITE_RUN";

/// Directories, environment and repository of a server, and of the one after it. What still runs when this is
/// dropped is killed.
#[derive(Debug)]
pub(crate) struct Site {
    run: Marker,
    home: Home,
    repository: Option<Repository>,
    env: BTreeMap<String, String>,
    child_env: Vec<String>,
    role: &'static str,
    demo: bool,
}

impl Site {
    /// Servers over the real CLI, with `api` as the model.
    pub(crate) fn real(api: &ModelApi) -> Self {
        Self::new(Home::new(api), &cli::path())
    }

    /// Servers over the fake CLI, which does what the markers in a prompt say, and starts none before it is needed.
    pub(crate) fn fake() -> Self {
        Self::new(Home::with_base_url("http://127.0.0.1:9"), Path::new(env!("CARGO_BIN_EXE_fake-claude")))
            .env("POOL_SPARES", "0")
    }

    fn new(home: Home, program: &Path) -> Self {
        let run = Marker::new(RUN);
        let site = Self {
            run,
            home,
            repository: None,
            env: BTreeMap::new(),
            child_env: Vec::new(),
            role: "api",
            demo: false,
        };
        let jobs = site.jobs_dir().display().to_string();
        let program = program.display().to_string();
        let own = site.run.value().to_owned();
        let site =
            site.tokens(TOKEN).env("JOBS_DIR", &jobs).env("WORKSPACE_DIR", "").env("GIT_CRYPT_KEY", "");
        site.env("CLAUDE_BIN", &program).child_env(RUN, &own)
    }

    /// Another variable of the servers.
    #[must_use]
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The tokens of callers, where they are not the suite's one.
    #[must_use]
    pub(crate) fn tokens(self, tokens: &str) -> Self {
        self.env("API_BEARER_TOKEN", tokens)
    }

    /// A variable of the servers that they hand on to the CLI.
    #[must_use]
    pub(crate) fn child_env(mut self, name: &str, value: &str) -> Self {
        self.child_env.push(name.to_owned());
        self.env(name, value)
    }

    /// Jobs work in clones of a repository, and chat knows its agent as a model of the agent's name.
    #[must_use]
    pub(crate) fn repository(mut self) -> Self {
        let repository = Repository::new();
        let base = repository.base().display().to_string();
        self.repository = Some(repository);
        self.env("WORKSPACE_DIR", &base).env("AGENT_MODELS", "probe=probe").env("FETCH_DEBOUNCE_SECONDS", "0")
    }

    /// Servers of the emergency role, without a way to any machine.
    #[must_use]
    pub(crate) fn breakglass(mut self) -> Self {
        self.role = "breakglass";
        let dir = self.home.path().display().to_string();
        for file in ["power_key", "pve_known_hosts"] {
            std::fs::write(self.home.path().join(file), "none\n").expect("the directory is writable");
        }
        self.env("BREAKGLASS_SESSIONS_DIR", &format!("{dir}/sessions"))
            .env("BREAKGLASS_KEY_PATH", "")
            .env("BREAKGLASS_POWER_KEY_PATH", &format!("{dir}/power_key"))
            .env("BREAKGLASS_PVE_KNOWN_HOSTS", &format!("{dir}/pve_known_hosts"))
            .env("BREAKGLASS_PVE_HOST", "127.0.0.1:1")
    }

    /// Servers of the emergency role with its scripted agent and its simulated VM.
    #[must_use]
    pub(crate) fn breakglass_demo(self) -> Self {
        Self { demo: true, ..self.breakglass() }
    }

    /// What a server of this site is started with.
    pub(super) fn flags(&self) -> Vec<&'static str> {
        let demo = if self.demo { &["--demo"][..] } else { &[] };
        [&["--role", self.role, "--listen", "127.0.0.1:0"], demo].concat()
    }

    pub(crate) fn git(&self) -> &Repository {
        self.repository.as_ref().expect("the site was given a repository")
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) fn jobs_dir(&self) -> PathBuf {
        self.home.path().join("jobs")
    }

    /// All environment of a server.
    pub(crate) fn server_env(&self) -> BTreeMap<String, String> {
        let mut env = self.home.env();
        env.extend(self.env.clone());
        env.insert("CHILD_ENV".to_owned(), self.child_env.join(","));
        env
    }

    /// Starts a server and waits until it listens.
    pub(crate) async fn start(&self) -> Server {
        Server::start(self).await
    }

    /// Everything that a server has started and that is alive, at whatever depth and in whatever session.
    pub(crate) fn children(&self) -> Vec<Process> {
        let server = Server::binary().display().to_string();
        self.run.live().into_iter().filter(|process| !process.command.starts_with(&server)).collect()
    }

    /// The checkouts and scratch directories of jobs, those of crashed servers too.
    pub(crate) fn workspaces(&self) -> Vec<PathBuf> {
        let instances = entries(&self.jobs_dir());
        let named = |path: &PathBuf, start: &str| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start))
        };
        let instances = instances.into_iter().filter(|path| named(path, "claude-exec-"));
        instances.flat_map(|path| entries(&path)).filter(|path| !named(path, "owner.lock")).collect()
    }

    /// What the servers have logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.home.path().join("server.log")
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
