//! One look at everything that a run's next decision rests on.

use super::Engine;
use super::limit::look;
use crate::error::Result;
use crate::issue::Issue;
use crate::names::RunId;
use crate::port::Work;
use crate::run::{Holder, IssueView, Mode, Observation, Record, State};
use crate::seen::Seen;
use crate::time::Now;

impl Engine {
    /// Looks at the world for a run: the session before the remote, the remote before CI, CI before the
    /// deployment. What its state has no use for is not looked at.
    pub(super) async fn observe(&self, record: &Record, mode: Mode, now: Now) -> Result<Observation> {
        let row = &record.row;
        let (begun, active) = (row.starts > 0, row.state.is_active());
        let pushed = row.pushed.as_ref();
        let room = self.ledger.room(&row.issue.repo, &self.config.budget, now).await?;
        let lock = self.lock_of(record).await?;
        let issue = match active {
            true => {
                look("the tracker", self.ports.tracker.issue(&row.issue)).await.map(|issue| self.view(&issue))
            }
            false => not_needed(),
        };
        let session = match begun && active {
            true => look("the agent", self.ports.agent.look(&row.run)).await,
            false => not_needed(),
        };
        let head = match begun {
            true => {
                let work =
                    Work { run: row.run.clone(), issue: row.issue.clone(), pushed: row.pushed.clone() };
                look("the remote", self.ports.remote.head(&work)).await
            }
            false => not_needed(),
        };
        let ci = match (row.state, pushed) {
            (State::CiWait | State::Rerunning, Some(sha)) => {
                look("CI", self.ports.ci.look(&row.issue.repo, sha)).await
            }
            _ => not_needed(),
        };
        let deploy = match (row.state, pushed) {
            (State::DeployWait | State::Soaking, Some(sha)) => {
                look("the deployment", self.ports.deploy.look(&row.issue.repo, sha)).await
            }
            _ => not_needed(),
        };
        Ok(Observation { mode, pending: record.is_pending(), room, lock, issue, session, head, ci, deploy })
    }

    /// Who holds the run's lock, renewed where it is ours. One left by a run of this ledger that is over is there
    /// for the taking.
    async fn lock_of(&self, record: &Record) -> Result<Seen<Holder>> {
        let row = &record.row;
        let holder = look("the lock", self.ports.lock.renew(&row.issue, &row.run)).await;
        match &holder {
            Seen::Known(found) if found.run != row.run && self.is_over(&found.run).await? => Ok(Seen::Absent),
            _ => Ok(holder),
        }
    }

    pub(super) async fn is_over(&self, run: &RunId) -> Result<bool> {
        Ok(self.ledger.run(run).await?.is_some_and(|stored| !stored.record.row.state.is_busy()))
    }

    fn view(&self, issue: &Issue) -> IssueView {
        IssueView {
            state: issue.state,
            ready: issue.has(&self.config.ready_label),
            marked: issue.has(&self.config.in_progress_label),
            human: issue.has(&self.config.human_label),
            text: issue.text.clone(),
            editor: issue.editor.clone(),
            labelled: issue.labelling.clone().map(|labelling| labelling.at),
        }
    }
}

fn not_needed<T>() -> Seen<T> {
    Seen::Unknown("not looked at".into())
}
