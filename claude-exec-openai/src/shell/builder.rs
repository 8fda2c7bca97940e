//! What the endpoint is made of, checked before it takes its first request.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use claude_exec::brain::pool::Pool;
use claude_exec::cli::{CliVersion, Verdict};
use claude_exec::executor::Executor;
use claude_exec::http::{BodyLimit, KeyName, Keyring};
use claude_exec::invocation::Deadlines;
use claude_exec::jobs::{Gate, Workspaces};
use claude_exec::store::Store;
use claude_exec::{Error, Invocation, Result};
use tokio::sync::watch;

use super::kept::KeptResponses;
use super::running::Running;
use crate::error::ApiError;
use crate::models::{Model, Models, Workspace};
use crate::plan;
use crate::quota::{Bill, Ledger, Permit};
use crate::warm::{Parking, Sessions};

/// Turns that wait for their client's tools: half of a pool's processes.
const PARKED: usize = 3;

/// How long one waits: a tool takes seconds, a person who is asked some minutes.
const PARKING_LIMIT: Duration = Duration::from_secs(5 * 60);

/// The endpoint over the CLI: OpenAI's `/v1/chat/completions`, `/v1/responses` and `/v1/models`, and Anthropic's
/// `/v1/messages`.
///
/// It is a `tower_service::Service` over the types of `http`, so it mounts in raw hyper (by
/// `hyper_util::service::TowerToHyperService`) and in axum (`route_service`, `fallback_service`) alike.
/// Clones share everything.
///
/// Every turn takes a slot of the gate, and holds it until its process and all descendants are gone. A client
/// that hangs up ends its turn: the server drops the response's future or its body, and with it the turn.
#[derive(Clone)]
pub struct OpenAi(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) executor: Arc<dyn Executor>,
    pub(super) gate: Gate,
    pub(super) keyring: Option<Keyring>,
    pub(super) models: Models,
    pub(super) workspaces: Option<Workspaces>,
    pub(super) body_limit: BodyLimit,
    pub(super) strict: bool,
    pub(super) prepare: Option<Prepare>,
    pub(super) sessions: Option<Arc<Sessions>>,
    pub(super) deadlines: Deadlines,
    pub(super) queue_limit: Duration,
    pub(super) kept: Option<Arc<KeptResponses>>,
    pub(super) ledger: Option<Ledger>,
    pub(super) running: Running,
    pub(super) started: u64,
    pub(super) shutdown: watch::Sender<bool>,
}

pub(super) type Prepare = Arc<dyn Fn(Invocation) -> Invocation + Send + Sync>;

impl OpenAi {
    /// Begins an endpoint whose turns run on `executor`, admitted by `gate`.
    pub fn builder(executor: impl Executor + 'static, gate: Gate) -> OpenAiBuilder {
        OpenAiBuilder {
            executor: Arc::new(executor),
            gate,
            auth: Auth::Unset,
            models: Models::default(),
            workspaces: None,
            body_limit: BodyLimit::default(),
            strict: false,
            prepare: None,
            pool: None,
            deadlines: Invocation::conversational("").get_deadlines(),
            queue_limit: None,
            parking: (PARKED, PARKING_LIMIT),
            store: None,
            ledger: None,
        }
    }

    /// Says which version of the CLI there is, once at the start. It matters with a pool: earlier turns that no process
    /// remembers are then written into a fresh one as what they are, if this version takes them so. That is known of
    /// [`TESTED`](claude_exec::cli::TESTED). With any other the feature `self-test` finds it out, with one turn of the CLI against a model API
    /// on loopback; without it, or where the test fails, and until this was called, they are packed as
    /// [`carried`](crate::carried) says.
    ///
    /// True when they are replayed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the self-test; then they are packed.
    pub async fn use_cli(&self, version: CliVersion) -> bool {
        let Some(sessions) = &self.0.sessions else { return false };
        let replays = match version.verdict() {
            Verdict::Tested => true,
            _ => self.self_test().await,
        };
        tracing::info!(%version, replays, "earlier turns of a conversation");
        sessions.set_replays(replays);
        replays
    }

