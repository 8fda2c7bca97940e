//! The verbs of one VM, as a server offers them.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use claude_exec::Result;
use claude_exec::executor::Executor;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use uuid::Uuid;

use super::operations::{Claim, Commit, Now, Operation, Operations, Prepared, Refusal};
use super::reading::{FRESH, Reading};
use super::{Ssh, State, Verb};
use crate::audit::{Actor, Audit, Event};

/// The verbs of one VM. Cheap to clone.
///
/// An operation, once committed, goes on to its end whoever waits for it: its caller may leave.
#[derive(Clone)]
pub struct Power {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) ssh: Ssh,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) audit: Audit,
    operations: Mutex<Operations>,
    changes: watch::Sender<Option<Operation>>,
    /// The last reading of each verb that reads.
    pub(super) status: tokio::sync::Mutex<Option<Reading>>,
    pub(super) forensics: tokio::sync::Mutex<Option<Reading>>,
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

    pub(super) fn operations(&self) -> MutexGuard<'_, Operations> {
        self.inner.operations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, operation: &Operation) {
        self.inner.changes.send_replace(Some(operation.clone()));
    }

    pub(super) fn update(&self, id: &str, change: impl FnOnce(&mut Operation)) -> Option<Operation> {
        let operation = self.operations().update(id, change)?;
        self.tell(&operation);
        Some(operation)
    }

    /// Looks anew before something is done to what was seen.
    async fn unchanged(&self, operation: &Operation) -> Result<(), Refusal> {
        let now = self.look(Duration::ZERO).await?;
        match &operation.observed {
            Some(before) if before.differs(&now) => Err(Refusal::Changed(Box::new(now))),
            _ => Ok(()),
        }
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
