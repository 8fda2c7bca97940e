//! The verbs of one VM, as a server offers them.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use claude_exec::Result;
use claude_exec::executor::Executor;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use uuid::Uuid;

use super::asking::ask;
use super::operations::{Claim, Commit, Now, Operation, Operations, Prepared, Refusal};
use super::outcome::judge;
use super::{Closed, Observed, Outcome, Run, Ssh, State, Transcript, Verb, Verdict};
use crate::audit::{Actor, Audit, Durability, Event};

/// What was read is told again for this long: ten phones that look cost the host one look.
const FRESH: Duration = Duration::from_secs(2);

/// An answer of a verb that reads.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Reading {
    /// What came of it.
    pub verdict: Verdict,
    /// What was seen, when the host answered.
    pub observed: Option<Observed>,
    /// What the programs said, without secrets.
    pub text: String,
    /// They said more than was kept.
    pub truncated: bool,
    /// What ssh said, when it did not go well.
    pub stderr: String,
    /// What the host, or else ssh, ended with; `None` when the time ran out.
    pub exit_code: Option<i32>,
    /// When it was read.
    pub at: Instant,
}

/// What a page shows before anything is asked.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Overview {
    /// The VM.
    pub vmid: u32,
    /// The VM as it was seen, when the host answered.
    pub observed: Option<Observed>,
    /// What is most likely to help, for people.
    pub advice: Option<&'static str>,
    /// The verb that would be.
    pub advised: Option<Verb>,
    /// Why it was not seen.
    pub error: Option<String>,
    /// How old this is.
    pub age_s: u64,
    /// `ok`, or `degraded` while no record is durable.
    pub audit: &'static str,
    /// The operation that runs.
    pub running: Option<Operation>,
    /// The last one, running or ended.
    pub last: Option<Operation>,
}

/// The verbs of one VM. Cheap to clone.
///
/// An operation, once committed, goes on to its end whoever waits for it: its caller may leave.
#[derive(Clone)]
pub struct Power {
    inner: Arc<Inner>,
}

struct Inner {
    ssh: Ssh,
    executor: Arc<dyn Executor>,
    audit: Audit,
    operations: Mutex<Operations>,
    changes: watch::Sender<Option<Operation>>,
    status: tokio::sync::Mutex<Option<Reading>>,
    forensics: tokio::sync::Mutex<Option<Reading>>,
}

impl Power {
    /// The verbs of the VM that `ssh` names, remembered by `audit`.
    ///
    /// # Errors
    ///
    /// What [`Ssh::check`] finds.
    pub fn open(ssh: Ssh, executor: impl Executor + 'static, audit: Audit) -> Result<Self> {
        ssh.check()?;
        Ok(Self::unchecked(ssh, executor, audit))
    }

