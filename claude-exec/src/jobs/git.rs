//! Git as commands: never a prompt, never a hook, always a limit.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::cancel::Cancelled;
use crate::error::{Error, Result};
use crate::executor::{Command, Executor, Output, output_unless};

/// Bytes of a complaint with what came before it: one line of a log.
const COMPLAINT_LIMIT: usize = 300;

/// Runs git where the jobs run.
#[derive(Clone)]
pub(super) struct Git {
    pub(super) executor: Arc<dyn Executor>,
    pub(super) program: OsString,
}

impl Git {
    /// `git -C dir args`, without prompts and hooks.
    pub(super) fn command<I>(&self, dir: &Path, args: I) -> Command
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        quiet(Command::new(&self.program).cwd(dir)).args(args)
    }

    /// Runs one command; exit codes are the caller's to judge.
    pub(super) async fn ask(
        &self,
        step: &'static str,
        command: Command,
        limit: Duration,
        cancelled: &Cancelled,
    ) -> Result<Output> {
        match output_unless(&*self.executor, command, limit, cancelled.wait()).await {
            Err(error) if error.is_timeout() => Err(Error::timed_out(step, limit)),
            Err(error) if error.is_stopped() => Err(error),
            Err(error) => Err(Error::failed(step, error.to_string())),
            Ok(output) => Ok(output),
        }
    }

    /// Runs one command that must succeed.
    pub(super) async fn run(
        &self,
        step: &'static str,
        command: Command,
        limit: Duration,
        cancelled: &Cancelled,
    ) -> Result<Output> {
        let output = self.ask(step, command, limit, cancelled).await?;
        if output.success() { Ok(output) } else { Err(refused(step, &output)) }
    }
}

/// What git said when it refused, in one line.
pub(super) fn refused(step: &'static str, output: &Output) -> Error {
    let complaint = complaint(&String::from_utf8_lossy(&output.stderr));
    Error::failed(step, if complaint.is_empty() { output.exit.to_string() } else { complaint })
}

/// The lines up to the one that is fatal, since ssh gives its reason before git does and advice comes after; the
/// first line when none is.
fn complaint(stderr: &str) -> String {
    let lines: Vec<_> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let fatal = lines.iter().position(|line| line.starts_with("fatal: ") || line.starts_with("error: "));
    let all = lines[..fatal.map_or(lines.len().min(1), |fatal| fatal + 1)].join("; ");
    match fatal {
        Some(fatal) if all.len() > COMPLAINT_LIMIT => lines[fatal].to_owned(),
        _ => all,
    }
}

/// Sets what keeps git, and what git starts, from asking anyone and from running hooks.
///
/// Settings travel in `GIT_CONFIG_*`, so that git-crypt's own calls of git have them too (git-config(1)).
pub(super) fn quiet(command: Command) -> Command {
    let unset = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"];
    let command = unset.into_iter().fold(command, Command::env_remove);
    command
        .env("LC_ALL", "C")
        .env("GIT_TERMINAL_PROMPT", "0")
        // Empty, and so also no askpass program from the configuration or SSH_ASKPASS.
        .env("GIT_ASKPASS", "")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "core.hooksPath")
        .env("GIT_CONFIG_VALUE_0", "/dev/null")
}

/// The first line of what git answered.
pub(super) fn first_line(output: &Output) -> Option<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_has_its_reason_and_not_the_advice() {
        let long = format!("{}\nfatal: no\n", "remote: x\n".repeat(99));
        let table = [
            ("", ""),
            ("fatal: no\n\nPlease make sure that it exists.\n", "fatal: no"),
            (
                "git@h: Permission denied (publickey).\r\nfatal: no\nadvice",
                "git@h: Permission denied (publickey).; fatal: no",
            ),
            (
                "git-crypt: key: not a key\nIf this key was made long ago,\nconvert it.",
                "git-crypt: key: not a key",
            ),
            (&long, "fatal: no"),
        ];
        for (stderr, expected) in table {
            assert_eq!(complaint(stderr), expected);
        }
    }
}
