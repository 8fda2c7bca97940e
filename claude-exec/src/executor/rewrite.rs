//! Running a command elsewhere by rewriting it: over ssh, or under a wrapper.

use std::ffi::{OsStr, OsString};

use futures::future::{self, BoxFuture};
use futures::{FutureExt, TryFutureExt};

use super::command::shell_quote;
use super::{Command, Executor, Process};
use crate::error::{Error, Result};

/// Rewrites each command before its inner executor starts it.
#[derive(Debug, Clone)]
pub struct Rewrite<F, E> {
    rewrite: F,
    inner: E,
}

impl<F, E> Rewrite<F, E>
where
    F: Fn(Command) -> Result<Command> + Send + Sync,
    E: Executor,
{
    /// Starts `rewrite(command)` on `inner`.
    pub const fn new(rewrite: F, inner: E) -> Self {
        Self { rewrite, inner }
    }

    /// The executor underneath.
    pub fn get_ref(&self) -> &E {
        &self.inner
    }

    /// Gives the executor underneath back.
    pub fn into_inner(self) -> E {
        self.inner
    }
}

impl<F, E> Executor for Rewrite<F, E>
where
    F: Fn(Command) -> Result<Command> + Send + Sync,
    E: Executor,
{
    fn start(&self, command: Command) -> BoxFuture<'_, Result<Process>> {
        future::ready((self.rewrite)(command)).and_then(|command| self.inner.start(command)).boxed()
    }
}

/// Runs commands under another program: `wrapper(["systemd-run", "--scope", "--"])`.
///
/// The wrapper's words come first, the command's program and arguments follow; environment, directory and
/// stdin are the wrapper's.
pub fn wrapper<I>(words: I) -> impl Fn(Command) -> Result<Command> + Send + Sync + Clone
where
    I: IntoIterator,
    I::Item: Into<OsString>,
{
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    move |command| {
        let mut words = words.iter().cloned();
        let program = words.next().ok_or_else(|| Error::invalid("wrapper", "must not be empty"))?;
        let mut rewritten = command.clone();
        rewritten.program = program;
        rewritten.args = words.chain([command.program]).chain(command.args).collect();
        Ok(rewritten)
    }
}

/// Runs commands on `host` by the system's ssh, never asking for anything.
///
/// The command is quoted once for the remote login shell; its variables go before it as `env NAME=value`, so
/// they are visible in both process lists and in the rewritten command's `Display`: keep secrets in the remote's
/// own environment. Stopping ends the local ssh; the remote CLI then reads the end of its stdin, and ends after
/// the turn it is in, so rules 2 and 7 of [`Executor`] hold only as far as it obeys.
pub fn ssh(host: impl Into<String>) -> impl Fn(Command) -> Result<Command> + Send + Sync + Clone {
    let host = host.into();
    move |command| {
        if host.is_empty() || host.starts_with('-') || host.contains(['\0', ' ']) {
            return Err(Error::invalid("host", "must be a host, user@host or an alias of ssh_config"));
        }
        let mut words: Vec<String> = Vec::new();
        if let Some(cwd) = &command.cwd {
            words.extend(["cd --".to_owned(), quoted(cwd.as_os_str())?, "&&".to_owned()]);
        }
        words.push("exec".to_owned());
        if !command.env.is_empty() {
            words.push("env".to_owned());
        }
        for (name, value) in &command.env {
            match value {
                Some(value) => {
                    let mut pair = name.clone();
                    pair.push("=");
                    pair.push(value);
                    words.push(quoted(&pair)?);
                }
                None => words.extend(["-u".to_owned(), quoted(name)?]),
            }
        }
        for word in [&command.program].into_iter().chain(&command.args) {
            words.push(quoted(word)?);
        }
        let ssh = ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "--", &host];
        Ok(Command::new("ssh").args(ssh).arg(words.join(" ")).stdin(command.stdin))
    }
}

fn quoted(word: &OsStr) -> Result<String> {
    let text = word.to_str().ok_or_else(|| Error::invalid("command", "must be UTF-8 to travel over ssh"))?;
    Ok(shell_quote(OsStr::new(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapper_comes_first_and_the_rest_stays() {
        let command = Command::new("claude").arg("-p").env("A", "b").cwd("/tmp");
        let wrapped = wrapper(["nice", "-n", "5"])(command).unwrap();
        assert_eq!(wrapped, Command::new("nice").args(["-n", "5", "claude", "-p"]).env("A", "b").cwd("/tmp"));
    }

    #[test]
    fn ssh_quotes_once_and_keeps_its_own_options_first() {
        let command =
            Command::new("claude").args(["--model=a b", "it's"]).env("X", "1 2").env_remove("Y").cwd("/w s");
        let over = ssh("user@host")(command).unwrap();
        let remote = r"cd -- '/w s' && exec env 'X=1 2' -u Y claude '--model=a b' 'it'\''s'";
        let expected = ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "--", "user@host", remote];
        assert_eq!(over, Command::new("ssh").args(expected));
    }

    #[test]
    fn a_host_that_is_an_option_is_refused() {
        for host in ["", "-oProxyCommand=x", "a b"] {
            assert_eq!(ssh(host)(Command::new("claude")).unwrap_err().field(), Some("host"));
        }
    }
}