    /// The same over an executor that needs no key, such as [`simulated`](super::simulated).
    pub fn unchecked(ssh: Ssh, executor: impl Executor + 'static, audit: Audit) -> Self {
        let operations = Operations::restore(ssh.vmid, audit.take_verbs(), Now::read());
        let inner = Inner {
            ssh,
            executor: Arc::new(executor),
            audit,
            operations: Mutex::new(operations),
            changes: watch::Sender::new(None),
            status: tokio::sync::Mutex::default(),
            forensics: tokio::sync::Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The VM.
    pub fn vmid(&self) -> u32 {
        self.inner.ssh.vmid
    }

    /// The operation that changed last, as it is now. A reader that is slow sees the newest and misses the ones
    /// between.
    pub fn changes(&self) -> watch::Receiver<Option<Operation>> {
        self.inner.changes.subscribe()
    }

    /// An operation.
    pub fn operation(&self, id: &str) -> Option<Operation> {
        self.operations().get(id).cloned()
    }

    /// Waits until an operation has ended, and not longer than `limit`; `None` when there is no such operation.
    pub async fn wait(&self, id: &str, limit: Duration) -> Option<Operation> {
        let mut changes = self.changes();
        let ended = async {
            loop {
                match self.operation(id) {
                    Some(operation) if operation.state != State::Ended => {}
                    _ => return,
                }
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(limit, ended).await; // either way: as it is now
        self.operation(id)
    }

    /// Looks at the VM. One look at a time, and one that is less than 2 s old is told again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the look; it changes nothing.
    pub async fn status(&self) -> Reading {
        self.read(Verb::Status, &self.inner.status, FRESH).await
    }

    /// Gathers what the host knows about the VM, within 20 s. One at a time, told again for 2 s.
    ///
    /// # Cancel safety
    ///
    /// As [`status`](Self::status).
    pub async fn forensics(&self) -> Reading {
        self.read(Verb::Forensics, &self.inner.forensics, FRESH).await
    }

    /// What a page shows before anything is asked.
    pub async fn overview(&self) -> Overview {
        let reading = self.status().await;
        let advice = reading.observed.as_ref().map(Observed::advice);
        let operations = self.operations();
        Overview {
            vmid: self.vmid(),
            advice: advice.map(|(words, _)| words),
            advised: advice.and_then(|(_, verb)| verb),
            error: reading.observed.is_none().then(|| reading.verdict.detail.clone()),
            observed: reading.observed,
            age_s: reading.at.elapsed().as_secs(),
            audit: if self.inner.audit.is_degraded() { "degraded" } else { "ok" },
            running: operations.running().cloned(),
            last: operations.last().cloned(),
        }
    }

    /// Shows what a verb would do to the VM as it is, and gives the nonce that commits it within 30 s.
    ///
    /// # Errors
    ///
    /// Any [`Refusal`].
    pub async fn prepare(&self, actor: &Actor, verb: Verb, reason: &str) -> Result<Prepared, Refusal> {
        let prepared = match self.look(FRESH).await {
            Ok(observed) => {
                let reason = self.inner.audit.redactor().text(reason).into_owned();
                let (now, who, nonce) = (Now::read(), actor.identity(), Uuid::new_v4().to_string());
                self.operations().prepare(now, &who, verb, &reason, observed, nonce)
            }
            Err(refusal) => Err(refusal),
        };
        self.note_refusal(actor, Some(verb), reason, prepared).await
    }

    /// Commits what was prepared, unless the VM is not as it was then. The operation has begun when this returns,
    /// or was done before under the same key.
    ///
    /// # Errors
    ///
    /// Any [`Refusal`]; nothing was sent then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it returns may leave the operation begun or not; the key tells: commit again.
    pub async fn commit(
        &self,
        actor: &Actor,
        nonce: &str,
        phrase: Option<&str>,
        key: &str,
    ) -> Result<Operation, Refusal> {
        let fingerprint = fingerprint(nonce, phrase);
        let commit = Commit { nonce, phrase, key, fingerprint: &fingerprint };
        let claimed = self.operations().commit(Now::read(), &actor.identity(), commit);
        let operation = match claimed {
            Ok(Claim::Go(operation)) => *operation,
            Ok(Claim::Replay(operation)) => return Ok(*operation),
            Err(refusal) => {
                return self.note_refusal(actor, None, "", Err(refusal)).await;
            }
        };
        // Whoever asked may leave from here on, and the claim must not stay behind.
        let (power, who, begun) = (self.clone(), actor.clone(), operation.clone());
        let task = tokio::spawn(async move {
            if let Err(refusal) = power.unchanged(&begun).await {
                power.operations().drop_claim(&begun.id);
                return power.note_refusal(&who, Some(begun.verb), &begun.reason, Err(refusal)).await;
            }
            power.tell(&begun);
            Ok(power.dispatch(who, begun))
        });
        match task.await {
            Ok(begun) => begun,
            Err(_) => Err(Refusal::NotSeen("this server is ending".to_owned())),
        }
    }

    /// Begins a verb in one step, for a caller that is a program and has no person to show anything to.
    ///
    /// # Errors
    ///
    /// Any [`Refusal`]; nothing was sent then.
    pub async fn begin(&self, actor: &Actor, verb: Verb, reason: &str) -> Result<Operation, Refusal> {
        let clean = self.inner.audit.redactor().text(reason).into_owned();
        let id = Uuid::new_v4().to_string();
        let begun = self.operations().begin_at_once(Now::read(), &actor.identity(), verb, &clean, id);
        let operation = self.note_refusal(actor, Some(verb), reason, begun).await?;
        self.tell(&operation);
        Ok(self.dispatch(actor.clone(), operation))
    }

    fn operations(&self) -> MutexGuard<'_, Operations> {
        self.inner.operations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, operation: &Operation) {
        self.inner.changes.send_replace(Some(operation.clone()));
    }

    fn update(&self, id: &str, change: impl FnOnce(&mut Operation)) -> Option<Operation> {
        let operation = self.operations().update(id, change)?;
        self.tell(&operation);
        Some(operation)
    }

    async fn look(&self, fresh: Duration) -> Result<Observed, Refusal> {
        let reading = self.read(Verb::Status, &self.inner.status, fresh).await;
        reading.observed.ok_or(Refusal::NotSeen(reading.verdict.detail))
    }

    /// Looks anew before something is done to what was seen.
    async fn unchanged(&self, operation: &Operation) -> Result<(), Refusal> {
        let now = self.look(Duration::ZERO).await?;
        match &operation.observed {
            Some(before) if before.differs(&now) => Err(Refusal::Changed(Box::new(now))),
            _ => Ok(()),
        }
    }

    async fn read(
        &self,
        verb: Verb,
        cache: &tokio::sync::Mutex<Option<Reading>>,
        fresh: Duration,
    ) -> Reading {
        let mut cache = cache.lock().await;
        if let Some(reading) = cache.as_ref().filter(|reading| reading.at.elapsed() < fresh) {
            return reading.clone();
        }
        let (said, closed) = self.ask(verb, &Uuid::new_v4().to_string()).await;
        self.settle(&said).await;
        let redactor = self.inner.audit.redactor();
        let verdict = judge(verb, &said, &closed);
        let reading = Reading {
            exit_code: verdict.rc.or(match closed {
                Closed::Exit(code, _) => code,
                _ => None,
            }),
            verdict,
            observed: said.end.is_some().then(|| Observed::of(&said)),
            text: redactor.text(&said.text).into_owned(),
            truncated: said.truncated,
            stderr: match closed {
                Closed::Exit(_, stderr) => redactor.text(&crate::redact::plain(&stderr)).into_owned(),
                _ => String::new(),
            },
            at: Instant::now(),
        };
        *cache = Some(reading.clone());
        reading
    }

    async fn ask(&self, verb: Verb, nonce: &str) -> (Transcript, Closed) {
        let mut said = Transcript::new(nonce);
        let (command, limit) = (self.inner.ssh.command(verb, nonce), self.inner.ssh.limit_of(verb));
        let closed = ask(&*self.inner.executor, command, limit, |bytes| said.push(bytes)).await;
        (said, closed)
    }

    /// Runs an operation to its end, whoever waits.
    fn dispatch(&self, actor: Actor, operation: Operation) -> Operation {
        let power = self.clone();
        let begun = operation.clone();
        tokio::spawn(async move { power.run(actor, operation).await });
        begun
    }

    async fn run(&self, actor: Actor, operation: Operation) {
        let Operation { id, verb, vmid, .. } = operation.clone();
        let began = Instant::now();
        let mut run = Run::new(verb, id.clone());
        let (key, fingerprint) = operation.key.clone().unzip();
        let requested = Event::VerbRequested {
            id: id.clone(),
            verb,
            vmid,
            reason: operation.reason,
            key,
            fingerprint,
            observed: operation.observed,
        };
        match self.inner.audit.record(actor.clone(), requested).await {
            Ok(_) => {
                run.audited();
                self.update(&id, |operation| operation.state = State::Audited);
            }
            Err(error) => run.not_audited(&error.to_string()),
        }
        if run.dispatched() {
            self.update(&id, |operation| operation.state = State::Dispatched);
            let (command, limit) = (self.inner.ssh.command(verb, &id), self.inner.ssh.limit_of(verb));
            let closed = ask(&*self.inner.executor, command, limit, |bytes| {
                let before = run.said().steps.len();
                run.heard(bytes);
                if run.said().steps.len() > before {
                    let step = run.said().step().map(str::to_owned);
                    self.update(&id, |operation| operation.step = step);
                }
            })
            .await;
            run.closed(&closed);
        }
        // What was seen before is not what is now.
        *self.inner.status.lock().await = None;
        let after = self.reread(&mut run).await;
        let Some(verdict) = run.verdict().cloned() else { return };
        let text = self.inner.audit.redactor().text(&run.said().text).into_owned();
        let ended = Event::VerbEnded {
            id: id.clone(),
            verb,
            outcome: verdict.outcome,
            detail: verdict.detail.clone(),
            rc: verdict.rc,
            ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            truncated: run.said().truncated,
        };
        let recorded = self.inner.audit.record(actor, ended).await;
        self.update(&id, |operation| {
            operation.said(&text);
            operation.observed_after = after;
            operation.recorded = matches!(recorded, Ok(Durability::Durable));
            operation.end(&verdict, Now::read().at);
        });
    }

    /// After an unknown outcome: looks once at what the host knows. Never sends the verb again.
    async fn reread(&self, run: &mut Run) -> Option<Observed> {
        if run.verdict().map(|verdict| verdict.outcome) != Some(Outcome::Unknown) {
            return None;
        }
        let (said, _) = self.ask(Verb::Status, &Uuid::new_v4().to_string()).await;
        run.reread(&said);
        said.end.is_some().then(|| Observed::of(&said))
    }

    /// Settles outcomes that are unknown by what the host says it did last.
    async fn settle(&self, said: &Transcript) {
        let Some(last) = &said.last else { return };
        let found = {
            let operations = self.operations();
            operations.unknown().find(|operation| operation.id == last.nonce).cloned()
        };
        let Some(Operation { id, verb, .. }) = found else { return };
        let mut run = Run::abandoned(verb, id.clone());
        if !run.reread(said) {
            return;
        }
        let Some(verdict) = run.verdict().cloned() else { return };
        let ended = Event::VerbEnded {
            id: id.clone(),
            verb,
            outcome: verdict.outcome,
            detail: verdict.detail.clone(),
            rc: verdict.rc,
            ms: 0,
            truncated: false,
        };
        let recorded = self.inner.audit.record(Actor::server(), ended).await;
        self.update(&id, |operation| {
            operation.recorded = matches!(recorded, Ok(Durability::Durable));
            operation.end(&verdict, Now::read().at);
        });
    }

    async fn note_refusal<T>(
        &self,
        actor: &Actor,
        verb: Option<Verb>,
        reason: &str,
        result: Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        // A retry that comes early is no refusal of anything.
        if let Err(refusal) = &result
            && !matches!(refusal, Refusal::InFlight(_))
        {
            let event = Event::VerbRefused { verb, reason: reason.to_owned(), why: refusal.to_string() };
            if let Err(error) = self.inner.audit.record(actor.clone(), event).await {
                tracing::warn!(%error, "a refused verb is not recorded");
            }
        }
        result
    }
}

impl fmt::Debug for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Power").field("vmid", &self.vmid()).finish_non_exhaustive()
    }
}

/// The digest of what a commit says.
fn fingerprint(nonce: &str, phrase: Option<&str>) -> String {
    let digest = Sha256::new().chain_update(nonce).chain_update([0]).chain_update(phrase.unwrap_or_default());
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use claude_exec::executor::{Command, Scripted, executor_fn};

    use super::*;
    use crate::audit::AuditConfig;
    use crate::audit::disk::{Disk, Shared, lock};

    /// A host on which every reset is taken, and the number of them.
    fn host(disk: &Shared, degraded_ok: bool) -> (Power, Arc<Mutex<u32>>) {
        let resets = Arc::new(Mutex::new(0));
        let count = resets.clone();
        let executor = executor_fn(move |command: Command| {
            let request = command.args.last().unwrap().to_str().unwrap().to_owned();
            let (verb, nonce) = (request.split(' ').nth(1).unwrap(), request.split(' ').nth(3).unwrap());
            *count.lock().unwrap() += u32::from(verb == "reset");
            let said =
                format!("BG1 begin {nonce} {verb} 102\nBG1 end {nonce} rc=0 status=running proof=sent\n");
            Ok(Scripted::new().stdout(said).into_process())
        });
        let audit = Audit::on(disk.clone(), AuditConfig::new("/nowhere").degraded_ok(degraded_ok));
        (Power::unchecked(Ssh::new("pve", 102, "/nowhere", "/nowhere"), executor, audit), resets)
    }

    async fn reset(power: &Power) -> Operation {
        let actor = Actor::new("n8n", "bearer", "127.0.0.1");
        let begun = power.begin(&actor, Verb::Reset, "it hangs").await.unwrap();
        power.wait(&begun.id, Duration::from_secs(9)).await.unwrap()
    }

    #[tokio::test]
    async fn a_full_disk_refuses_the_verb() {
        let disk = Disk::with_room();
        let (power, resets) = host(&disk, false);
        lock(&disk).room = 10;
        let refused = reset(&power).await;
        assert_eq!((refused.outcome, refused.recorded), (Some(Outcome::NotSent), false));
        assert!(refused.detail.unwrap().starts_with("no audit record, so nothing was sent"));
        assert_eq!((power.overview().await.audit, *resets.lock().unwrap()), ("degraded", 0));
        lock(&disk).room = usize::MAX;
        assert_eq!(reset(&power).await.outcome, Some(Outcome::SentNotVerified));
        assert_eq!((power.overview().await.audit, *resets.lock().unwrap()), ("ok", 1));
    }

    #[tokio::test]
    async fn with_the_flag_for_it_a_full_disk_refuses_nothing_and_loses_nothing() {
        let disk = Disk::with_room();
        let (power, resets) = host(&disk, true);
        lock(&disk).room = 0;
        let done = reset(&power).await;
        assert_eq!((done.outcome, done.recorded), (Some(Outcome::SentNotVerified), false));
        assert_eq!((power.overview().await.audit, *resets.lock().unwrap()), ("degraded", 1));
        lock(&disk).room = usize::MAX;
        assert!(reset(&power).await.recorded);
        assert_eq!(power.overview().await.audit, "ok");
        let text = String::from_utf8(lock(&disk).files[0].clone()).unwrap();
        assert_eq!(text.lines().count(), 4, "the records that were kept are there too");
    }

    /// The disk fills up between the two records: the verb was done, and its end says that it is not recorded.
    #[tokio::test]
    async fn an_end_that_cannot_be_recorded_is_told() {
        let disk = Disk::with_room();
        let (power, _) = host(&disk, false);
        lock(&disk).room = 700;
        let done = reset(&power).await;
        let text = String::from_utf8(lock(&disk).files[0].clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert_eq!((done.outcome, done.recorded), (Some(Outcome::SentNotVerified), false));
    }
}
