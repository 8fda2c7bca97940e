//! The Claude Code CLI as the agent: a live process per session while it is in use.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use claude_exec::brain::TurnHandle;
use claude_exec::brain::live::{Limits, Live, LiveTurn, TurnOptions};
use claude_exec::executor::Executor;
use claude_exec::invocation::SessionChoice;
use claude_exec::protocol::{Event, Reply, SessionId};
use claude_exec::store::Store;
use claude_exec::{Error, Invocation, Result};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use super::contract::{Agent, Ask, Reins, Saying};
use super::ssh::{Ssh, SshAgent};

/// The store's space for the CLI's sessions.
const SPACE: &str = "breakglass-cli";

/// Runs each session in a live process of the CLI, which goes on from turn to turn, rests when told to, and comes
/// back with its history, after a crash or a restart of the server too.
///
/// Each session has a directory of its own: its working directory, which also decides where the CLI keeps its
/// history, its way to ssh, and the socket of its ssh-agent.
#[derive(Clone)]
pub struct CliAgent {
    shared: Arc<Shared>,
}

struct Shared {
    executor: Arc<dyn Executor>,
    store: Arc<dyn Store>,
    directory: PathBuf,
    preset: Invocation,
    ssh: Option<Ssh>,
    limits: Limits,
    idle: Mutex<HashMap<String, Idle>>,
}

/// A process between two turns.
struct Idle {
    live: Live,
    model: Option<String>,
    keys: Option<SshAgent>,
}

/// What is kept of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    session_id: SessionId,
}

