//! The course of an operation: recorded, sent once, heard to its end, recorded again.

use std::time::Instant;

use uuid::Uuid;

use super::asking::ask;
use super::operations::{Now, Operation};
use super::service::Power;
use super::{Closed, Observed, Outcome, Run, State, Transcript, Verb};
use crate::audit::{Actor, Durability, Event};

impl Power {
    /// Runs an operation to its end, whoever waits.
    pub(super) fn dispatch(&self, actor: Actor, operation: Operation) -> Operation {
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

    pub(super) async fn ask(&self, verb: Verb, nonce: &str) -> (Transcript, Closed) {
        let mut said = Transcript::new(nonce);
        let (command, limit) = (self.inner.ssh.command(verb, nonce), self.inner.ssh.limit_of(verb));
        let closed = ask(&*self.inner.executor, command, limit, |bytes| said.push(bytes)).await;
        (said, closed)
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
    pub(super) async fn settle(&self, said: &Transcript) {
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
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use claude_exec::executor::{Command, Scripted, executor_fn};

    use super::super::Ssh;
    use super::*;
    use crate::audit::disk::{Disk, Shared, lock};
    use crate::audit::{Audit, AuditConfig};

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
