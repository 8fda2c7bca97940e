//! The verbs on a real QEMU, without a Proxmox around it.

use claude_exec_breakglass::power::{Outcome, Verb};
use rustix::process::Signal;

use super::{Server, outcome};
use crate::support::proxmox::Proxmox;
use crate::support::{left_out, process};

const QEMU: &str = "/usr/bin/qemu-system-x86_64";

const TOOLS: [(&str, &str); 1] = [("qm", include_str!("../../support/proxmox/qm-over-qemu"))];

#[tokio::test(flavor = "multi_thread")]
async fn a_real_qemu_is_started_reset_cycled_and_stopped() {
    if !std::path::Path::new(QEMU).is_file() {
        left_out("the power verbs on a real QEMU: there is none (on Debian: apt install qemu-system-x86)");
        return;
    }
    let Some(host) = Proxmox::with(&TOOLS) else { return };
    let server = Server::of(host);
    assert_eq!(outcome(&server.verb(Verb::Start).await), Outcome::Verified);
    let first = server.host.vm().expect("it runs");
    let seen = server.power.status().await.observed.expect("the host answers");
    assert_eq!(
        (seen.status.as_str(), seen.qmp.as_deref()),
        ("running", Some("running")),
        "QMP itself was asked"
    );
    assert_eq!(seen.advice().1, Some(Verb::Reset));

    let reset = server.verb(Verb::Reset).await;
    assert_eq!(outcome(&reset), Outcome::SentNotVerified);
    assert_eq!(server.host.vm(), Some(first), "a reset keeps the process");

    // A main loop that hangs, as on dead storage: QMP is silent, and `running` is only a process.
    process::kill(first, Signal::STOP);
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    let wedged = server.power.status().await.observed.expect("the host answers");
    assert_eq!((wedged.status.as_str(), wedged.qmp.as_deref()), ("running", Some("dead")));
    let reset = server.verb(Verb::Reset).await;
    assert_eq!(outcome(&reset), Outcome::Refused, "{reset:?}");

    let cycle = server.verb(Verb::Cycle).await;
    assert_eq!(outcome(&cycle), Outcome::Verified, "{cycle:?}");
    let second = server.host.vm().expect("it runs");
    assert!(second != first && !process::is_alive(first));

    assert_eq!(outcome(&server.verb(Verb::Stop).await), Outcome::Verified);
    assert!(!process::is_alive(second));
}
