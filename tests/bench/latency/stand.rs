//! What every way of taking a turn stands on.

use std::time::Duration;

use claude_exec::Invocation;
use futures::future::BoxFuture;

use crate::support::cli::{self, Home, on};
use crate::support::model_api::ModelApi;
use crate::support::process::{self, Process};

/// What the user says each time; the model answers twenty words at once.
pub(crate) const PROMPT: &str = "[[words 20]]";

/// One way to take a turn.
pub(crate) trait Way {
    fn name(&self) -> &'static str;

    /// Brings about what the run starts from.
    fn ready(&mut self) -> BoxFuture<'_, ()>;

    /// Takes a turn.
    fn take(&mut self) -> BoxFuture<'_, Sample>;
}

/// One turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) first_text: Duration,
    /// Bytes of the request that the model API got.
    pub(crate) body: usize,
    /// Bytes that the CLI's process held after its answer (PSS).
    pub(crate) memory: u64,
}

/// A model API and a home of the CLI's.
pub(crate) struct Stand {
    pub(crate) api: ModelApi,
    pub(crate) home: Home,
}

impl Stand {
    pub(crate) async fn new() -> Self {
        let api = ModelApi::start().await;
        let home = Home::new(&api);
        Self { api, home }
    }

    /// `invocation` on this stand, with an API key: what the crate's documents name as the default.
    pub(crate) fn on(&self, invocation: Invocation) -> Invocation {
        on(&self.home, invocation).api_key_only()
    }

    /// The CLIs that there are.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let path = cli::path().display().to_string();
        let all = process::with_env("CLAUDE_CONFIG_DIR", &self.home.config().display().to_string());
        all.into_iter().filter(|process| process.command.starts_with(&path)).collect()
    }

    /// The bytes of the last request.
    pub(crate) fn body(&self) -> usize {
        self.api.messages().last().expect("the model was asked").body_len
    }

    /// What the largest of the CLIs holds now.
    pub(crate) fn memory(&self) -> u64 {
        self.processes().into_iter().filter_map(|process| pss(process.pid)).max().unwrap_or(0)
    }

    pub(crate) fn sample(&self, first_text: Duration) -> Sample {
        Sample { first_text, body: self.body(), memory: self.memory() }
    }
}

/// A process's memory, what it shares with others counted in shares (proc_pid_smaps(5)).
pub(crate) fn pss(pid: i32) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}
