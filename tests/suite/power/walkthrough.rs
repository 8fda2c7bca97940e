//! The walk-through of `claude-exec-breakglass/README.md`, command by command.

use std::path::Path;
use std::process::{Command, Stdio};

use claude_exec_breakglass::audit::verify;

use crate::support::proxmox::{Proxmox, VMID};
use crate::support::server::Server;
use crate::support::sshd::{Sshd, keygen};

const README: &str = include_str!("../../../claude-exec-breakglass/README.md");

/// The commands of the section, in order.
fn commands() -> String {
    let section =
        README.split("\n## ").find(|section| section.starts_with("Walk-through")).expect("it is there");
    let blocks = section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap_or_default());
    blocks.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_readme_leads_from_an_empty_host_to_the_first_power_cycle() {
    let Some(host) = Proxmox::empty() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    host.sshd.authorize(&keygen(&dir.path().join("admin_key"))); // who can log in as root
    host.power_on();
    let before = host.vm();
    let script = adapted(&host, dir.path());
    std::fs::write(dir.path().join("walk.sh"), &script).expect("it is writable");
    let walked = Command::new("bash")
        .args(["-eu", "walk.sh"])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .output()
        .expect("bash is there");
    let (out, err) = (String::from_utf8_lossy(&walked.stdout), String::from_utf8_lossy(&walked.stderr));
    let told = format!("{out}\n--\n{err}\n--\n{script}");
    assert!(walked.status.success(), "{told}");
    for said in [
        "BG1 end 0123456789abcdef rc=0 status=running proof=read",
        "refused, as it should be",
        "\"status\":\"running\"",
        "\"phrase\":\"102\"",
        "\"outcome\":\"verified\"",
    ] {
        assert!(out.contains(said), "{said}: {told}");
    }
    assert!(host.vm().is_some() && host.vm() != before, "a new process: {told}");
    let audit = verify(&dir.path().join("sessions/audit")).expect("it can be read");
    assert!(audit.is_intact() && audit.records >= 3, "{audit:?}");
}

/// The commands, with this host's addresses and places for those of the text, each of which has to be there.
fn adapted(host: &Proxmox, dir: &Path) -> String {
    let port = host.sshd.port;
    let (user, binary) = (Sshd::user(), Server::binary());
    let config = dir.join("ssh_config");
    let known = dir.join("admin_known_hosts");
    std::fs::write(&known, host.sshd.known_host()).expect("it is writable");
    let admin = format!(
        "Host 127.0.0.1\n Port {port}\n BatchMode yes\n IdentityFile {}\n UserKnownHostsFile {}\n",
        dir.join("admin_key").display(),
        known.display()
    );
    std::fs::write(&config, admin).expect("it is writable");
    std::os::unix::fs::symlink(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("claude-exec-breakglass"),
        dir.join("claude-exec-breakglass"),
    )
    .expect("a link");
    let replaced = [
        (
            "--install --vmid 102 --host 192.168.1.127",
            format!("--install --vmid {VMID} --host [127.0.0.1]:{port} {}", host.options()),
        ),
        ("/usr/local/sbin/breakglass-power", host.script().display().to_string()),
        (
            "BREAKGLASS_PVE_HOST=192.168.1.127",
            format!("BREAKGLASS_PVE_USER={user} BREAKGLASS_PVE_HOST=127.0.0.1:{port}"),
        ),
        ("root@192.168.1.127", format!("{user}@127.0.0.1")),
        (
            "cargo run --release --example server -- --role breakglass &",
            format!(
                "{} --role breakglass --listen 127.0.0.1:0 >listening 2>server.log & server=$!\n\
                 trap 'kill $server 2>/dev/null; cat server.log >&2' EXIT\n\
                 until grep -q '^listening' listening; do kill -0 $server; sleep 0.05; done\n\
                 address=$(sed 's/^listening on //' listening)",
                binary.display()
            ),
        ),
        ("cargo run --release --example server -- audit", format!("{} audit", binary.display())),
        ("http://127.0.0.1:8080", "$address".to_owned()),
    ];
    let mut script = commands();
    for (text, this) in replaced {
        assert!(script.contains(text), "the README has no `{text}` any more");
        script = script.replace(text, &this);
    }
    for left in ["192.168", "/usr/local", "8080", "cargo"] {
        assert!(!script.contains(left), "`{left}` is left in\n{script}");
    }
    format!(
        "ssh() {{ command ssh -F {} \"$@\"; }}\nunset CLAUDE_BIN\nexport CLAUDE_BIN=/bin/false\n{script}",
        config.display()
    )
}
