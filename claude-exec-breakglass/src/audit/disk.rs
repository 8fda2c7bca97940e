//! A disk for tests, in memory, that fails when it is told to.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::journal::Medium;

/// Files that fail when they are told to.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) files: Vec<Vec<u8>>,
    /// How many more bytes it takes.
    pub(crate) room: usize,
    pub(crate) sync_fails: bool,
    pub(crate) truncate_fails: bool,
    pub(crate) synced: usize,
}

pub(crate) type Shared = Arc<Mutex<Disk>>;

impl Disk {
    pub(crate) fn with_room() -> Shared {
        Arc::new(Mutex::new(Self { files: vec![Vec::new()], room: usize::MAX, ..Self::default() }))
    }
}

pub(crate) fn lock(disk: &Shared) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Medium for Shared {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = lock(self);
        let fits = bytes.len().min(disk.room);
        disk.room -= fits;
        disk.files.last_mut().expect("there is one").extend_from_slice(&bytes[..fits]);
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = lock(self);
        if disk.sync_fails {
            return Err(io::ErrorKind::Other.into());
        }
        disk.synced = disk.files.last().expect("there is one").len();
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut disk = lock(self);
        if disk.truncate_fails {
            return Err(io::ErrorKind::Other.into());
        }
        disk.files.last_mut().expect("there is one").truncate(length as usize);
        Ok(())
    }

    fn next(&mut self, _seq: u64) -> io::Result<()> {
        lock(self).files.push(Vec::new());
        Ok(())
    }
}
