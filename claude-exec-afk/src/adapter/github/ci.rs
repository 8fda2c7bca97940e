//! What CI says: check runs and commit statuses together, and GitHub Actions running failed jobs again.

use std::collections::BTreeSet;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::Method;

use super::service::{GitHub, call, hidden};
use super::wire;
use crate::adapter::fold::{Check, Checked, Fold, fold};
use crate::adapter::http::{Answer, Call, segment, whole};
use crate::error::{Error, Result};
use crate::names::{Digest, Repo, Sha};
use crate::port::Ci;
use crate::run::{CiRun, Verdict};
use crate::seen::Seen;

/// Failed checks whose annotations are read: enough to know a failure again.
const ANNOTATED: usize = 5;

/// Everything that is known of one commit.
struct Report {
    checks: Vec<(Check, u64)>,
    runs: Vec<wire::WorkflowRun>,
    /// When the newest of it came, and the service's own time now; in milliseconds since 1970.
    newest: u64,
    now: Option<u64>,
}

impl GitHub {
    async fn looked(&self, repo: &Repo, sha: &Sha) -> Result<Option<CiRun>> {
        let Some(report) = self.report(repo, sha).await? else { return Ok(None) };
        let verdict = match self.required.is_empty() {
            true => {
                let branch = self.branch_name(repo).await?;
                let tip = self.branch_tip(repo, &branch).await?;
                let required = self.protection(repo, &branch, &tip).await?;
                self.verdict(repo, &report, &required).await?
            }
            false => self.verdict(repo, &report, &self.required).await?,
        };
        Ok(verdict.map(|verdict| CiRun { sha: sha.clone(), attempt: attempt(&report.runs), verdict }))
    }

    async fn tip_verdict(&self, repo: &Repo) -> Result<Option<Verdict>> {
        let branch = self.branch_name(repo).await?;
        let tip = self.branch_tip(repo, &branch).await?;
        let sha: Sha = tip.commit.sha.parse()?;
        let Some(report) = self.report(repo, &sha).await? else { return Ok(None) };
        let required = match self.required.is_empty() {
            true => self.protection(repo, &branch, &tip).await?,
            false => self.required.clone(),
        };
        self.verdict(repo, &report, &required).await
    }

    /// Everything that checks, statuses and workflow runs say about a commit; `None` when GitHub does not know it.
    async fn report(&self, repo: &Repo, sha: &Sha) -> Result<Option<Report>> {
        let commit = format!("/repos/{repo}/commits/{sha}");
        let list =
            Call::get(format!("{commit}/check-runs")).query("filter", "latest").query("per_page", "100");
        let pages = self.client.pages(&call(list).conditional()).await?;
        match pages[0].status() {
            // "No commit found for SHA".
            422 => return Ok(None),
            404 => return Err(hidden(format_args!("commit {sha} of {repo}"))),
            _ => {}
        }
        let mut checks = Vec::new();
        let (mut newest, mut total) = (0, 0);
        for page in &pages {
            let page: wire::CheckRuns = found(page)?.json()?;
            total = page.total_count;
            for run in page.check_runs {
                newest = newest.max(run.completed_at.or(run.started_at).map_or(0, |moment| moment.0));
                let result = check_result(&run.status, run.conclusion.as_deref());
                checks.push((Check { name: run.name, result }, run.id));
            }
        }
        if checks.len() < total {
            let reason = format!("{} of {total} check runs were read", checks.len());
            return Err(Error::unavailable("GitHub", reason, None));
        }
        let list = Call::get(format!("{commit}/status")).query("per_page", "100");
        let pages = self.client.pages(&call(list).conditional()).await?;
        // "pending" without any status says nothing at all (T7), so each is read and the sum is not.
        for page in pages.iter().filter(|page| page.status() != 404) {
            for status in found(page)?.json::<wire::CombinedStatus>()?.statuses {
                newest = newest.max(status.updated_at.0);
                checks.push((Check { name: status.context, result: status_result(&status.state) }, 0));
            }
        }
        let now = pages.first().and_then(Answer::date);
        let runs = self.runs(repo, sha).await?;
        Ok(Some(Report { checks, runs, newest, now }))
    }

    /// The workflow runs of a commit; none where Actions is off or this token may not see them: then nothing can be
    /// run again.
    async fn runs(&self, repo: &Repo, sha: &Sha) -> Result<Vec<wire::WorkflowRun>> {
        let list = Call::get(format!("/repos/{repo}/actions/runs"))
            .query("head_sha", sha.as_str())
            .query("per_page", "100");
        let pages = self.client.pages(&call(list).conditional()).await?;
        if matches!(pages[0].status(), 403 | 404) {
            return Ok(Vec::new());
        }
        let mut runs = Vec::new();
        for page in &pages {
            runs.extend(found(page)?.json::<wire::WorkflowRuns>()?.workflow_runs);
        }
        Ok(runs)
    }

