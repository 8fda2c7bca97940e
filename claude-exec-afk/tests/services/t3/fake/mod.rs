//! A T3 server in memory, of either release, that refuses what the real one refuses.
//!
//! It has the real one's traps: a web page for paths that it does not know, 500 without a reason for every broken
//! rule, receipts that answer a repeated command without doing anything, a turn that looks completed while it runs
//! and then vanishes, a worker that a stop during a turn wedges, archived threads that swallow commands, and
//! ghosts after a restart. Time does not pass in it by itself: it moves on with every read.

mod command;
mod http;
mod provider;
mod world;

use std::sync::{Arc, Mutex, MutexGuard};

pub(crate) use world::{Fault, Play, World};

use crate::stub::Stub;
use crate::t3::schema::Release;

/// The token that it knows.
pub(crate) const TOKEN: &str = "c2VjcmV0LWNsYWltcw.c2VjcmV0LXNpZ25hdHVyZQ";

/// The server; it ends with the test.
pub(crate) struct Fake {
    stub: Stub,
    world: Arc<Mutex<World>>,
}

impl Fake {
    pub(crate) async fn start(release: Release, git: bool) -> Self {
        let world = Arc::new(Mutex::new(World::new(release, git)));
        Self { stub: http::serve(world.clone()).await, world }
    }

    pub(crate) fn url(&self) -> &str {
        &self.stub.url
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// What every test ends with: nothing was sent that a client should not send, nothing was answered that the real
    /// server would not answer, and no turn was stopped while it ran.
    pub(crate) fn judge(&self) {
        let world = self.world();
        assert_eq!(world.lax, Vec::<String>::new(), "sent, but not as the strict schemas have it");
        assert_eq!(world.drift, Vec::<String>::new(), "this fake answers otherwise than the real one");
        assert!(!world.wedged, "the server is wedged: a session was stopped while its turn ran");
    }
}
