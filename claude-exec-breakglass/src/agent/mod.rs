//! Who runs the turns of a session: the seam, and the Claude Code CLI behind it.
//!
//! | file | what it holds |
//! |---|---|
//! | [`contract`](Agent) | what the sessions need of an agent |
//! | [`cli`](CliAgent) | the CLI: a live process per session while it is in use |
//! | [`preset`](prompt) | the system prompt, of our own |
//! | [`ssh`](Ssh) | the way to the sick machine: an alias, and a key that only an ssh-agent holds |

mod cli;
mod contract;
mod preset;
mod ssh;

pub use cli::CliAgent;
pub use contract::{Agent, Ask, Reins, Saying};
pub use preset::{HOST_ALIAS, OWN_AGENT, as_agent, invocation, prompt};
pub use ssh::{Ssh, SshAgent};
