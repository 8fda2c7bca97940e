//! The audit of a running server.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use claude_exec::jobs::Timestamp;
use claude_exec::{Error, Result};

use super::chain::Head;
use super::journal::Journal;
use super::record::{Actor, Event, Record};
use super::sampling::Sampling;
use super::segments::Segments;
use super::verify::walk;
use crate::redact::Redactor;

/// The longest text of a record: a prompt or a command that is longer is cut, and says so.
const TEXT_BYTES: usize = 64 * 1024;

/// Records of verbs that are handed to whoever opens the audit: more than a day of them at the fastest rate.
const VERBS: usize = 8192;

/// Where an audit is, and what happens when it cannot be written.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AuditConfig {
    /// The directory; made when it is missing.
    pub dir: PathBuf,
    /// Goes on when the disk takes no record, or the chain is broken: records are then kept in memory and told in
    /// the log of the server. Default false. A full disk is an emergency, and a reason to need the verbs.
    pub degraded_ok: bool,
    /// What is taken out of every text.
    pub redactor: Redactor,
}

impl AuditConfig {
    /// An audit in `dir` that refuses what it cannot record.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), degraded_ok: false, redactor: Redactor::new() }
    }

    /// Sets whether things go on without a durable record.
    #[must_use]
    pub fn degraded_ok(mut self, degraded_ok: bool) -> Self {
        self.degraded_ok = degraded_ok;
        self
    }

    /// Sets what is taken out of every text.
    #[must_use]
    pub fn redactor(mut self, redactor: Redactor) -> Self {
        self.redactor = redactor;
        self
    }
}

/// How a record was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// It survives a power cut.
    Durable,
    /// It is in memory and in the log of the server, since the disk took nothing.
    Degraded,
}

/// The one writer of an audit. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Audit {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    journal: Mutex<Journal>,
    sampling: Mutex<Sampling>,
    degraded: AtomicBool,
    verbs: Mutex<Vec<Record>>,
    config: AuditConfig,
}

impl Audit {
    /// Verifies what is there and goes on after it. Blocks: call it while starting.
    ///
    /// A last line without an end, of a server that died in the middle of it, is cut off, which is recorded.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) when the directory cannot be used, another server writes there, or the
    /// chain is broken; with [`degraded_ok`](AuditConfig::degraded_ok) a broken chain is left as it is and a new
    /// one is begun beside it.
    pub fn open(config: AuditConfig) -> Result<Self> {
        let refuse =
            |error: io::Error| Error::invalid("AUDIT_DIR", format!("{}: {error}", config.dir.display()));
        let lock = Segments::lock(&config.dir).map_err(refuse)?;
        let mut verbs = Vec::new();
        let walked = walk(&config.dir, |line| {
            if let Ok(record) = serde_json::from_str::<Record>(line)
                && matches!(record.event, Event::VerbRequested { .. } | Event::VerbEnded { .. })
            {
                if verbs.len() >= VERBS {
                    verbs.drain(..VERBS / 2);
                }
                verbs.push(record);
            }
        })
        .map_err(refuse)?;
        let mut opened = Event::Opened {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cut_bytes: walked.report.torn_bytes,
            broken: None,
        };
        let journal = match (&walked.report.broken, walked.last) {
            (Some((path, line, fault)), _) => {
                let told = format!("{} line {line}: {fault}", path.display());
                if !config.degraded_ok {
                    let hint = "keep the files for whoever looks into it, and give another directory";
                    return Err(Error::invalid("AUDIT_DIR", format!("the chain is broken: {told}; {hint}")));
                }
                set_aside(&config.dir).map_err(refuse)?;
                let Event::Opened { broken, .. } = &mut opened else { unreachable!("made above") };
                *broken = Some(told);
                Journal::new(Segments::open(&config.dir, lock, 1).map_err(refuse)?, Head::default(), 0)
            }
            (None, None) => {
                Journal::new(Segments::open(&config.dir, lock, 1).map_err(refuse)?, walked.head, 0)
            }
            (None, Some((path, first, length))) => {
                if walked.report.torn_bytes > 0 {
                    let file = std::fs::OpenOptions::new().write(true).open(&path).map_err(refuse)?;
                    file.set_len(length).and_then(|()| file.sync_all()).map_err(refuse)?;
                }
                Journal::new(Segments::open(&config.dir, lock, first).map_err(refuse)?, walked.head, length)
            }
        };
        let inner = Inner {
            journal: Mutex::new(journal),
            sampling: Mutex::default(),
            degraded: AtomicBool::new(false),
            verbs: Mutex::new(verbs),
            config,
        };
        let audit = Self { inner: Arc::new(inner) };
        audit.write(Actor::server(), opened)?;
        Ok(audit)
    }

