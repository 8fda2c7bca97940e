//! The task that keeps a pool: what is due in time, and how much memory there is.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::shared::Shared;

/// Between two looks at the memory of all processes. A look takes some milliseconds of a processor for each.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// Until the next look at a pool that is gone, or where nothing is due.
const NOTHING_DUE: Duration = Duration::from_secs(60);

/// Runs until the pool is closed and nothing of it is left.
pub(super) async fn keep(pool: Weak<Shared>) {
    let mut measure_at = Instant::now() + MEASURE_EVERY;
    loop {
        let Some(shared) = pool.upgrade() else { return };
        let now = Instant::now();
        if now >= measure_at {
            measure(&shared).await;
            measure_at = Instant::now() + MEASURE_EVERY;
        }
        let (due, is_over, has_any) = shared.change_unseen(|state, now| {
            state.policy.handle_timeout(now);
            (state.policy.poll_timeout(now), state.policy.is_over(), !state.controls.is_empty())
        });
        if is_over {
            return;
        }
        let mut wake = due.unwrap_or(now + NOTHING_DUE);
        if has_any {
            wake = wake.min(measure_at);
        }
        tokio::select! {
            () = shared.moved.notified() => {}
            () = sleep_until(wake) => {}
        }
    }
}

async fn measure(shared: &Arc<Shared>) {
    let controls: Vec<_> = {
        let state = shared.lock();
        state.controls.iter().map(|(slot, control)| (*slot, Arc::clone(control))).collect()
    };
    for (slot, control) in controls {
        let memory = tokio::task::spawn_blocking(move || control.memory()).await;
        if let Ok(Some(bytes)) = memory {
            shared.change_unseen(|state, now| state.policy.measured(now, slot, bytes));
        }
    }
}
