//! Issues.

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;

use super::service::{GitHub, call, hidden};
use super::wire;
use crate::adapter::comment::{self, Comment, Comments, Known};
use crate::adapter::forge::{self, Forge, confirm, gone};
use crate::adapter::held::held;
use crate::adapter::history::{LabelEvent, least_editor};
use crate::adapter::http::{Answer, Call, segment, whole};
use crate::error::{Error, Result};
use crate::issue::{Blocker, Issue, IssueState, Permission};
use crate::names::{Digest, IssueKey, Repo};
use crate::port::{IssueText, LabelChange, Listing, Tracker};
use crate::seen::Seen;

impl GitHub {
    async fn list(&self, repo: &Repo) -> Result<Listing> {
        let list = Call::get(format!("/repos/{repo}/issues"))
            .query("labels", &self.ready_label)
            .query("state", "open")
            .query("sort", "created")
            .query("direction", "asc")
            .query("per_page", "100");
        let pages = self.client.pages(&call(list).conditional()).await?;
        if pages[0].status() == 404 {
            return Err(hidden(repo));
        }
        let etags: Vec<String> =
            pages.iter().filter_map(|page| page.header("etag").map(str::to_owned)).collect();
        if etags.len() == pages.len() && held(&self.given).get(repo) == Some(&etags) {
            return Ok(Listing::Unchanged);
        }
        let issues: Vec<wire::Issue> = whole(&pages)?;
        let issues = issues.into_iter().filter(|issue| issue.pull_request.is_none());
        let mut issues: Vec<Issue> =
            issues.map(|issue| unread(IssueKey::new(repo.clone(), issue.number), issue)).collect();
        // The service's own filter ignores case, and may be another one's that behaves otherwise (T1).
        issues.retain(|issue| issue.is_open() && issue.has(&self.ready_label));
        held(&self.given).insert(repo.clone(), etags);
        Ok(Listing::Issues(issues))
    }

    async fn get(&self, key: &IssueKey) -> Result<Option<wire::Issue>> {
        let answer = self.client.send(&call(Call::get(at(key))).conditional()).await?;
        match answer.status() {
            410 => return Ok(None),
            404 => return Err(hidden(key)),
            _ => {}
        }
        let issue: wire::Issue = answer.ok()?.json()?;
        if issue.pull_request.is_some() {
            return Err(Error::refused("GitHub", format_args!("{key} is a pull request")));
        }
        // A transferred issue answers at its old address too.
        let elsewhere = issue.repository_url.as_deref().is_some_and(|url| !ends_with(url, &key.repo));
        if elsewhere || issue.number != key.number {
            return Err(Error::refused("GitHub", format_args!("{key} was moved to another repository")));
        }
        Ok(Some(issue))
    }

    async fn read(&self, key: &IssueKey) -> Result<Option<Issue>> {
        let Some(found) = self.get(key).await? else { return Ok(None) };
        let author = match &found.user {
            Some(user) => self.permission(&key.repo, &user.login).await,
            None => Seen::Known(Permission::None),
        };
        let closed_by = found.closed_by.as_ref().map(|user| user.login.clone());
        let body = found.body.clone().unwrap_or_default();
        let mut issue = unread(key.clone(), found);
        let list = Call::get(format!("{}/events", at(key))).query("per_page", "100");
        let events = match self.client.pages(&call(list).conditional()).await {
            Ok(pages) => whole::<wire::Event>(&pages),
            Err(error) => Err(error),
        };
        issue.editor = least_editor(&author);
        issue.labelling = match &events {
            Ok(events) => {
                let labellings: Vec<LabelEvent> = events.iter().filter_map(label_event).collect();
                forge::labelling(self, &self.ready_label, &issue, &labellings, &author).await
            }
            Err(error) => Seen::unknown(error),
        };
        if !issue.is_open() {
            issue.state = self.closing(events.as_deref().unwrap_or_default(), closed_by.as_deref()).await;
        }
        issue.blockers = self.blockers(key, &body).await.map(Some).into();
        Ok(Some(issue))
    }

    /// Who closed it: a commit, or the loop's own account, which is no person; or a person.
    async fn closing(&self, events: &[wire::Event], closed_by: Option<&str>) -> IssueState {
        let last = events.iter().rfind(|event| event.event == "closed");
        let own = self.own_login().await.ok();
        let ours =
            own.is_some() && own.map(str::to_ascii_lowercase) == closed_by.map(str::to_ascii_lowercase);
        let by_commit = last.is_some_and(|event| event.commit_id.is_some());
        if by_commit || ours { IssueState::ClosedByCommit } else { IssueState::ClosedByPerson }
    }

    /// What it is blocked by: GitHub's own dependencies, and what its text says.
    async fn blockers(&self, key: &IssueKey, body: &str) -> Result<Vec<Blocker>> {
        let list = Call::get(format!("{}/dependencies/blocked_by", at(key))).query("per_page", "100");
        let pages = self.client.pages(&call(list).conditional()).await?;
        // An Enterprise Server that has no dependencies yet; the issue itself was just read.
        let linked: Vec<wire::Issue> = if pages[0].status() == 404 { Vec::new() } else { whole(&pages)? };
        let mut blockers: Vec<Blocker> = Vec::new();
        for issue in linked {
            let repo = issue.repository_url.as_deref().map_or(Some(key.repo.clone()), repository);
            let repo =
                repo.ok_or_else(|| Error::unavailable("GitHub", "a blocker has no repository", None))?;
            let open = Seen::Known(issue.state == "open");
            blockers.push(Blocker { key: IssueKey::new(repo, issue.number), open });
        }
        forge::blockers(self, key, body, blockers).await
    }

