//! What a test of a tracker needs of the world around it, whoever plays the tracker.

use std::sync::Arc;
use std::time::Duration;

use claude_exec_afk::adapter::{Forgejo, GitHub, Token};
use claude_exec_afk::issue::{IssueState, Permission};
use claude_exec_afk::port::{Ci, Tracker};
use claude_exec_afk::sim::{Plot, World};
use claude_exec_afk::{Config, IssueKey};
use futures::future::BoxFuture;

use crate::hub::{BOT, Face, Hub, READY, REPO, Running, TOKEN};

/// Who puts a label on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Triager,
    Bot,
}

pub(crate) trait Stage: Sync {
    fn tracker(&self) -> Arc<dyn Tracker>;

    /// A person who may write opens an issue and marks it ready.
    fn ready<'a>(&'a self, title: &'a str, body: &'a str) -> BoxFuture<'a, IssueKey>;

    /// The ready label is taken off and put on again by someone.
    fn relabel<'a>(&'a self, key: &'a IssueKey, by: By) -> BoxFuture<'a, ()>;

    /// A person closes it.
    fn close<'a>(&'a self, key: &'a IssueKey) -> BoxFuture<'a, ()>;

    /// The texts of its comments.
    fn comments<'a>(&'a self, key: &'a IssueKey) -> BoxFuture<'a, Vec<String>>;
}

/// The simulated one.
pub(crate) struct Simulated(pub(crate) World);

impl Simulated {
    pub(crate) fn new() -> Self {
        Self(World::new(&Config::default()))
    }
}

impl Stage for Simulated {
    fn tracker(&self) -> Arc<dyn Tracker> {
        Arc::new(self.0.clone())
    }

    fn ready<'a>(&'a self, title: &'a str, body: &'a str) -> BoxFuture<'a, IssueKey> {
        let number = (1..).find(|number| self.0.issue(&key(*number)).is_none()).unwrap();
        let key = key(number);
        self.0.add(&key, Plot::Lands);
        self.0.edit(&key, |issue| (issue.title, issue.body) = (title.into(), body.into()));
        Box::pin(std::future::ready(key))
    }

    fn relabel<'a>(&'a self, key: &'a IssueKey, by: By) -> BoxFuture<'a, ()> {
        self.0.edit(key, |issue| {
            issue.labelled += 1;
            issue.labeller = match by {
                By::Triager => Permission::Read,
                By::Bot => Permission::None,
            };
        });
        Box::pin(std::future::ready(()))
    }

    fn close<'a>(&'a self, key: &'a IssueKey) -> BoxFuture<'a, ()> {
        self.0.edit(key, |issue| issue.state = IssueState::ClosedByPerson);
        Box::pin(std::future::ready(()))
    }

    fn comments<'a>(&'a self, key: &'a IssueKey) -> BoxFuture<'a, Vec<String>> {
        let comments = self.0.issue(key).unwrap().comments;
        Box::pin(std::future::ready(comments.into_values().collect()))
    }
}

/// One of the faces of our own forge.
pub(crate) struct Faced {
    pub(crate) face: Face,
    pub(crate) running: Running,
    /// Where the adapter asks; a judge may stand in between.
    pub(crate) url: String,
}

impl Faced {
    pub(crate) async fn new(face: Face) -> Self {
        let running = Running::start(face).await;
        Self { face, url: running.stub.url.clone(), running }
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Hub) -> T) -> T {
        self.running.change(change)
    }

    pub(crate) fn github(&self) -> GitHub {
        GitHub::new(&self.url, token()).unwrap().settle(Duration::ZERO).pace(Duration::ZERO)
    }

    pub(crate) fn forgejo(&self) -> Forgejo {
        Forgejo::new(&self.url, token()).unwrap().settle(Duration::ZERO)
    }

    pub(crate) fn ci(&self) -> Arc<dyn Ci> {
        if self.face == Face::GitHub { Arc::new(self.github()) } else { Arc::new(self.forgejo()) }
    }

    /// An issue of someone who may write, marked ready by another one.
    pub(crate) fn issue(&self, title: &str, body: &str) -> IssueKey {
        let number = self.change(|hub| {
            let number = hub.open("hubot", title, body);
            hub.label("octocat", number, READY, true);
            number
        });
        key(number)
    }
}

pub(crate) fn token() -> Token {
    Token::Fixed(TOKEN.parse().unwrap())
}

pub(crate) fn key(number: u64) -> IssueKey {
    IssueKey::new(REPO.parse().unwrap(), number)
}

impl Stage for Faced {
    fn tracker(&self) -> Arc<dyn Tracker> {
        if self.face == Face::GitHub { Arc::new(self.github()) } else { Arc::new(self.forgejo()) }
    }

    fn ready<'a>(&'a self, title: &'a str, body: &'a str) -> BoxFuture<'a, IssueKey> {
        Box::pin(std::future::ready(self.issue(title, body)))
    }

    fn relabel<'a>(&'a self, key: &'a IssueKey, by: By) -> BoxFuture<'a, ()> {
        self.change(|hub| {
            let actor = match by {
                By::Triager => "helper",
                By::Bot => BOT,
            };
            hub.label(actor, key.number, READY, false);
            hub.label(actor, key.number, READY, true);
        });
        Box::pin(std::future::ready(()))
    }

    fn close<'a>(&'a self, key: &'a IssueKey) -> BoxFuture<'a, ()> {
        self.change(|hub| hub.close("octocat", key.number, None));
        Box::pin(std::future::ready(()))
    }

    fn comments<'a>(&'a self, key: &'a IssueKey) -> BoxFuture<'a, Vec<String>> {
        let issue = self.change(|hub| hub.issues[&key.number].clone());
        Box::pin(std::future::ready(issue.comments.into_iter().map(|comment| comment.2).collect()))
    }
}
