//! A store that forgets everything when it is dropped.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::future::{BoxFuture, ready};

use super::{Batch, Entry, SCAN_LIMIT, Store, Written};
use crate::error::Result;

/// Keeps everything in this process: for tests, and for servers that may forget.
///
/// Cloning is sharing through an [`Arc`](std::sync::Arc).
#[derive(Default)]
pub struct Memory {
    spaces: Mutex<BTreeMap<&'static str, BTreeMap<String, Bytes>>>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, BTreeMap<String, Bytes>>> {
        // A batch is applied by moves that cannot panic halfway, so a poisoned map is still whole.
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: BTreeMap<_, _> = self.lock().iter().map(|(space, keys)| (*space, keys.len())).collect();
        f.debug_tuple("Memory").field(&sizes).finish()
    }
}

impl Store for Memory {
    fn get<'a>(&'a self, space: &'static str, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>>> {
        let value = self.lock().get(space).and_then(|keys| keys.get(key)).cloned();
        Box::pin(ready(Ok(value)))
    }

    fn scan<'a>(&'a self, space: &'static str, after: &'a str) -> BoxFuture<'a, Result<Vec<Entry>>> {
        let spaces = self.lock();
        let from = (Bound::Excluded(after), Bound::Unbounded);
        let entries = spaces.get(space).map(|keys| {
            let page = keys.range::<str, _>(from).take(SCAN_LIMIT);
            page.map(|(key, value)| (key.clone(), value.clone())).collect()
        });
        Box::pin(ready(Ok(entries.unwrap_or_default())))
    }

    fn write(&self, batch: Batch) -> BoxFuture<'_, Result<Written>> {
        let mut spaces = self.lock();
        let met = batch.expectations.iter().all(|expected| {
            let found = spaces.get(expected.space).and_then(|keys| keys.get(&expected.key));
            found == expected.value.as_ref()
        });
        if !met {
            return Box::pin(ready(Ok(Written::Refused)));
        }
        for change in batch.changes {
            let keys = spaces.entry(change.space).or_default();
            match change.value {
                Some(value) => keys.insert(change.key, value),
                None => keys.remove(&change.key),
            };
        }
        Box::pin(ready(Ok(Written::Applied)))
    }
}
