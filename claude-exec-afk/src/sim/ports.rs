//! The simulated world behind every port.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::Plot;
use super::agent::SimSession;
use super::world::{Fault, SimBell, State, World};
use crate::engine::Ports;
use crate::error::{Error, Result};
use crate::issue::{Blocker, Issue, IssueState, Labelling};
use crate::names::{Fence, IssueKey, Repo, RunId, Sha};
use crate::port::{
    Accepted, Agent, Bell, Ci, Deploy, IssueText, LabelChange, Listing, Lock, Notice, Permit, Receipt,
    Remote, Start, Taken, Tracker, Turn, Work,
};
use crate::run::{CiRun, Deployed, Head, Holder, Session, Verdict};
use crate::seen::Seen;

impl World {
    /// This world behind every port.
    pub fn ports(&self) -> Ports {
        let world = Arc::new(self.clone());
        Ports {
            tracker: world.clone(),
            agent: world.clone(),
            remote: world.clone(),
            ci: world.clone(),
            deploy: world.clone(),
            bell: world.clone(),
            lock: world,
            link: None,
        }
    }

    fn read(&self, state: &State, key: &IssueKey) -> Option<Issue> {
        let issue = state.issues.get(key)?;
        let labelling = Labelling {
            actor: "octocat".into(),
            at: issue.labelled,
            permission: Seen::Known(issue.labeller),
            text: Seen::Absent,
        };
        let ready = issue.labels.contains(&self.labels[0]);
        Some(Issue {
            key: key.clone(),
            title: issue.title.clone(),
            state: issue.state,
            labels: issue.labels.clone(),
            text: Seen::Known(issue.text()),
            editor: issue.editor.map_or(Seen::Absent, Seen::Known),
            labelling: if ready { Seen::Known(labelling) } else { Seen::Absent },
            blockers: Seen::Known(
                issue
                    .blockers
                    .iter()
                    .map(|(key, open)| Blocker { key: key.clone(), open: Seen::Known(*open) })
                    .collect(),
            ),
            updated: 0,
        })
    }
}

fn done<T: Send + 'static>(value: T) -> BoxFuture<'static, T> {
    futures::future::ready(value).boxed()
}

impl Tracker for World {
    fn ready<'a>(&'a self, repo: &'a Repo) -> BoxFuture<'a, Result<Listing>> {
        done(self.call("list", Fault::Tracker).and_then(|()| {
            let state = self.lock();
            if state.broken.as_ref() == Some(repo) {
                return Err(Error::unavailable("the tracker", "simulated failure of one repository", None));
            }
            let keys = state.issues.keys().filter(|key| key.repo == *repo);
            let issues = keys.filter_map(|key| self.read(&state, key));
            Ok(Listing::Issues(
                issues.filter(|issue| issue.is_open() && issue.has(&self.labels[0])).collect(),
            ))
        }))
    }

    fn issue<'a>(&'a self, key: &'a IssueKey) -> BoxFuture<'a, Seen<Issue>> {
        let called = self.call("issue", Fault::Tracker);
        assert!(!self.lock().faults.contains(&Fault::Panic), "simulated panic");
        done(called.map(|()| self.read(&self.lock(), key)).into())
    }

    fn text<'a>(&'a self, key: &'a IssueKey) -> BoxFuture<'a, Result<IssueText>> {
        let called = self.call("text", Fault::Tracker);
        done(called.and_then(|()| {
            let state = self.lock();
            let issue =
                state.issues.get(key).ok_or_else(|| Error::refused("the tracker", "no such issue"))?;
            Ok(IssueText { title: issue.title.clone(), body: issue.body.clone() })
        }))
    }

