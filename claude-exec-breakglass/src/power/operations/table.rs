//! The operations on one VM.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use claude_exec::jobs::Timestamp;

use super::super::{Observed, Outcome, State, Verb};
use super::prepared::{NONCE_TTL, check_reason};
use super::{Commit, Operation, Prepared, Refusal};
use crate::audit::{Event, Record};

/// Prepared at once; further ones push out the oldest. Nobody thinks about more.
pub(super) const PREPARED: usize = 64;

/// Operations remembered, each with its idempotency key.
pub(super) const REMEMBERED: usize = 1024;

/// For how long: what the idempotency-key draft suggests for a key's life is up to the server.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// So many within [`RATE_WINDOW`] and whoever wants one more has to type what it is.
const RATE_TYPED: usize = 3;

/// So many, and none more: somebody's script runs wild.
pub(super) const RATE_MOST: usize = 10;

pub(super) const RATE_WINDOW: Duration = Duration::from_secs(5 * 60);

/// A moment on both clocks: one that people read and that a machine may set back, one that only goes on.
#[derive(Debug, Clone, Copy)]
pub(in crate::power) struct Now {
    /// For records.
    pub(in crate::power) at: Timestamp,
    /// For limits.
    pub(in crate::power) instant: Instant,
}

impl Now {
    /// The moment it is.
    pub(in crate::power) fn read() -> Self {
        Self { at: Timestamp::now(), instant: Instant::now() }
    }
}

/// What a commit comes to.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::power) enum Claim {
    /// It was done before; nothing is done again.
    Replay(Box<Operation>),
    /// It has its place, which it gives back by [`Operations::drop_claim`] or [`Operations::update`].
    Go(Box<Operation>),
}

/// The operations on one VM.
#[derive(Debug, Clone)]
pub(in crate::power) struct Operations {
    vmid: u32,
    pub(super) prepared: VecDeque<Prepared>,
    /// Oldest first; the last one may not have ended.
    pub(super) done: VecDeque<Operation>,
    running: Option<String>,
    pub(super) starts: VecDeque<Timestamp>,
}

impl Operations {
    pub(in crate::power) fn new(vmid: u32) -> Self {
        Self {
            vmid,
            prepared: VecDeque::new(),
            done: VecDeque::new(),
            running: None,
            starts: VecDeque::new(),
        }
    }

    /// What an audit remembers, as a server finds it that is started again.
    pub(in crate::power) fn restore(vmid: u32, records: Vec<Record>, now: Now) -> Self {
        let mut operations = Self::new(vmid);
        for Record { at, actor, event, .. } in records {
            match event {
                Event::VerbRequested { id, verb, vmid: on, reason, key, fingerprint, observed }
                    if on == vmid =>
                {
                    let mut operation = Operation::new(id, verb, vmid, reason, actor.identity(), at);
                    operation.key = key.zip(fingerprint);
                    operation.observed = observed;
                    operation.state = State::Ended;
                    operation.outcome = Some(Outcome::Unknown);
                    operation.detail = Some("this server ended while it ran; look at the status".to_owned());
                    operation.recorded = false;
                    operations.starts.push_back(at);
                    operations.done.push_back(operation);
                }
                Event::VerbEnded { id, outcome, detail, rc, .. } => {
                    if let Some(operation) = operations.done.iter_mut().rfind(|operation| operation.id == id)
                    {
                        operation.ended = Some(at);
                        operation.outcome = Some(outcome);
                        operation.detail = Some(detail);
                        operation.rc = rc;
                        operation.recorded = true;
                    }
                }
                _ => {}
            }
        }
        operations.forget(now);
        operations
    }

    /// Shows a verb before it is done.
    pub(in crate::power) fn prepare(
        &mut self,
        now: Now,
        who: &str,
        verb: Verb,
        reason: &str,
        observed: Observed,
        nonce: String,
    ) -> Result<Prepared, Refusal> {
        let reason = check_reason(verb, reason)?;
        self.forget(now);
        let typed = self.typed()?;
        let phrase = match (typed, verb.is_destructive()) {
            (true, _) => Some(format!("{verb} {}", self.vmid)),
            (false, true) => Some(self.vmid.to_string()),
            (false, false) => None,
        };
        let prepared = Prepared {
            nonce,
            expires: NONCE_TTL,
            verb,
            vmid: self.vmid,
            observed,
            phrase,
            typed,
            consequence: verb.consequence(),
            reason,
            who: who.to_owned(),
            until: now.instant.checked_add(NONCE_TTL),
        };
        if self.prepared.len() >= PREPARED {
            self.prepared.pop_front();
        }
        self.prepared.push_back(prepared.clone());
        Ok(prepared)
    }

