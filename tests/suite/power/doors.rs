//! Who gets in at the host, with what, and what a key is good for.

use std::process::{Command, Output, Stdio};

use claude_exec_breakglass::power::{Outcome, Ssh, Verb};

use super::{Server, outcome};
use crate::support::proxmox::Proxmox;
use crate::support::sshd::{Sshd, keygen};

const NONCE: &str = "0123456789abcdef";

/// Runs ssh with the server's key and these further words.
fn raw(host: &Proxmox, options: &[&str], command: &[&str]) -> Output {
    let hosts = format!("UserKnownHostsFile={}", host.known_hosts().display());
    Command::new("ssh")
        .args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", &hosts, "-i"])
        .arg(host.key())
        .args(["-p", &host.sshd.port.to_string(), "-l", &Sshd::user()])
        .args(options)
        .arg("127.0.0.1")
        .args(command)
        .env("LC_SECRET", "from-the-client")
        .stdin(Stdio::null())
        .output()
        .expect("ssh is there")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_opens_the_verbs_and_nothing_else() {
    let Some(server) = Server::start() else { return };
    let host = &server.host;
    let good = format!("BG1 reset 102 {NONCE}");
    let refused = [
        "reset".to_owned(),
        "reset; reboot".to_owned(),
        "sh -c id".to_owned(),
        format!("{good}; id"),
        format!("{good} && id"),
        format!("BG1 $(id) 102 {NONCE}"),
        format!("BG1 `id` 102 {NONCE}"),
        format!("BG1 reset 103 {NONCE}"),
        format!("BG1 reset 0102 {NONCE}"),
        format!("BG1 reset 102;103 {NONCE}"),
        format!("BG1 RESET 102 {NONCE}"),
        format!("BG1 --work 102 {NONCE}"),
        format!("BG1 reset 102 ../../{NONCE}"),
        "BG1 reset 102 short".to_owned(),
        format!("BG1 reset 102 {}", "a".repeat(65)),
        format!("BG1 * 102 {NONCE}"),
        format!("BG2 reset 102 {NONCE}"),
        "scp -t /etc".to_owned(),
    ];
    for command in refused {
        let output = raw(host, &[], &[&command]);
        assert!(text(&output).starts_with("BG1 reject "), "{command:?}: {output:?}");
        assert!(!text(&output).contains("uid="), "{command:?}: {output:?}");
    }
    assert!(text(&raw(host, &[], &[])).starts_with("BG1 reject "), "a shell");
    assert!(text(&raw(host, &["-s"], &["sftp"])).starts_with("BG1 reject "), "sftp");
    let terminal = raw(host, &["-tt"], &[&good]);
    assert!(
        !terminal.status.success() && String::from_utf8_lossy(&terminal.stderr).contains("PTY"),
        "{terminal:?}"
    );
    let forwarded = raw(host, &["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"], &[&good]);
    assert_eq!(forwarded.status.code(), Some(255), "{forwarded:?}");
    assert_eq!(host.calls(), Vec::<String>::new(), "nothing reached qm");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_is_used_once_on_the_host_too_and_no_environment_comes_with_it() {
    let Some(server) = Server::start() else { return };
    let host = &server.host;
    // Tells what it was given.
    let telling = "#!/bin/sh\nenv >\"${0%/*}/environment\"\nexit 0\n";
    std::fs::remove_file(host.path("qm")).expect("it is there");
    std::fs::write(host.path("qm"), telling).expect("it is writable");
    std::fs::set_permissions(host.path("qm"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("ours");
    let command = format!("BG1 reset 102 {NONCE}");
    let first = raw(host, &["-o", "SendEnv=LC_SECRET"], &[&command]);
    assert!(text(&first).contains(&format!("BG1 end {NONCE} rc=0")), "{first:?}");
    let again = raw(host, &[], &[&command]);
    assert!(text(&again).contains("BG1 reject a nonce that was used before"), "{again:?}");
    let environment = std::fs::read_to_string(host.path("environment")).expect("qm was called");
    assert!(!environment.contains("from-the-client"), "{environment}");
    let names: Vec<&str> = environment.lines().filter_map(|line| line.split('=').next()).collect();
    let known = ["PATH", "LC_ALL", "SSH_ORIGINAL_COMMAND", "PWD", "SHLVL", "_", "OLDPWD"];
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
}

/// X10: the original checks no host key. Here another key, or none, is another host.
#[tokio::test(flavor = "multi_thread")]
async fn x10_a_host_that_is_not_pinned_and_a_key_that_is_not_known_change_nothing() {
    let Some(mut server) = Server::start() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let other = keygen(&dir.path().join("other"));
    let pinned = |name: &str, line: String| {
        std::fs::write(dir.path().join(name), line).expect("it is writable");
        dir.path().join(name)
    };
    let port = server.host.sshd.port;
    let words: Vec<&str> = other.split(' ').take(2).collect();
    let wrong = pinned("wrong", format!("[127.0.0.1]:{port} {}\n", words.join(" ")));
    let elsewhere = pinned("elsewhere", server.host.sshd.known_host().replace("127.0.0.1", "127.0.0.9"));
    let good = server.host.ssh();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let with = |change: &dyn Fn(&mut Ssh)| {
        let mut ssh = good.clone();
        change(&mut ssh);
        ssh
    };
    let table = [
        ("another host key", with(&|ssh| ssh.known_hosts.clone_from(&wrong)), "verification failed"),
        ("no host key", with(&|ssh| ssh.known_hosts.clone_from(&elsewhere)), "verification failed"),
        ("another key", with(&|ssh| ssh.key = dir.path().join("other")), "Permission denied"),
        (
            "nobody listens",
            with(&|ssh| ssh.port = closed.as_ref().map_or(1, |address| address.port())),
            "refused",
        ),
        ("no ssh", with(&|ssh| ssh.program = "/nowhere/ssh".into()), "ssh"),
    ];
    for (what, ssh, detail) in table {
        let audit = tempfile::tempdir().expect("a directory");
        server.power = super::power(ssh, audit.path());
        server.audit = audit;
        let operation = server.verb(Verb::Start).await;
        assert_eq!(outcome(&operation), Outcome::NotSent, "{what}: {operation:?}");
        assert!(operation.detail.as_ref().is_some_and(|text| text.contains(detail)), "{what}: {operation:?}");
        let looked = server.power.prepare(&super::actor(), Verb::Start, "a test").await;
        assert!(looked.is_err(), "{what}: nothing can be prepared that cannot be seen");
    }
    assert_eq!(server.host.calls(), Vec::<String>::new());
}

/// X4 and S12: what the server's ssh is given of the server's own.
#[tokio::test(flavor = "multi_thread")]
async fn x4_s12_ssh_gets_no_secret_of_the_server_and_no_stdin() {
    let Some(mut server) = Server::start() else { return };
    let spy = server.host.path("spy");
    let text = "#!/bin/sh\nenv >\"${0%/*}/seen\"; readlink /proc/self/fd/0 >>\"${0%/*}/seen\"; exec /usr/bin/ssh \"$@\"\n";
    std::fs::write(&spy, text).expect("it is writable");
    assert!(Command::new("chmod").arg("755").arg(&spy).status().is_ok_and(|status| status.success()));
    let audit = tempfile::tempdir().expect("a directory");
    server.power = super::power(server.host.ssh().program(&spy), audit.path());
    server.audit = audit;
    assert!(server.power.status().await.observed.is_some());
    let seen = std::fs::read_to_string(server.host.path("seen")).expect("the spy was called");
    for name in ["API_BEARER_TOKEN", "SSH_AUTH_SOCK", "BREAKGLASS_", "CARGO_"] {
        assert!(!seen.contains(name), "{name} in {seen}");
    }
    assert_eq!(seen.lines().last(), Some("/dev/null"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_installation_may_be_repeated_and_does_not_widen_what_is_there() {
    let Some(host) = Proxmox::start() else { return };
    let lines = |host: &Proxmox| std::fs::read_to_string(host.sshd.authorized_keys()).expect("it is there");
    let key = std::fs::read_to_string(host.key().with_extension("pub")).expect("it is there");
    let before = lines(&host);
    assert!(
        before.starts_with("restrict,command=\"/") && before.contains("breakglass-power --vmid 102"),
        "{before}"
    );
    let again = host.install(key.trim(), &[]);
    assert!(again.status.success() && lines(&host) == before, "{again:?}");
    let narrower = host.install(key.trim(), &["--from", "10.0.0.5/32"]);
    assert!(!narrower.status.success(), "sshd takes the first line of a key: {narrower:?}");
    assert_eq!(lines(&host), before);
    let dir = tempfile::tempdir().expect("a directory");
    let other = keygen(&dir.path().join("other"));
    assert!(host.install(&other, &["--from", "10.0.0.5/32,fd00::5"]).status.success());
    assert!(lines(&host).contains("restrict,from=\"10.0.0.5/32,fd00::5\",command="));
    let hostile = [
        "".to_owned(),
        "no key at all".to_owned(),
        format!("{other}\n{other}"),
        format!("{other}\" command=\"sh"),
        format!("{other},no-restrict"),
        format!("environment=\"X=1\" {other}"),
    ];
    for key in hostile {
        let before = lines(&host);
        let refused = host.install(&key, &[]);
        assert!(!refused.status.success() && lines(&host) == before, "{key:?}: {refused:?}");
    }
    let report = host.install(&keygen(&dir.path().join("third")), &["--host", "pve.example"]);
    let pins = String::from_utf8_lossy(&report.stdout).into_owned();
    let named = format!("[127.0.0.1]:{}", host.sshd.port);
    assert_eq!(pins, host.sshd.known_host().replace(&named, "pve.example"));
}
