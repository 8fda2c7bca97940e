//! The log in this machine's store.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use claude_exec::store::{Batch, Store, Written};
use claude_exec::{Error, Result};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::entry::Entry;
use super::store::{Loaded, LogStore};

/// Rows of events: `<log>/<number of the first>`.
const ROWS: &str = "breakglass-log";

/// Which epoch owns a log: `<log>`.
const OWNERS: &str = "breakglass-log-owner";

/// Which log an epoch was given out for, and, under [`LAST`], the last one.
const EPOCHS: &str = "breakglass-epoch";
const LAST: &str = "last";

/// A claim is beaten only by another claim, which nobody makes in a loop.
const MAX_CLAIMS: usize = 32;

/// Rows removed with one append at most, so that no write grows without bound; the rest goes with the next.
const MAX_TRIM: usize = 256;

/// Keeps logs in a [`Store`]: a row per append, an owner per log.
pub struct EmbeddedLog {
    store: Arc<dyn Store>,
    rows: Mutex<HashMap<String, Rows>>,
}

/// The rows of one log: the numbers of their first and last event.
type Rows = VecDeque<(u64, u64)>;

impl EmbeddedLog {
    /// Keeps logs in `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, rows: Mutex::default() }
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<String, Rows>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn scan(&self, log: &str, mut row: impl FnMut(String, Bytes)) -> Result<()> {
        let prefix = format!("{log}/");
        let mut after = prefix.clone();
        loop {
            let page = self.store.scan(ROWS, &after).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after.clone_from(last);
            for (key, value) in page {
                if !key.starts_with(&prefix) {
                    return Ok(());
                }
                row(key, value);
            }
        }
    }

    async fn epoch(&self, log: &str) -> Result<Option<Bytes>> {
        self.store.get(OWNERS, log).await
    }
}

impl LogStore for EmbeddedLog {
    fn load<'a>(&'a self, log: &'a str) -> BoxFuture<'a, Result<Loaded>> {
        async move {
            let (mut entries, mut rows) = (Vec::new(), Rows::new());
            self.scan(log, |_, value| {
                let text = String::from_utf8_lossy(&value);
                let before = entries.len();
                entries.extend(text.lines().filter_map(Entry::read_row));
                if let (Some(first), Some(last)) = (entries.get(before), entries.last()) {
                    rows.push_back((first.id().seq, last.id().seq));
                }
            })
            .await?;
            self.rows().insert(log.to_owned(), rows);
            Ok(Loaded { entries, epoch: number(self.epoch(log).await?) })
        }
        .boxed()
    }

    fn claim<'a>(&'a self, log: &'a str) -> BoxFuture<'a, Result<u64>> {
        async move {
            for _ in 0..MAX_CLAIMS {
                let last = self.store.get(EPOCHS, LAST).await?;
                let epoch = number(last.clone()) + 1;
                let batch = match last {
                    Some(last) => Batch::new().expect(EPOCHS, LAST, last),
                    None => Batch::new().expect_absent(EPOCHS, LAST),
                };
                let batch = batch
                    .put(EPOCHS, LAST, epoch.to_string())
                    .put(EPOCHS, epoch.to_string(), log.to_owned())
                    .put(OWNERS, log, epoch.to_string());
                if self.store.write(batch).await? == Written::Applied {
                    return Ok(epoch);
                }
            }
            Err(Error::store("claiming a log", "others claim all the time"))
        }
        .boxed()
    }

