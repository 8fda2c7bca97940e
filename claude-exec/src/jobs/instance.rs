//! The directory of one running server, proven to be its own by a lock, and the janitor for those of dead ones.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::tree::remove_tree;

/// What every directory of ours begins with; 12 hex digits follow.
const PREFIX: &str = "claude-exec-";
/// The file in it that a living server holds locked.
const LOCK: &str = "owner.lock";
/// What that file says, so that nothing else is taken for ours.
const MAGIC: &str = "claude-exec workspaces; removed with this directory once nobody holds the lock\n";

/// A directory in which everything is this process's, until the last handle is dropped.
#[derive(Debug)]
pub(super) struct Instance {
    root: PathBuf,
    /// Held by being open.
    _lock: File,
}

impl Instance {
    /// Makes a directory of our own in `parent`. Blocks.
    pub(super) fn create(parent: &Path) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        // An absolute path, since git and the agent run in other directories.
        let parent = fs::canonicalize(parent)?;
        let id = uuid::Uuid::new_v4().simple().to_string();
        let root = parent.join(format!("{PREFIX}{}", &id[..12]));
        // The lock file appears in the directory only once it is locked, so no janitor can take it for dead.
        let fresh = parent.join(format!(".{PREFIX}{}", &id[..12]));
        let lock = Self::lock(&fresh, &root).inspect_err(|_| {
            let _ = fs::remove_file(&fresh);
            let _ = fs::remove_dir(&root);
        })?;
        Ok(Self { root, _lock: lock })
    }

    fn lock(fresh: &Path, root: &Path) -> io::Result<File> {
        let mut lock = OpenOptions::new().write(true).create_new(true).open(fresh)?;
        if !try_lock(&lock)? {
            return Err(io::Error::other("a new file was locked by someone else"));
        }
        lock.write_all(MAGIC.as_bytes())?;
        private_dir(root)?;
        fs::rename(fresh, root.join(LOCK))?;
        Ok(lock)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Removes what crashed servers left in `parent`; how many directories that were. Blocks.
    ///
    /// A directory goes only when its name is of our pattern, it holds our lock file, and nobody holds the lock.
    pub(super) fn sweep(parent: &Path) -> usize {
        let Ok(entries) = fs::read_dir(parent) else { return 0 };
        let ours = entries.flatten().filter(|entry| {
            entry.file_name().to_str().is_some_and(is_ours)
                && entry.file_type().is_ok_and(|kind| kind.is_dir())
        });
        ours.filter(|entry| remove_if_dead(&entry.path())).count()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // With anything left, the lock file stays: it is the next janitor's proof.
        let left = fs::read_dir(&self.root).map_or(usize::MAX, Iterator::count);
        if left == 1 && fs::remove_file(self.root.join(LOCK)).is_ok() {
            let _ = fs::remove_dir(&self.root);
        }
    }
}

fn is_ours(name: &str) -> bool {
    let id = name.strip_prefix(PREFIX).unwrap_or_default();
    id.len() == 12 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn remove_if_dead(dir: &Path) -> bool {
    let path = dir.join(LOCK);
    let regular = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file());
    let Ok(lock) = OpenOptions::new().read(true).write(true).open(&path) else { return false };
    let mut text = String::new();
    let read = (&lock).take(2 * MAGIC.len() as u64).read_to_string(&mut text);
    if !regular || read.is_err() || text != MAGIC || !matches!(try_lock(&lock), Ok(true)) {
        return false;
    }
    match remove_keeping_proof(dir) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(dir = %dir.display(), %error, "cannot remove what a crashed server left");
            false
        }
    }
}

/// Removes the lock file last: until then the directory stays provably ours.
fn remove_keeping_proof(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name() == LOCK {
            continue;
        }
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_file(dir.join(LOCK))?;
    fs::remove_dir(dir)
}

#[allow(clippy::incompatible_msrv, reason = "1.89, which redb needs too")]
fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Makes a directory for this user alone: a checkout may hold decrypted secrets.
pub(super) fn private_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// What a killed server leaves: the directory and its lock file, with the lock gone.
    fn crashed(parent: &Path) -> PathBuf {
        let instance = Instance::create(parent).unwrap();
        let root = instance.root().to_path_buf();
        fs::create_dir(root.join("job-1")).unwrap();
        fs::write(root.join("job-1/file"), "x").unwrap();
        drop(instance);
        root
    }

    #[test]
    fn an_instance_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let instance = Instance::create(&dir.path().join("jobs")).unwrap();
        assert_eq!(names(instance.root()), [LOCK]);
        drop(instance);
        assert_eq!(names(&dir.path().join("jobs")), [""; 0]);
    }

    #[test]
    fn the_janitor_removes_what_a_crash_left() {
        let dir = tempfile::tempdir().unwrap();
        let root = crashed(dir.path());
        assert!(root.join(LOCK).exists());
        assert_eq!((Instance::sweep(dir.path()), root.exists()), (1, false));
    }

    #[test]
    fn the_janitor_leaves_alone_what_is_not_provably_dead_and_ours() {
        let dir = tempfile::tempdir().unwrap();
        let live = Instance::create(dir.path()).unwrap();
        let unlocked = crashed(dir.path());
        fs::remove_file(unlocked.join(LOCK)).unwrap();
        let foreign = crashed(dir.path());
        fs::write(foreign.join(LOCK), "mine").unwrap();
        let renamed = dir.path().join("claude-exec-notes");
        fs::rename(crashed(dir.path()), &renamed).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(&renamed, dir.path().join("claude-exec-000000000000")).unwrap();
        let before = names(dir.path());
        assert_eq!((Instance::sweep(dir.path()), names(dir.path())), (0, before));
        assert!(live.root().join(LOCK).exists() && renamed.join("job-1/file").exists());
    }
}
