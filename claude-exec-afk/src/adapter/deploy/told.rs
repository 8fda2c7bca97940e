//! What the second command says: its exit code, and a commit.

use claude_exec::executor::Output;

use crate::names::Sha;

/// What is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing.
    Nothing,
    /// This commit, and it is healthy.
    Healthy(Sha),
    /// This commit's deployment failed, or it is not healthy.
    Failed(Sha),
    /// It does not say; why. What it printed is not repeated: it may hold anything.
    Unclear(String),
}

/// Reads it: exit code 0 is healthy, 1 is failed, and standard output has the full hash of the commit, or with 0
/// nothing when nothing is deployed.
pub(super) fn told(output: &Output) -> Told {
    let text = String::from_utf8_lossy(&output.stdout);
    let sha = text.trim().parse::<Sha>();
    match (output.exit.code, sha) {
        _ if output.truncated => Told::Unclear("it printed more than one hash".into()),
        (Some(0), _) if text.trim().is_empty() => Told::Nothing,
        (Some(0), Ok(sha)) => Told::Healthy(sha),
        (Some(1), Ok(sha)) => Told::Failed(sha),
        (Some(0 | 1), Err(_)) => {
            Told::Unclear("it printed something else than the full hash of a commit".into())
        }
        (Some(code), _) => Told::Unclear(format!("it ended with code {code}; 0 is healthy, 1 is failed")),
        (None, _) => Told::Unclear("a signal ended it".into()),
    }
}

#[cfg(test)]
mod tests {
    use claude_exec::executor::Exit;

    use super::*;

    #[test]
    fn a_code_and_a_commit_say_what_is_deployed() {
        let hash = "a".repeat(40);
        let sha: Sha = hash.parse().unwrap();
        let output = |code, text: &str| {
            let mut output = Output::default();
            output.exit = code;
            output.stdout = text.as_bytes().to_vec();
            output
        };
        let code = Exit::from_code;
        for (exit, text, want) in [
            (code(0), format!("{hash}\n"), Told::Healthy(sha.clone())),
            (code(0), " \n".into(), Told::Nothing),
            (code(1), hash.clone(), Told::Failed(sha)),
        ] {
            assert_eq!(told(&output(exit, &text)), want);
        }
        for (exit, text) in [
            (code(1), String::new()),
            (code(0), "abc".into()),
            (code(0), format!("{hash}\n{hash}")),
            (code(127), hash),
            (Exit::default(), "password".into()),
        ] {
            let Told::Unclear(reason) = told(&output(exit, &text)) else { panic!("{text}") };
            assert!(!reason.contains("password") && !reason.contains("abc"), "{reason}");
        }
    }
}
