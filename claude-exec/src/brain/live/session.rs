//! A session between two turns.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::limits::Vitals;
use super::options::TurnOptions;
use super::spare::{Spare, memory};
use super::turn::LiveTurn;
use crate::brain::order::{self, Bridle, Ending, Saying};
use crate::brain::turn::Turn;
use crate::error::{Error, Result};
use crate::executor::Executor;
use crate::invocation::{Deadlines, Invocation, check_content};
use crate::protocol::{Content, Request, SessionId};

/// A process with an open session, ready for a turn. Dropping it ends the process.
#[must_use = "dropping a session ends its process"]
pub struct Live {
    bridle: Bridle,
    session_id: Option<SessionId>,
    started: Instant,
    last_used: Instant,
    turns: u32,
    deadlines: Deadlines,
    verbatim: bool,
    /// The environment it was started with, as far as the invocation sets it.
    base: BTreeMap<String, OsString>,
    /// The settings it has now.
    settings: BTreeMap<&'static str, String>,
    /// The end of a replayed past, which nothing answers: it goes out with the next message.
    ahead: Vec<Bytes>,
}

/// A message of a past that the CLI has not lived through.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Past {
    /// What the user said; tool results are user messages too.
    User(Content),
    /// What the model answered; tool calls are part of it.
    Assistant(Content),
}

impl Live {
    /// Starts a process and opens the session that `invocation` chooses; its prompt is not used.
    ///
    /// # Errors
    ///
    /// As [`Spare::start`] and [`Spare::initialize`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the process.
    ///
    /// # Panics
    ///
    /// As [`Spare::start`].
    pub async fn start<G>(executor: &dyn Executor, invocation: &Invocation, guard: G) -> Result<Self>
    where
        G: Send + 'static,
    {
        Spare::start(executor, invocation, guard).await?.initialize(invocation).await
    }

    pub(super) fn new(spare: Spare, invocation: &Invocation) -> Self {
        let base = invocation.get_env().clone();
        // The invocation's own are in its environment already.
        let settings = TurnOptions::new().to_env(&base).unwrap_or_default();
        Self {
            bridle: spare.bridle,
            session_id: spare.session_id,
            started: spare.started,
            last_used: Instant::now(),
            turns: 0,
            deadlines: invocation.get_deadlines(),
            verbatim: invocation.is_verbatim(),
            base,
            settings,
            ahead: Vec::new(),
        }
    }

    /// Takes what an invocation with the same flags and the same opening may have of its own.
    #[cfg(feature = "runtime")]
    pub(in crate::brain) fn claimed_for(&mut self, invocation: &Invocation) {
        (self.deadlines, self.verbatim) = (invocation.get_deadlines(), invocation.is_verbatim());
    }

    /// Begins a turn. Content or options that no turn can have end it with an error, cost nothing, and leave the
    /// session as it was; so does a process that is gone, but then `finish` gives no session back.
    pub fn say(mut self, content: impl Into<Content>, options: &TurnOptions) -> LiveTurn {
        let turn = self.begin_saying(&content.into(), options, None);
        LiveTurn::new(turn, self)
    }

    /// As [`say`](Self::say), for an owner who gets the session back whether the turn is read or not.
    #[cfg(feature = "store")]
    pub(in crate::brain) fn say_apart(
        mut self,
        content: &Content,
        options: &TurnOptions,
    ) -> (Turn, impl Future<Output = (Ending, Option<Self>)> + Send + use<>) {
        let (ended, ending) = oneshot::channel();
        let turn = self.begin_saying(content, options, Some(ended));
        let back = async move {
            let ending = ending.await;
            let ending = ending.unwrap_or_else(|_| Ending {
                result: Err(self.retired().unwrap_or_else(Error::stopped)),
                said: String::new(),
            });
            self.used(ending.result.as_ref().ok().and_then(|outcome| outcome.session_id.clone()));
            (ending, Some(self).filter(|live| live.retired().is_none()))
        };
        (turn, back)
    }

    fn begin_saying(
        &mut self,
        content: &Content,
        options: &TurnOptions,
        ended: Option<oneshot::Sender<Ending>>,
    ) -> Turn {
        let deadlines = options.get_deadlines().unwrap_or(self.deadlines);
        match self.prepare(content, options) {
            Ok((lines, settings, id)) => {
                self.turns += 1;
                self.begin(lines, settings, id, deadlines, ended)
            }
            Err(error) => {
                if let Some(ended) = ended {
                    let _left = ended.send(Ending { result: Err(error.clone()), said: String::new() });
                }
                Turn::refused(&self.bridle, error)
            }
        }
    }

