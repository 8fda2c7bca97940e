//! The lock that keeps two servers from running one conversation at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::line::Busy;
use crate::error::{Error, Result};
use crate::time::after;

/// How often to look whether another process has let go.
const PAUSE: Duration = Duration::from_millis(50);

/// A locked file, one for each conversation with a turn under way; the kernel lets go of it when its process dies.
pub(super) struct Locked {
    path: PathBuf,
    file: File,
}

impl Locked {
    /// Takes the lock of `id` in `directory`, waiting at most for `limit`.
    pub(super) async fn take(directory: &Path, id: &str, busy: Busy, limit: Duration) -> Result<Self> {
        let path = directory.join(format!("{:016x}.lock", fnv1a(id.as_bytes())));
        let deadline = after(Instant::now(), limit);
        loop {
            let at = path.clone();
            let tried = tokio::task::spawn_blocking(move || try_lock(&at)).await;
            let tried = tried.map_err(|_| Error::stopped())?;
            match tried.map_err(|error| Error::io("locking a conversation", error))? {
                Some(file) => return Ok(Self { path, file }),
                None if busy == Busy::Refuse => {
                    return Err(Error::conflict("another server runs a turn of this conversation"));
                }
                None if Instant::now() >= deadline => {
                    return Err(Error::timed_out(
                        "waiting for the server that runs this conversation",
                        limit,
                    ));
                }
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // While the lock is held: whoever has opened this file sees that its name is gone, and tries again.
        if cfg!(unix) {
            let _other_directory_now = std::fs::remove_file(&self.path);
        }
        let _closing_unlocks = self.file.unlock();
    }
}

/// Locks the file at `path`; `None` when another has it. Blocks only for the file system.
fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) if is_at(&file, path) => Ok(Some(file)),
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// True when `path` still names this file: its last holder may have removed it.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => identity(open) == identity(named),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true // never removed here
}

/// FNV-1a, 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>): the same in every build, unlike the standard
/// library's hashes. Two ids with one hash would only wait for each other.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!((fnv1a(b""), fnv1a(b"foobar")), (0xcbf2_9ce4_8422_2325, 0x8594_4171_f739_67e8));
    }

    #[tokio::test]
    async fn one_holds_it_and_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let first = Locked::take(dir.path(), "a", Busy::Wait, LIMIT).await.unwrap();
        let refused = Locked::take(dir.path(), "a", Busy::Refuse, LIMIT).await;
        assert!(refused.is_err_and(|error| error.is_conflict()));
        let late = Locked::take(dir.path(), "a", Busy::Wait, Duration::ZERO).await;
        assert!(late.is_err_and(|error| error.is_timeout()));
        drop(Locked::take(dir.path(), "b", Busy::Refuse, LIMIT).await.unwrap());
        drop(first);
        drop(Locked::take(dir.path(), "a", Busy::Refuse, LIMIT).await.unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn many_take_turns() {
        let dir = tempfile::tempdir().unwrap();
        let inside = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let all = (0..8).map(|_| {
            let (path, inside) = (dir.path().to_owned(), inside.clone());
            tokio::spawn(async move {
                let held = Locked::take(&path, "a", Busy::Wait, LIMIT).await.unwrap();
                assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                drop(held);
            })
        });
        for one in futures::future::join_all(all).await {
            one.unwrap();
        }
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_is_told() {
        let taken = Locked::take(Path::new("/nonexistent"), "a", Busy::Wait, LIMIT).await;
        assert!(taken.is_err_and(|error| error.to_string().contains("locking")));
    }
}
