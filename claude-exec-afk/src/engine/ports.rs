//! The world, as the loop is given it.

use std::fmt;
use std::sync::Arc;

use crate::port::{Agent, Bell, Ci, Deploy, Lock, Remote, Tracker};

/// One of each port.
#[derive(Clone)]
pub struct Ports {
    /// Issues.
    pub tracker: Arc<dyn Tracker>,
    /// Sessions.
    pub agent: Arc<dyn Agent>,
    /// What was pushed.
    pub remote: Arc<dyn Remote>,
    /// What CI says.
    pub ci: Arc<dyn Ci>,
    /// What is deployed; never asked unless [`Config::deploy`](crate::Config::deploy) is set.
    pub deploy: Arc<dyn Deploy>,
    /// The phone.
    pub bell: Arc<dyn Bell>,
    /// The lock.
    pub lock: Arc<dyn Lock>,
    /// Where a person finds a run: `{}` stands for the run's id. Goes into notices.
    pub link: Option<String>,
}

impl Ports {
    pub(super) fn link(&self, run: &crate::RunId) -> Option<String> {
        self.link.as_ref().map(|link| link.replace("{}", run.as_str()))
    }
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}
