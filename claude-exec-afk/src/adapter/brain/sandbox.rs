//! What keeps an agent in that works without asking.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use claude_exec::executor::{Command, Executor, Rewrite, wrapper};

use crate::error::{Error, Result};

/// Where an agent may do anything without being asked. There is no default: the operator names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sandbox {
    /// This whole machine, container or VM is the sandbox, and holds nothing that must not be lost or read.
    Host,
    /// A command that runs the words after its own inside; `{}` in a word stands for the worktree.
    Command(Vec<String>),
}

impl Sandbox {
    /// What to do when none is named.
    pub const UNSET: &str = "must name what keeps the agent in, since it works without asking: a command that runs \
        its arguments in a sandbox, such as `bwrap --die-with-parent … --bind {} {} --` with {} for the worktree, or \
        `host` when this whole container or machine is the sandbox";

    /// Runs commands of `inner` inside; those without a working directory as if in `dir`.
    pub(super) fn executor(&self, inner: impl Executor + 'static, dir: &Path) -> Arc<dyn Executor> {
        let Self::Command(words) = self else { return Arc::new(inner) };
        let (words, dir) = (words.clone(), PathBuf::from(dir));
        let rewrite = move |command: Command| {
            let tree = command.cwd.as_deref().unwrap_or(&dir).display().to_string();
            wrapper(words.iter().map(|word| OsString::from(word.replace("{}", &tree))))(command)
        };
        Arc::new(Rewrite::new(rewrite, inner))
    }
}

/// Reads `host`, or the words of a command as a shell would part them.
impl FromStr for Sandbox {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.trim() == "host" {
            return Ok(Self::Host);
        }
        let words: Vec<String> = shlex::split(text)
            .ok_or_else(|| Error::invalid("AFK_SANDBOX", "has a quote that is not closed"))?;
        if words.is_empty() {
            return Err(Error::invalid("AFK_SANDBOX", Self::UNSET));
        }
        Ok(Self::Command(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_is_named_or_there_is_none() {
        let command =
            |words: &[&str]| Sandbox::Command(words.iter().map(|word| (*word).to_owned()).collect());
        let table = [
            (" host ", Some(Sandbox::Host)),
            ("bwrap --bind {} {} --", Some(command(&["bwrap", "--bind", "{}", "{}", "--"]))),
            ("sudo -u 'the agent'", Some(command(&["sudo", "-u", "the agent"]))),
            ("", None),
            ("bwrap 'x", None),
        ];
        for (text, sandbox) in table {
            assert_eq!(text.parse::<Sandbox>().ok(), sandbox, "{text}");
        }
    }
}