    fn label<'a>(&'a self, key: &'a IssueKey, change: &'a LabelChange) -> BoxFuture<'a, Result<()>> {
        async move {
            self.call("label", Fault::Tracker)?;
            self.change(|state| {
                if let Some(issue) = state.issues.get_mut(key) {
                    issue.labels.retain(|label| !change.remove.contains(label));
                    let new = change.add.iter().filter(|label| !issue.labels.contains(label)).cloned();
                    let new: Vec<_> = new.collect();
                    issue.labels.extend(new);
                }
            })
            .await;
            Ok(())
        }
        .boxed()
    }

    fn comment<'a>(&'a self, key: &'a IssueKey, marker: &'a str, body: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            self.call("comment", Fault::Tracker)?;
            self.change(|state| {
                if let Some(issue) = state.issues.get_mut(key) {
                    issue.comments.insert(marker.into(), body.into());
                }
            })
            .await;
            Ok(())
        }
        .boxed()
    }

    fn close<'a>(&'a self, key: &'a IssueKey) -> BoxFuture<'a, Result<()>> {
        async move {
            self.call("close", Fault::Tracker)?;
            self.change(|state| {
                if let Some(issue) = state.issues.get_mut(key)
                    && issue.state == IssueState::Open
                {
                    issue.state = IssueState::ClosedByCommit;
                    issue.closings += 1;
                }
            })
            .await;
            Ok(())
        }
        .boxed()
    }
}

impl World {
    async fn begin(&self, run: &RunId, issue: &IssueKey, turn: u32, permit: Permit) -> Result<Accepted> {
        self.call("agent", Fault::Agent)?;
        if !permit.still().await {
            return Ok(Accepted::Refused);
        }
        let accepted = self.change(|state| {
            let plot = state.issues.get(issue).map_or(Plot::Lands, |issue| issue.plot);
            let session = state.sessions.entry(run.clone()).or_insert_with(|| SimSession::new(plot));
            if session.stopped {
                return Accepted::Refused;
            }
            if plot != Plot::NeverStarts {
                session.begin(turn);
            }
            Accepted::Begun
        });
        Ok(accepted.await)
    }
}

impl Agent for World {
    fn start<'a>(&'a self, start: &'a Start, permit: Permit) -> BoxFuture<'a, Result<Accepted>> {
        self.begin(&start.task.run, &start.task.issue, 1, permit).boxed()
    }

    fn turn<'a>(&'a self, turn: &'a Turn, permit: Permit) -> BoxFuture<'a, Result<Accepted>> {
        self.begin(&turn.task.run, &turn.task.issue, turn.number, permit).boxed()
    }

    fn interrupt<'a>(&'a self, run: &'a RunId, turn: u32) -> BoxFuture<'a, Result<()>> {
        async move {
            self.call("interrupt", Fault::Agent)?;
            self.change(|state| {
                if let Some(session) = state.sessions.get_mut(run)
                    && session.turns <= turn
                    && session.is_busy()
                {
                    session.activity = crate::run::Activity::Failed;
                }
            })
            .await;
            Ok(())
        }
        .boxed()
    }

    fn stop<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<()>> {
        async move {
            self.call("stop", Fault::Agent)?;
            self.change(|state| {
                let session =
                    state.sessions.entry(run.clone()).or_insert_with(|| SimSession::new(Plot::Lands));
                session.stopped = true;
            })
            .await;
            Ok(())
        }
        .boxed()
    }

    fn look<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Seen<Session>> {
        let called = self.call("session", Fault::Agent);
        done(
            called
                .map(|()| {
                    let state = self.lock();
                    let session =
                        state.sessions.get(run).filter(|session| session.turns > 0 && !session.gone);
                    session.map(SimSession::seen)
                })
                .into(),
        )
    }
}

impl Remote for World {
    fn head<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Seen<Head>> {
        let called = self.call("head", Fault::Remote);
        done(
            called
                .map(|()| {
                    let state = self.lock();
                    let ours = state.commits.iter().filter(|(_, commit)| commit.run == work.run);
                    let newest = ours.max_by_key(|(_, commit)| commit.number).map(|(sha, _)| sha.clone());
                    match (&work.pushed, newest) {
                        (Some(_), None) => Some(Head::Diverged),
                        (_, newest) => newest.map(Head::Pushed),
                    }
                })
                .into(),
        )
    }
}

impl Ci for World {
    fn look<'a>(&'a self, _: &'a Repo, sha: &'a Sha) -> BoxFuture<'a, Seen<CiRun>> {
        let called = self.call("ci", Fault::Ci);
        done(
            called
                .map(|()| {
                    let state = self.lock();
                    let commit = state.commits.get(sha)?;
                    Some(CiRun { sha: sha.clone(), attempt: commit.attempt, verdict: commit.verdict()? })
                })
                .into(),
        )
    }

    fn trunk<'a>(&'a self, _: &'a Repo) -> BoxFuture<'a, Seen<Verdict>> {
        done(self.call("trunk", Fault::Ci).map(|()| None).into())
    }

    fn rerun<'a>(&'a self, _: &'a Repo, sha: &'a Sha, attempt: u32) -> BoxFuture<'a, Result<()>> {
        async move {
            self.call("rerun", Fault::Ci)?;
            self.change(|state| {
                if let Some(commit) = state.commits.get_mut(sha)
                    && commit.attempt == attempt
                {
                    commit.attempt += 1;
                    commit.age = 0;
                }
            })
            .await;
            Ok(())
        }
        .boxed()
    }
}

