//! The agent itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use claude_exec::executor::{Command, Executor, LocalExecutor, output};
use claude_exec::invocation::{Deadlines, PermissionMode, SessionChoice};
use claude_exec::store::Store;
use claude_exec::{Invocation, brain, cli};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};

use super::config::BrainConfig;
use super::record::{Record, Records};
use super::slot::{NotBegun, Slot};
use super::tree::Trees;
use crate::adapter::held::held;
use crate::error::{Error, Result};
use crate::money::Usd;
use crate::names::RunId;
use crate::port::{Accepted, Agent, Permit, Start, Task, Turn};
use crate::run::{Activity, Evidence, Session};
use crate::seen::Seen;

/// How long a turn may take in all. The loop's own deadlines are shorter; this one holds when the loop does not.
const TURN_LIMIT: Duration = Duration::from_secs(12 * 3600);
/// How long the CLI may take to say that a turn has begun. It takes a second.
const BEGIN_LIMIT: Duration = Duration::from_secs(90);
/// How long a turn may wait for its events to be taken: they wait for the disk now and then.
const STALL_LIMIT: Duration = Duration::from_secs(600);
/// How long an interrupt or a stop waits for a start that is under way.
const WAIT_LIMIT: Duration = Duration::from_secs(15);
/// How long git may take to say its version.
const TRY_LIMIT: Duration = Duration::from_secs(20);

/// Runs agents on this machine. Dropping it ends what runs.
pub struct BrainAgent {
    executor: Arc<dyn Executor>,
    config: BrainConfig,
    trees: Trees,
    pub(super) records: Records,
    slots: Mutex<HashMap<RunId, Arc<Slot>>>,
}

/// A turn to begin.
struct Ask<'a> {
    task: &'a Task,
    number: u32,
    preamble: &'a str,
    prompt: &'a str,
}

