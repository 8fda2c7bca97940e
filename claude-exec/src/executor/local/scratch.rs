//! The temporary directory of a run: made for it, and removed with it.
//!
//! The CLI leaves a directory in `TMPDIR` for each session that ran a tool, and a socket when it is killed
//! (2.1.330); what tools leave there nobody knows. So each run gets a `TMPDIR` of its own.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::marker::Marker;

/// What the directories' names begin with. Short, since a socket's path has 108 bytes at most (unix(7)) and the
/// CLI puts one below.
const PREFIX: &str = "cx-";

/// A run's `TMPDIR`, removed when dropped.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes the directory in `base`, for this user alone. `None` where that is not possible: the run then uses
    /// `base` itself, as it would have done anyway.
    pub(super) fn make(base: &Path, marker: &Marker) -> Option<Self> {
        let path = base.join(format!("{PREFIX}{}", marker.short()));
        DirBuilder::new().mode(0o700).create(&path).ok()?;
        Some(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Removes it without holding up the runtime: a tool may have left any number of files.
    pub(super) async fn remove(self) {
        if fs::remove_dir(&self.0).is_ok() {
            return std::mem::forget(self); // empty, as it is after a turn without tools
        }
        let _removed = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed stays: nobody is left to be told.
        let _removed = fs::remove_dir_all(&self.0);
    }
}

/// Removes what runs of dead processes have left in `base`.
pub(super) fn sweep_orphans(base: &Path) -> io::Result<()> {
    for entry in fs::read_dir(base)?.flatten() {
        let name = entry.file_name();
        let marker = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).map(Marker::from_short);
        // `metadata` follows no link: a link of this name is no directory.
        let is_ours = || {
            let own = rustix::process::geteuid().as_raw();
            entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == own)
        };
        if marker.is_some_and(|marker| marker.is_orphaned()) && is_ours() {
            let _removed = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_the_directories_of_dead_owners_are_swept() {
        let base = tempfile::tempdir().unwrap();
        let alive = Scratch::make(base.path(), &Marker::new()).unwrap();
        let name = alive.path().file_name().unwrap().to_str().unwrap().to_owned();
        let (space, _) = name.strip_prefix(PREFIX).unwrap().split_once('-').unwrap();
        let kept =
            [name.clone(), "cx-".to_owned(), "cx-notes".to_owned(), format!("cx-{space}1-4194305-1-x")];
        for name in &kept[1..] {
            fs::create_dir(base.path().join(name)).unwrap();
        }
        let dead = base.path().join(format!("cx-{space}-4194305-1-0123abcd"));
        fs::create_dir_all(dead.join("deep")).unwrap();
        sweep_orphans(base.path()).unwrap();
        let left = |name: &String| base.path().join(name).exists();
        assert!(!dead.exists() && kept.iter().all(left));
        drop(alive);
        assert!(!left(&name));
    }
}
