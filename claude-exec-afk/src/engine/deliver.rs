//! One effect, made true.

use super::Engine;
use super::limit::{call, look};
use crate::error::{Error, Result};
use crate::names::Digest;
use crate::port::{Accepted, LabelChange, Permit, Start, Task, Turn};
use crate::run::{Effect, Mode, Record, Ring, Row, TurnKind};
use crate::seen::Seen;
use crate::time::Now;
use crate::words;

impl Engine {
    /// Delivers an effect of a run. It may have been delivered before.
    pub(super) async fn deliver(&self, record: &Record, effect: &Effect) -> Result<()> {
        let row = &record.row;
        let (ports, issue) = (&self.ports, &row.issue);
        match effect {
            Effect::Lock => self.take_lock(row).await,
            Effect::Start(_) => self.start(row, effect).await,
            Effect::Turn(number, kind) => self.turn(row, effect, *number, kind).await,
            Effect::Rerun(sha, attempt) => call("CI", ports.ci.rerun(&issue.repo, sha, *attempt)).await,
            Effect::Deploy(sha) => call("the deployment", ports.deploy.begin(&issue.repo, sha)).await,
            Effect::Interrupt(turn) => call("the agent", ports.agent.interrupt(&row.run, *turn)).await,
            Effect::Mark => {
                let change = LabelChange { add: vec![self.config.in_progress_label.clone()], remove: vec![] };
                call("the tracker", ports.tracker.label(issue, &change)).await
            }
            Effect::Stop => call("the agent", ports.agent.stop(&row.run)).await,
            Effect::Comment => {
                let (marker, body) = (words::marker(row), words::checklist(row, &self.config));
                call("the tracker", ports.tracker.comment(issue, &marker, &body)).await
            }
            Effect::Ring(ring) => self.ring(record, *ring).await,
            Effect::Label => match row.label_change(&self.config) {
                Some(change) => call("the tracker", ports.tracker.label(issue, &change)).await,
                None => Ok(()),
            },
            Effect::Close(_) => self.close(row).await,
            Effect::Unlock => call("the lock", ports.lock.release(issue, &row.run)).await,
        }
    }

    async fn take_lock(&self, row: &Row) -> Result<()> {
        let held = look("the lock", self.ports.lock.look(&row.issue.repo)).await;
        let over = match held {
            Seen::Known(holder) if holder.run != row.run && self.is_over(&holder.run).await? => Some(holder),
            _ => None,
        };
        // Whose it is now is read again before anything rests on it.
        call("the lock", self.ports.lock.take(&row.issue, &row.run, over.as_ref())).await.map(drop)
    }

    async fn start(&self, row: &Row, effect: &Effect) -> Result<()> {
        let text = call("the tracker", self.ports.tracker.text(&row.issue)).await?;
        if Digest::of(&text.title, &text.body) != row.text {
            // The next look at the issue decides whether whoever changed it is trusted.
            return Err(Error::unavailable(
                "the start",
                "the issue's text is not the one that was trusted",
                None,
            ));
        }
        let start = Start {
            task: self.task(row),
            preamble: words::preamble(row),
            prompt: words::start_prompt(row, &text),
        };
        let accepted = call("the agent", self.ports.agent.start(&start, self.permit(row, effect))).await?;
        note(row, effect, accepted);
        Ok(())
    }

    async fn turn(&self, row: &Row, effect: &Effect, number: u32, kind: &TurnKind) -> Result<()> {
        let prompt = match kind {
            TurnKind::Continue => words::continue_prompt(row),
            TurnKind::Fix(sha) => words::fix_prompt(row, sha),
        };
        let turn = Turn { task: self.task(row), number, preamble: words::preamble(row), prompt };
        let accepted = call("the agent", self.ports.agent.turn(&turn, self.permit(row, effect))).await?;
        note(row, effect, accepted);
        Ok(())
    }

    fn task(&self, row: &Row) -> Task {
        let left = self.config.budget.run.less(row.spent);
        Task {
            run: row.run.clone(),
            issue: row.issue.clone(),
            branch: row.branch(),
            budget: left.min(self.config.budget.turn),
        }
    }

    /// Asks the ledger again, at the last moment: is the mode still the right one, and does the run still want
    /// this? When the ledger cannot be read, it is not.
    fn permit(&self, row: &Row, effect: &Effect) -> Permit {
        let (ledger, config) = (self.ledger.clone(), self.config.clone());
        let (run, repo, effect) = (row.run.clone(), row.issue.repo.clone(), effect.clone());
        Permit::new(move || {
            let (ledger, run, effect) = (ledger.clone(), run.clone(), effect.clone());
            let enabled = config.is_enabled() && config.allowlist.contains(&repo);
            Box::pin(async move {
                let Ok(mode) = ledger.mode().await else { return false };
                let Ok(Some(stored)) = ledger.run(&run).await else { return false };
                let allowed: fn(Mode) -> bool = match effect {
                    Effect::Start(_) => Mode::may_start,
                    _ => Mode::may_turn,
                };
                enabled && allowed(mode) && effect.is_wanted(&stored.record.row)
            })
        })
    }

    async fn ring(&self, record: &Record, ring: Ring) -> Result<()> {
        let row = &record.row;
        let Some(notice) = words::notice(row, ring, &self.config, self.ports.link(&row.run)) else {
            return Ok(());
        };
        // The attempt was written down before it was made: whether an earlier one rang is not known.
        let again = record.outbox.get(&Effect::Ring(ring)).is_some_and(|delivery| delivery.attempts > 1);
        let receipt = call("the bell", self.ports.bell.ring(&notice, again)).await?;
        self.ledger.keep_receipt(&row.run, &receipt).await
    }

    /// Closes the issue, when it is open and the verdict is on what is in the branch now.
    async fn close(&self, row: &Row) -> Result<()> {
        let proven = row.green.is_some() && row.green == row.pushed;
        if !proven {
            return Err(Error::refused("closing", "the pushed commit is not the one that was green"));
        }
        match look("the tracker", self.ports.tracker.issue(&row.issue)).await {
            Seen::Known(issue) if issue.is_open() => {
                call("the tracker", self.ports.tracker.close(&row.issue)).await
            }
            Seen::Known(_) | Seen::Absent => Ok(()),
            Seen::Unknown(reason) => Err(Error::unavailable("the tracker", reason, None)),
        }
    }

    /// The ledger's time now.
    pub(super) async fn now(&self) -> Result<Now> {
        let mut last = self.last.lock().await;
        let monotonic = self.clock.monotonic();
        let elapsed = last.map(|last| monotonic.saturating_sub(last));
        let now = self.ledger.advance(self.clock.wall(), elapsed).await?;
        *last = Some(monotonic);
        Ok(now)
    }
}

fn note(row: &Row, effect: &Effect, accepted: Accepted) {
    if accepted == Accepted::Refused {
        tracing::info!(run = %row.run, %effect, "refused at the last moment");
    }
}