impl BrainAgent {
    /// An agent whose sessions are remembered in `store`, and whose processes `executor` starts inside the sandbox.
    ///
    /// Call it once, before the first tick: what a process that is dead now has left running is ended here.
    ///
    /// # Errors
    ///
    /// When git or the CLI cannot be run inside the sandbox, saying what to do, and when the store cannot be read.
    pub async fn open(
        config: BrainConfig,
        executor: impl Executor + 'static,
        store: Arc<dyn Store>,
    ) -> Result<Self> {
        let swept = LocalExecutor::sweep_orphans().await;
        if swept > 0 {
            tracing::warn!(swept, "ended what an earlier process had left running");
        }
        std::fs::create_dir_all(&config.dir).map_err(|error| {
            Error::unavailable("the worktrees", format_args!("{}: {error}", config.dir.display()), None)
        })?;
        let executor = config.sandbox.executor(executor, &config.dir);
        let git = output(&*executor, Command::new("git").arg("--version").cwd(&config.dir), TRY_LIMIT).await;
        let failure = match git {
            Ok(git) if git.success() => None,
            Ok(git) => Some(git.last_error_line()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(failure) = failure {
            let reason = format!("git cannot be run in it ({failure}); try the same command by hand");
            return Err(Error::invalid("AFK_SANDBOX", reason));
        }
        cli::check(&*executor, &config.program).await?;
        let trees = Trees::new(Arc::clone(&executor), config.clone());
        Ok(Self { executor, config, trees, records: Records::open(store).await?, slots: Mutex::default() })
    }

    /// Ends everything that runs, and waits until it is gone. The sessions go on in the next process.
    pub async fn close(&self) {
        let slots: Vec<_> = held(&self.slots).values().cloned().collect();
        join_all(slots.iter().filter_map(|slot| slot.running()).map(|running| async move {
            running.handle.stop();
            running.is_gone().await
        }))
        .await;
    }

    /// True when a turn runs in this process.
    pub fn is_busy(&self) -> bool {
        held(&self.slots).values().any(|slot| slot.running().is_some())
    }

    /// Waits until no turn runs in this process.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn until_idle(&self) {
        loop {
            let running = held(&self.slots).values().find_map(|slot| slot.running());
            match running {
                Some(running) => running.until_gone().await,
                None => return,
            }
        }
    }

    fn slot(&self, run: &RunId) -> Arc<Slot> {
        Arc::clone(held(&self.slots).entry(run.clone()).or_insert_with(|| Arc::new(Slot::new())))
    }

    async fn begin(&self, ask: Ask<'_>, permit: Permit) -> Result<Accepted> {
        let (run, slot) = (&ask.task.run, self.slot(&ask.task.run));
        let _one = slot.begin.lock().await;
        let record = self.settled(run, &slot).await?;
        if record.as_ref().is_some_and(|record| record.stopped) || *slot.stopped.borrow() {
            return Ok(Accepted::Refused);
        }
        if record.as_ref().is_some_and(|record| record.turns >= ask.number) {
            return Ok(Accepted::Begun);
        }
        if slot.running().is_some() {
            return Err(Error::unavailable("the agent", "its last turn is still running", None));
        }
        if ask.task.budget == Usd::ZERO {
            return Err(Error::refused("the agent", "there is no money for a turn"));
        }
        let new = record.is_none_or(|record| record.base.is_none());
        let base = tokio::select! {
            base = self.trees.prepare(ask.task, new) => base?,
            () = slot.until_stopped() => return Ok(Accepted::Refused),
        };
        if !permit.still().await {
            return Ok(Accepted::Refused);
        }
        let record = self.records.change(run, |record| {
            record.issue = Some(ask.task.issue.clone());
            record.base.get_or_insert_with(|| base.clone());
            record.evidence.worktree = true;
            if ask.number == 1 {
                ask.prompt.clone_into(&mut record.prompt);
            }
        });
        let mut record = record.await?;
        loop {
            if record.stopped {
                return Ok(Accepted::Refused);
            }
            match self.launch(&ask, &slot, &record).await? {
                Ok(()) => return Ok(Accepted::Begun),
                Err(_) if *slot.stopped.borrow() => return Ok(Accepted::Refused),
                Err(NotBegun::UnknownSession) if record.made => {
                    tracing::warn!(%run, "the CLI has lost the session: a new one takes its place");
                    record = self.records.change(run, Record::renew).await?;
                }
                Err(NotBegun::UnknownSession) => {
                    return Err(Error::unavailable("the agent", "the CLI cannot make a session", None));
                }
                Err(NotBegun::Failed(why)) => return Err(Error::unavailable("the agent", why, None)),
            }
        }
    }

    /// Starts the turn's process and waits until the turn has begun.
    async fn launch(&self, ask: &Ask<'_>, slot: &Arc<Slot>, record: &Record) -> Result<Result<(), NotBegun>> {
        let run = &ask.task.run;
        let invocation = self.invocation(ask, record);
        // Written down before: after a crash nobody knows whether it was begun, or what it has cost.
        self.records.change(run, |record| (record.made, record.open) = (true, true)).await?;
        let turn = match brain::run(&*self.executor, &invocation).await {
            Ok(turn) => turn,
            Err(error) => {
                self.records.change(run, |record| record.open = false).await?;
                return Err(error.into());
            }
        };
        let place = (run.clone(), self.records.clone());
        let has_begun = slot.follow(turn, ask.number, place, record.evidence.clone());
        let why = tokio::select! {
            begun = has_begun => return begun.map_err(|_| Error::unavailable("the agent", "it was dropped", None)),
            () = tokio::time::sleep(BEGIN_LIMIT) => format!("no turn began within {BEGIN_LIMIT:?}"),
            () = slot.until_stopped() => "it was stopped".to_owned(),
        };
        if let Some(running) = slot.running() {
            running.handle.stop();
            gone(running.is_gone().await)?;
        }
        Ok(Err(NotBegun::Failed(why)))
    }

    fn invocation(&self, ask: &Ask<'_>, record: &Record) -> Invocation {
        let session = record.session.clone();
        let (session, prompt) = if record.made {
            (SessionChoice::Resume(session), ask.prompt.to_owned())
        } else if ask.number > 1 {
            // Whoever takes over knows nothing of the task.
            (SessionChoice::NewWithId(session), format!("{}\n\n{}", record.prompt, ask.prompt))
        } else {
            (SessionChoice::NewWithId(session), ask.prompt.to_owned())
        };
        let mut deadlines = Deadlines::within(TURN_LIMIT);
        deadlines.stall = STALL_LIMIT;
        let mut invocation = Invocation::agent(prompt)
            .program(&self.config.program)
            .cwd(self.trees.path(&ask.task.issue))
            .session(session)
            .append_system_prompt(ask.preamble)
            .permission_mode(PermissionMode::BypassPermissions)
            // Under root the CLI takes the mode above in a sandbox alone, and that is where this runs.
            .env("IS_SANDBOX", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .max_budget_usd(ask.task.budget.micros() as f64 / 1e6)
            .deadlines(deadlines);
        if let Some(model) = &self.config.model {
            invocation = invocation.model(model);
        }
        self.config.env.iter().fold(invocation, |invocation, (name, value)| invocation.env(name, value))
    }

    /// The record of a run; a turn that an earlier process began and did not end is over. Whoever calls it holds the
    /// slot's `begin`, so that none is begun meanwhile.
    async fn settled(&self, run: &RunId, slot: &Slot) -> Result<Option<Record>> {
        let record = self.records.get(run).await?;
        if slot.running().is_some() || !record.as_ref().is_some_and(|record| record.open) {
            return Ok(record);
        }
        let settle = |record: &mut Record| {
            if record.open {
                record.end(None);
            }
        };
        self.records.change(run, settle).await.map(Some)
    }

    async fn interrupted(&self, run: &RunId, turn: u32) -> Result<()> {
        let slot = self.slot(run);
        let one = tokio::time::timeout(WAIT_LIMIT, slot.begin.lock()).await;
        let _one = one.map_err(|_| Error::unavailable("the agent", "a turn is being begun", None))?;
        let Some(running) = slot.running().filter(|running| running.number == turn) else { return Ok(()) };
        running.handle.interrupt();
        gone(running.is_gone().await)
    }

    async fn stopped(&self, run: &RunId) -> Result<()> {
        let slot = self.slot(run);
        self.records.change(run, |record| record.stopped = true).await?;
        slot.stopped.send_replace(true);
        // A start that is under way finds that out by itself.
        if let Some(running) = slot.running() {
            running.handle.stop();
        }
        let one = tokio::time::timeout(WAIT_LIMIT, slot.begin.lock()).await;
        let _one = one.map_err(|_| Error::unavailable("the agent", "a turn is being begun", None))?;
        if let Some(running) = slot.running() {
            running.handle.stop();
            gone(running.is_gone().await)?;
        }
        self.settled(run, &slot).await?;
        held(&self.slots).remove(run);
        Ok(())
    }

    async fn looked(&self, run: &RunId) -> Result<Option<Session>> {
        let slot = self.slot(run);
        let running = slot.running();
        let record = match slot.begin.try_lock() {
            Ok(_one) => self.settled(run, &slot).await?,
            Err(_) => self.records.get(run).await?,
        };
        let Some(record) = record else { return Ok(None) };
        let (true, Some(issue), Some(base)) = (record.turns > 0, &record.issue, &record.base) else {
            return Ok(None);
        };
        let work = self.trees.work(issue, base).await;
        let mut session = Session {
            turns: record.turns,
            activity: record.last,
            quiet_seconds: 0,
            spent: record.spent,
            unpriced: record.unpriced,
            work: work.clone(),
            evidence: record.evidence,
        };
        if let Some(running) = running.filter(|_| record.open) {
            let (quiet, asking) = running.look(&work).await;
            session.activity = if asking { Activity::Asking } else { Activity::Busy };
            session.quiet_seconds = quiet.as_secs();
            session.evidence = Evidence { worktree: true, ..running.evidence() };
        }
        Ok(Some(session))
    }
}

fn gone(is_gone: bool) -> Result<()> {
    if is_gone { Ok(()) } else { Err(Error::unavailable("the agent", "it may still be running", None)) }
}

impl Agent for BrainAgent {
    fn start<'a>(&'a self, start: &'a Start, permit: Permit) -> BoxFuture<'a, Result<Accepted>> {
        let ask = Ask { task: &start.task, number: 1, preamble: &start.preamble, prompt: &start.prompt };
        self.begin(ask, permit).boxed()
    }

    fn turn<'a>(&'a self, turn: &'a Turn, permit: Permit) -> BoxFuture<'a, Result<Accepted>> {
        let Turn { task, number, preamble, prompt } = turn;
        self.begin(Ask { task, number: *number, preamble, prompt }, permit).boxed()
    }

    fn interrupt<'a>(&'a self, run: &'a RunId, turn: u32) -> BoxFuture<'a, Result<()>> {
        self.interrupted(run, turn).boxed()
    }

    fn stop<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<()>> {
        self.stopped(run).boxed()
    }

    fn look<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Seen<Session>> {
        async move { self.looked(run).await.into() }.boxed()
    }
}

impl Drop for BrainAgent {
    fn drop(&mut self) {
        held(&self.slots).values().for_each(|slot| slot.abort());
    }
}

impl fmt::Debug for BrainAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrainAgent").field("config", &self.config).finish_non_exhaustive()
    }
}
