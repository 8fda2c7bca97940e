//! Removal of a directory tree that someone else filled.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// How often a tree that does not go away is tried, and the pause between: something of the job's may still
/// be on its way out, and a tree that stays is the janitor's at the next start.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// Removes `path` with all below it, directories without write permission included (a Go module cache is
/// such a tree). Symbolic links are removed, never followed. Blocks.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    let mut attempt = 1;
    loop {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !exists(path) => return Ok(()),
            Err(error) if attempt == ATTEMPTS => return Err(error),
            Err(_) => {
                make_writable(path);
                thread::sleep(PAUSE * (attempt - 1));
                attempt += 1;
            }
            Ok(()) => return Ok(()),
        }
    }
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn make_writable(dir: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What fails here shows again in the removal that follows.
        if fs::symlink_metadata(dir).is_ok_and(|meta| meta.is_dir()) {
            let _ = fs::set_permissions(dir, fs::Permissions::from_mode(0o700));
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    make_writable(&entry.path());
                }
            }
        }
    }
    #[cfg(not(unix))]
    let _ = dir;
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn read_only_trees_go_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, kept) = (dir.path().join("tree"), dir.path().join("kept"));
        fs::create_dir_all(tree.join("mod/cache")).unwrap();
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "x").unwrap();
        fs::write(tree.join("mod/cache/file"), "x").unwrap();
        symlink(&kept, tree.join("link")).unwrap();
        fs::set_permissions(tree.join("mod/cache"), fs::Permissions::from_mode(0o555)).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists() && kept.join("file").exists());
        remove_tree(&tree).unwrap();
    }
}
