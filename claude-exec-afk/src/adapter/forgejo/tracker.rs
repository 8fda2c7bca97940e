//! Issues.

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::service::{Forgejo, Paged, api, hidden};
use super::wire;
use crate::adapter::comment::{self, Comment, Comments, Known};
use crate::adapter::forge::{self, Forge, confirm, gone};
use crate::adapter::held::held;
use crate::adapter::history::{LabelEvent, least_editor};
use crate::adapter::http::{Answer, Call, whole};
use crate::error::{Error, Result};
use crate::issue::{Blocker, Issue, IssueState, Permission};
use crate::names::{Digest, IssueKey, Repo};
use crate::port::{IssueText, LabelChange, Listing, Tracker};
use crate::seen::Seen;

/// The colour of a label that is made because it does not exist.
const COLOUR: &str = "#4b6bfb";
/// How long after a commit named an issue its closing is taken for that commit's, in milliseconds.
const CLOSING: u64 = 10_000;

impl Forgejo {
    async fn list(&self, repo: &Repo) -> Result<Listing> {
        let list = api(Call::get(format!("/repos/{repo}/issues")))
            .query("state", "open")
            .query("type", "issues")
            .query("labels", &self.ready_label);
        let pages = self.pages(list, Paged::Counted).await?;
        if pages[0].status() == 404 {
            return Err(hidden(repo));
        }
        // There are no etags. The same bytes are the same list, and need not be read.
        let digest = pages.iter().fold(Sha256::new(), |hash, page| hash.chain_update(page.bytes()));
        let digest: [u8; 32] = digest.finalize().into();
        if pages.iter().all(Answer::is_success) && held(&self.given).get(repo) == Some(&digest) {
            return Ok(Listing::Unchanged);
        }
        let issues: Vec<wire::Issue> = whole(&pages)?;
        let issues = issues.into_iter().filter(|issue| issue.pull_request.is_none());
        let mut issues: Vec<Issue> =
            issues.map(|issue| unread(IssueKey::new(repo.clone(), issue.number), issue)).collect();
        // The filter knows no label that does not exist, and then lets every issue pass (T1).
        issues.retain(|issue| issue.is_open() && issue.has(&self.ready_label));
        held(&self.given).insert(repo.clone(), digest);
        Ok(Listing::Issues(issues))
    }

    async fn get(&self, key: &IssueKey) -> Result<wire::Issue> {
        let issue: wire::Issue = self.one(at(key), key).await?;
        if issue.pull_request.is_some() {
            return Err(Error::refused(Self::NAME, format_args!("{key} is a pull request")));
        }
        let elsewhere = issue.repository.as_ref().is_some_and(|found| !is(&found.full_name, &key.repo));
        if elsewhere || issue.number != key.number {
            return Err(Error::refused(Self::NAME, format_args!("{key} was moved to another repository")));
        }
        Ok(issue)
    }

    async fn read(&self, key: &IssueKey) -> Result<Option<Issue>> {
        let found = self.get(key).await?;
        let author = match &found.user {
            Some(user) => self.permission(&key.repo, &user.login).await,
            None => Seen::Known(Permission::None),
        };
        let body = found.body.clone().unwrap_or_default();
        let mut issue = unread(key.clone(), found);
        let timeline = self.pages(api(Call::get(format!("{}/timeline", at(key)))), Paged::UntilEmpty).await;
        let timeline = timeline.and_then(|pages| whole::<wire::Entry>(&pages));
        issue.editor = least_editor(&author);
        issue.labelling = match &timeline {
            Ok(entries) => {
                let labellings: Vec<LabelEvent> = entries.iter().filter_map(label_event).collect();
                forge::labelling(self, &self.ready_label, &issue, &labellings, &author).await
            }
            Err(error) => Seen::unknown(error),
        };
        if !issue.is_open() {
            issue.state = self.closing(timeline.as_deref().unwrap_or_default()).await;
        }
        issue.blockers = self.blockers(key, &body).await.map(Some).into();
        Ok(Some(issue))
    }