    /// Takes a commit: the key first, since a repeated one has spent its nonce.
    pub(in crate::power) fn commit(
        &mut self,
        now: Now,
        who: &str,
        commit: Commit<'_>,
    ) -> Result<Claim, Refusal> {
        self.forget(now);
        let same = |operation: &&Operation| {
            operation.who == who && operation.key.as_ref().is_some_and(|(key, _)| key == commit.key)
        };
        if let Some(operation) = self.done.iter().rfind(same) {
            let fits =
                operation.key.as_ref().is_some_and(|(_, fingerprint)| fingerprint == commit.fingerprint);
            return match (fits, operation.state) {
                (false, _) => Err(Refusal::KeyReused),
                (true, State::Ended) => Ok(Claim::Replay(Box::new(operation.clone()))),
                (true, _) => Err(Refusal::InFlight(Box::new(operation.clone()))),
            };
        }
        let at = self.prepared.iter().position(|prepared| {
            prepared.nonce == commit.nonce
                && prepared.who == who
                && prepared.until.is_some_and(|until| now.instant < until)
        });
        let at = at.ok_or(Refusal::Expired)?;
        self.free()?;
        // Asked again: there may have been more since this was prepared.
        let typed = self.typed()?;
        let prepared = &self.prepared[at];
        if typed && !prepared.typed {
            self.prepared.remove(at);
            return Err(Refusal::Expired);
        }
        if prepared.phrase.as_deref().is_some_and(|phrase| commit.phrase.map(str::trim) != Some(phrase)) {
            return Err(Refusal::WrongPhrase);
        }
        let Some(prepared) = self.prepared.remove(at) else { return Err(Refusal::Expired) };
        let key = Some((commit.key.to_owned(), commit.fingerprint.to_owned()));
        let mut operation =
            Operation::new(prepared.nonce, prepared.verb, self.vmid, prepared.reason, prepared.who, now.at);
        operation.key = key;
        operation.observed = Some(prepared.observed);
        Ok(Claim::Go(Box::new(self.begin(operation))))
    }

    /// Takes a verb in one step, for a caller that is a program.
    pub(in crate::power) fn begin_at_once(
        &mut self,
        now: Now,
        who: &str,
        verb: Verb,
        reason: &str,
        id: String,
    ) -> Result<Operation, Refusal> {
        let reason = check_reason(verb, reason)?;
        self.forget(now);
        self.free()?;
        self.typed()?;
        Ok(self.begin(Operation::new(id, verb, self.vmid, reason, who.to_owned(), now.at)))
    }

    fn begin(&mut self, operation: Operation) -> Operation {
        self.running = Some(operation.id.clone());
        self.starts.push_back(operation.began);
        self.done.push_back(operation.clone());
        operation
    }

    /// Takes back what was claimed and will not be sent.
    pub(in crate::power) fn drop_claim(&mut self, id: &str) {
        self.done.retain(|operation| operation.id != id);
        self.starts.pop_back();
        if self.running.as_deref() == Some(id) {
            self.running = None;
        }
    }

    /// Changes an operation. One that has ended makes room for the next.
    pub(in crate::power) fn update(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut Operation),
    ) -> Option<Operation> {
        let operation = self.done.iter_mut().rfind(|operation| operation.id == id)?;
        change(operation);
        let operation = operation.clone();
        if operation.state == State::Ended && self.running.as_deref() == Some(id) {
            self.running = None;
        }
        Some(operation)
    }

    pub(in crate::power) fn get(&self, id: &str) -> Option<&Operation> {
        self.done.iter().rfind(|operation| operation.id == id)
    }

    pub(in crate::power) fn running(&self) -> Option<&Operation> {
        self.get(self.running.as_deref()?)
    }

    /// The last one, running or ended.
    pub(in crate::power) fn last(&self) -> Option<&Operation> {
        self.done.back()
    }

    /// Those whose outcome is unknown.
    pub(in crate::power) fn unknown(&self) -> impl Iterator<Item = &Operation> {
        self.done.iter().filter(|operation| operation.outcome == Some(Outcome::Unknown))
    }

    fn free(&self) -> Result<(), Refusal> {
        match self.running() {
            Some(operation) => Err(Refusal::Busy(Box::new(operation.clone()))),
            None => Ok(()),
        }
    }

    fn typed(&self) -> Result<bool, Refusal> {
        match self.starts.len() {
            RATE_MOST.. => Err(Refusal::TooMany),
            count => Ok(count >= RATE_TYPED),
        }
    }

    fn forget(&mut self, now: Now) {
        // A clock that was set back makes things look new, which errs on the safe side.
        self.starts.retain(|start| now.at.since(*start) < RATE_WINDOW);
        self.prepared.retain(|prepared| prepared.until.is_some_and(|until| now.instant < until));
        while self.done.len() > REMEMBERED
            || self.done.front().is_some_and(|oldest| now.at.since(oldest.began) > REMEMBERED_FOR)
        {
            if self.done.front().map(|oldest| &oldest.id) == self.running.as_ref() {
                break;
            }
            self.done.pop_front();
        }
    }
}
