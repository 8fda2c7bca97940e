//! Locks that nobody waits with.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock whose holders neither wait nor leave anything half done, so that a panic of one spoils nothing.
pub(super) fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
