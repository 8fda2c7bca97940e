//! "Blocked by #7": dependencies that people write into an issue.

use std::collections::BTreeSet;

use crate::names::{IssueKey, Repo};

/// The issues that `body` says it is blocked by: `#7` or `owner/name#7` after "blocked by" or "depends on" on the
/// same line, or in the list under a line that ends with it. In order of their keys.
///
/// "Not blocked by #5" names none, and neither does what stands in a block of code or a quotation.
pub(super) fn blockers(repo: &Repo, body: &str) -> BTreeSet<IssueKey> {
    let mut found = BTreeSet::new();
    let (mut code, mut listing) = (false, false);
    for line in body.lines() {
        let line = line.trim();
        if line.starts_with("```") || line.starts_with("~~~") {
            code = !code;
        }
        if code || line.starts_with('>') {
            continue;
        }
        if let Some(rest) = after_phrase(line) {
            let before = found.len();
            found.extend(references(repo, rest));
            // Nothing but a mark after it: the list is below.
            listing = found.len() == before && rest.trim_matches(|c: char| !c.is_alphanumeric()).is_empty();
        } else if listing && line.starts_with(['-', '*', '+']) {
            found.extend(references(repo, line));
        } else if !line.is_empty() {
            listing = false;
        }
    }
    found
}

/// What follows the phrase on a line, unless it is denied.
fn after_phrase(line: &str) -> Option<&str> {
    let lower = line.to_ascii_lowercase();
    let found =
        ["blocked by", "depends on"].iter().filter_map(|phrase| Some((lower.find(phrase)?, phrase.len())));
    let (at, length) = found.min()?;
    let before = lower[..at].trim_end();
    let denied = ["not", "no longer", "isn't", "n't", "never"].iter().any(|word| before.ends_with(word));
    let whole = !lower[..at].ends_with(|c: char| c.is_alphanumeric());
    (whole && !denied).then(|| &line[at + length..])
}

/// Every reference on the rest of a line: one too many holds an issue back, one too few starts it too soon.
fn references<'a>(repo: &'a Repo, rest: &'a str) -> impl Iterator<Item = IssueKey> + 'a {
    let words =
        rest.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')' | '[' | ']' | '*'));
    words.filter_map(move |word| {
        let word = word.trim_start_matches(['-', '+', ':']).trim_end_matches(['.', ':', '!', '?']);
        let (place, number) = word.rsplit_once('#')?;
        let number = number.parse().ok().filter(|number| *number > 0)?;
        let repo = if place.is_empty() { repo.clone() } else { place.parse().ok()? };
        Some(IssueKey::new(repo, number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c11_blockers_are_read_as_people_write_them() {
        let repo: Repo = "a/b".parse().unwrap();
        for (body, found) in [
            ("Blocked by #5", &["a/b#5"][..]),
            ("blocked by: #5, #7 and c/d#9.", &["a/b#5", "a/b#7", "c/d#9"]),
            ("This is blocked by (#5).", &["a/b#5"]),
            ("**Blocked by:** #5", &["a/b#5"]),
            ("Depends on #3; blocked by #4", &["a/b#3", "a/b#4"]),
            ("## Blocked by\n\n- #5\n- [ ] c/d#6\n* #7\n\nRelated: #8", &["a/b#5", "a/b#7", "c/d#6"]),
            ("Blocked by:\n- #5\nSee\n- #6", &["a/b#5"]),
            ("Not blocked by #5", &[]),
            ("This isn't blocked by #5 any more", &[]),
            ("unblocked by #5", &[]),
            ("Fixes #5", &[]),
            ("> blocked by #5", &[]),
            ("```\nblocked by #5\n```\nblocked by #6", &["a/b#6"]),
            ("blocked by #0 and #x and a/b/c#1", &[]),
            ("", &[]),
        ] {
            let keys: Vec<String> = blockers(&repo, body).iter().map(ToString::to_string).collect();
            assert_eq!(keys, found, "{body}");
        }
    }
}
