//! What the agent is started with.

use std::ffi::OsString;
use std::path::PathBuf;

use super::sandbox::Sandbox;
use crate::error::Result;
use crate::git::Address;

/// Where and how sessions are run.
#[derive(Debug, Clone)]
#[must_use]
pub struct BrainConfig {
    pub(super) dir: PathBuf,
    pub(super) address: Address,
    pub(super) sandbox: Sandbox,
    pub(super) program: OsString,
    pub(super) model: Option<String>,
    pub(super) env: Vec<(String, OsString)>,
}

impl BrainConfig {
    /// Sessions with worktrees below `dir`, cloned from `url`, in which `{}` stands for `owner/name`, kept in by
    /// `sandbox`.
    ///
    /// # Errors
    ///
    /// When `url` cannot be used, as for [`Mirrors::new`](crate::git::Mirrors::new).
    pub fn new(dir: impl Into<PathBuf>, url: impl Into<String>, sandbox: Sandbox) -> Result<Self> {
        let address = Address::new(url)?;
        Ok(Self { dir: dir.into(), address, sandbox, program: "claude".into(), model: None, env: Vec::new() })
    }

    /// Sets the CLI's program. Default is `claude`, looked up in the executor's `PATH`.
    pub fn program(mut self, program: impl Into<OsString>) -> Self {
        self.program = program.into();
        self
    }

    /// Sets the model. Default is the CLI's own.
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model = Some(name.into());
        self
    }

    /// Sets a variable of the agent's environment, and of git's in its worktree.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }
}
