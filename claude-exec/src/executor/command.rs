//! A command as data: equal in tests, replayable, shown without its secrets.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// What to run: plain data, so that running it elsewhere is a pure function of it.
///
/// ```
/// use claude_exec::executor::Command;
/// let command = Command::new("claude").arg("--version").env("LANG", "C.UTF-8");
/// assert_eq!(command.to_string(), "LANG=… claude --version");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Command {
    /// The program, looked up in the executor's `PATH` when it has no slash.
    pub program: OsString,
    /// The arguments after the program's own name.
    pub args: Vec<OsString>,
    /// Variables set (`Some`) or removed (`None`) on top of the executor's clean environment.
    pub env: BTreeMap<OsString, Option<OsString>>,
    /// The working directory; `None` leaves it to the executor.
    pub cwd: Option<PathBuf>,
    /// What the process reads.
    pub stdin: Stdin,
}

/// What a process gets on its standard input.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Stdin {
    /// Nothing: end of file at once. The default, since an inherited stdin makes the CLI wait.
    #[default]
    Null,
    /// These bytes, then end of file.
    Once(Bytes),
    /// These bytes at once; the pipe then stays open for [`Control::write`].
    ///
    /// [`Control::write`]: super::Control::write
    Open(Bytes),
}

impl Command {
    /// A command without arguments, on an executor's clean environment, with no stdin.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            stdin: Stdin::Null,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments in order.
    #[must_use]
    pub fn args<I>(mut self, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the child's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), Some(value.into()));
        self
    }

    /// Removes a variable that the executor's clean environment would pass on.
    #[must_use]
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), None);
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Self {
        self.cwd = Some(dir.as_ref().to_path_buf());
        self
    }

    /// Sets what the process reads.
    #[must_use]
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }
}

/// Shows the command as a shell would take it; values of variables and stdin are not shown.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            if value.is_some() {
                write!(f, "{}=… ", name.to_string_lossy())?;
            }
        }
        f.write_str(&shell_quote(&self.program))?;
        for arg in &self.args {
            write!(f, " {}", shell_quote(arg))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("line", &format_args!("{self}"))
            .field("cwd", &self.cwd)
            .field("stdin", &self.stdin)
            .finish()
    }
}

/// Shows sizes only: stdin carries prompts.
impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Once(bytes) => write!(f, "Once({} bytes)", bytes.len()),
            Self::Open(bytes) => write!(f, "Open({} bytes)", bytes.len()),
        }
    }
}

/// Quotes one word for a POSIX shell (XCU 2.2.2, single quotes).
pub(crate) fn shell_quote(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    // zsh expands a word that begins with `=`.
    if !text.is_empty() && !text.starts_with('=') && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        let table = [
            ("a-b=c", "a-b=c"),
            ("=c", "'=c'"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(x)", "'$(x)'"),
        ];
        for (word, quoted) in table {
            assert_eq!(shell_quote(OsStr::new(word)), quoted);
        }
    }

    #[test]
    fn debug_shows_no_secret_and_no_prompt() {
        let command =
            Command::new("claude").env("KEY", "s3cret").stdin(Stdin::Once(Bytes::from_static(b"my prompt")));
        let shown = format!("{command:?} {command}");
        assert!(!shown.contains("s3cret") && !shown.contains("my prompt"), "{shown}");
    }
}