    /// Who closed it: the loop's own account, which is no person; a commit, which leaves an entry of its own right
    /// before; or a person.
    async fn closing(&self, timeline: &[wire::Entry]) -> IssueState {
        let Some(place) = timeline.iter().rposition(|entry| entry.kind == "close") else {
            return IssueState::ClosedByPerson;
        };
        let (closing, before) = (&timeline[place], &timeline[..place]);
        let by = |entry: &wire::Entry| entry.user.as_ref().map(|user| user.login.to_ascii_lowercase());
        let own = self.own_login().await.ok().map(str::to_ascii_lowercase);
        let by_commit = before.iter().rev().any(|entry| {
            entry.kind == "commit_ref"
                && by(entry) == by(closing)
                && closing.created_at.0.saturating_sub(entry.created_at.0) <= CLOSING
        });
        if by_commit || (own.is_some() && own == by(closing)) {
            IssueState::ClosedByCommit
        } else {
            IssueState::ClosedByPerson
        }
    }

    async fn blockers(&self, key: &IssueKey, body: &str) -> Result<Vec<Blocker>> {
        let list = api(Call::get(format!("{}/dependencies", at(key))));
        let pages = self.pages(list, Paged::Counted).await?;
        // A server, or a repository, without dependencies; the issue itself was just read.
        let linked: Vec<wire::Issue> = if pages[0].status() == 404 { Vec::new() } else { whole(&pages)? };
        let linked = linked.into_iter().map(|issue| {
            let repo = match &issue.repository {
                Some(repository) => repository.full_name.parse()?,
                None => key.repo.clone(),
            };
            Ok(Blocker { key: IssueKey::new(repo, issue.number), open: Seen::Known(issue.state == "open") })
        });
        forge::blockers(self, key, body, linked.collect::<Result<_>>()?).await
    }

    async fn relabel(&self, key: &IssueKey, change: &LabelChange) -> Result<()> {
        let mut labels = self.labels(key).await?;
        let missing: Vec<&String> = change.add.iter().filter(|label| !has(&labels, label)).collect();
        if !missing.is_empty() {
            let mut ids = Vec::new();
            for label in missing {
                ids.push(self.label_id(&key.repo, label).await?);
            }
            let add = api(Call::post(format!("{}/labels", at(key)))).json(&json!({ "labels": ids }))?;
            let answer = self.client.send(&add).await?;
            labels = gone::<Self>(answer, key)?.ok()?.json()?;
        }
        let superfluous: Vec<wire::Label> =
            labels.iter().filter(|label| change.remove.contains(&label.name)).cloned().collect();
        for label in &superfluous {
            // By its id: Gitea knows no name there (T3).
            let remove = api(Call::delete(format!("{}/labels/{}", at(key), label.id)));
            let answer = self.client.send(&remove).await?;
            // Somebody was faster; whether that is so is asked below.
            if !matches!(answer.status(), 404 | 422) {
                answer.ok()?;
            }
        }
        if !superfluous.is_empty() {
            labels = self.labels(key).await?;
        }
        let names: Vec<String> = labels.into_iter().map(|label| label.name).collect();
        confirm(Self::NAME, change, &names)
    }

    async fn labels(&self, key: &IssueKey) -> Result<Vec<wire::Label>> {
        self.one(format!("{}/labels", at(key)), key).await
    }

