//! Time limits that may be as long as a `Duration` can be.

use std::time::Duration;

use tokio::time::Instant;

/// Far enough to be never: what a clock that cannot count to the end of `Duration::MAX` makes of it.
const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

/// `duration` after `instant`.
pub(crate) fn after(instant: Instant, duration: Duration) -> Instant {
    instant.checked_add(duration).unwrap_or_else(|| instant + NEVER)
}
