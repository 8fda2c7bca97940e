//! The names of the model's few things, made once.

use std::sync::LazyLock;

use claude_exec_afk::{Digest, IssueKey, Repo, RunId, Sha};

pub(crate) static NAMES: LazyLock<Names> = LazyLock::new(Names::new);

/// At most so many runs, and commits of a run, are told apart.
pub(crate) const RUNS: usize = 7;
pub(crate) const COMMITS: usize = 4;

pub(crate) struct Names {
    pub(crate) repo: Repo,
    pub(crate) issues: Vec<IssueKey>,
    pub(crate) runs: Vec<RunId>,
    pub(crate) shas: Vec<Vec<Sha>>,
    pub(crate) text: Digest,
}

impl Names {
    fn new() -> Self {
        let repo: Repo = "octo/site".parse().unwrap();
        let sha = |run: usize, commit: usize| format!("{:040x}", run * COMMITS + commit).parse().unwrap();
        Self {
            issues: (1..=2).map(|number| IssueKey::new(repo.clone(), number)).collect(),
            runs: (0..RUNS).map(|run| format!("run-{run}").parse().unwrap()).collect(),
            shas: (0..RUNS).map(|run| (0..COMMITS).map(|commit| sha(run, commit)).collect()).collect(),
            text: Digest::of("title", "body"),
            repo,
        }
    }

    pub(crate) fn commit(&self, sha: &Sha) -> (usize, usize) {
        let place = usize::from_str_radix(sha.as_str(), 16).unwrap();
        (place / COMMITS, place % COMMITS)
    }
}
