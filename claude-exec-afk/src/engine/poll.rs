//! The poller's tick: what is ready, and what of it is claimed.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt, stream};

use super::limit::{call, look};
use super::watch::REPOS_AT_ONCE;
use super::{Engine, Explanation, Tick};
use crate::error::{Error, Result};
use crate::issue::{Issue, Labelling};
use crate::names::{Digest, IssueKey, Repo};
use crate::policy::{Gate, Plan, RepoView, World, plan};
use crate::port::Listing;
use crate::run::{Mode, Row};
use crate::seen::Seen;
use crate::time::Now;

/// Issues of one repository that are read whole in one tick, until one passes: each costs a few calls.
const READINGS: usize = 10;

/// What is known for a plan.
#[derive(Default)]
struct Survey {
    issues: Vec<Issue>,
    repos: BTreeMap<Repo, RepoView>,
    unknown: Vec<(Repo, Error)>,
}

impl Engine {
    /// Reads what is ready, plans, and claims. Asks nothing of anyone while nothing may be started.
    pub(super) async fn poll(&self, tick: &mut Tick) -> Result<()> {
        let mode = self.ledger.mode().await?;
        if !self.config.is_enabled() || !mode.may_start() {
            return Ok(());
        }
        let survey = self.survey(true).await?;
        tick.unknown.extend(survey.unknown);
        let mut held = Vec::new();
        if !survey.issues.is_empty() {
            let runs = self.rows(&survey.issues).await?;
            let made = self.plan(mode, &survey.issues, &runs, &survey.repos).await?;
            held = made.held;
            for claim in made.claims {
                let now = self.now().await?;
                let last = runs.iter().filter(|row| row.issue == claim.key);
                let last = last.max_by_key(|row| row.claimed).map(|row| &row.run);
                if let Some(stored) = self.ledger.claim(&claim, last, &self.config, now).await? {
                    tracing::info!(run = %stored.record.row.run, issue = %claim.key, "claimed");
                    tick.claimed.push(stored.record.row.run);
                }
            }
        }
        tick.held.clone_from(&held);
        *self.held.lock().await = held;
        Ok(())
    }

    /// What a tick would claim now, and why nothing else: reads the trackers, writes nothing anywhere but into
    /// this engine's own ledger.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be used.
    pub async fn simulate(&self) -> Result<(Plan, Vec<(Repo, Error)>)> {
        let mode = self.ledger.mode().await?;
        let survey = self.survey(false).await?;
        let runs = self.rows(&survey.issues).await?;
        Ok((self.plan(mode, &survey.issues, &runs, &survey.repos).await?, survey.unknown))
    }

    /// Which gate holds an issue, and why; or that the next tick claims it.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be used, or the issue cannot be read.
    pub async fn explain(&self, key: &IssueKey) -> Result<Explanation> {
        if !self.config.allowlist.contains(&key.repo) {
            return Ok(Explanation::Held(Gate::NotAllowed));
        }
        let mode = self.ledger.mode().await?;
        let mut survey = self.survey_repo(&key.repo, false).await?;
        if !survey.issues.iter().any(|issue| issue.key == *key) {
            survey.issues.push(self.read(key).await?);
        }
        if !survey.repos.contains_key(&key.repo) {
            survey.repos.insert(key.repo.clone(), self.view_of(&key.repo).await?);
        }
        let runs = self.rows(&survey.issues).await?;
        let made = self.plan(mode, &survey.issues, &runs, &survey.repos).await?;
        let held = made.held.into_iter().find(|held| held.key == *key);
        Ok(held.map_or(Explanation::Next, |held| Explanation::Held(held.gate)))
    }

    async fn plan(
        &self,
        mode: Mode,
        issues: &[Issue],
        runs: &[Row],
        repos: &BTreeMap<Repo, RepoView>,
    ) -> Result<Plan> {
        let failures = self.failures().await?;
        Ok(plan(&World { mode, issues, runs, repos, failures: &failures }, &self.config))
    }

    /// The rows that a plan needs: every busy one, and the last of each issue.
    async fn rows(&self, issues: &[Issue]) -> Result<Vec<Row>> {
        let mut rows = BTreeMap::new();
        for run in self.ledger.open().await? {
            if let Some(stored) = self.ledger.run(&run).await? {
                rows.insert(run, stored.record.row);
            }
        }
        for issue in issues {
            if let Some(stored) = self.ledger.last(&issue.key).await? {
                rows.insert(stored.record.row.run.clone(), stored.record.row);
            }
        }
        Ok(rows.into_values().collect())
    }

