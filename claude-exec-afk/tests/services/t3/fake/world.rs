//! What the server remembers, and what it answers when it is read.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use serde_json::{Value, json};

use super::TOKEN;
use super::provider::{Active, Job};
use crate::t3::schema::Release;

/// What the agent does in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Play {
    /// It uses a tool, says two things, and is done.
    Works,
    /// It ends with an error.
    Fails,
    /// It cannot be started.
    CannotStart,
    /// It asks for an approval, and waits.
    Asks,
    /// It works for ever; an interrupt ends it.
    Hangs,
    /// It works for ever, and no interrupt ends it.
    Stuck,
    /// The account's limit is reached: it says so, and is "completed".
    Limited,
}

/// What goes wrong with the next request that it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A read is answered with the web page.
    Page,
    /// A read is answered with what was read before.
    Stale,
    /// A command is accepted and answered with 500.
    AcceptThen500,
    /// A command is accepted, and the connection ends without an answer.
    AcceptThenHangUp,
    /// A command is not accepted: the database does not answer.
    Broken,
}

pub(crate) struct World {
    pub(crate) release: Release,
    pub(crate) git: bool,
    /// What the descriptor says; absent means 1.
    pub(crate) protocol: Option<u64>,
    pub(crate) environment: u32,
    pub(crate) tokens: BTreeSet<String>,
    pub(crate) credentials: BTreeSet<String>,
    /// What the turns to come are; then [`Play::Works`].
    pub(crate) plays: VecDeque<Play>,
    pub(crate) faults: VecDeque<Fault>,
    pub(super) armed: Option<(Fault, usize)>,
    /// Commands that were accepted and are not as a client should send them.
    pub(crate) lax: Vec<String>,
    /// Answers of this fake that are not as the real server's.
    pub(crate) drift: Vec<String>,
    /// `method path status`, in order.
    pub(crate) requests: Vec<String>,
    /// Directories that are not there and are not to be made.
    pub(crate) missing_roots: BTreeSet<String>,
    pub(crate) sequence: u64,
    pub(crate) projects: Vec<Value>,
    pub(crate) threads: Vec<Value>,
    /// The command ids: accepted at this sequence, or refused for ever.
    pub(crate) receipts: HashMap<String, Option<u64>>,
    /// Agent processes, by thread.
    pub(crate) alive: BTreeSet<String>,
    /// The turns that an agent was really given: thread and text.
    pub(crate) begun: Vec<(String, String)>,
    pub(crate) wedged: bool,
    pub(super) queue: VecDeque<Job>,
    pub(super) active: BTreeMap<String, Active>,
    pub(super) before: HashMap<String, Vec<u8>>,
    millis: u64,
    made: u64,
}

impl World {
    pub(super) fn new(release: Release, git: bool) -> Self {
        Self {
            release,
            git,
            protocol: None,
            environment: 1,
            tokens: [TOKEN.to_owned()].into(),
            credentials: BTreeSet::new(),
            plays: VecDeque::new(),
            faults: VecDeque::new(),
            armed: None,
            lax: Vec::new(),
            drift: Vec::new(),
            requests: Vec::new(),
            missing_roots: BTreeSet::new(),
            sequence: 0,
            projects: Vec::new(),
            threads: Vec::new(),
            receipts: HashMap::new(),
            alive: BTreeSet::new(),
            begun: Vec::new(),
            wedged: false,
            queue: VecDeque::new(),
            active: BTreeMap::new(),
            before: HashMap::new(),
            millis: 0,
            made: 0,
        }
    }

    /// Something goes wrong with a command, after so many went well.
    pub(crate) fn arm(&mut self, fault: Fault, after: usize) {
        self.armed = Some((fault, after));
    }

    /// Somebody else's command.
    pub(crate) fn command(&mut self, command: &Value) {
        assert!(matches!(self.take(command), super::command::Outcome::Accepted(_)), "{command}");
    }

    /// The process ends and is started again: agents die, and what waited to be done is lost. What was shown as
    /// running is shown so still.
    pub(crate) fn restart(&mut self) {
        self.queue.clear();
        self.active.clear();
        self.alive.clear();
        self.wedged = false;
    }