    /// The id of a label of the repository or of its organisation; one that does not exist is made.
    async fn label_id(&self, repo: &Repo, name: &str) -> Result<u64> {
        let pages = self.pages(api(Call::get(format!("/repos/{repo}/labels"))), Paged::Counted).await?;
        if pages[0].status() == 404 {
            return Err(hidden(repo));
        }
        let labels: Vec<wire::Label> = whole(&pages)?;
        if let Some(label) = labels.iter().find(|label| label.name == name) {
            return Ok(label.id);
        }
        let pages =
            self.pages(api(Call::get(format!("/orgs/{}/labels", repo.owner()))), Paged::Counted).await?;
        // The owner is a person, or the token may not look at organisations.
        if pages[0].is_success() {
            let labels: Vec<wire::Label> = whole(&pages)?;
            if let Some(label) = labels.iter().find(|label| label.name == name) {
                return Ok(label.id);
            }
        }
        let content = json!({ "name": name, "color": COLOUR });
        let make = api(Call::post(format!("/repos/{repo}/labels"))).json(&content)?;
        Ok(self.client.send(&make).await?.ok()?.json::<wire::Label>()?.id)
    }

    async fn end(&self, key: &IssueKey) -> Result<()> {
        if self.get(key).await?.state != "open" {
            return Ok(());
        }
        let close = api(Call::patch(at(key))).json(&json!({ "state": "closed" }))?;
        let answer = gone::<Self>(self.client.send(&close).await?, key)?;
        // 201 is what it says (T4).
        if answer.status() == 412 {
            let reason = format!("{key} cannot be closed while an issue that it depends on is open (412)");
            return Err(Error::refused(Self::NAME, reason));
        }
        let issue: wire::Issue = answer.ok()?.json()?;
        if issue.state == "closed" {
            return Ok(());
        }
        Err(Error::refused(Self::NAME, format_args!("{key} was not closed; may this account do that?")))
    }
}

impl Comments for Forgejo {
    fn known(&self) -> &Known {
        &self.comments
    }

    /// This list has no pages.
    async fn all(&self, key: &IssueKey) -> Result<Vec<Comment>> {
        self.one(format!("{}/comments", at(key)), key).await
    }

    async fn change(&self, change: Call) -> Result<Answer> {
        self.client.send(&api(change)).await
    }
}

fn at(key: &IssueKey) -> String {
    format!("/repos/{}/issues/{}", key.repo, key.number)
}

fn is(name: &str, repo: &Repo) -> bool {
    name.eq_ignore_ascii_case(repo.as_str())
}

fn has(labels: &[wire::Label], name: &str) -> bool {
    labels.iter().any(|label| label.name == name)
}

/// What a list, or one reading, says of an issue by itself.
fn unread(key: IssueKey, issue: wire::Issue) -> Issue {
    let text = Digest::of(&issue.title, issue.body.as_deref().unwrap_or_default());
    Issue {
        key,
        state: if issue.state == "open" { IssueState::Open } else { IssueState::ClosedByPerson },
        labels: issue.labels.unwrap_or_default().into_iter().map(|label| label.name).collect(),
        title: issue.title,
        text: Seen::Known(text),
        editor: Seen::Unknown("not read yet".into()),
        labelling: Seen::Unknown("not read yet".into()),
        blockers: Seen::Unknown("not read yet".into()),
        updated: issue.updated_at.0,
    }
}

fn label_event(entry: &wire::Entry) -> Option<LabelEvent> {
    if entry.kind != "label" {
        return None;
    }
    let label = entry.label.as_ref()?.name.clone();
    let on = entry.body.as_deref() == Some("1");
    let actor = entry.user.as_ref().map_or("ghost", |user| &user.login).to_owned();
    Some(LabelEvent { label, on, actor, at: entry.created_at.0 })
}

impl Tracker for Forgejo {
    fn ready<'a>(&'a self, repo: &'a Repo) -> BoxFuture<'a, Result<Listing>> {
        self.client.within(self.list(repo)).boxed()
    }

    fn issue<'a>(&'a self, key: &'a IssueKey) -> BoxFuture<'a, Seen<Issue>> {
        self.client.within(self.read(key)).map(Seen::from).boxed()
    }

    fn text<'a>(&'a self, key: &'a IssueKey) -> BoxFuture<'a, Result<IssueText>> {
        let read = async move {
            let issue = self.get(key).await?;
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
