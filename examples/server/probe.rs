//! Whether the CLI answers: asked now and then, in the background, and remembered.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;

/// How old an answer may be before the CLI is asked again: a check starts a process, and probes come every
/// few seconds.
const FRESH: Duration = Duration::from_secs(30);

/// Remembers whether the CLI answers. Clones share it.
#[derive(Clone)]
pub struct Probe(Arc<Shared>);

struct Shared {
    check: Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>,
    up: AtomicBool,
    asked: Mutex<Instant>,
}

impl Probe {
    /// A probe that has just been answered; `check` asks again.
    pub fn answered(check: impl Fn() -> BoxFuture<'static, bool> + Send + Sync + 'static) -> Self {
        let asked = Mutex::new(Instant::now());
        Self(Arc::new(Shared { check: Box::new(check), up: AtomicBool::new(true), asked }))
    }

    /// The last answer, at once; when that is old, the CLI is asked again for the next caller.
    pub fn is_up(&self) -> bool {
        if self.is_due() {
            let shared = self.0.clone();
            tokio::spawn(async move {
                let up = (shared.check)().await;
                if shared.up.swap(up, Ordering::Relaxed) != up {
                    tracing::warn!(up, "the CLI's state changed");
                }
            });
        }
        self.0.up.load(Ordering::Relaxed)
    }

    /// True for one caller in each period.
    fn is_due(&self) -> bool {
        let mut asked = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let due = asked.elapsed() >= FRESH;
        if due {
            *asked = Instant::now();
        }
        due
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("up", &self.0.up).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_cli_is_asked_once_in_a_period_however_many_want_to_know() {
        let checks = Arc::new(AtomicUsize::new(0));
        let count = checks.clone();
        let probe = Probe::answered(move || {
            count.fetch_add(1, Ordering::Relaxed);
            async { false }.boxed()
        });
        let mut seen = Vec::new();
        for wait in [0, 29, 1, 0, 30] {
            tokio::time::advance(Duration::from_secs(wait)).await;
            let up = [probe.is_up(), probe.is_up()];
            tokio::task::yield_now().await;
            seen.push((up, checks.load(Ordering::Relaxed)));
        }
        let expected = [([true; 2], 0), ([true; 2], 0), ([true; 2], 1), ([false; 2], 1), ([false; 2], 2)];
        assert_eq!(seen, expected);
    }
}
