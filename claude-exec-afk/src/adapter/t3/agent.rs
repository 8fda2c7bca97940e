//! The agent: the decisions of the pure parts, done.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::begin::{self, Begin};
use super::command::{Command, Interaction, Message, Role};
use super::ids::{self, Step};
use super::project::{self, Choice};
use super::reply::WHAT;
use super::server::{Looked, Server};
use super::settings::T3Settings;
use super::stop::{self, Asked, Found, Next};
use super::turn::Progress;
use super::wire;
use super::{look, words};
use crate::adapter::held::held;
use crate::error::{Error, Result};
use crate::names::{Digest, RunId};
use crate::port::{Accepted, Agent, Permit, Start, Task, Turn};
use crate::run::Session;
use crate::seen::Seen;

/// Looks while something is waited for: 50 seconds, ten less than a port may take.
const LOOKS: u32 = 100;
/// Looks after which an interrupt has had its effect, if it has one.
const LOOKS_AT_INTERRUPT: u32 = 20;
/// Steps to begin a turn: the thread is made, perhaps by someone else at the same time, and found again.
const STEPS: usize = 4;

/// Sessions on a T3 server, over its HTTP orchestration contract, protocol 1: T3 0.0.27 and later.
///
/// A run is one thread, whose id is made of the run's; a stopped run's thread is archived, which is what refuses it
/// any later turn. The server is asked who it is with every call, since it may be updated in between. The prices of
/// turns and the proofs of tests are not to be had from it: a turn counts as the most that one may cost, and
/// the run's push is told as unproven. Where the agent works is in the text of its turn: over HTTP, T3 makes no
/// worktrees.
pub struct T3Agent {
    server: Server,
    settings: T3Settings,
    /// What is remembered of each run until it is stopped; all of it can be lost.
    runs: Mutex<HashMap<RunId, Arc<Remembered>>>,
}

/// What a T3 server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct T3Probe {
    /// Its release.
    pub version: String,
    /// The orchestration protocol that it speaks.
    pub protocol: u64,
    /// How many events it has seen.
    pub sequence: u64,
    /// The projects that are in use: their id, and their directory there.
    pub projects: Vec<(String, String)>,
}

#[derive(Default)]
struct Remembered {
    /// One at a time, so that a stop never passes a start.
    alone: tokio::sync::Mutex<()>,
    seen: Mutex<Sight>,
}

#[derive(Default)]
struct Sight {
    pulse: Option<(Digest, Instant)>,
    interrupted: Option<u32>,
    progress: Option<Progress>,
}

impl T3Agent {
    pub(super) fn new(settings: T3Settings) -> Result<Self> {
        let server = Server::new(&settings.url, settings.access.clone())?;
        Ok(Self { server, settings, runs: Mutex::default() })
    }

    /// Reads who the server is and what it has; changes nothing.
    ///
    /// # Errors
    ///
    /// When it does not answer, speaks another protocol, or does not know the token.
    pub async fn probe(&self) -> Result<T3Probe> {
        bounded(async {
            let descriptor = self.server.descriptor().await?;
            let (sequence, projects, _) = self.server.projects(false).await?;
            let used = projects.into_iter().filter(|project| project.deleted_at.is_none());
            Ok(T3Probe {
                version: descriptor.server_version,
                protocol: descriptor.orchestration_protocol_version.unwrap_or(1),
                sequence,
                projects: used.map(|project| (project.id, project.workspace_root)).collect(),
            })
        })
        .await
    }

    async fn begin(&self, task: &Task, number: u32, text: &str, permit: &Permit) -> Result<Accepted> {
        let (run, id) = (&task.run, ids::thread(&task.run));
        let remembered = self.remembered(run);
        let _alone = remembered.alone.lock().await;
        for _ in 0..STEPS {
            let looked = self.server.find(&id).await?;
            let interrupted = held(&remembered.seen).interrupted.is_some_and(|turn| turn + 1 >= number);
            match begin::next(&looked.found, run, number, interrupted) {
                Begin::Begun => return Ok(Accepted::Begun),
                Begin::Refused => return Ok(Accepted::Refused),
                Begin::Later => return Err(unfinished("the turn before it has not ended")),
                Begin::Create => {
                    let (repo, root) = (&task.issue.repo, self.root(task));
                    let project = self.project(run, &ids::project(repo), repo.as_str(), &root).await?;
                    self.create(run, &project, &format!("{} ({run})", task.issue), &looked).await?;
                }
                Begin::Send => {
                    if !permit.still().await {
                        return Ok(Accepted::Refused);
                    }
                    return self.send(run, number, text, looked).await;
                }
            }
        }
        Err(unfinished("the thread was made and is not there"))
    }

