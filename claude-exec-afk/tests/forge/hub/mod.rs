//! A small forge with a memory, with the faces of three services. It does what their descriptions say, traps
//! included, and refuses what they refuse.

mod forgejo;
mod github;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::stub::{Asked, Reply, Stub};

pub(crate) const REPO: &str = "octo/site";
pub(crate) const READY: &str = "ready-for-agent";
/// The loop's own account and its token.
pub(crate) const BOT: &str = "afk-bot";
pub(crate) const TOKEN: &str = "token-of-the-bot";

/// Whose face it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    GitHub,
    Forgejo,
    Gitea,
}

/// What is in it.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    pub(crate) issues: BTreeMap<u64, HubIssue>,
    /// What accounts may do; others may read.
    pub(crate) roles: BTreeMap<String, &'static str>,
    /// The repository's labels with their ids.
    pub(crate) labels: BTreeMap<String, u64>,
    pub(crate) statuses: Vec<HubStatus>,
    pub(crate) checks: Vec<serde_json::Value>,
    pub(crate) runs: Vec<serde_json::Value>,
    pub(crate) annotations: BTreeMap<u64, serde_json::Value>,
    /// What the branch's protection requires.
    pub(crate) required: Vec<String>,
    /// The bot may not ask what others may do.
    pub(crate) no_admin: bool,
    /// The bot may not push: labels are dropped in silence.
    pub(crate) no_push: bool,
    pub(crate) now: u64,
    ids: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct HubIssue {
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) author: String,
    pub(crate) closed: bool,
    pub(crate) deleted: bool,
    pub(crate) pull: bool,
    pub(crate) labels: Vec<String>,
    pub(crate) events: Vec<HubEvent>,
    pub(crate) comments: Vec<(u64, String, String)>,
    pub(crate) blocked_by: Vec<u64>,
    pub(crate) updated: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct HubEvent {
    pub(crate) kind: &'static str,
    pub(crate) actor: String,
    pub(crate) label: Option<String>,
    pub(crate) commit: Option<String>,
    pub(crate) at: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct HubStatus {
    pub(crate) id: u64,
    pub(crate) context: String,
    pub(crate) state: String,
    pub(crate) at: u64,
}

impl Hub {
    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// A second passes.
    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    pub(crate) fn open(&mut self, author: &str, title: &str, body: &str) -> u64 {
        let (number, now) = (self.issues.len() as u64 + 1, self.tick());
        let issue = HubIssue {
            title: title.into(),
            body: body.into(),
            author: author.into(),
            updated: now,
            ..HubIssue::default()
        };
        self.issues.insert(number, issue);
        number
    }

    pub(crate) fn label(&mut self, actor: &str, number: u64, label: &str, on: bool) {
        let (now, id) = (self.tick(), self.id());
        self.labels.entry(label.into()).or_insert(id);
        let issue = self.issues.get_mut(&number).unwrap();
        if issue.labels.iter().any(|name| name == label) == on {
            return;
        }
        match on {
            true => issue.labels.push(label.into()),
            false => issue.labels.retain(|name| name != label),
        }
        let kind = if on { "labeled" } else { "unlabeled" };
        let event = HubEvent { kind, actor: actor.into(), label: Some(label.into()), commit: None, at: now };
        issue.events.push(event);
        issue.updated = now;
    }

    pub(crate) fn edit(&mut self, number: u64, body: &str) {
        let now = self.tick();
        let issue = self.issues.get_mut(&number).unwrap();
        (issue.body, issue.updated) = (body.into(), now);
    }

    pub(crate) fn close(&mut self, actor: &str, number: u64, commit: Option<&str>) {
        let now = self.tick();
        let issue = self.issues.get_mut(&number).unwrap();
        (issue.closed, issue.updated) = (true, now);
        let commit = commit.map(str::to_owned);
        issue.events.push(HubEvent { kind: "closed", actor: actor.into(), label: None, commit, at: now });
    }

    pub(crate) fn status(&mut self, context: &str, state: &str) {
        let (id, at) = (self.id(), self.tick());
        self.statuses.push(HubStatus { id, context: context.into(), state: state.into(), at });
    }

    fn comment(&mut self, number: u64, user: &str, body: &str) -> u64 {
        let (id, now) = (self.id(), self.tick());
        let issue = self.issues.get_mut(&number).unwrap();
        issue.comments.push((id, user.into(), body.into()));
        issue.updated = now;
        id
    }

    fn edit_comment(&mut self, id: u64, body: &str) -> bool {
        let mut comments = self.issues.values_mut().flat_map(|issue| &mut issue.comments);
        let found = comments.find(|comment| comment.0 == id);
        found.map(|comment| comment.2 = body.into()).is_some()
    }

    fn role(&self, login: &str) -> &'static str {
        self.roles.get(login).copied().unwrap_or("read")
    }
}

/// A running one.
pub(crate) struct Running {
    pub(crate) hub: Arc<Mutex<Hub>>,
    pub(crate) stub: Stub,
}

impl Running {
    pub(crate) async fn start(face: Face) -> Self {
        let mut hub = Hub { now: 1_795_521_600, ..Hub::default() };
        for (login, role) in [("octocat", "admin"), ("hubot", "write"), ("helper", "triage"), (BOT, "admin")]
        {
            hub.roles.insert(login.into(), role);
        }
        let hub = Arc::new(Mutex::new(hub));
        let state = hub.clone();
        let stub = Stub::start(move |asked| {
            let mut hub = state.lock().unwrap();
            match face {
                Face::GitHub => github::answer(&mut hub, asked),
                Face::Forgejo | Face::Gitea => forgejo::answer(&mut hub, asked, face),
            }
        });
        Self { hub, stub: stub.await }
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Hub) -> T) -> T {
        change(&mut self.hub.lock().unwrap())
    }

    /// How often something was changed.
    pub(crate) fn writes(&self) -> usize {
        self.stub.log().iter().filter(|asked| asked.method != http::Method::GET).count()
    }
}

/// The parts of a path below `prefix`.
fn below<'a>(asked: &'a Asked, prefix: &str) -> Option<Vec<&'a str>> {
    Some(asked.path.strip_prefix(prefix)?.split('/').filter(|part| !part.is_empty()).collect())
}

fn decoded(part: &str) -> String {
    percent_encoding::percent_decode_str(part).decode_utf8().unwrap().into_owned()
}

fn time(seconds: u64) -> String {
    jiff::Timestamp::from_second(i64::try_from(seconds).unwrap()).unwrap().to_string()
}

/// One page of `items`, and how many pages there are.
fn page(asked: &Asked, size: usize, items: Vec<serde_json::Value>) -> (Vec<serde_json::Value>, usize, usize) {
    let number: usize = asked.query("page").map_or(1, |page| page.parse().unwrap());
    let pages = items.len().div_ceil(size).max(1);
    (items.into_iter().skip((number - 1) * size).take(size).collect(), number, pages)
}

fn with_link(reply: Reply, asked: &Asked, number: usize, pages: usize) -> Reply {
    if number >= pages {
        return reply;
    }
    let pairs = asked.query.split('&').filter(|pair| !pair.starts_with("page=") && !pair.is_empty());
    let query = pairs.collect::<Vec<_>>().join("&");
    let next = format!("http://{}{}?{query}&page={}", asked.header("host"), asked.path, number + 1);
    reply.header("link", format!("<{next}>; rel=\"next\""))
}