    /// An audit on a disk of a test's.
    #[cfg(test)]
    pub(crate) fn on(disk: super::disk::Shared, config: AuditConfig) -> Self {
        let inner = Inner {
            journal: Mutex::new(Journal::new(disk, Head::default(), 0)),
            sampling: Mutex::default(),
            degraded: AtomicBool::new(false),
            verbs: Mutex::default(),
            config,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Records an event, and returns once it is durable. Texts lose their secrets and what is too long of them.
    ///
    /// # Errors
    ///
    /// When the disk does not take it: the event is not recorded, and what it stands for must not happen. With
    /// [`degraded_ok`](AuditConfig::degraded_ok) this is [`Durability::Degraded`] instead.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a write that was begun: the record may be there.
    pub async fn record(&self, actor: Actor, event: Event) -> Result<Durability> {
        let audit = self.clone();
        let written = tokio::task::spawn_blocking(move || audit.write(actor, event)).await;
        written.unwrap_or_else(|_| Err(Error::failed("the audit", "it ended early")))
    }

    /// Records that somebody was turned away, as far as the bounds allow: one in 10 s of each peer.
    pub async fn refused(&self, peer: Option<IpAddr>, reason: &str, path: &str) {
        let sampled = lock(&self.inner.sampling).take(peer, Instant::now());
        let Some(suppressed) = sampled else { return };
        let actor = Actor::new("", "none", peer.map(|peer| peer.to_string()).unwrap_or_default());
        let event = Event::SignInRefused { reason: reason.to_owned(), path: path.to_owned(), suppressed };
        if let Err(error) = self.record(actor, event).await {
            tracing::warn!(%error, "a refused sign-in is not recorded");
        }
    }

    /// True while records wait for a disk that takes nothing.
    pub fn is_degraded(&self) -> bool {
        self.inner.degraded.load(Ordering::Relaxed)
    }

    /// The records of verbs that were there when this was opened, oldest first. Given once.
    pub fn take_verbs(&self) -> Vec<Record> {
        std::mem::take(&mut *lock(&self.inner.verbs))
    }

    /// The redactor of every text here.
    pub fn redactor(&self) -> &Redactor {
        &self.inner.config.redactor
    }

    fn write(&self, actor: Actor, event: Event) -> Result<Durability> {
        let event = self.clean(event);
        let mut journal = lock(&self.inner.journal);
        let taken = journal.append(Timestamp::now(), actor, event, self.inner.config.degraded_ok);
        self.inner.degraded.store(journal.is_waiting() || taken.is_err(), Ordering::Relaxed);
        drop(journal);
        match taken {
            Ok(taken) if taken.durable => {
                tracing::info!(target: "audit", seq = taken.head.seq, hash = taken.head.hash, "recorded");
                Ok(Durability::Durable)
            }
            Ok(taken) => {
                tracing::error!(target: "audit", record = taken.line.trim_end(), "NOT DURABLE: kept in memory");
                Ok(Durability::Degraded)
            }
            Err(error) => {
                tracing::error!(target: "audit", %error, "cannot record");
                Err(Error::io("the audit record", error))
            }
        }
    }

    fn clean(&self, mut event: Event) -> Event {
        let clean = |text: &mut String| {
            let redacted = self.inner.config.redactor.text(text);
            if let std::borrow::Cow::Owned(redacted) = redacted {
                *text = redacted;
            }
            if text.len() > TEXT_BYTES {
                let left_out = text.len() - TEXT_BYTES;
                text.truncate((0..=TEXT_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0));
                text.push_str(&format!(" [{left_out} bytes more]"));
            }
        };
        match &mut event {
            Event::Prompt { text, .. } => clean(text),
            Event::Approval { input, reason, tool, .. } => {
                clean(input);
                clean(tool);
                reason.iter_mut().for_each(clean);
            }
            Event::Session { what, .. } => clean(what),
            Event::VerbRequested { reason, .. } => clean(reason),
            Event::VerbEnded { detail, .. } => clean(detail),
            Event::VerbRefused { reason, why, .. } => {
                clean(reason);
                clean(why);
            }
            Event::SignInRefused { reason, path, .. } => {
                clean(reason);
                clean(path);
            }
            Event::Opened { .. } => {}
        }
        event
    }
}

/// Moves the files of a broken chain into a directory of their own, where `verify` still finds what is wrong.
fn set_aside(dir: &std::path::Path) -> io::Result<()> {
    let aside = dir.join(format!("broken-{}", Timestamp::now().micros()));
    std::fs::create_dir(&aside)?;
    for (_, path) in Segments::list(dir)? {
        if let Some(name) = path.file_name() {
            std::fs::rename(&path, aside.join(name))?;
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