    async fn send(&self, run: &RunId, number: u32, text: &str, looked: Looked) -> Result<Accepted> {
        let id = ids::thread(run);
        let message =
            Message { message_id: ids::message(run, number), role: Role::User, text, attachments: [] };
        let command = Command::TurnStart {
            command_id: ids::command(run, Step::Turn(number)),
            thread_id: &id,
            message,
            runtime_mode: self.settings.runtime_mode,
            interaction_mode: Interaction::Default,
            created_at: looked.made,
        };
        let Err(error) = self.server.dispatch(&command).await else { return Ok(Accepted::Begun) };
        // The answer may be lost and the turn accepted all the same.
        let found = self.server.find(&id).await.map(|looked| looked.found);
        match found.map(|found| begin::next(&found, run, number, false)) {
            Ok(Begin::Begun) => Ok(Accepted::Begun),
            Ok(Begin::Refused) => Ok(Accepted::Refused),
            _ => Err(error),
        }
    }

    /// The project of a directory, made when there is none.
    async fn project(&self, run: &RunId, id: &str, title: &str, root: &str) -> Result<String> {
        let (_, projects, _) = self.server.projects(false).await?;
        if let Choice::Use(id) = project::choose(&projects, id, root) {
            return Ok(id);
        }
        let (sequence, projects, created_at) = self.server.projects(true).await?;
        let id = match project::choose(&projects, id, root) {
            Choice::Use(id) => return Ok(id),
            Choice::Make(id) => id,
        };
        let command = Command::ProjectCreate {
            command_id: ids::command(run, Step::Project(sequence)),
            project_id: &id,
            title,
            workspace_root: root,
            create_workspace_root_if_missing: true,
            created_at,
        };
        self.server.dispatch(&command).await?;
        Ok(id)
    }

    /// Makes a run's thread. Whether it is there is looked at afterwards, so a refusal is no failure.
    async fn create(&self, run: &RunId, project: &str, title: &str, looked: &Looked) -> Result<()> {
        let command = Command::ThreadCreate {
            command_id: ids::command(run, Step::Thread(looked.sequence)),
            thread_id: &ids::thread(run),
            project_id: project,
            title,
            model_selection: &self.settings.model,
            runtime_mode: self.settings.runtime_mode,
            interaction_mode: Interaction::Default,
            branch: (),
            worktree_path: (),
            created_at: looked.made.clone(),
        };
        let made = self.server.dispatch(&command).await;
        match made {
            Err(error) if !error.is_transient() => Err(error),
            _ => Ok(()),
        }
    }

    /// A thread that is made only to be put away needs a project like any other.
    async fn never_begun(&self, run: &RunId, looked: &Looked) -> Result<()> {
        let root = self.settings.root("afk__never-begun");
        let project = self.project(run, ids::NEVER_BEGUN, "afk: runs that never began", &root).await?;
        self.create(run, &project, &format!("{run} (never begun)"), looked).await
    }

    /// Does what is next, until nothing is.
    async fn drive(&self, run: &RunId, next: impl Fn(&Found, &Asked) -> Next) -> Result<bool> {
        let id = ids::thread(run);
        let (mut asked, mut since) = (Asked::default(), 0);
        for look in 0..LOOKS {
            let looked = self.server.find(&id).await?;
            if let Found::Thread(thread) = &looked.found {
                asked.ran |= thread.session.as_ref().is_some_and(wire::Session::is_running);
            }
            asked.long_ago = asked.interrupt.is_some() && look - since >= LOOKS_AT_INTERRUPT;
            let step = next(&looked.found, &asked);
            let sequence = looked.sequence;
            let created_at = looked.made.clone();
            let command_id = |step: fn(u64) -> Step| ids::command(run, step(sequence));
            let command = match step {
                Next::Done => return Ok(asked.interrupt.is_some()),
                Next::Wait => {
                    tokio::time::sleep(self.settings.poll).await;
                    continue;
                }
                Next::Create => {
                    self.never_begun(run, &looked).await?;
                    continue;
                }
                Next::Interrupt => {
                    let Found::Thread(thread) = &looked.found else { continue };
                    (asked.interrupt, since) = (Some(stop::failures(thread)), look);
                    let turn_id = thread.session.as_ref().and_then(|session| session.active_turn_id.clone());
                    let command_id = command_id(Step::Interrupt);
                    let turn_id = turn_id.as_deref();
                    let command = Command::Interrupt { command_id, thread_id: &id, turn_id, created_at };
                    self.server.dispatch(&command).await?;
                    continue;
                }
                Next::StopSession => {
                    asked.stop = true;
                    Command::SessionStop { command_id: command_id(Step::Stop), thread_id: &id, created_at }
                }
                Next::Archive => Command::Archive { command_id: command_id(Step::Archive), thread_id: &id },
                Next::Unarchive => {
                    Command::Unarchive { command_id: command_id(Step::Unarchive), thread_id: &id }
                }
            };
            self.server.dispatch(&command).await?;
        }
        Err(unfinished(
            "the session did not end; something of it may live: look at the thread in T3, and if the server begins no \
             other turns either, restart it",
        ))
    }