    async fn survey(&self, skip_busy: bool) -> Result<Survey> {
        let work = self
            .config
            .allowlist
            .iter()
            .map(|repo| async move { (repo, self.survey_repo(repo, skip_busy).await) });
        let surveys: Vec<_> = stream::iter(work).buffer_unordered(REPOS_AT_ONCE).collect().await;
        let mut whole = Survey::default();
        for (repo, survey) in surveys {
            match survey {
                Ok(survey) => {
                    whole.issues.extend(survey.issues);
                    whole.repos.extend(survey.repos);
                }
                // That repository is unknown in this tick; the others are not.
                Err(error) => {
                    tracing::warn!(%repo, %error, "not read");
                    whole.unknown.push((repo.clone(), error));
                }
            }
        }
        Ok(whole)
    }

    /// Reads one repository: one conditional request when nothing is new and nothing is ready.
    async fn survey_repo(&self, repo: &Repo, skip_busy: bool) -> Result<Survey> {
        let mut survey = Survey::default();
        if skip_busy && self.ledger.is_repo_busy(repo).await? {
            return Ok(survey);
        }
        let listing = call("the tracker", self.ports.tracker.ready(repo)).await?;
        let list = {
            let mut lists = self.lists.lock().await;
            if let Listing::Issues(issues) = listing {
                lists.insert(repo.clone(), Arc::from(issues));
            }
            lists.get(repo).cloned().unwrap_or_default()
        };
        let mut candidates: Vec<&Issue> =
            list.iter().filter(|issue| issue.is_open() && !issue.has(&self.config.human_label)).collect();
        if candidates.is_empty() {
            return Ok(survey);
        }
        candidates.sort_by_key(|issue| (issue.priority(), issue.key.number));
        let view = self.view_of(repo).await?;
        survey.repos.insert(repo.clone(), view);
        for issue in candidates.into_iter().take(READINGS) {
            let read = self.read(&issue.key).await?;
            let passes = self.passes(&read, &survey.repos).await?;
            survey.issues.push(read);
            if passes {
                break;
            }
        }
        Ok(survey)
    }

    async fn passes(&self, issue: &Issue, repos: &BTreeMap<Repo, RepoView>) -> Result<bool> {
        let issues = std::slice::from_ref(issue);
        let rows = self.rows(issues).await?;
        Ok(!self.plan(Mode::Run, issues, &rows, repos).await?.claims.is_empty())
    }

    /// Reads one issue whole, right before anything is decided about it.
    async fn read(&self, key: &IssueKey) -> Result<Issue> {
        let mut issue = match look("the tracker", self.ports.tracker.issue(key)).await {
            Seen::Known(issue) => issue,
            Seen::Absent => return Err(Error::refused("the tracker", format_args!("{key} was deleted"))),
            Seen::Unknown(reason) => return Err(Error::unavailable("the tracker", reason, None)),
        };
        if let (Seen::Known(labelling), Seen::Known(text)) = (&mut issue.labelling, &issue.text) {
            labelling.text = self.labelled_text(key, labelling, text).await?;
        }
        Ok(issue)
    }

    /// What the text was when it was labelled. A tracker may be able to tell right after the labelling and no more
    /// later, so what it told, or what was seen first where it tells nothing, is kept.
    async fn labelled_text(
        &self,
        key: &IssueKey,
        labelling: &Labelling,
        now: &Digest,
    ) -> Result<Seen<Digest>> {
        Ok(Seen::Known(match &labelling.text {
            Seen::Known(text) => {
                self.ledger.first_sight(key, labelling.at, text).await?;
                text.clone()
            }
            Seen::Absent => self.ledger.first_sight(key, labelling.at, now).await?,
            Seen::Unknown(reason) => match self.ledger.sighted(key, labelling.at).await? {
                Some(text) => text,
                None => return Ok(Seen::Unknown(reason.clone())),
            },
        }))
    }

    async fn view_of(&self, repo: &Repo) -> Result<RepoView> {
        let now: Now = self.now().await?;
        Ok(RepoView {
            trunk: look("CI", self.ports.ci.trunk(repo)).await,
            room: self.ledger.room(repo, &self.config.budget, now).await?,
            holder: match look("the lock", self.ports.lock.look(repo)).await {
                // Left behind by a run of this ledger that is over.
                Seen::Known(holder) if self.is_over(&holder.run).await? => Seen::Absent,
                holder => holder,
            },
        })
    }
}
