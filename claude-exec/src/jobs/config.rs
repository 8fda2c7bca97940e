//! How a registry keeps its jobs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::timestamp::Timestamp;

/// How long an ended job is kept by default.
pub const DEFAULT_TTL: Duration = Duration::from_secs(3600);
/// Jobs kept in all by default: a list of them stays one answer, and a full store some tens of megabytes.
pub const DEFAULT_MAX_JOBS: usize = 1_000;
/// How jobs are kept.
#[derive(Clone)]
#[must_use]
pub struct RegistryConfig {
    pub(super) owner: String,
    pub(super) ttl: Duration,
    pub(super) max_jobs: usize,
    pub(super) clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl RegistryConfig {
    /// An hour after their end, at most 1,000, by this machine's clock.
    pub fn new() -> Self {
        Self {
            owner: "local".to_owned(),
            ttl: DEFAULT_TTL,
            max_jobs: DEFAULT_MAX_JOBS,
            clock: Arc::new(Timestamp::now),
        }
    }

    /// Sets the name of this server, the same after a restart; only needed when several share one store.
    pub fn owner(mut self, name: impl Into<String>) -> Self {
        self.owner = name.into();
        self
    }

    /// Sets how long an ended job is kept.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Sets how many jobs are kept; beyond that the oldest ended ones go early.
    pub fn max_jobs(mut self, jobs: usize) -> Self {
        self.max_jobs = jobs;
        self
    }

    /// Sets where the time comes from.
    pub fn clock(mut self, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(now);
        self
    }
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RegistryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryConfig")
            .field("owner", &self.owner)
            .field("ttl", &self.ttl)
            .field("max_jobs", &self.max_jobs)
            .finish_non_exhaustive()
    }
}