    async fn verdict(&self, repo: &Repo, report: &Report, required: &[String]) -> Result<Option<Verdict>> {
        let checks: Vec<Check> = report.checks.iter().map(|(check, _)| check.clone()).collect();
        let open: Vec<Checked> = report.runs.iter().filter_map(run_result).collect();
        let has = |result| open.contains(&result);
        let verdict = match fold(required, &checks) {
            Fold::Red(names) => self.red(repo, report, &names).await,
            Fold::Nothing | Fold::Pending | Fold::Blocked if has(Checked::Failed) => {
                // A workflow that could not even start has no checks.
                Verdict::Red { failure: None, rerunnable: false }
            }
            Fold::Blocked => Verdict::Blocked,
            Fold::Nothing | Fold::Pending if has(Checked::Blocked) => Verdict::Blocked,
            Fold::Nothing if report.runs.is_empty() => return Ok(None),
            Fold::Nothing | Fold::Pending => Verdict::Pending,
            Fold::Green if !required.is_empty() => Verdict::Green,
            // Nobody said what is required: another workflow may be about to begin.
            Fold::Green if has(Checked::Pending) || !self.is_settled(report) => Verdict::Pending,
            Fold::Green => Verdict::Green,
        };
        Ok(Some(verdict))
    }

    fn is_settled(&self, report: &Report) -> bool {
        let settle = u64::try_from(self.settle.as_millis()).unwrap_or(u64::MAX);
        report.now.is_none_or(|now| now >= report.newest.saturating_add(settle))
    }

    async fn red(&self, repo: &Repo, report: &Report, names: &[String]) -> Verdict {
        let rerunnable = report.runs.iter().any(is_rerunnable);
        let failed = report
            .checks
            .iter()
            .filter(|(check, id)| *id != 0 && check.result == Checked::Failed && names.contains(&check.name));
        let mut told = BTreeSet::new();
        for (check, id) in failed.take(ANNOTATED) {
            // What they say is only for knowing the same failure again: without it, every failure is a new one.
            let Ok(annotations) = self.annotations(repo, *id).await else { continue };
            told.extend(annotations.into_iter().filter_map(|annotation| telling(&check.name, annotation)));
        }
        let told: Vec<String> = told.into_iter().collect();
        let failure = (!told.is_empty()).then(|| Digest::of(&names.join("\n"), &told.join("\n")));
        Verdict::Red { failure, rerunnable }
    }

    async fn annotations(&self, repo: &Repo, check: u64) -> Result<Vec<wire::Annotation>> {
        let list = Call::get(format!("/repos/{repo}/check-runs/{check}/annotations")).query("per_page", "50");
        self.client.send(&call(list).conditional()).await?.ok()?.json()
    }

    async fn branch_name(&self, repo: &Repo) -> Result<String> {
        if let Some(branch) = &self.branch {
            return Ok(branch.clone());
        }
        let answer = self.client.send(&call(Call::get(format!("/repos/{repo}"))).conditional()).await?;
        if answer.status() == 404 {
            return Err(hidden(repo));
        }
        Ok(answer.ok()?.json::<wire::Repository>()?.default_branch)
    }

    async fn branch_tip(&self, repo: &Repo, branch: &str) -> Result<wire::Branch> {
        let path = format!("/repos/{repo}/branches/{}", segment(branch));
        let answer = self.client.send(&call(Call::get(path)).conditional()).await?;
        if answer.status() == 404 {
            return Err(hidden(format_args!("branch {branch} of {repo}")));
        }
        answer.ok()?.json()
    }

    /// The checks that the branch's protection and its rulesets require.
    async fn protection(&self, repo: &Repo, branch: &str, tip: &wire::Branch) -> Result<Vec<String>> {
        let classic =
            tip.protection.as_ref().and_then(|protection| protection.required_status_checks.as_ref());
        let mut names: BTreeSet<String> =
            classic.map(|checks| checks.contexts.iter().cloned().collect()).unwrap_or_default();
        let list =
            Call::get(format!("/repos/{repo}/rules/branches/{}", segment(branch))).query("per_page", "100");
        let pages = self.client.pages(&call(list).conditional()).await?;
        // An Enterprise Server that has no rulesets yet; the branch itself was just read.
        if pages[0].status() != 404 {
            let rules: Vec<wire::Rule> = whole(&pages)?;
            let checks = rules.iter().filter(|rule| rule.kind == "required_status_checks");
            let checks =
                checks.filter_map(|rule| rule.parameters["required_status_checks"].as_array()).flatten();
            names.extend(checks.filter_map(|check| Some(check["context"].as_str()?.to_owned())));
        }
        // In a protection a star is a star.
        Ok(names.into_iter().collect())
    }

    async fn again(&self, repo: &Repo, sha: &Sha, seen: u32) -> Result<()> {
        let runs = self.runs(repo, sha).await?;
        // Someone, or an earlier try of this, was faster.
        if attempt(&runs) != seen {
            return Ok(());
        }
        let failed: Vec<_> = runs.iter().filter(|run| is_rerunnable(run)).collect();
        if failed.is_empty() {
            return Err(Error::refused("GitHub", format_args!("no workflow run of {sha} can be run again")));
        }
        for run in failed {
            let path = format!("/repos/{repo}/actions/runs/{}/rerun-failed-jobs", run.id);
            self.client.send(&call(Call::new(Method::POST, path))).await?.ok()?;
        }
        Ok(())
    }
}

