//! Deployment by the operator's commands: the contract of [`Deploy`], with real processes.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use claude_exec::executor::LocalExecutor;
use claude_exec_afk::adapter::CommandDeploy;
use claude_exec_afk::port::Deploy;
use claude_exec_afk::run::Deployed;
use claude_exec_afk::{Repo, Seen, Sha};

const MINUTE: Duration = Duration::from_secs(60);

fn repo() -> Repo {
    "octo/site".parse().unwrap()
}

fn sha(digit: &str) -> Sha {
    digit.repeat(40).parse().unwrap()
}

fn script(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

fn deploy(begin: Option<&str>, deployed: Option<&str>, limit: Duration) -> CommandDeploy {
    CommandDeploy::new(LocalExecutor::new(), begin, deployed, limit).unwrap()
}

async fn until(deploy: &CommandDeploy, sha: &Sha) -> Seen<Deployed> {
    for _ in 0..600 {
        let seen = deploy.look(&repo(), sha).await;
        if seen != Seen::Known(Deployed::Pending) {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("still pending");
}

#[tokio::test]
async fn a_commit_is_deployed_once_and_its_exit_code_counts() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let text = format!("echo \"$1 $2\" >> {}; env > {}/env; exit $3", log.display(), dir.path().display());
    let program = script(dir.path(), "deploy", &text);
    let (repo, good, bad) = (repo(), sha("a"), sha("b"));
    let well = deploy(Some(&format!("{program} {{repo}} {{sha}} 0")), None, MINUTE);
    assert!(well.look(&repo, &good).await.is_absent(), "nothing is known of it");
    let (a, b) = tokio::join!(well.begin(&repo, &good), well.begin(&repo, &good));
    a.unwrap();
    b.unwrap();
    assert_eq!(until(&well, &good).await, Seen::Known(Deployed::Healthy(good.clone())));
    well.begin(&repo, &good).await.unwrap();
    assert_eq!(until(&well, &good).await, Seen::Known(Deployed::Healthy(good.clone())));
    let badly = deploy(Some(&format!("{program} {{repo}} {{sha}} 3")), None, MINUTE);
    badly.begin(&repo, &bad).await.unwrap();
    assert_eq!(until(&badly, &bad).await, Seen::Known(Deployed::Failed(bad.clone())));
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(log, format!("octo/site {good}\nocto/site {bad}\n"));
    // Cargo's own variables are in this process's environment, and not in the command's.
    let env = std::fs::read_to_string(dir.path().join("env")).unwrap();
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some() && !env.contains("CARGO_MANIFEST_DIR"), "{env}");
}

#[tokio::test]
async fn a_command_that_hangs_ends_with_all_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let text = format!("sleep 600 & echo $! > {}.new; mv {0}.new {0}; wait", pid.display());
    let program = script(dir.path(), "deploy", &text);
    let lives = |pid: &str| Path::new("/proc").join(pid.trim()).join("exe").exists();
    let started = async || {
        while !pid.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let text = std::fs::read_to_string(&pid).unwrap();
        std::fs::remove_file(&pid).unwrap();
        text
    };
    let hangs = deploy(Some(&program), None, Duration::from_secs(1));
    hangs.begin(&repo(), &sha("a")).await.unwrap();
    let child = started().await;
    assert!(hangs.begin(&repo(), &sha("b")).await.is_err_and(|error| error.is_transient()), "one at a time");
    assert_eq!(until(&hangs, &sha("a")).await, Seen::Known(Deployed::Failed(sha("a"))));
    assert!(!lives(&child), "its child lives");
    // And with the adapter.
    let hangs = deploy(Some(&program), None, MINUTE);
    hangs.begin(&repo(), &sha("a")).await.unwrap();
    let child = started().await;
    drop(hangs);
    for _ in 0..500 {
        if !lives(&child) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("its child lives");
}

#[tokio::test]
async fn f10_what_is_deployed_is_told_for_exactly_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (now, code) = (dir.path().join("now"), dir.path().join("code"));
    let program =
        script(dir.path(), "deployed", &format!("cat {}; exit $(cat {})", now.display(), code.display()));
    let deploy = deploy(None, Some(&program), MINUTE);
    let say = |exit: &str, text: &str| {
        std::fs::write(&code, exit).unwrap();
        std::fs::write(&now, text).unwrap();
    };
    let (own, older, repo) = (sha("a"), sha("b"), repo());
    deploy.begin(&repo, &own).await.unwrap();
    say("0", "");
    assert!(deploy.look(&repo, &own).await.is_absent());
    say("0", older.as_str());
    assert_eq!(deploy.look(&repo, &own).await, Seen::Known(Deployed::Pending));
    say("1", older.as_str());
    assert_eq!(deploy.look(&repo, &own).await, Seen::Known(Deployed::Pending), "another one's failure");
    say("7", "hush");
    let seen = deploy.look(&repo, &own).await;
    assert!(seen.is_unknown() && !format!("{seen:?}").contains("hush"), "{seen:?}");
    say("1", own.as_str());
    assert_eq!(deploy.look(&repo, &own).await, Seen::Known(Deployed::Failed(own.clone())));
    say("0", own.as_str());
    assert_eq!(deploy.look(&repo, &own).await, Seen::Known(Deployed::Healthy(own.clone())));
    say("0", older.as_str());
    assert_eq!(deploy.look(&repo, &own).await, Seen::Known(Deployed::Failed(own.clone())), "rolled back");
    assert_eq!(deploy.look(&repo, &older).await, Seen::Known(Deployed::Healthy(older)));
}
