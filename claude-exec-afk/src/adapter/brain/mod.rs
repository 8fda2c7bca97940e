//! The agent on our own core: the Claude Code CLI in a clone of its own for each issue, without approvals, inside
//! the sandbox that the operator names.
//!
//! A run is one session of the CLI with a process for each turn. Between two turns nothing runs, so an hour of CI
//! holds no memory, each turn's budget is one that the CLI itself keeps to, and a restart of this process, or its
//! death, is the ordinary way on and no special one: the next turn resumes the session in its worktree.
//!
//! | signs of life | counts |
//! |---|---|
//! | the model or the CLI says something | while no tool runs |
//! | a tool ends, a message ends, a retry is announced | always |
//! | a file of the worktree, or its commit, changes | while a tool runs, up to [`TOOL_LIMIT`] |
//! | the processes use processor time | while a tool runs, up to [`TOOL_LIMIT`] |
//!
//! # What keeps the agent in
//!
//! 1. The [`Sandbox`]: every command that looks at the worktree, git included, runs inside it, since a repository
//!    that an agent can write to may name programs for git to run.
//! 2. A clone per issue, and no linked worktree: what an agent does to its own repository's configuration and
//!    objects reaches neither another issue nor the repository that the lock is kept in.
//! 3. The environment of the [`LocalExecutor`](claude_exec::executor::LocalExecutor): the CLI's own credentials and
//!    what the operator names; never a tracker's token or a key of this server.
//!
//! A sandbox must end with its parent (`bwrap --die-with-parent`): a session that outlives this process would be
//! resumed while it still works.

mod agent;
mod config;
mod evidence;
mod pulse;
mod record;
mod sandbox;
mod slot;
#[cfg(test)]
mod tests;
mod tree;

pub use agent::BrainAgent;
pub use config::BrainConfig;
pub use pulse::{Signs, TOOL_LIMIT, quiet};
pub use sandbox::Sandbox;
