//! The lock and the remote over real git.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use claude_exec::executor::LocalExecutor;
use claude_exec_afk::git::{GitLock, GitRemote, Mirrors};
use claude_exec_afk::port::{Lock, Remote, Taken, Work};
use claude_exec_afk::run::{Head, Holder};
use claude_exec_afk::{Fence, IssueKey, RunId, Seen, Sha};

const LEASE: Duration = Duration::from_secs(900);

struct Forge(tempfile::TempDir);

impl Forge {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let forge = Self(dir);
        git(forge.0.path(), &["init", "--quiet", "--bare", "-b", "main", "remote/octo/site.git"]);
        git(forge.0.path(), &["clone", "--quiet", "remote/octo/site.git", "work"]);
        forge.push("first", &[]);
        forge
    }

    fn mirrors(&self, name: &str) -> Mirrors {
        let url = format!("file://{}/remote/{{}}.git", self.0.path().display());
        Mirrors::new(self.0.path().join(name), url, LocalExecutor::new()).unwrap()
    }

    fn lock(&self, name: &str, lease: Duration) -> GitLock {
        GitLock::new(self.mirrors(name), lease)
    }

    fn push(&self, message: &str, options: &[&str]) -> Sha {
        let work = self.0.path().join("work");
        git(&work, &["commit", "--quiet", "--allow-empty", "-m", message]);
        let mut args = vec!["push", "--quiet", "origin", "HEAD:main"];
        args.extend(options);
        git(&work, &args);
        git(&work, &["rev-parse", "HEAD"]).parse().unwrap()
    }

    fn refs(&self) -> Vec<String> {
        let refs = git(
            &self.0.path().join("remote/octo/site.git"),
            &["for-each-ref", "--format=%(refname)", "refs/afk"],
        );
        refs.lines().map(str::to_owned).collect()
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(dir)
        .args(["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"])
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn issue(number: u64) -> IssueKey {
    IssueKey::new("octo/site".parse().unwrap(), number)
}

fn run(name: &str) -> RunId {
    name.parse().unwrap()
}

/// T8, F1.
#[tokio::test(flavor = "multi_thread")]
async fn t08_of_many_that_take_it_at_once_exactly_one_has_it() {
    let forge = Forge::new();
    let takers = (0..8).map(|number| {
        let lock = forge.lock(&format!("taker-{number}"), LEASE);
        // Different issues: it is the repository that is taken.
        async move { lock.take(&issue(number + 1), &run(&format!("run-{number}")), None).await }
    });
    let taken = futures::future::join_all(takers).await;
    let ours = taken.iter().filter(|taken| matches!(taken, Ok(Taken::Ours(Fence(1))))).count();
    let theirs = taken.iter().filter(|taken| matches!(taken, Ok(Taken::Theirs(_)))).count();
    assert_eq!((ours, theirs), (1, 7), "{taken:?}");
    assert_eq!(forge.refs().len(), 2);
}

#[tokio::test]
async fn a_lock_is_taken_again_by_its_run_and_given_back_by_nobody_else() {
    let forge = Forge::new();
    let (lock, other) = (forge.lock("one", LEASE), forge.lock("two", LEASE));
    let key = issue(7);
    assert_eq!(lock.take(&key, &run("a"), None).await.unwrap(), Taken::Ours(Fence(1)));
    assert_eq!(forge.refs(), ["refs/afk/lock/7", "refs/afk/lock/repo"]);
    // F21: the answer to the push was lost, and the process with it.
    let again = forge.lock("three", LEASE);
    assert_eq!(again.take(&key, &run("a"), None).await.unwrap(), Taken::Ours(Fence(1)));
    let holder = Holder { run: run("a"), fence: Fence(1) };
    assert_eq!(other.look(&key.repo).await, Seen::Known(holder.clone()));
    assert_eq!(other.renew(&issue(8), &run("b")).await, Seen::Known(holder.clone()));
    other.release(&issue(8), &run("b")).await.unwrap();
    assert_eq!(lock.renew(&key, &run("a")).await, Seen::Known(holder));
    lock.release(&key, &run("a")).await.unwrap();
    lock.release(&key, &run("a")).await.unwrap();
    assert_eq!((forge.refs(), other.look(&key.repo).await), (vec![], Seen::Absent));
}

#[tokio::test]
async fn f12_what_nobody_renews_is_taken_over_with_a_higher_fence() {
    let forge = Forge::new();
    let (dead, heir) = (forge.lock("dead", Duration::ZERO), forge.lock("heir", Duration::ZERO));
    dead.take(&issue(7), &run("a"), None).await.unwrap();
    assert_eq!(heir.look(&issue(8).repo).await, Seen::Absent, "stale at once with a lease of nothing");
    assert_eq!(heir.take(&issue(8), &run("b"), None).await.unwrap(), Taken::Ours(Fence(2)));
    assert_eq!(forge.refs(), ["refs/afk/lock/8", "refs/afk/lock/repo"]);
    // The one that was thought dead finds out.
    assert_eq!(
        dead.renew(&issue(7), &run("a")).await,
        Seen::Known(Holder { run: run("b"), fence: Fence(2) })
    );
    dead.release(&issue(7), &run("a")).await.unwrap();
    assert_eq!(forge.refs(), ["refs/afk/lock/8", "refs/afk/lock/repo"]);
    // What is known to be over is taken over at once, whatever the lease.
    let patient = forge.lock("patient", LEASE);
    let over = Holder { run: run("b"), fence: Fence(2) };
    assert!(matches!(patient.take(&issue(9), &run("c"), None).await.unwrap(), Taken::Theirs(_)));
    assert_eq!(patient.take(&issue(9), &run("c"), Some(&over)).await.unwrap(), Taken::Ours(Fence(3)));
}

#[tokio::test]
async fn f06_a_remote_that_cannot_be_reached_is_not_free() {
    let forge = Forge::new();
    std::fs::rename(forge.0.path().join("remote"), forge.0.path().join("gone")).unwrap();
    let lock = forge.lock("one", LEASE);
    assert!(lock.look(&issue(7).repo).await.is_unknown());
    assert!(lock.take(&issue(7), &run("a"), None).await.unwrap_err().is_transient());
    let remote = GitRemote::new(forge.mirrors("two"), None);
    assert!(remote.head(&Work { run: run("a"), issue: issue(7), pushed: None }).await.is_unknown());
}

#[tokio::test]
async fn a_run_is_known_by_the_trailer_of_its_commits() {
    let forge = Forge::new();
    let remote = Arc::new(GitRemote::new(forge.mirrors("one"), None));
    let work = |pushed: Option<Sha>| Work { run: run("octo.site.7.afk.1"), issue: issue(7), pushed };
    assert_eq!(remote.head(&work(None)).await, Seen::Absent);
    forge.push("other\n\nAFK-Run: octo.site.7.afk.10", &[]);
    forge.push("AFK-Run: octo.site.7.afk.1", &[]);
    assert_eq!(remote.head(&work(None)).await, Seen::Absent);
    let first = forge.push("fix\n\nCloses #7\nAFK-Run: octo.site.7.afk.1", &[]);
    assert_eq!(remote.head(&work(None)).await, Seen::Known(Head::Pushed(first.clone())));
    forge.push("someone else's, on top", &[]);
    assert_eq!(remote.head(&work(Some(first.clone()))).await, Seen::Known(Head::Pushed(first.clone())));
    let second = forge.push("again\n\nAFK-Run: octo.site.7.afk.1", &[]);
    assert_eq!(remote.head(&work(Some(first.clone()))).await, Seen::Known(Head::Pushed(second)));
    // F19.
    git(&forge.0.path().join("work"), &["reset", "--quiet", "--hard", "HEAD~3"]);
    forge.push("over it all", &["--force"]);
    assert_eq!(remote.head(&work(Some(first))).await, Seen::Known(Head::Diverged));
}
