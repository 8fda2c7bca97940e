//! The database file of an embedded store, opened anew after an I/O error.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::{Database, DatabaseError};

use crate::error::{Error, Result};

/// The page cache: jobs and conversations are small, and redb's default of 1 GiB is no server's wish.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

type Open = dyn Fn(&Path) -> Result<Database, DatabaseError> + Send + Sync;

/// A database that heals: after an I/O error, such as a full disk, redb refuses everything until the file is
/// opened again, which is done here at once, and again at each call until it works.
pub(super) struct DatabaseFile {
    pub(super) path: PathBuf,
    open: Box<Open>,
    /// With a number that counts the openings. Calls hold the lock shared, so a database is never closed
    /// under one. All of this runs on threads that may block.
    database: RwLock<(u64, Option<Database>)>,
}

impl DatabaseFile {
    /// Opens the file, or makes it. Blocks.
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        Self::open_by(path, Box::new(open_private))
    }

    fn open_by(path: PathBuf, open: Box<Open>) -> Result<Self> {
        let database = open(&path).map_err(|error| failed_to_open(&path, &error))?;
        Ok(Self { path, open, database: RwLock::new((0, Some(database))) })
    }

    /// Does something that may be done twice. Blocks.
    pub(super) fn read<T>(&self, act: impl Fn(&Database) -> Result<T, redb::Error>) -> Result<T> {
        let failed = |error| Error::store("reading the store", error);
        match self.attempt(&act)? {
            Err(error) if is_broken(&error) => self.attempt(&act)?.map_err(failed),
            done => done.map_err(failed),
        }
    }

    /// Does something once. Blocks.
    pub(super) fn write<T>(&self, act: impl Fn(&Database) -> Result<T, redb::Error>) -> Result<T> {
        self.attempt(&act)?.map_err(|error| Error::store("writing the store", error))
    }

    /// Acts on the database, and opens it anew when it broke, before or by that.
    fn attempt<T>(
        &self,
        act: &impl Fn(&Database) -> Result<T, redb::Error>,
    ) -> Result<Result<T, redb::Error>> {
        loop {
            let guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
            let done = guard.1.as_ref().map(act);
            let opening = guard.0;
            drop(guard);
            match done {
                Some(Err(error)) if is_broken(&error) => {
                    if let Err(again) = self.reopen(opening) {
                        tracing::warn!(error = %again, "the store is out of order; trying again at its next use");
                    }
                    return Ok(Err(error));
                }
                Some(done) => return Ok(done),
                None => self.reopen(opening)?,
            }
        }
    }

    fn reopen(&self, opening: u64) -> Result<()> {
        let mut guard = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if guard.0 != opening {
            return Ok(()); // another call was first
        }
        guard.1 = None;
        guard.1 = Some((self.open)(&self.path).map_err(|error| failed_to_open(&self.path, &error))?);
        guard.0 += 1;
        Ok(())
    }
}

/// True when redb does no more with this database.
fn is_broken(error: &redb::Error) -> bool {
    matches!(error, redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::LockPoisoned(_))
}

fn open_private(path: &Path) -> Result<Database, DatabaseError> {
    Database::builder().set_cache_size(CACHE_BYTES).create_file(private_file(path)?)
}

/// Opens or makes the file for this user alone: it holds prompts and answers.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn failed_to_open(path: &Path, error: &DatabaseError) -> Error {
    let path = path.display();
    let reason = match error {
        DatabaseError::DatabaseAlreadyOpen => format!(
            "{path} is held by another process; stop that server, or give this one a state file of its own"
        ),
        DatabaseError::UpgradeRequired(version) => format!(
            "{path} has the old format {version}; move it away to start empty, or open it with the older version"
        ),
        other => format!("{path}: {other}"),
    };
    Error::store("opening the store", reason)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use redb::backends::FileBackend;
    use redb::{ReadableDatabase, StorageBackend, TableDefinition};

    use super::*;

    const TABLE: TableDefinition<&str, &str> = TableDefinition::new("t");

    /// A disk that is full while it is told to be.
    #[derive(Debug)]
    struct Disk {
        file: FileBackend,
        full: Arc<AtomicBool>,
    }

    impl Disk {
        fn room(&self) -> io::Result<()> {
            if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
    }

    impl StorageBackend for Disk {
        fn len(&self) -> io::Result<u64> {
            self.file.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.file.read(offset, out)
        }
        fn set_len(&self, len: u64) -> io::Result<()> {
            self.room().and_then(|()| self.file.set_len(len))
        }
        fn sync_data(&self) -> io::Result<()> {
            self.room().and_then(|()| self.file.sync_data())
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.room().and_then(|()| self.file.write(offset, data))
        }
        fn close(&self) -> io::Result<()> {
            self.file.close()
        }
    }

    fn put(database: &Database, key: &str) -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        transaction.open_table(TABLE)?.insert(key, "v")?;
        Ok(transaction.commit()?)
    }

    fn has(database: &Database, key: &str) -> Result<bool, redb::Error> {
        Ok(database.begin_read()?.open_table(TABLE)?.get(key)?.is_some())
    }

    #[test]
    fn a_full_disk_fails_the_write_and_nothing_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let full = Arc::new(AtomicBool::new(false));
        let disk = Arc::clone(&full);
        let open = move |path: &Path| {
            let file = FileBackend::new(private_file(path)?)?;
            Database::builder().create_with_backend(Disk { file, full: Arc::clone(&disk) })
        };
        let file = DatabaseFile::open_by(dir.path().join("state"), Box::new(open)).unwrap();
        file.write(|database| put(database, "before")).unwrap();

        full.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            let error = file.write(|database| put(database, "lost")).unwrap_err().to_string();
            assert!(error.contains("store"), "{error}");
        }
        full.store(false, Ordering::SeqCst);
        assert!(file.read(|database| has(database, "before")).unwrap());
        file.write(|database| put(database, "after")).unwrap();
        assert!(file.read(|database| has(database, "after")).unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_its_users_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = DatabaseFile::open(dir.path().join("state")).unwrap();
        let mode = std::fs::metadata(&file.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