    async fn look_at(&self, run: &RunId) -> Result<Option<Session>> {
        let looked = self.server.find(&ids::thread(run)).await?;
        let thread = match &looked.found {
            Found::Nothing | Found::Deleted => return Ok(None),
            Found::Archived(row) if row.session.as_ref().is_none_or(wire::Session::is_stopped) => {
                return Ok(None);
            }
            Found::Archived(_) => {
                return Err(unfinished("its thread was archived while its agent lives; a stop ends it"));
            }
            Found::Thread(thread) => thread,
        };
        let remembered = self.remembered(run);
        let mut sight = held(&remembered.seen);
        let (pulse, now) = (look::pulse(thread), Instant::now());
        // By our own clock, from the first look on: after a restart it counts anew.
        let since = match &sight.pulse {
            Some((last, since)) if *last == pulse => *since,
            _ => now,
        };
        sight.pulse = Some((pulse, since));
        let interrupted = sight.interrupted == Some(look::turns(thread, run));
        let seen = look::session(thread, run, interrupted, now.duration_since(since).as_secs());
        let Some((session, progress)) = seen else { return Ok(None) };
        if sight.progress.as_ref() != Some(&progress) {
            tracing::info!(%run, turn = session.turns, ?progress, "T3");
            sight.progress = Some(progress);
        }
        Ok(Some(session))
    }

    fn root(&self, task: &Task) -> String {
        self.settings.root(&words::directory(&task.issue.repo))
    }

    fn remembered(&self, run: &RunId) -> Arc<Remembered> {
        held(&self.runs).entry(run.clone()).or_default().clone()
    }
}

impl Agent for T3Agent {
    fn start<'a>(&'a self, start: &'a Start, permit: Permit) -> BoxFuture<'a, Result<Accepted>> {
        async move {
            let task = &start.task;
            let text = words::text(task, &self.root(task), &start.preamble, &start.prompt)?;
            bounded(self.begin(task, 1, &text, &permit)).await
        }
        .boxed()
    }

    fn turn<'a>(&'a self, turn: &'a Turn, permit: Permit) -> BoxFuture<'a, Result<Accepted>> {
        async move {
            let task = &turn.task;
            let text = words::text(task, &self.root(task), &turn.preamble, &turn.prompt)?;
            bounded(self.begin(task, turn.number, &text, &permit)).await
        }
        .boxed()
    }

    fn interrupt<'a>(&'a self, run: &'a RunId, turn: u32) -> BoxFuture<'a, Result<()>> {
        bounded(async move {
            let remembered = self.remembered(run);
            let _alone = remembered.alone.lock().await;
            let next = |found: &Found, asked: &Asked| stop::next_interrupt(found, run, turn, asked);
            if self.drive(run, next).await? {
                held(&remembered.seen).interrupted = Some(turn);
            }
            Ok(())
        })
        .boxed()
    }

    fn stop<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<()>> {
        bounded(async move {
            let remembered = self.remembered(run);
            let _alone = remembered.alone.lock().await;
            self.drive(run, |found, asked| stop::next(found, run, asked)).await?;
            held(&self.runs).remove(run);
            Ok(())
        })
        .boxed()
    }

    fn look<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Seen<Session>> {
        async move { bounded(self.look_at(run)).await.into() }.boxed()
    }
}

/// The longest that one call takes, whatever the server does.
const CALL: Duration = Duration::from_secs(58);

async fn bounded<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(CALL, call).await.unwrap_or_else(|_| Err(unfinished("no answer in time")))
}

fn unfinished(reason: &str) -> Error {
    Error::unavailable(WHAT, reason, None)
}

impl fmt::Debug for T3Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("T3Agent").field("settings", &self.settings).finish_non_exhaustive()
    }
}
