//! The CLI gate: which version is there, and whether it may be used.

#[cfg(feature = "runtime")]
use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The first version that takes `client_composed`, which keeps a prompt from being read as `@file` and
/// `/command`. An older one is refused: with it, any user could have files of the server sent to the model.
pub const MINIMUM: CliVersion = CliVersion { major: 2, minor: 1, patch: 248 };

/// The version that this crate's tests drive.
pub const TESTED: CliVersion = CliVersion { major: 2, minor: 1, patch: 330 };

/// How to install a CLI that works.
pub const INSTALL: &str = "npm install -g @anthropic-ai/claude-code";

/// A version of the CLI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CliVersion {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number.
    pub patch: u32,
}

/// What to make of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The one that the tests drive.
    Tested,
    /// New enough, and never seen: use it, with a warning.
    Unseen,
    /// Older than [`MINIMUM`]: do not use it.
    TooOld,
}

impl CliVersion {
    /// What to make of this version.
    pub fn verdict(self) -> Verdict {
        if self < MINIMUM {
            Verdict::TooOld
        } else if self == TESTED {
            Verdict::Tested
        } else {
            Verdict::Unseen
        }
    }
}

impl FromStr for CliVersion {
    type Err = Error;

    /// Takes what `claude --version` prints, such as `2.1.330 (Claude Code)`.
    fn from_str(text: &str) -> Result<Self> {
        let unknown =
            || Error::unsupported(format!("{:?} is no version of the Claude Code CLI", text.trim()));
        let number = text.split_ascii_whitespace().next().ok_or_else(unknown)?;
        let core = number.split_once(['-', '+']).map_or(number, |(core, _)| core);
        let parts: Vec<u32> =
            core.split('.').map(|part| part.parse().map_err(|_| unknown())).collect::<Result<_>>()?;
        match parts[..] {
            [major, minor, patch] => Ok(Self { major, minor, patch }),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for CliVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// How long `claude --version` may take. It takes 10 ms, and 120 ms the first time on a cold disk.
#[cfg(feature = "runtime")]
const VERSION_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

/// Asks `program` for its version and refuses one that is too old. Call it once, at start-up.
///
/// # Errors
///
/// [`is_not_found`](Error::is_not_found) when there is no such program, and
/// [`is_unsupported`](Error::is_unsupported), saying what to install, when it is too old or no CLI at all.
///
/// # Cancel safety
///
/// Dropping the future stops the program.
#[cfg(feature = "runtime")]
pub async fn check(executor: &dyn crate::executor::Executor, program: &OsStr) -> Result<CliVersion> {
    let command = crate::executor::Command::new(program).arg("--version");
    let output = crate::executor::output(executor, command, VERSION_LIMIT).await?;
    let version: CliVersion = String::from_utf8_lossy(&output.stdout).parse()?;
    match version.verdict() {
        Verdict::Tested => {}
        Verdict::Unseen => {
            tracing::warn!(%version, tested = %TESTED, "this version of the CLI was never tried with this crate");
        }
        Verdict::TooOld => {
            return Err(Error::unsupported(format!(
                "Claude Code CLI {version} is too old: {MINIMUM} or later is needed ({INSTALL})"
            )));
        }
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_judged() {
        let table = [
            ("2.1.330 (Claude Code)\n", Verdict::Tested),
            ("2.1.248 (Claude Code)", Verdict::Unseen),
            ("2.1.247 (Claude Code)", Verdict::TooOld),
            ("1.0.128 (Claude Code)", Verdict::TooOld),
            ("3.0.0-beta.1 (Claude Code)", Verdict::Unseen),
            ("2.10.1", Verdict::Unseen),
        ];
        for (text, verdict) in table {
            assert_eq!(text.parse::<CliVersion>().unwrap().verdict(), verdict, "{text}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", "\n", "bash: claude: not found", "2.1", "2.1.x", "2.1.3.4"] {
            assert!(text.parse::<CliVersion>().unwrap_err().is_unsupported(), "{text:?}");
        }
    }

    #[cfg(feature = "runtime")]
    #[tokio::test]
    async fn a_cli_without_verbatim_prompts_is_refused_with_what_to_install() {
        use crate::executor::Scripted;
        let old = Scripted::new().stdout("2.1.247 (Claude Code)\n");
        let error = check(&old, OsStr::new("claude")).await.unwrap_err();
        assert!(error.is_unsupported() && error.to_string().contains(INSTALL), "{error}");
        let new = Scripted::new().stdout("2.1.330 (Claude Code)\n");
        assert_eq!(check(&new, OsStr::new("claude")).await.unwrap(), TESTED);
    }
}
