//! A process that is started and knows nothing yet.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;
use tokio::time::Instant;
use uuid::Uuid;

use super::session::Live;
use crate::brain::drive::Driver;
use crate::brain::hear::know_agent;
use crate::brain::order::{self, Bridle};
use crate::brain::turn;
use crate::error::{Error, Result};
use crate::executor::{Command, Control, Executor};
use crate::invocation::{INITIALIZE_ID, Invocation, SessionChoice};
use crate::protocol::{ControlResponse, Request, SessionId};

/// The id of the request that asks whether a process answers.
const READY_ID: &str = "ready";

/// A started process without a conversation: what a pool keeps. Dropping it ends the process.
///
/// A start takes half a second; [`initialize`](Self::initialize) of a process that was started before takes a few
/// milliseconds.
#[must_use = "dropping a spare ends it"]
pub struct Spare {
    pub(super) bridle: Bridle,
    pub(super) command: Command,
    pub(super) session_id: Option<SessionId>,
    pub(super) started: Instant,
}

impl Spare {
    /// Starts a process with the launch flags of `invocation`; its prompt and what `initialize` carries are not used.
    /// A [new](SessionChoice::New) session gets its id here. `guard` is dropped when the process and all its
    /// descendants are gone.
    ///
    /// # Errors
    ///
    /// When the invocation is invalid or the process cannot be started.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves no process behind.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled (the local executor needs I/O too: `enable_all`).
    pub async fn start<G>(executor: &dyn Executor, invocation: &Invocation, guard: G) -> Result<Self>
    where
        G: Send + 'static,
    {
        let command = key(invocation)?;
        let mut invocation = invocation.clone();
        if *invocation.get_session() == SessionChoice::New {
            invocation = invocation.session(SessionChoice::NewWithId(SessionId::from(Uuid::new_v4())));
        }
        let session_id = match invocation.get_session() {
            SessionChoice::NewWithId(id) | SessionChoice::Resume(id) => Some(id.clone()),
            _ => None,
        };
        let start = turn::start(executor, invocation.to_live_command()?, invocation.get_deadlines());
        let process = start.await?;
        let (bridle, reins) = Bridle::new(&process.control);
        turn::spawn(Driver::new(process, reins), guard);
        Ok(Self { bridle, command, session_id, started: Instant::now() })
    }

    /// Opens the session with what `invocation` has for it: system prompt, schema, agents, MCP servers.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) when `invocation` has other launch flags than this process,
    /// [`is_unknown_session`](Error::is_unknown_session) when there is no session to resume,
    /// [`is_not_found`](Error::is_not_found) when the CLI does not know the agent,
    /// [`is_timeout`](Error::is_timeout) when it does not answer within
    /// [`first_byte`](crate::invocation::Deadlines::first_byte). The process is ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the process.
    pub async fn initialize(self, invocation: &Invocation) -> Result<Live> {
        invocation.check()?;
        if key(invocation)? != self.command {
            return Err(Error::invalid("invocation", "needs a process with other launch flags"));
        }
        let request = Request::Initialize(invocation.get_initialize().clone());
        let limit = invocation.get_deadlines().first_byte;
        let line = request.to_line(INITIALIZE_ID);
        let servers = invocation.get_mcp_servers().to_vec();
        let asked = order::ask_serving(&self.bridle.orders, INITIALIZE_ID.to_owned(), line, limit, servers);
        let answer = match asked.await {
            Err(error) if error.stderr_tail().contains("No conversation found") => {
                let id = self.session_id.as_ref().map(SessionId::as_str).unwrap_or_default();
                return Err(Error::unknown_session(id)); // some versions say it on stderr only
            }
            answer => answer?,
        };
        if let Some(name) = invocation.get_agent_name() {
            let response = ControlResponse { request_id: INITIALIZE_ID.to_owned(), result: Ok(answer) };
            know_agent(&response, name)?;
        }
        Ok(Live::new(self, invocation))
    }

    /// Waits until the process answers, and so has started: it has its code loaded then.
    ///
    /// # Errors
    ///
    /// When it ends, or [`is_timeout`](Error::is_timeout) when it does not answer within `limit`. The process is
    /// ended.
    ///
    /// # Cancel safety
    ///
    /// A call whose future is dropped may have been sent.
    pub async fn ready(&self, limit: Duration) -> Result<()> {
        // The CLI answers requests before `initialize`, and takes that one's system prompt all the same (2.1.330).
        let request = Request::Other { subtype: "get_binary_version".to_owned(), fields: Map::new() };
        let line = request.to_line(READY_ID);
        match order::ask(&self.bridle.orders, READY_ID.to_owned(), line, limit).await {
            Err(error) if !error.is_unsupported() => Err(error),
            _ => Ok(()), // a refusal is an answer
        }
    }

    /// The command it was started with, without its session's id: equal for all that can stand in for each other.
    pub fn key(&self) -> &Command {
        &self.command
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Its session's id; `None` for an ephemeral one.
    pub fn session_id(&self) -> Option<&SessionId> {
        self.session_id.as_ref()
    }

    /// The handle of its process.
    pub(in crate::brain) fn control(&self) -> &Arc<dyn Control> {
        &self.bridle.control
    }

    /// Why it can no longer be used; `None` when it can.
    pub fn retired(&self) -> Option<Error> {
        self.bridle.status.borrow().retired.clone()
    }

    /// Waits until it can no longer be used.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn until_retired(&mut self) {
        // The driver ends with the process.
        let _gone = self.bridle.status.wait_for(|status| status.retired.is_some()).await;
    }

    /// The memory it holds in bytes (PSS), where the executor can tell.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn memory(&self) -> Option<u64> {
        memory(&self.bridle.control).await
    }
}

/// The launch flags without the session: the key under which spares stand in for each other.
pub(in crate::brain) fn key(invocation: &Invocation) -> Result<Command> {
    let session = match invocation.get_session() {
        SessionChoice::Ephemeral => SessionChoice::Ephemeral,
        _ => SessionChoice::New,
    };
    invocation.clone().session(session).to_live_command()
}

pub(super) async fn memory(control: &Arc<dyn Control>) -> Option<u64> {
    let control = Arc::clone(control);
    tokio::task::spawn_blocking(move || control.memory()).await.ok()?
}

impl fmt::Debug for Spare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spare").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}
