//! Responses that are being made, so that another request can look at them and cancel them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use claude_exec::http::KeyName;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::responses::Echo;
use crate::stamp::Stamp;

/// All of them. Bounded by what else bounds turns: each is a request that is being answered.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<Mutex<HashMap<String, Entry>>>);

#[derive(Clone)]
struct Entry {
    owner: Option<KeyName>,
    stamp: Stamp,
    echo: Echo,
    cancel: watch::Sender<bool>,
}

/// A response that is being made; dropping it says that it no longer is.
pub(super) struct Turn {
    running: Running,
    id: String,
    cancel: watch::Receiver<bool>,
}

/// What another request sees of it.
pub(super) struct Seen {
    pub(super) stamp: Stamp,
    pub(super) echo: Echo,
    cancel: watch::Sender<bool>,
}

impl Running {
    /// Takes note of a response.
    pub(super) fn enter(&self, stamp: &Stamp, echo: &Echo, owner: Option<KeyName>) -> Turn {
        let (sender, cancel) = watch::channel(false);
        let entry = Entry { owner, stamp: stamp.clone(), echo: echo.clone(), cancel: sender };
        self.entries().insert(stamp.id.clone(), entry);
        Turn { running: self.clone(), id: stamp.id.clone(), cancel }
    }

    /// Finds a response of this owner's.
    pub(super) fn find(&self, id: &str, owner: Option<&KeyName>) -> Option<Seen> {
        let entries = self.entries();
        let entry = entries.get(id).filter(|entry| entry.owner.as_ref() == owner)?;
        let Entry { stamp, echo, cancel, .. } = entry.clone();
        Some(Seen { stamp, echo, cancel })
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Comes when somebody cancels it.
    pub(super) fn cancelled(&self) -> BoxFuture<'static, ()> {
        let mut cancel = self.cancel.clone();
        async move {
            if cancel.wait_for(|cancelled| *cancelled).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }
}

impl Seen {
    /// Cancels it, and waits until it is no longer being made.
    pub(super) async fn cancel(self) {
        self.cancel.send_replace(true);
        self.cancel.closed().await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.running.entries().remove(&self.id);
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Running({})", self.entries().len())
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Turn").field(&self.id).finish()
    }
}
