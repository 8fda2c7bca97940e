//! Many checks of one commit, as one verdict.

/// One thing that CI has to say about a commit; of each name the newest attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) result: Checked,
}

/// What it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// It is not over.
    Pending,
    /// Passed, skipped, or neutral.
    Passed,
    /// Failed, was cancelled, took too long.
    Failed,
    /// A person has to approve something.
    Blocked,
}

/// What they say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fold {
    /// Nobody said anything about the commit.
    Nothing,
    /// Not everything that is required is over.
    Pending,
    /// Everything that is required passed.
    Green,
    /// A person has to do something before it goes on.
    Blocked,
    /// These failed.
    Red(Vec<String>),
}

/// Folds them. `required` has the names that count, with `*` for any text; when it is empty, all that showed up do.
pub(crate) fn fold(required: &[String], checks: &[Check]) -> Fold {
    if checks.is_empty() {
        return Fold::Nothing;
    }
    let counts = |check: &&Check| required.is_empty() || required.iter().any(|name| fits(name, &check.name));
    let counted: Vec<&Check> = checks.iter().filter(counts).collect();
    let has = |result| counted.iter().any(|check| check.result == result);
    if has(Checked::Failed) {
        let failed = counted.iter().filter(|check| check.result == Checked::Failed);
        let mut names: Vec<String> = failed.map(|check| check.name.clone()).collect();
        names.sort();
        names.dedup();
        return Fold::Red(names);
    }
    if has(Checked::Blocked) {
        return Fold::Blocked;
    }
    let missing = |name: &String| !counted.iter().any(|check| fits(name, &check.name));
    if has(Checked::Pending) || required.iter().any(missing) { Fold::Pending } else { Fold::Green }
}

/// True when `name` is what `pattern` says, in which `*` stands for any text: Gitea's protections are written so.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match name.find(part) {
            Some(at) => name = &name[at + part.len()..],
            None => return false,
        }
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t07_checks_fold_into_one_verdict() {
        use Checked::{Blocked, Failed, Passed, Pending};
        let red = |names: &[&str]| Fold::Red(names.iter().map(|&name| name.to_owned()).collect());
        for (required, checks, verdict) in [
            (&[][..], &[][..], Fold::Nothing),
            (&["test"], &[], Fold::Nothing),
            (&[], &[("a", Passed), ("b", Pending)], Fold::Pending),
            (&[], &[("a", Passed), ("b", Passed)], Fold::Green),
            (&[], &[("b", Failed), ("a", Failed), ("c", Pending)], red(&["a", "b"])),
            (&[], &[("a", Blocked), ("b", Pending)], Fold::Blocked),
            (&[], &[("a", Blocked), ("b", Failed)], red(&["b"])),
            // What is required counts, and has to show up.
            (&["test"], &[("lint", Passed)], Fold::Pending),
            (&["test"], &[("lint", Failed), ("test", Passed)], Fold::Green),
            (&["test", "lint"], &[("test", Passed)], Fold::Pending),
            (&["test", "lint"], &[("test", Failed)], red(&["test"])),
            (&["ci / *"], &[("ci / a (push)", Passed), ("ci / b", Pending)], Fold::Pending),
            (&["ci / *"], &[("ci / a", Passed), ("other", Failed)], Fold::Green),
            (&["ci / *"], &[("other", Passed)], Fold::Pending),
        ] {
            let checks: Vec<Check> =
                checks.iter().map(|(name, result)| Check { name: (*name).into(), result: *result }).collect();
            let required: Vec<String> = required.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(fold(&required, &checks), verdict, "{required:?} {checks:?}");
        }
    }

    #[test]
    fn a_star_is_any_text() {
        for (pattern, name, fit) in [
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abcd", false),
            ("a*b*c", "a-b-b-c", true),
            ("ab*ba", "aba", false),
            ("*x", "yx", true),
            ("x", "x", true),
            ("x", "xy", false),
        ] {
            assert_eq!(fits(pattern, name), fit, "{pattern} {name}");
        }
    }
}