fn found(page: &Answer) -> Result<&Answer> {
    if page.is_success() { Ok(page) } else { Err(page.unavailable()) }
}

/// Grows with every rerun of any of the runs.
fn attempt(runs: &[wire::WorkflowRun]) -> u32 {
    runs.iter().map(|run| run.run_attempt.unwrap_or(1).saturating_sub(1)).fold(1, u32::saturating_add)
}

fn is_rerunnable(run: &wire::WorkflowRun) -> bool {
    run.status.as_deref() == Some("completed")
        && matches!(run.conclusion.as_deref(), Some("failure" | "timed_out" | "cancelled"))
}

fn check_result(status: &str, conclusion: Option<&str>) -> Checked {
    match (status, conclusion) {
        ("completed", Some("success" | "neutral" | "skipped")) => Checked::Passed,
        ("completed", Some("action_required")) | ("waiting", _) => Checked::Blocked,
        // failure, timed_out, cancelled, stale, startup_failure, and what will come.
        ("completed", _) => Checked::Failed,
        _ => Checked::Pending,
    }
}

fn status_result(state: &str) -> Checked {
    match state {
        "success" => Checked::Passed,
        "pending" => Checked::Pending,
        _ => Checked::Failed,
    }
}

/// What a workflow run says beyond its own checks.
fn run_result(run: &wire::WorkflowRun) -> Option<Checked> {
    match (run.status.as_deref(), run.conclusion.as_deref()) {
        (Some("completed"), Some("action_required")) | (Some("waiting" | "action_required"), _) => {
            Some(Checked::Blocked)
        }
        (Some("completed"), Some("startup_failure")) => Some(Checked::Failed),
        (Some("completed"), _) => None,
        _ => Some(Checked::Pending),
    }
}

/// What an annotation tells of a failure, without its numbers: lines and times move. What the runner adds to every
/// failure tells nothing.
fn telling(check: &str, annotation: wire::Annotation) -> Option<String> {
    let message = annotation.message.unwrap_or_default();
    let failure = annotation.annotation_level.as_deref() == Some("failure");
    let general = ["Process completed with exit code", "The operation was canceled", "The job "];
    if !failure || message.is_empty() || general.iter().any(|start| message.starts_with(start)) {
        return None;
    }
    let message: String = message.chars().filter(|c| !c.is_ascii_digit()).collect();
    Some(format!("{check} {} {message}", annotation.path.unwrap_or_default()))
}

impl Ci for GitHub {
    fn look<'a>(&'a self, repo: &'a Repo, sha: &'a Sha) -> BoxFuture<'a, Seen<CiRun>> {
        self.client.within(self.looked(repo, sha)).map(Seen::from).boxed()
    }

    fn trunk<'a>(&'a self, repo: &'a Repo) -> BoxFuture<'a, Seen<Verdict>> {
        self.client.within(self.tip_verdict(repo)).map(Seen::from).boxed()
    }

    fn rerun<'a>(&'a self, repo: &'a Repo, sha: &'a Sha, attempt: u32) -> BoxFuture<'a, Result<()>> {
        self.client.within(self.again(repo, sha, attempt)).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_read_as_github_means_it() {
        for (status, conclusion, result) in [
            ("queued", None, Checked::Pending),
            ("in_progress", None, Checked::Pending),
            ("pending", None, Checked::Pending),
            ("requested", None, Checked::Pending),
            ("waiting", None, Checked::Blocked),
            ("completed", Some("success"), Checked::Passed),
            ("completed", Some("neutral"), Checked::Passed),
            ("completed", Some("skipped"), Checked::Passed),
            ("completed", Some("action_required"), Checked::Blocked),
            ("completed", Some("failure"), Checked::Failed),
            ("completed", Some("cancelled"), Checked::Failed),
            ("completed", Some("timed_out"), Checked::Failed),
            ("completed", Some("stale"), Checked::Failed),
            ("completed", None, Checked::Failed),
        ] {
            assert_eq!(check_result(status, conclusion), result, "{status} {conclusion:?}");
        }
        for (state, result) in [
            ("success", Checked::Passed),
            ("pending", Checked::Pending),
            ("failure", Checked::Failed),
            ("error", Checked::Failed),
        ] {
            assert_eq!(status_result(state), result, "{state}");
        }
    }

    #[test]
    fn f24_a_failure_is_known_again_and_what_every_failure_says_is_not() {
        let annotation = |level: &str, message: &str| wire::Annotation {
            path: Some("src/lib.rs".into()),
            annotation_level: Some(level.into()),
            message: Some(message.into()),
        };
        let first = telling("test", annotation("failure", "totals differ at line 7 after 0.3 s"));
        assert_eq!(first, telling("test", annotation("failure", "totals differ at line 12 after 4.5 s")));
        assert_ne!(first, telling("test", annotation("failure", "totals are missing")));
        assert_eq!(telling("test", annotation("failure", "Process completed with exit code 101.")), None);
        assert_eq!(telling("test", annotation("warning", "deprecated")), None);
    }
}
