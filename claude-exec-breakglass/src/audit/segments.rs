//! The files of an audit, on a disk.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::journal::Medium;

const PREFIX: &str = "audit-";
const SUFFIX: &str = ".jsonl";
const LOCK: &str = "audit.lock";

/// The files of a directory, and the one that is written.
#[derive(Debug)]
pub(super) struct Segments {
    dir: PathBuf,
    current: File,
    _lock: File,
}

impl Segments {
    /// Makes the directory when it is missing, and takes the lock of its one writer.
    pub(super) fn lock(dir: &Path) -> io::Result<File> {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(dir)?;
        let lock = private().create(true).append(true).open(dir.join(LOCK))?;
        lock.try_lock()
            .map_err(|_| io::Error::new(io::ErrorKind::WouldBlock, "another server writes here"))?;
        Ok(lock)
    }

    /// Opens the file whose first record has the number `seq`.
    pub(super) fn open(dir: &Path, lock: File, seq: u64) -> io::Result<Self> {
        Ok(Self { dir: dir.to_path_buf(), current: create(dir, seq)?, _lock: lock })
    }

    /// The files, oldest first, with the number of their first record.
    pub(super) fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let number =
                name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok());
            files.extend(number.map(|number| (number, entry.path())));
        }
        files.sort();
        Ok(files)
    }
}

fn create(dir: &Path, seq: u64) -> io::Result<File> {
    let file = private().create(true).append(true).open(dir.join(format!("{PREFIX}{seq:012}{SUFFIX}")))?;
    File::open(dir)?.sync_all()?; // the name is durable too
    Ok(file)
}

/// A file for this user alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

impl Medium for Segments {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.current.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.current.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.current.set_len(length)
    }

    fn next(&mut self, seq: u64) -> io::Result<()> {
        self.current = create(&self.dir, seq)?;
        Ok(())
    }
}
