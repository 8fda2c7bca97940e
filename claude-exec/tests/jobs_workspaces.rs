//! Workspaces over real git, in temporary directories.
#![cfg(all(unix, feature = "jobs", feature = "local"))]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use claude_exec::executor::{Executor, LocalExecutor};
use claude_exec::jobs::{Workspaces, WorkspacesConfig};
use tempfile::TempDir;

fn spawner() -> Arc<dyn Executor> {
    Arc::new(LocalExecutor::new())
}

/// A remote with one commit on `trunk`, and a base cloned from it.
struct World {
    dir: TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        git(world.dir.path(), &["init", "-q", "-b", "trunk", "remote"]);
        world.commit("file", "one");
        git(world.dir.path(), &["clone", "-q", "remote", "base"]);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn commit(&self, file: &str, text: &str) {
        let remote = self.path("remote");
        fs::write(remote.join(file), text).unwrap();
        git(&remote, &["add", "."]);
        git(&remote, &["commit", "-q", "-m", text]);
    }

    fn config(&self) -> WorkspacesConfig {
        WorkspacesConfig::new(self.path("jobs")).base(self.path("base"))
    }

    async fn open(&self) -> Workspaces {
        Workspaces::open(spawner(), self.config()).await.unwrap()
    }

    /// What is left below the jobs directory but the lock file.
    fn left(&self) -> Vec<PathBuf> {
        let instances = fs::read_dir(self.path("jobs")).unwrap();
        let entries = instances.flat_map(|entry| fs::read_dir(entry.unwrap().path()).unwrap());
        entries.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("owner.lock")).collect()
    }

    /// A program that hangs, in place of git's ssh.
    fn hang_fetches(&self) {
        self.script("hang", "exec sleep 600");
        let hang = self.path("hang");
        let base = self.path("base");
        git(&base, &["config", "core.sshCommand", hang.to_str().unwrap()]);
        git(&base, &["config", "ssh.variant", "ssh"]); // or git probes the program first
        git(&base, &["config", "remote.origin.url", "ssh://nowhere.invalid/x"]);
    }

    fn script(&self, name: &str, body: &str) {
        fs::write(self.path(name), format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgSign=false"])
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}

#[tokio::test]
async fn a_checkout_is_the_remotes_newest_default_branch_and_a_repository_of_its_own() {
    let world = World::new();
    // The base itself stands on another branch, with hooks, and behind the remote.
    git(&world.path("base"), &["checkout", "-q", "-b", "elsewhere"]);
    let hook = world.path("base/.git/hooks/post-checkout");
    fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", world.path("hooked").display())).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    world.commit("file", "two");

    let workspaces = world.open().await;
    let workspace = workspaces.checkout("a1").await.unwrap();
    let tree = workspace.path().to_path_buf();
    assert_eq!((workspace.branch(), workspace.stale()), (Some("trunk"), None));
    assert_eq!(fs::read_to_string(tree.join("file")).unwrap(), "two");
    assert_eq!(git(&tree, &["status", "--porcelain", "--branch"]), "## trunk...origin/trunk");
    assert_eq!(git(&tree, &["symbolic-ref", "refs/remotes/origin/HEAD"]), "refs/remotes/origin/trunk");
    let remotes = git(&tree, &["for-each-ref", "--format=%(refname)", "refs/remotes"]);
    assert_eq!(remotes, "refs/remotes/origin/HEAD\nrefs/remotes/origin/trunk");
    assert_eq!(git(&tree, &["config", "remote.origin.url"]), world.path("remote").to_str().unwrap());
    assert!(!tree.join(".git/hooks").exists() && !world.path("hooked").exists());

    workspace.close().await.unwrap();
    assert!(world.left().is_empty());
    drop(workspaces);
    assert_eq!(fs::read_dir(world.path("jobs")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_job_that_damages_its_objects_leaves_the_base_whole() {
    let world = World::new();
    let workspaces = world.open().await;
    let workspace = workspaces.checkout("a").await.unwrap();
    let mut damaged = 0;
    for folder in fs::read_dir(workspace.path().join(".git/objects")).unwrap() {
        for object in fs::read_dir(folder.unwrap().path()).unwrap() {
            let object = object.unwrap().path();
            fs::set_permissions(&object, fs::Permissions::from_mode(0o644)).unwrap();
            fs::write(&object, "broken").unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0);
    git(&world.path("base"), &["fsck", "--full"]);
}

#[tokio::test]
async fn the_default_branch_is_asked_of_the_remote_when_the_base_does_not_know() {
    let world = World::new();
    git(&world.path("base"), &["remote", "set-head", "origin", "--delete"]);
    let workspaces = world.open().await;
    assert_eq!(workspaces.checkout("a").await.unwrap().branch(), Some("trunk"));
    // The remote renames it; the base's note of it is now about a branch that is gone.
    git(&world.path("remote"), &["branch", "-q", "-m", "main"]);
    let workspaces = world.open().await;
    assert_eq!(workspaces.checkout("a").await.unwrap().branch(), Some("main"));
}

#[tokio::test]
async fn a_base_without_a_remote_is_cloned_as_it_stands() {
    let world = World::new();
    git(&world.path("base"), &["remote", "remove", "origin"]);
    let workspace = world.open().await.checkout("a").await.unwrap();
    assert_eq!((workspace.branch(), workspace.stale()), (None, None));
    assert_eq!(fs::read_to_string(workspace.path().join("file")).unwrap(), "one");
}

#[tokio::test]
async fn a_failed_fetch_is_told_and_the_job_runs_on_the_stale_base() {
    let world = World::new();
    fs::rename(world.path("remote"), world.path("moved")).unwrap();
    let workspace = world.open().await.checkout("a").await.unwrap();
    let stale = workspace.stale().unwrap();
    assert!(stale.starts_with("git fetch failed: fatal: "), "{stale}");
    assert_eq!(fs::read_to_string(workspace.path().join("file")).unwrap(), "one");
}

#[tokio::test]
async fn a_hung_fetch_is_shared_and_killed_at_its_limit() {
    let world = World::new();
    let count = world.path("count");
    world.hang_fetches();
    world.script("hang", &format!("echo x >> {}\nexec sleep 600", count.display()));
    let config = world.config().fetch_limit(Duration::from_millis(500));
    let workspaces = Workspaces::open(spawner(), config).await.unwrap();
    let (one, two) = tokio::join!(workspaces.checkout("a"), workspaces.checkout("b"));
    let three = workspaces.checkout("c").await.unwrap();
    for workspace in [one.unwrap(), two.unwrap(), three] {
        assert_eq!(workspace.stale(), Some("git fetch took longer than 500ms"));
    }
    assert_eq!(fs::read_to_string(count).unwrap(), "x\n", "one fetch for all within the window");
}

#[tokio::test]
async fn whoever_leaves_during_the_fetch_leaves_nothing_behind_and_takes_nothing_from_others() {
    let world = World::new();
    let (started, go) = (world.path("started"), world.path("go"));
    world.hang_fetches();
    let wait = format!(
        "echo $$ >> {}\nuntil [ -e {} ]; do sleep 0.05; done\nexit 1",
        started.display(),
        go.display()
    );
    world.script("hang", &wait);
    let workspaces = world.open().await;
    let leaving = tokio::spawn({
        let workspaces = workspaces.clone();
        async move { workspaces.checkout("a").await.map(drop) }
    });
    until("the fetch runs", || started.exists()).await;
    let staying = tokio::spawn({
        let workspaces = workspaces.clone();
        async move { workspaces.checkout("b").await }
    });
    until("both have their directory", || world.left().len() == 2).await;
    leaving.abort();
    until("the one that left is gone", || world.left().len() == 1).await;
    fs::write(&go, "").unwrap();
    let workspace = staying.await.unwrap().unwrap();
    assert!(workspace.stale().is_some() && workspace.path().join("file").exists());
}

#[tokio::test]
async fn a_fetch_that_nobody_waits_for_is_killed() {
    let world = World::new();
    let started = world.path("started");
    world.hang_fetches();
    world.script("hang", &format!("echo $$ > {}.new && mv {0}.new {0}\nexec sleep 600", started.display()));
    let workspaces = world.open().await;
    let leaving = tokio::spawn(async move { workspaces.checkout("a").await.map(drop) });
    until("the fetch runs", || started.exists()).await;
    let pid = fs::read_to_string(&started).unwrap();
    leaving.abort();
    let process = Path::new("/proc").join(pid.trim());
    until("git and its ssh are gone", || !process.exists()).await;
    until("nothing is left", || fs::read_dir(world.path("jobs")).unwrap().count() == 0).await;
}

#[tokio::test]
async fn a_clone_that_fails_is_an_error_and_leaves_nothing() {
    let world = World::new();
    let workspaces = world.open().await;
    fs::remove_dir_all(world.path("base/.git/objects")).unwrap();
    let error = workspaces.checkout("a").await.unwrap_err();
    assert!(error.to_string().contains("failed: "), "{error}");
    until("the half clone is gone", || world.left().is_empty()).await;
}

#[tokio::test]
async fn whoever_leaves_during_the_clone_stops_git_and_leaves_nothing() {
    let world = World::new();
    let started = world.path("started");
    let script = format!(
        "[ \"$1\" = clone ] || exec git \"$@\"\necho half > half; echo $$ > {}; sleep 600",
        started.display()
    );
    world.script("slow-git", &script);
    let config = world.config().programs(world.path("slow-git"), "git-crypt");
    let workspaces = Workspaces::open(spawner(), config).await.unwrap();
    let leaving = tokio::spawn({
        let workspaces = workspaces.clone();
        async move { workspaces.checkout("a").await.map(drop) }
    });
    until("the clone runs", || started.exists()).await;
    assert_eq!(world.left().len(), 1);
    leaving.abort();
    until("the half clone is gone", || world.left().is_empty()).await;
}

#[tokio::test]
async fn a_base_that_is_none_is_refused_at_the_start() {
    let world = World::new();
    let config = WorkspacesConfig::new(world.path("jobs")).base(world.path("nowhere"));
    let error = Workspaces::open(spawner(), config).await.unwrap_err().to_string();
    assert!(error.contains("opening the base repository failed: ") && error.contains("nowhere"), "{error}");
    fs::create_dir(world.path("empty")).unwrap();
    let config = WorkspacesConfig::new(world.path("jobs")).base(world.path("empty"));
    let error = Workspaces::open(spawner(), config).await.unwrap_err().to_string();
    assert!(error.contains("not a git repository"), "{error}");
}

#[tokio::test]
async fn a_configured_key_unlocks_or_the_job_fails() {
    let world = World::new();
    let key = world.path("key");
    let workspaces = |config: WorkspacesConfig| Workspaces::open(spawner(), config);

    // No such file: not configured for this deployment.
    let open = workspaces(world.config().git_crypt_key(&key)).await.unwrap();
    open.checkout("a").await.unwrap();

    fs::write(&key, "not a key").unwrap();
    world.script("refuses", "echo 'not a valid git-crypt key file' >&2; exit 1");
    let config = world.config().git_crypt_key(&key).programs("git", world.path("refuses"));
    let open = workspaces(config).await.unwrap();
    let error = open.checkout("a").await.unwrap_err().to_string();
    assert_eq!(error, "git-crypt unlock failed: not a valid git-crypt key file");
    until("the half clone is gone", || world.left().is_empty()).await;

    let config = world.config().git_crypt_key(&key).programs("git", "no-such-git-crypt");
    let open = workspaces(config).await.unwrap();
    let error = open.checkout("a").await.unwrap_err().to_string();
    assert!(error.starts_with("git-crypt unlock failed: cannot start no-such-git-crypt"), "{error}");
    until("the half clone is gone", || world.left().is_empty()).await;

    world.script("unlocks", "[ \"$1\" = unlock ] && cp \"$2\" unlocked");
    let config = world.config().git_crypt_key(&key).programs("git", world.path("unlocks"));
    let workspace = workspaces(config).await.unwrap().checkout("a").await.unwrap();
    assert_eq!(fs::read_to_string(workspace.path().join("unlocked")).unwrap(), "not a key");
}

#[tokio::test]
async fn scratch_workspaces_are_empty_private_and_gone_when_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let workspaces = Workspaces::open(spawner(), WorkspacesConfig::new(dir.path())).await.unwrap();
    assert!(workspaces.checkout("a").await.unwrap_err().is_unsupported());
    assert_eq!(workspaces.scratch("../x").await.unwrap_err().field(), Some("workspace"));
    let workspace = workspaces.scratch("a").await.unwrap();
    let path = workspace.path().to_path_buf();
    assert!(path.is_absolute() && fs::read_dir(&path).unwrap().count() == 0);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(workspaces.scratch("a").await.is_err(), "a name in use is refused, not shared");
    drop(workspace);
    assert!(!path.exists(), "its name is free at once");
    workspaces.scratch("a").await.unwrap();
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Workspaces::open(spawner(), WorkspacesConfig::new(&file)).await.unwrap_err().to_string();
    assert!(error.starts_with("making the jobs directory failed: "), "{error}");
    assert!(error.contains(file.to_str().unwrap()), "{error}");
}
