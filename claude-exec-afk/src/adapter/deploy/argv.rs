//! A command as the operator writes it.

use claude_exec::executor::Command;

use crate::error::{Error, Result};
use crate::names::{Repo, Sha};

/// The words of a command. `{repo}` and `{sha}` in a word stand for the repository and the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Argv(Vec<String>);

impl Argv {
    /// Parts `text` into words as a shell does; no shell ever sees it.
    pub(super) fn parse(setting: &'static str, text: &str) -> Result<Self> {
        let words =
            shlex::split(text).ok_or_else(|| Error::invalid(setting, "has a quote that does not end"))?;
        let program = words.first().filter(|word| !word.is_empty() && !word.contains('{'));
        if program.is_none() || text.contains('\0') {
            return Err(Error::invalid(
                setting,
                "must begin with a program, such as `/opt/deploy {repo} {sha}`",
            ));
        }
        Ok(Self(words))
    }

    /// The command for one commit. Both values are checked names: neither can be a flag or hold a space.
    pub(super) fn command(&self, repo: &Repo, sha: &Sha) -> Command {
        let words =
            self.0.iter().map(|word| word.replace("{repo}", repo.as_str()).replace("{sha}", sha.as_str()));
        let mut words = words.collect::<Vec<_>>().into_iter();
        Command::new(words.next().unwrap_or_default()).args(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_words_and_its_values_are_put_into_them() {
        let argv = Argv::parse("AFK_DEPLOY_COMMAND", "/opt/deploy --to='the box' {repo} at={sha}").unwrap();
        let sha = "a".repeat(40);
        let command = argv.command(&"octo/site".parse().unwrap(), &sha.parse().unwrap());
        assert_eq!(command.program, "/opt/deploy");
        assert_eq!(command.args, ["--to=the box", "octo/site", &format!("at={sha}")]);
        for text in ["", "  ", "'open", "{repo} x", "'' x"] {
            let error = Argv::parse("AFK_DEPLOY_COMMAND", text).unwrap_err();
            assert_eq!(error.field(), Some("AFK_DEPLOY_COMMAND"), "{text}");
        }
    }
}