    #[cfg(feature = "self-test")]
    async fn self_test(&self) -> bool {
        let invocation = plan::plain(String::new().into(), "sonnet");
        let invocation = match &self.0.prepare {
            Some(prepare) => prepare(invocation),
            None => invocation,
        };
        super::self_test::holds(&*self.0.executor, invocation).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the self-test could not be run to its end");
            false
        })
    }

    #[cfg(not(feature = "self-test"))]
    async fn self_test(&self) -> bool {
        false
    }

    /// Takes a caller's request for a turn on `model`.
    pub(super) async fn admit(
        &self,
        caller: Option<&KeyName>,
        model: &str,
    ) -> Result<(Option<Permit>, Bill), ApiError> {
        match (&self.0.ledger, caller) {
            (Some(ledger), Some(caller)) => {
                let (permit, bill) = ledger.admit(caller.as_str(), model).await?;
                Ok((Some(permit), bill))
            }
            _ => Ok((None, Bill::nobodys())),
        }
    }

    /// What the caller has used.
    pub(super) fn usage(&self, caller: Option<&KeyName>) -> Option<serde_json::Value> {
        self.0.ledger.as_ref()?.usage(caller?.as_str())
    }

    /// True when the caller may ask for this model.
    pub(super) fn allows(&self, caller: Option<&KeyName>, model: &str) -> bool {
        let limits = self.0.ledger.as_ref().zip(caller).map(|(ledger, key)| ledger.limits(key.as_str()));
        limits.is_none_or(|limits| limits.is_some_and(|limits| limits.allows(model)))
    }

    /// Ends every turn, and refuses new ones: streams end with an error object, other requests with a 503.
    ///
    /// For the end of a server's grace period. May be called again.
    pub fn shutdown(&self) {
        self.0.shutdown.send_replace(true);
        if let Some(sessions) = &self.0.sessions {
            sessions.parking.clear();
        }
    }
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAi")
            .field("gate", &self.0.gate)
            .field("keyring", &self.0.keyring)
            .field("strict", &self.0.strict)
            .finish_non_exhaustive()
    }
}

/// Who may call.
enum Auth {
    Unset,
    Keyring(Keyring),
    InFront,
}

/// Collects what an [`OpenAi`] is made of.
#[must_use]
pub struct OpenAiBuilder {
    executor: Arc<dyn Executor>,
    gate: Gate,
    auth: Auth,
    models: Models,
    workspaces: Option<Workspaces>,
    body_limit: BodyLimit,
    strict: bool,
    prepare: Option<Prepare>,
    pool: Option<Pool>,
    deadlines: Deadlines,
    queue_limit: Option<Duration>,
    store: Option<Arc<dyn Store>>,
    ledger: Option<Ledger>,
    parking: (usize, Duration),
}

impl OpenAiBuilder {
    /// Sets the tokens that open the endpoint. Required.
    pub fn keyring(mut self, keyring: Keyring) -> Self {
        self.auth = Auth::Keyring(keyring);
        self
    }

    /// Takes every caller, for a program that authenticates in front of this service.
    pub fn authenticated_in_front(mut self) -> Self {
        self.auth = Auth::InFront;
        self
    }

    /// Sets the models that callers may name. Default is [`Models::default`].
    pub fn models(mut self, models: Models) -> Self {
        self.models = models;
        self
    }

    /// Sets where agents with a checkout of their own get it. Required when there is such a model.
    pub fn workspaces(mut self, workspaces: Workspaces) -> Self {
        self.workspaces = Some(workspaces);
        self
    }

    /// Sets how much of a request's body is read, and for how long.
    pub fn body_limit(mut self, limit: BodyLimit) -> Self {
        self.body_limit = limit;
        self
    }