    fn prepare(
        &mut self,
        content: &Content,
        options: &TurnOptions,
    ) -> Result<(Vec<Bytes>, Option<String>, Uuid)> {
        check_content(content)?;
        let request = self.adjust(options)?;
        let id = Uuid::new_v4(); // fresh, or the CLI drops the message without a word
        let mut lines = std::mem::take(&mut self.ahead);
        let mut settings = None;
        if let Some(request) = request {
            let request_id = format!("settings-{id}");
            lines.push(request.to_line(&request_id));
            settings = Some(request_id);
        }
        lines.push(content.to_line(id, self.verbatim));
        Ok((lines, settings, id))
    }

    /// The request that brings the settings to these options; `None` when they are so already.
    pub(super) fn adjust(&mut self, options: &TurnOptions) -> Result<Option<Request>> {
        let wanted = options.to_env(&self.base)?;
        if wanted == self.settings {
            return Ok(None);
        }
        let changed: BTreeMap<_, _> =
            wanted.iter().filter(|(name, value)| self.settings.get(*name) != Some(value)).collect();
        let request = Request::ApplyFlagSettings(json!({ "env": changed }));
        self.settings = wanted;
        Ok(Some(request))
    }

    fn begin(
        &self,
        lines: Vec<Bytes>,
        settings: Option<String>,
        id: Uuid,
        deadlines: Deadlines,
        ended: Option<oneshot::Sender<Ending>>,
    ) -> Turn {
        let (turn, saying) = Turn::new(&self.bridle, id, deadlines, lines);
        let saying = Saying { settings, ended, ..saying };
        let said = self.bridle.owner.as_ref().is_some_and(|owner| owner.try_send(saying).is_ok());
        if said {
            return turn;
        }
        Turn::refused(&self.bridle, self.retired().unwrap_or_else(Error::stopped))
    }

    /// Writes a past into the session without asking the model: it then receives exactly these messages before the
    /// next one. Each user message is awaited; 10 take about 200 ms.
    ///
    /// # Errors
    ///
    /// When a message is empty, or the CLI does not take it: the process is ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the process.
    pub async fn replay(mut self, past: impl IntoIterator<Item = Past>) -> Result<Self> {
        let mut lines = std::mem::take(&mut self.ahead);
        for message in past {
            match message {
                Past::Assistant(content) => {
                    check_content(&content)?;
                    lines.push(content.to_assistant_line());
                }
                Past::User(content) => {
                    check_content(&content)?;
                    let id = Uuid::new_v4();
                    lines.push(content.to_past_line(id));
                    let turn = self.begin(std::mem::take(&mut lines), None, id, self.deadlines, None);
                    let outcome = turn.outcome().await?;
                    if !outcome.is_success() {
                        return Err(Error::failed("writing history", outcome.error_message()));
                    }
                }
            }
        }
        self.ahead = lines;
        Ok(self)
    }

    /// Sends a control request and waits for the CLI's answer, at most for `limit`.
    ///
    /// # Errors
    ///
    /// [`is_unsupported`](Error::is_unsupported) when the CLI refuses it, [`is_timeout`](Error::is_timeout) when it
    /// does not answer: the process is retired then.
    ///
    /// # Cancel safety
    ///
    /// A call whose future is dropped may have been sent.
    pub async fn request(&self, request: &Request, limit: Duration) -> Result<Option<Box<RawValue>>> {
        let id = Uuid::new_v4().hyphenated().to_string();
        order::ask(&self.bridle.orders, id.clone(), request.to_line(&id), limit).await
    }

    /// The session's id; `None` for an ephemeral one that has had no turn.
    pub fn session_id(&self) -> Option<&SessionId> {
        self.session_id.as_ref()
    }

    /// Why it can take no further turn; `None` when it can.
    pub fn retired(&self) -> Option<Error> {
        self.bridle.status.borrow().retired.clone()
    }

    /// Waits until it can take no further turn.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn until_retired(&mut self) {
        // The driver ends with the process.
        let _gone = self.bridle.status.wait_for(|status| status.retired.is_some()).await;
    }

    /// Ends the process and waits until it is gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the process too.
    pub async fn close(mut self) {
        self.bridle.owner = None;
        let _gone = self.bridle.status.wait_for(|status| status.gone).await;
    }

    /// Turns it has had, replayed ones not counted.
    pub fn turns(&self) -> u32 {
        self.turns
    }

    /// What [`Limits::verdict`](super::Limits::verdict) judges.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn vitals(&self) -> Vitals {
        let memory = memory(&self.bridle.control).await;
        Vitals { started: self.started, last_used: self.last_used, turns: self.turns, memory }
    }

    /// Notes what a turn has shown.
    pub(super) fn used(&mut self, session_id: Option<SessionId>) {
        self.last_used = Instant::now();
        // Some versions go on under another id after a resume.
        self.session_id = session_id.or(self.session_id.take());
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("session_id", &self.session_id)
            .field("turns", &self.turns)
            .finish_non_exhaustive()
    }
}