impl CliAgent {
    /// Sessions as `preset` says, on `executor`, below `directory`, which must exist.
    pub fn new(
        executor: Arc<dyn Executor>,
        store: Arc<dyn Store>,
        directory: impl Into<PathBuf>,
        preset: Invocation,
    ) -> Self {
        let shared = Shared {
            executor,
            store,
            directory: directory.into(),
            preset,
            ssh: None,
            limits: Limits::default(),
            idle: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Gives each session its way to the sick machine.
    ///
    /// # Errors
    ///
    /// As [`Ssh::check`].
    ///
    /// # Panics
    ///
    /// Never: it is called before the agent is shared.
    pub fn ssh(self, ssh: Ssh) -> Result<Self> {
        ssh.check()?;
        let Some(mut shared) = Arc::into_inner(self.shared) else {
            return Err(Error::conflict("the agent is in use already"));
        };
        // The key's file is not for the model, whatever a person approves by mistake.
        let rule = format!("Read(/{})", ssh.key.display());
        shared.preset = shared.preset.disallowed_tools([rule]);
        shared.ssh = Some(ssh);
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, HashMap<String, Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn home(&self, session: &str) -> PathBuf {
        self.directory.join(session)
    }

    /// The process that waits for this session's next turn, when it may take it.
    async fn waiting(&self, session: &str, model: Option<&String>) -> Option<Idle> {
        let idle = self.idle().remove(session)?;
        let vitals = idle.live.vitals().await;
        let fit = idle.model.as_ref() == model
            && idle.live.retired().is_none()
            && self.limits.verdict(&vitals, Instant::now()).is_none();
        if fit {
            return Some(idle);
        }
        // It must be gone before the next one reads its history.
        idle.live.close().await;
        None
    }

    async fn begin(&self, session: &str, model: Option<&String>) -> Result<Idle> {
        let home = self.home(session);
        let work = home.join("work");
        tokio::fs::create_dir_all(&work)
            .await
            .map_err(|error| Error::io("making a session's directory", error))?;
        let mut invocation = self.preset.clone().cwd(&work);
        let keys = match &self.ssh {
            Some(ssh) => {
                for (name, value) in ssh.prepare(&home)? {
                    invocation = invocation.env(name, value);
                }
                Some(SshAgent::start(&*self.executor, ssh, &home).await?)
            }
            None => None,
        };
        if let Some(model) = model {
            invocation = invocation.model(model);
        }
        let live = self.resume(session, invocation).await?;
        Ok(Idle { live, model: model.cloned(), keys })
    }

    /// Goes on with the CLI's session, or begins one when there is none to go on with.
    async fn resume(&self, session: &str, invocation: Invocation) -> Result<Live> {
        if let Some(record) = self.load(session).await? {
            let resume = invocation.clone().session(SessionChoice::Resume(record.session_id));
            match Live::start(&*self.executor, &resume, ()).await {
                Err(error) if error.is_unknown_session() => {
                    tracing::warn!(session, "the CLI no longer has this session; it begins anew");
                }
                started => return started,
            }
        }
        let session_id = SessionId::from(Uuid::new_v4());
        // Before it starts: a crash in its first turn leaves a session that can be resumed.
        self.save(session, &session_id).await?;
        Live::start(&*self.executor, &invocation.session(SessionChoice::NewWithId(session_id)), ()).await
    }

    async fn load(&self, session: &str) -> Result<Option<Record>> {
        let bytes = self.store.get(SPACE, session).await?;
        // A record of another version is one we do not have.
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    async fn save(&self, session: &str, session_id: &SessionId) -> Result<()> {
        let record = Record { session_id: session_id.clone() };
        let bytes = serde_json::to_vec(&record).map_err(|error| Error::store("saving a session", error))?;
        self.store.put(SPACE, session, Bytes::from(bytes)).await
    }

    /// Takes the process back after a turn, when it can go on.
    async fn give_back(
        &self,
        session: String,
        turn: LiveTurn,
        model: Option<String>,
        keys: Option<SshAgent>,
    ) {
        let before = turn.session_id().cloned();
        let (_, live) = turn.finish().await;
        let Some(live) = live else { return };
        if let Some(id) = live.session_id().or(before.as_ref()) {
            // Some versions go on under another id after a resume; the old one would be a branch without the rest.
            let known = self.load(&session).await.ok().flatten();
            if known.is_none_or(|record| record.session_id != *id)
                && let Err(error) = self.save(&session, id).await
            {
                tracing::warn!(session, %error, "the CLI's session id could not be kept");
            }
        }
        self.idle().insert(session, Idle { live, model, keys });
    }
}

impl Agent for CliAgent {
    fn say(&self, ask: Ask) -> BoxFuture<'_, Result<Saying>> {
        async move {
            let Ask { session, prompt, model } = ask;
            let Idle { live, keys, .. } = match self.shared.waiting(&session, model.as_ref()).await {
                Some(idle) => idle,
                None => self.shared.begin(&session, model.as_ref()).await?,
            };
            let turn = live.say(prompt, &TurnOptions::new());
            let reins = Arc::new(turn.handle());
            let shared = Arc::clone(&self.shared);
            let state = Some((turn, session, model, keys));
            let events = stream::unfold(state, move |state| {
                let shared = Arc::clone(&shared);
                async move {
                    let (mut turn, session, model, keys) = state?;
                    match turn.next().await {
                        Some(Event::TurnEnd) | None => {
                            shared.give_back(session, turn, model, keys).await;
                            Some((Event::TurnEnd, None))
                        }
                        Some(event) => Some((event, Some((turn, session, model, keys)))),
                    }
                }
            });
            Ok(Saying { events: events.boxed(), reins })
        }
        .boxed()
    }

    fn rest<'a>(&'a self, session: &'a str) -> BoxFuture<'a, ()> {
        async move {
            let idle = self.shared.idle().remove(session);
            if let Some(Idle { live, keys, .. }) = idle {
                live.close().await;
                drop(keys);
            }
        }
        .boxed()
    }

    fn forget<'a>(&'a self, session: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            self.rest(session).await;
            self.shared.store.remove(SPACE, session).await?;
            match tokio::fs::remove_dir_all(self.shared.home(session)).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::io("removing a session's directory", error))
                }
                _ => Ok(()),
            }
        }
        .boxed()
    }
}

impl Reins for TurnHandle {
    fn interrupt(&self) {
        Self::interrupt(self);
    }

    fn stop(&self) {
        Self::stop(self);
    }

    fn reply<'a>(&'a self, request_id: &'a str, reply: Reply) -> BoxFuture<'a, Result<()>> {
        async move { Self::reply(self, request_id, &reply).await }.boxed()
    }
}

impl fmt::Debug for CliAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CliAgent").field("directory", &self.shared.directory).finish_non_exhaustive()
    }
}
