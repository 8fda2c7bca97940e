//! Looking at the VM: what changes nothing, and is told again while it is fresh.

use std::time::{Duration, Instant};

use serde::Serialize;
use uuid::Uuid;

use super::operations::{Operation, Refusal};
use super::outcome::judge;
use super::service::Power;
use super::{Closed, Observed, Verb, Verdict};

/// What was read is told again for this long: ten phones that look cost the host one look.
pub(super) const FRESH: Duration = Duration::from_secs(2);

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

impl Power {
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

    pub(super) async fn look(&self, fresh: Duration) -> Result<Observed, Refusal> {
        let reading = self.read(Verb::Status, &self.inner.status, fresh).await;
        reading.observed.ok_or(Refusal::NotSeen(reading.verdict.detail))
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
}