impl Deploy for World {
    fn begin<'a>(&'a self, _: &'a Repo, _: &'a Sha) -> BoxFuture<'a, Result<()>> {
        done(self.call("deploy", Fault::Ci))
    }

    fn look<'a>(&'a self, _: &'a Repo, sha: &'a Sha) -> BoxFuture<'a, Seen<Deployed>> {
        let called = self.call("deployed", Fault::Ci);
        done(
            called
                .map(|()| {
                    let state = self.lock();
                    let commit = state.commits.get(sha)?;
                    Some(match commit.plot {
                        Plot::DeployFails if commit.number == 0 => Deployed::Failed(sha.clone()),
                        Plot::DeployStuck => Deployed::Pending,
                        _ if commit.deployed > 2 => Deployed::Healthy(sha.clone()),
                        _ => Deployed::Pending,
                    })
                })
                .into(),
        )
    }
}

impl Bell for World {
    fn ring<'a>(&'a self, notice: &'a Notice, again: bool) -> BoxFuture<'a, Result<Receipt>> {
        async move {
            self.call("ring", Fault::Bell)?;
            self.change(|state| {
                // A service without keys: only whoever knows that it may have rung looks first.
                if !again || !state.bells.iter().any(|bell| bell.key == notice.key) {
                    state.bells.push(SimBell {
                        key: notice.key.clone(),
                        kind: notice.kind,
                        title: notice.title.clone(),
                        acknowledged: false,
                    });
                }
            })
            .await;
            Ok(Receipt(notice.key.clone()))
        }
        .boxed()
    }

    fn acknowledged<'a>(&'a self, receipt: &'a Receipt) -> BoxFuture<'a, Seen<bool>> {
        let called = self.call("acknowledged", Fault::Bell);
        done(
            called
                .map(|()| {
                    let state = self.lock();
                    let bell = state.bells.iter().find(|bell| bell.key == receipt.0);
                    bell.map(|bell| bell.acknowledged)
                })
                .into(),
        )
    }
}

impl Lock for World {
    fn take<'a>(
        &'a self,
        issue: &'a IssueKey,
        run: &'a RunId,
        over: Option<&'a Holder>,
    ) -> BoxFuture<'a, Result<Taken>> {
        async move {
            self.call("take", Fault::Lock)?;
            let taken = self.change(|state| match state.locks.get(&issue.repo) {
                Some(holder) if holder.run == *run => Taken::Ours(holder.fence),
                Some(holder) if Some(holder) != over => Taken::Theirs(holder.clone()),
                held => {
                    let fence = Fence(held.map_or(1, |holder| holder.fence.0 + 1));
                    state.locks.insert(issue.repo.clone(), Holder { run: run.clone(), fence });
                    Taken::Ours(fence)
                }
            });
            Ok(taken.await)
        }
        .boxed()
    }

    fn look<'a>(&'a self, repo: &'a Repo) -> BoxFuture<'a, Seen<Holder>> {
        let called = self.call("lock", Fault::Lock);
        done(called.map(|()| self.lock().locks.get(repo).cloned()).into())
    }

    fn renew<'a>(&'a self, issue: &'a IssueKey, _: &'a RunId) -> BoxFuture<'a, Seen<Holder>> {
        let called = self.call("renew", Fault::Lock);
        done(called.map(|()| self.lock().locks.get(&issue.repo).cloned()).into())
    }

    fn release<'a>(&'a self, issue: &'a IssueKey, run: &'a RunId) -> BoxFuture<'a, Result<()>> {
        async move {
            self.call("release", Fault::Lock)?;
            self.change(|state| {
                if state.locks.get(&issue.repo).is_some_and(|holder| holder.run == *run) {
                    state.locks.remove(&issue.repo);
                }
            })
            .await;
            Ok(())
        }
        .boxed()
    }
}
