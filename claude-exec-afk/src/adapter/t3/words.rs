//! What a turn says: T3 has no system prompt, so the rules stand before what is to be done.

use crate::error::{Error, Result};
use crate::names::Repo;
use crate::port::Task;

/// The most that a turn may say, in UTF-16 units, as the server counts. It accepts more and then fails the turn.
const TEXT_LIMIT: usize = 120_000;

/// A repository as the name of one directory.
pub(super) fn directory(repo: &Repo) -> String {
    format!("{}__{}", repo.owner(), repo.name())
}

/// The text of a turn.
///
/// # Errors
///
/// When it is longer than the server takes.
pub(super) fn text(task: &Task, root: &str, preamble: &str, prompt: &str) -> Result<String> {
    let (repo, branch) = (&task.issue.repo, &task.branch);
    let text = format!(
        "\
{preamble}
Where you work: you were started in {root}, the checkout of {repo} that all sessions share; it is not a worktree of \
yours. Your worktree is {root}.worktrees/{branch}. When it is there already, an earlier session on this issue left it: \
look at what is in it and go on from there. When it is not, make it with `git worktree add`, on the branch {branch}, \
from the newest default branch. When the checkout itself is empty, clone {repo} into it first.

{prompt}"
    );
    let units = text.encode_utf16().count();
    if units > TEXT_LIMIT {
        return Err(Error::invalid(
            "prompt",
            format!("has {units} characters and T3 takes {TEXT_LIMIT}: shorten the issue's text"),
        ));
    }
    Ok(text)
}

/// What the model says when the turn was none: the server shows these as completed, without an error.
const REFUSALS: [&str; 8] = [
    "You've hit your",
    "You've reached your",
    "Claude AI usage limit reached",
    "Claude usage limit reached",
    "API Error:",
    "Credit balance is too low",
    "Invalid API key",
    "Not logged in",
];

/// Whether the last words of a turn say that it came to nothing for a reason outside of the work.
pub(super) fn is_refusal(last: &str) -> bool {
    let last = last.trim_start();
    REFUSALS.iter().any(|refusal| last.starts_with(refusal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Usd;

    fn task() -> Task {
        Task {
            run: "octo.site.7.home.1".parse().unwrap(),
            issue: "octo/site#7".parse().unwrap(),
            branch: "afk/issue-7".into(),
            budget: Usd::dollars(1),
        }
    }

    #[test]
    fn the_rules_come_first_and_the_worktree_is_named() {
        let text = text(&task(), "/srv/octo__site", "Rules.\n", "Do it.").unwrap();
        assert!(text.starts_with("Rules.\n") && text.ends_with("\n\nDo it."), "{text}");
        assert!(text.contains("/srv/octo__site.worktrees/afk/issue-7"), "{text}");
    }

    #[test]
    fn what_the_server_would_take_and_then_fail_is_refused() {
        let emoji = "🙂".repeat(60_000);
        let error = text(&task(), "/srv", "", &emoji).unwrap_err();
        assert!(error.is_invalid() && error.to_string().contains("120000"), "{error}");
        assert!(text(&task(), "/srv", "", &"x".repeat(119_000)).is_ok());
    }

    #[test]
    fn a_limit_is_no_work() {
        assert!(is_refusal("You've hit your session limit · resets 3pm (UTC)"));
        assert!(is_refusal("\nAPI Error: 529 {\"type\":\"error\"}"));
        assert!(!is_refusal("The API Error: 529 is handled now."));
    }
}