    async fn relabel(&self, key: &IssueKey, change: &LabelChange) -> Result<()> {
        let mut labels: Option<Vec<String>> = None;
        let names = |labels: Vec<wire::Label>| Some(labels.into_iter().map(wire::Label::name).collect());
        if !change.add.is_empty() {
            let add = Call::post(format!("{}/labels", at(key))).json(&json!({ "labels": change.add }))?;
            let answer = self.client.send(&call(add)).await?;
            labels = names(gone::<Self>(answer, key)?.ok()?.json()?);
        }
        for label in &change.remove {
            let remove = Call::delete(format!("{}/labels/{}", at(key), segment(label)));
            let answer = self.client.send(&call(remove)).await?;
            // It is not there, or we may not see the issue (T12): the issue itself is asked below.
            labels = if answer.status() == 404 { None } else { names(answer.ok()?.json()?) };
        }
        let labels = match labels {
            Some(labels) => labels,
            None => match self.get(key).await? {
                Some(issue) => issue.labels.into_iter().map(wire::Label::name).collect(),
                None => return Err(Error::refused("GitHub", format_args!("{key} was deleted"))),
            },
        };
        confirm("GitHub", change, &labels)
    }

    async fn end(&self, key: &IssueKey) -> Result<()> {
        match self.get(key).await? {
            // Whoever closed it said why; that stays.
            Some(issue) if issue.state != "open" => return Ok(()),
            None => return Ok(()),
            Some(_) => {}
        }
        let content = json!({ "state": "closed", "state_reason": "completed" });
        let answer = self.client.send(&call(Call::patch(at(key)).json(&content)?)).await?;
        let issue: wire::Issue = gone::<Self>(answer, key)?.ok()?.json()?;
        if issue.state == "closed" {
            return Ok(());
        }
        Err(Error::refused("GitHub", format_args!("{key} was not closed; may this account do that?")))
    }
}

impl Comments for GitHub {
    fn known(&self) -> &Known {
        &self.comments
    }

    async fn all(&self, key: &IssueKey) -> Result<Vec<Comment>> {
        let list = Call::get(format!("{}/comments", at(key))).query("per_page", "100");
        let pages = self.client.pages(&call(list)).await?;
        if pages[0].status() == 404 {
            return Err(hidden(key));
        }
        whole(&pages)
    }

    async fn change(&self, change: Call) -> Result<Answer> {
        self.client.send(&call(change)).await
    }
}

fn at(key: &IssueKey) -> String {
    format!("/repos/{}/issues/{}", key.repo, key.number)
}

fn ends_with(url: &str, repo: &Repo) -> bool {
    repository(url).is_some_and(|found| found.as_str().eq_ignore_ascii_case(repo.as_str()))
}

/// `owner/name` of an address `…/repos/owner/name`.
fn repository(url: &str) -> Option<Repo> {
    url.rsplit_once("/repos/")?.1.parse().ok()
}

/// What a list, or one reading, says of an issue by itself.
fn unread(key: IssueKey, issue: wire::Issue) -> Issue {
    let text = Digest::of(&issue.title, issue.body.as_deref().unwrap_or_default());
    Issue {
        key,
        state: if issue.state == "open" { IssueState::Open } else { IssueState::ClosedByPerson },
        labels: issue.labels.into_iter().map(wire::Label::name).collect(),
        title: issue.title,
        text: Seen::Known(text),
        editor: Seen::Unknown("not read yet".into()),
        labelling: Seen::Unknown("not read yet".into()),
        blockers: Seen::Unknown("not read yet".into()),
        updated: issue.updated_at.0,
    }
}

fn label_event(event: &wire::Event) -> Option<LabelEvent> {
    let on = match event.event.as_str() {
        "labeled" => true,
        "unlabeled" => false,
        _ => return None,
    };
    let label = event.label.as_ref()?.name.clone()?;
    // A deleted account may do nothing.
    let actor = event.actor.as_ref().map_or("ghost", |actor| &actor.login).to_owned();
    Some(LabelEvent { label, on, actor, at: event.created_at.0 })
}

impl Tracker for GitHub {
    fn ready<'a>(&'a self, repo: &'a Repo) -> BoxFuture<'a, Result<Listing>> {
        self.client.within(self.list(repo)).boxed()
    }

    fn issue<'a>(&'a self, key: &'a IssueKey) -> BoxFuture<'a, Seen<Issue>> {
        self.client.within(self.read(key)).map(Seen::from).boxed()
    }

    fn text<'a>(&'a self, key: &'a IssueKey) -> BoxFuture<'a, Result<IssueText>> {
        let read = async move {
            let issue = self.get(key).await?;
            let issue = issue.ok_or_else(|| Error::refused("GitHub", format_args!("{key} was deleted")))?;
            Ok(IssueText { title: issue.title, body: issue.body.unwrap_or_default() })
        };
        self.client.within(read).boxed()
    }

    fn label<'a>(&'a self, key: &'a IssueKey, change: &'a LabelChange) -> BoxFuture<'a, Result<()>> {
        self.client.within(self.relabel(key, change)).boxed()
    }

    fn comment<'a>(&'a self, key: &'a IssueKey, marker: &'a str, body: &'a str) -> BoxFuture<'a, Result<()>> {
        self.client.within(comment::keep(self, key, marker, body)).boxed()
    }

    fn close<'a>(&'a self, key: &'a IssueKey) -> BoxFuture<'a, Result<()>> {
        self.client.within(self.end(key)).boxed()
    }
}