    fn append<'a>(
        &'a self,
        log: &'a str,
        entries: &'a [Entry],
        first: u64,
    ) -> BoxFuture<'a, Result<Written>> {
        async move {
            let (Some(head), Some(tail)) = (entries.first(), entries.last()) else {
                return Ok(Written::Applied);
            };
            let mut text = String::new();
            entries.iter().for_each(|entry| entry.write_row(&mut text));
            let mut batch = Batch::new().expect(OWNERS, log, head.id().epoch.to_string()).put(
                ROWS,
                key(log, head.id().seq),
                text,
            );
            let old: Vec<u64> = {
                let rows = self.rows();
                let rows = rows.get(log).into_iter().flatten();
                rows.take_while(|(_, last)| *last < first).take(MAX_TRIM).map(|(at, _)| *at).collect()
            };
            for at in &old {
                batch = batch.remove(ROWS, key(log, *at));
            }
            let written = self.store.write(batch).await?;
            if written == Written::Applied {
                let mut rows = self.rows();
                let rows = rows.entry(log.to_owned()).or_default();
                rows.drain(..old.len().min(rows.len()));
                rows.push_back((head.id().seq, tail.id().seq));
            }
            Ok(written)
        }
        .boxed()
    }

    fn delete<'a>(&'a self, log: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            // Nobody can append any more, then the rows go.
            self.store.remove(OWNERS, log).await?;
            let mut keys = Vec::new();
            self.scan(log, |key, _| keys.push(key)).await?;
            for keys in keys.chunks(MAX_TRIM) {
                let batch = keys.iter().fold(Batch::new(), |batch, key| batch.remove(ROWS, key.as_str()));
                let _ = self.store.write(batch).await?;
            }
            self.rows().remove(log);
            Ok(())
        }
        .boxed()
    }

    fn owner(&self, epoch: u64) -> BoxFuture<'_, Result<Option<String>>> {
        async move {
            let log = self.store.get(EPOCHS, &epoch.to_string()).await?;
            Ok(log.map(|log| String::from_utf8_lossy(&log).into_owned()))
        }
        .boxed()
    }
}

impl fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedLog").finish_non_exhaustive()
    }
}

fn key(log: &str, seq: u64) -> String {
    format!("{log}/{seq:020}")
}

fn number(text: Option<Bytes>) -> u64 {
    text.and_then(|text| std::str::from_utf8(&text).ok()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use claude_exec::store::Memory;

    use super::super::id::EventId;
    use super::*;

    fn entries(epoch: u64, seqs: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
        seqs.map(|seq| Entry::new(EventId::new(epoch, seq), "delta", &format!("{{\"n\":{seq}}}"))).collect()
    }

    #[tokio::test]
    async fn a_log_comes_back_in_order_and_logs_are_apart() {
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        let log = EmbeddedLog::new(Arc::clone(&store));
        let (a, b) = (log.claim("a").await.unwrap(), log.claim("ab").await.unwrap());
        assert_eq!((a, b), (1, 2));
        assert_eq!(log.append("a", &entries(1, 1..=3), 0).await.unwrap(), Written::Applied);
        assert_eq!(log.append("ab", &entries(2, 1..=1), 0).await.unwrap(), Written::Applied);
        assert_eq!(log.append("a", &entries(1, 4..=12), 0).await.unwrap(), Written::Applied);
        let again = EmbeddedLog::new(store);
        let loaded = again.load("a").await.unwrap();
        assert_eq!((loaded.epoch, loaded.entries), (1, entries(1, 1..=12)));
        assert_eq!(again.load("none").await.unwrap().entries, []);
        assert_eq!(again.owner(2).await.unwrap().as_deref(), Some("ab"));
        assert_eq!(again.owner(9).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_writer_that_was_replaced_is_refused() {
        let log = EmbeddedLog::new(Arc::new(Memory::new()));
        let old = log.claim("a").await.unwrap();
        assert_eq!(log.append("a", &entries(old, 1..=1), 0).await.unwrap(), Written::Applied);
        let new = log.claim("a").await.unwrap();
        assert_eq!(log.append("a", &entries(old, 2..=2), 0).await.unwrap(), Written::Refused);
        assert_eq!(log.append("a", &entries(new, 2..=2), 0).await.unwrap(), Written::Applied);
        assert_eq!(log.load("a").await.unwrap().entries.len(), 2);
    }

    #[tokio::test]
    async fn old_rows_go_with_an_append_and_all_with_a_deletion() {
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        let log = EmbeddedLog::new(Arc::clone(&store));
        let epoch = log.claim("a").await.unwrap();
        for seq in [1, 3, 5] {
            let _ = log.append("a", &entries(epoch, seq..=seq + 1), 0).await.unwrap();
        }
        let _ = log.append("a", &entries(epoch, 7..=7), 4).await.unwrap();
        assert_eq!(log.load("a").await.unwrap().entries, entries(epoch, 3..=7));
        log.delete("a").await.unwrap();
        assert_eq!(log.load("a").await.unwrap().entries, []);
        assert_eq!(log.append("a", &entries(epoch, 8..=8), 0).await.unwrap(), Written::Refused);
        assert_eq!(store.scan(ROWS, "").await.unwrap(), []);
    }
}
