//! A store in one file of this process, crash-safe.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::future::BoxFuture;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction};
use tokio::sync::oneshot;

use super::file::DatabaseFile;
use super::{Batch, Entry, SCAN_LIMIT, Store, Written};
use crate::error::{Error, Result};

type Table<'a> = TableDefinition<'a, &'static str, &'static [u8]>;

/// Keeps everything in one file; a write is on the disk when it returns.
///
/// The file belongs to one process at a time, and to this user alone. After an I/O error, such as a full disk,
/// it is opened anew, so the store works again as soon as the disk does. Cheap to clone; the file is closed with the last clone, once
/// the calls under way are done.
///
/// # Panics
///
/// Its methods run on the blocking threads of the tokio runtime that polls them, and panic outside one.
#[derive(Clone)]
pub struct Embedded(Arc<Shared>);

struct Shared {
    file: DatabaseFile,
    /// Whoever writes takes all that waits along: one transaction, and one wait for the disk, serves them all.
    waiting: Mutex<Vec<Waiting>>,
    writing: Mutex<()>,
}

/// A batch that is to be written, and who waits for it.
struct Waiting {
    batch: Batch,
    answer: oneshot::Sender<Result<Written>>,
}

/// The most batches of one transaction: none of them is durable before all are.
const TOGETHER: usize = 256;

impl Embedded {
    /// Opens the file at `path`, or makes it; its directory must exist. A file that a crash left is repaired.
    ///
    /// # Errors
    ///
    /// When another process holds the file, or when it cannot be read, written or understood; the message
    /// names the file.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let file = blocking(move || DatabaseFile::open(path)).await?;
        Ok(Self(Arc::new(Shared { file, waiting: Mutex::default(), writing: Mutex::default() })))
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("path", &self.0.file.path).finish_non_exhaustive()
    }
}

impl Store for Embedded {
    fn get<'a>(&'a self, space: &'static str, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>>> {
        let (shared, key) = (Arc::clone(&self.0), key.to_owned());
        Box::pin(blocking(move || shared.file.read(|database| get(database, space, &key))))
    }

    fn scan<'a>(&'a self, space: &'static str, after: &'a str) -> BoxFuture<'a, Result<Vec<Entry>>> {
        let (shared, after) = (Arc::clone(&self.0), after.to_owned());
        Box::pin(blocking(move || shared.file.read(|database| scan(database, space, &after))))
    }

    fn write(&self, batch: Batch) -> BoxFuture<'_, Result<Written>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let (answer, written) = oneshot::channel();
            lock(&shared.waiting).push(Waiting { batch, answer });
            blocking(move || {
                shared.write_waiting();
                Ok(())
            })
            .await?;
            written.await.unwrap_or_else(|_| Err(Error::store("using the store", "its thread was stopped")))
        })
    }
}

impl Shared {
    /// Writes what waits, unless another thread has written it meanwhile. Blocks.
    fn write_waiting(&self) {
        let _alone = lock(&self.writing);
        let waiting: Vec<Waiting> = {
            let mut waiting = lock(&self.waiting);
            let count = waiting.len().min(TOGETHER);
            waiting.drain(..count).collect()
        };
        if waiting.is_empty() {
            return;
        }
        let done = self.file.write(|database| write(database, waiting.iter().map(|waiting| &waiting.batch)));
        match done {
            Ok(written) => {
                for (waiting, written) in waiting.into_iter().zip(written) {
                    let _ = waiting.answer.send(Ok(written));
                }
            }
            Err(error) => {
                for waiting in waiting {
                    let _ = waiting.answer.send(Err(error.clone()));
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn get(database: &Database, space: &str, key: &str) -> Result<Option<Bytes>, redb::Error> {
    let table = match database.begin_read()?.open_table(Table::new(space)) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(table.get(key)?.map(|value| Bytes::copy_from_slice(value.value())))
}

fn scan(database: &Database, space: &str, after: &str) -> Result<Vec<Entry>, redb::Error> {
    let table = match database.begin_read()?.open_table(Table::new(space)) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut entries = Vec::new();
    for entry in table.range(after..)? {
        let (key, value) = entry?;
        if key.value() != after {
            entries.push((key.value().to_owned(), Bytes::copy_from_slice(value.value())));
        }
        if entries.len() == SCAN_LIMIT {
            break;
        }
    }
    Ok(entries)
}

/// Applies batches one after another in one transaction: each sees what those before it did.
fn write<'a>(
    database: &Database,
    batches: impl Iterator<Item = &'a Batch>,
) -> Result<Vec<Written>, redb::Error> {
    let transaction = database.begin_write()?;
    let mut written = Vec::new();
    for batch in batches {
        written.push(apply(&transaction, batch)?);
    }
    if written.contains(&Written::Applied) {
        transaction.commit()?;
    } else {
        transaction.abort()?;
    }
    Ok(written)
}

fn apply(transaction: &WriteTransaction, batch: &Batch) -> Result<Written, redb::Error> {
    if !met(transaction, batch)? {
        return Ok(Written::Refused);
    }
    for change in &batch.changes {
        let mut table = transaction.open_table(Table::new(change.space))?;
        match &change.value {
            Some(value) => table.insert(change.key.as_str(), value.as_ref())?,
            None => table.remove(change.key.as_str())?,
        };
    }
    Ok(Written::Applied)
}

fn met(transaction: &WriteTransaction, batch: &Batch) -> Result<bool, redb::Error> {
    for expected in &batch.expectations {
        let table = transaction.open_table(Table::new(expected.space))?;
        let found = table.get(expected.key.as_str())?;
        if found.as_ref().map(|value| value.value()) != expected.value.as_deref() {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Error::store("using the store", "its thread was stopped or panicked")))
}
