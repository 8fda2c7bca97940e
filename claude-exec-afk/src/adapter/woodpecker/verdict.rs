//! What pipelines say about a commit.

use super::wire::Pipeline;
use crate::names::Sha;

/// What one pipeline says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It is not over.
    Pending,
    /// It passed.
    Green,
    /// It failed; whether running it again makes sense.
    Red(bool),
    /// A person has to approve it.
    Blocked,
    /// It was cancelled for a later one, of this number: that one has the say.
    See(u64),
    /// Its filters left nothing to run.
    Nothing,
}

/// Reads a pipeline. What a later release may say is not over.
pub(super) fn told(pipeline: &Pipeline) -> Told {
    let superseded = pipeline.cancel_info.as_ref().and_then(|info| info.superseded_by);
    match (pipeline.status.as_str(), superseded) {
        ("success", _) => Told::Green,
        ("canceled", Some(number)) if number != pipeline.number => Told::See(number),
        ("failure" | "error" | "killed" | "canceled", _) => Told::Red(true),
        // A person said no.
        ("declined", _) => Told::Red(false),
        ("blocked", _) => Told::Blocked,
        ("skipped", _) => Told::Nothing,
        _ => Told::Pending,
    }
}

/// The pipelines of a commit, the newest first. Each rerun is a pipeline of its own, so their number is the attempt.
/// Tags, pull requests, schedules and deployments say nothing about the branch.
pub(super) fn of_commit<'a>(pipelines: &'a [Pipeline], sha: &Sha) -> Vec<&'a Pipeline> {
    let mut found: Vec<_> = pipelines.iter().filter(|p| p.commit == sha.as_str() && counts(p)).collect();
    found.sort_by_key(|pipeline| std::cmp::Reverse(pipeline.number));
    // A page may move while the next one is read.
    found.dedup_by_key(|pipeline| pipeline.number);
    found
}

pub(super) fn counts(pipeline: &Pipeline) -> bool {
    matches!(pipeline.event.as_str(), "push" | "manual")
}

/// Lines at the end of a failed step's log by which a failure is known again.
const TAIL: usize = 40;

/// What a log tells of a failure, without numbers: times and lines move.
pub(super) fn telling<'a>(lines: impl DoubleEndedIterator<Item = &'a str>) -> String {
    let mut tail: Vec<_> = lines.rev().filter(|line| !line.trim().is_empty()).take(TAIL).collect();
    tail.reverse();
    tail.join("\n").chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::wire::CancelInfo;
    use super::*;

    fn pipeline(number: u64, event: &str, status: &str, commit: &str) -> Pipeline {
        Pipeline {
            number,
            event: event.into(),
            status: status.into(),
            commit: commit.into(),
            ..Pipeline::default()
        }
    }

    #[test]
    fn every_status_says_something() {
        for (status, want) in [
            ("created", Told::Pending),
            ("pending", Told::Pending),
            ("running", Told::Pending),
            ("hibernating", Told::Pending),
            ("success", Told::Green),
            ("failure", Told::Red(true)),
            ("error", Told::Red(true)),
            ("killed", Told::Red(true)),
            ("canceled", Told::Red(true)),
            ("declined", Told::Red(false)),
            ("blocked", Told::Blocked),
            ("skipped", Told::Nothing),
        ] {
            assert_eq!(told(&pipeline(3, "push", status, "")), want, "{status}");
        }
        let superseded = |by| Pipeline {
            cancel_info: Some(CancelInfo { superseded_by: by }),
            ..pipeline(3, "push", "canceled", "")
        };
        assert_eq!(told(&superseded(Some(4))), Told::See(4));
        assert_eq!(told(&superseded(Some(3))), Told::Red(true), "itself");
        assert_eq!(told(&superseded(None)), Told::Red(true), "by a person");
    }

    #[test]
    fn a_commit_is_told_by_its_own_pipelines_the_newest_first() {
        let sha: Sha = "a".repeat(40).parse().unwrap();
        let (own, other) = (sha.as_str(), "b".repeat(40));
        let pipelines = [
            pipeline(9, "cron", "failure", own),
            pipeline(8, "manual", "running", own),
            pipeline(7, "push", "success", &other),
            pipeline(5, "push", "failure", own),
            pipeline(5, "push", "failure", own),
            pipeline(4, "pull_request", "success", own),
        ];
        let numbers: Vec<_> = of_commit(&pipelines, &sha).iter().map(|pipeline| pipeline.number).collect();
        assert_eq!(numbers, [8, 5]);
    }

    #[test]
    fn f24_a_failure_is_known_again_by_the_end_of_its_log() {
        let log = |line| telling(["start", "", line, "exit 1"].into_iter());
        assert_eq!(log("test totals ... FAILED in 0.31s"), log("test totals ... FAILED in 2.05s"));
        assert_ne!(log("test totals ... FAILED"), log("test sums ... FAILED"));
    }
}