    /// Refuses requests with fields that are not honoured, instead of naming those in the answer.
    ///
    /// A caller asks for it by the header `x-claude-exec-strict: true`, too.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Keeps the processes of plain models' conversations in `pool` between their turns, so that the next turn of a
    /// conversation is said to the process that gave the last answer. Default is a process for each turn.
    ///
    /// Its executor is to be the endpoint's own. Who shuts the endpoint down shuts the pool down too.
    pub fn pool(mut self, pool: Pool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// Sets the time limits of plain models' turns; an agent has its own. Default is those of
    /// [`Invocation::conversational`].
    pub fn deadlines(mut self, deadlines: Deadlines) -> Self {
        self.deadlines = deadlines;
        self
    }

    /// Sets how long a request may wait for a slot, whatever the gate allows. Default is as long as a plain model's
    /// turn may take: who would wait longer has hung up.
    pub fn queue_limit(mut self, limit: Duration) -> Self {
        self.queue_limit = Some(limit);
        self
    }

    /// Bounds the turns whose model waits for the client's tools, and how long each waits. Default is 3, half of what a
    /// pool has by default, for 5 minutes. Beyond, the oldest one's process ends; its conversation goes on by a replay.
    pub fn parking(mut self, most: usize, limit: Duration) -> Self {
        self.parking = (most, limit);
        self
    }

    /// Has the last word on each turn's invocation: the CLI's program, variables, the directory it runs in. A
    /// checkout's directory is set after it.
    pub fn prepare(mut self, prepare: impl Fn(Invocation) -> Invocation + Send + Sync + 'static) -> Self {
        self.prepare = Some(Arc::new(prepare));
        self
    }

    /// Keeps responses of `/v1/responses` in `store`, so that later requests can go on from them. Without it none
    /// is kept, and each says so by `"store": false`.
    ///
    /// At most 10,000 responses, 512 MB of them and 30 days; the oldest make room. One of more than 8 MB with its
    /// conversation is not kept, and says so too.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Puts every turn under its key's limits, and charges it what its turns cost. It must know every key of the keyring.
    /// Default is none: no limits, and nothing counted.
    ///
    /// Whoever hangs up pays, so its CLI is interrupted and given 2 s to tell the cost, where it is stopped at once without
    /// a ledger.
    pub fn ledger(mut self, ledger: Ledger) -> Self {
        self.ledger = Some(ledger);
        self
    }

    /// Checks all of it.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) when neither a keyring nor
    /// [`authenticated_in_front`](Self::authenticated_in_front) was given, for a ledger without a keyring or without one
    /// of its keys, for a key's limits that name a model that is not served, for an agent that wants a checkout
    /// where there are no workspaces, and for one whose command line cannot be built.
    pub fn build(self) -> Result<OpenAi> {
        let keyring = match self.auth {
            Auth::Keyring(keyring) => Some(keyring),
            Auth::InFront => None,
            Auth::Unset => return Err(Error::invalid("keyring", "no keyring: anybody could call")),
        };
        for model in self.models.iter() {
            if model.workspace() == Workspace::Job && self.workspaces.is_none() {
                let reason =
                    format!("the agent {} works in a checkout, and none are configured", model.name());
                return Err(Error::invalid("workspaces", reason));
            }
            if let Model::Agent(agent) = model {
                plan::of_agent(Invocation::agent("check"), agent).to_command()?;
            }
        }
        if let Some(ledger) = &self.ledger {
            check_ledger(ledger, keyring.as_ref(), &self.models)?;
        }
        Ok(OpenAi(Arc::new(Shared {
            executor: self.executor,
            gate: self.gate,
            keyring,
            models: self.models,
            workspaces: self.workspaces,
            body_limit: self.body_limit,
            strict: self.strict,
            prepare: self.prepare,
            sessions: self.pool.map(|pool| {
                let (most, limit) = self.parking;
                Arc::new(Sessions::new(pool, Parking::new(most, limit)))
            }),
            deadlines: self.deadlines,
            queue_limit: self.queue_limit.unwrap_or(self.deadlines.total),
            kept: self.store.map(|store| Arc::new(KeptResponses::new(store))),
            ledger: self.ledger,
            running: Running::default(),
            started: unix_now(),
            shutdown: watch::Sender::new(false),
        })))
    }
}

impl fmt::Debug for OpenAiBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiBuilder").field("gate", &self.gate).finish_non_exhaustive()
    }
}

fn check_ledger(ledger: &Ledger, keyring: Option<&Keyring>, models: &Models) -> Result<()> {
    let refuse = |reason: String| Err(Error::invalid("ledger", reason));
    let Some(keyring) = keyring else { return refuse("it needs a keyring: nobody has a name".into()) };
    for name in keyring.names() {
        let Some(limits) = ledger.limits(name.as_str()) else {
            return refuse(format!("it does not know the key {name}"));
        };
        for model in limits.models.iter().flatten() {
            if let Err(error) = models.resolve(Some(model)) {
                return refuse(format!("of the key {name}: {}", error.message));
            }
        }
    }
    Ok(())
}

/// Seconds since the Unix epoch.
pub(super) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