    /// The server is set up anew, at the same address.
    pub(crate) fn wipe(&mut self) {
        let (release, git) = (self.release, self.git);
        let tokens = self.tokens.clone();
        let environment = self.environment + 1;
        let (made, millis) = (self.made, self.millis);
        *self = Self { environment, tokens, made, millis, ..Self::new(release, git) };
    }

    pub(crate) fn thread(&self, id: &str) -> Option<&Value> {
        self.threads.iter().find(|thread| thread["id"] == id)
    }

    pub(super) fn thread_mut(&mut self, id: &str) -> Option<&mut Value> {
        self.threads.iter_mut().find(|thread| thread["id"] == id)
    }

    /// Its clock, which has nothing to do with ours: it goes 13 ms further each time it is asked.
    pub(super) fn now(&mut self) -> String {
        self.millis += 13;
        let (seconds, millis) = (self.millis / 1000, self.millis % 1000);
        format!("2026-03-01T08:{:02}:{:02}.{millis:03}Z", seconds / 60, seconds % 60)
    }

    /// The same, as the `Date` of an answer: in whole seconds.
    pub(super) fn date(&self) -> String {
        let seconds = self.millis / 1000;
        format!("Sun, 01 Mar 2026 08:{:02}:{:02} GMT", seconds / 60, seconds % 60)
    }

    pub(super) fn id(&mut self, what: &str) -> String {
        self.made += 1;
        format!("{what}-{:06}", self.made)
    }

    /// One more event.
    pub(super) fn event(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    pub(super) fn add_activity(
        &mut self,
        thread: &str,
        tone: &str,
        kind: &str,
        turn: Option<&str>,
        payload: Value,
    ) {
        let (id, at) = (self.id("activity"), self.now());
        self.event();
        if let Some(thread) = self.thread_mut(thread) {
            let activity = json!({"id": id, "tone": tone, "kind": kind, "summary": kind, "payload": payload,
                "turnId": turn, "createdAt": at});
            thread["activities"].as_array_mut().unwrap().push(activity);
            thread["updatedAt"] = json!(at);
        }
    }

    /// `GET /api/orchestration/snapshot`.
    pub(super) fn snapshot(&self) -> Value {
        let mut threads = self.threads.clone();
        if self.release == Release::V33 {
            for thread in &mut threads {
                for part in ["messages", "activities", "checkpoints", "proposedPlans"] {
                    thread[part] = json!([]);
                }
            }
        }
        json!({"snapshotSequence": self.sequence, "projects": self.projects, "threads": threads,
            "updatedAt": self.updated()})
    }

    /// `GET /api/orchestration/shell`: what is in use.
    pub(super) fn shell(&self) -> Value {
        let used = |row: &&Value| row["deletedAt"].is_null();
        let projects = self.projects.iter().filter(used).map(|project| without(project, &["deletedAt"]));
        let threads = self.threads.iter().filter(used).filter(|thread| thread["archivedAt"].is_null());
        let threads = threads.map(|thread| {
            let mut row =
                without(thread, &["messages", "activities", "checkpoints", "proposedPlans", "deletedAt"]);
            let more = json!({"latestUserMessageAt": null, "hasPendingApprovals": false,
                "hasPendingUserInput": false, "hasActionableProposedPlan": false, "backgroundLiveness": null,
                "planProgress": null});
            row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            row
        });
        let (projects, threads): (Vec<_>, Vec<_>) = (projects.collect(), threads.collect());
        json!({"snapshotSequence": self.sequence, "projects": projects, "threads": threads, "updatedAt": self.updated()})
    }

    /// `GET /api/orchestration/threads/:id`; none for what is archived or deleted.
    pub(super) fn detail(&self, id: &str) -> Option<Value> {
        let thread = self.thread(id)?;
        let used = thread["deletedAt"].is_null() && thread["archivedAt"].is_null();
        used.then(|| json!({"snapshotSequence": self.sequence, "thread": thread}))
    }

    fn updated(&self) -> String {
        let rows = self.projects.iter().chain(&self.threads).filter_map(|row| row["updatedAt"].as_str());
        rows.max().unwrap_or("1970-01-01T00:00:00.000Z").to_owned()
    }
}

fn without(row: &Value, parts: &[&str]) -> Value {
    let mut row = row.clone();
    let object = row.as_object_mut().unwrap();
    object.retain(|key, _| !parts.contains(&key.as_str()));
    row
}
