//! The power verbs over a real ssh to a real sshd, with the forced command that ships.

mod doors;
mod outcomes;
mod qemu;
mod walkthrough;

use std::path::Path;
use std::time::Duration;

use claude_exec::executor::LocalExecutor;
use claude_exec_breakglass::audit::{Actor, Audit, AuditConfig, verify};
use claude_exec_breakglass::power::{Operation, Outcome, Power, Ssh, Verb};

use crate::support::proxmox::Proxmox;

/// Longer than any verb here takes.
const PATIENCE: Duration = Duration::from_secs(120);

fn actor() -> Actor {
    Actor::new("phone", "bearer", "127.0.0.1")
}

fn power(ssh: Ssh, audit: &Path) -> Power {
    let audit = Audit::open(AuditConfig::new(audit)).expect("the audit is ours");
    Power::open(ssh, LocalExecutor::new(), audit).expect("the key and the host's key are there")
}

/// A server that works with a host.
struct Server {
    host: Proxmox,
    audit: tempfile::TempDir,
    power: Power,
}

impl Server {
    fn of(host: Proxmox) -> Self {
        let audit = tempfile::tempdir().expect("a directory");
        let power = power(host.ssh(), audit.path());
        Self { host, audit, power }
    }

    fn start() -> Option<Self> {
        Proxmox::start().map(Self::of)
    }

    /// Does a verb to its end.
    async fn verb(&self, verb: Verb) -> Operation {
        let begun = self.power.begin(&actor(), verb, "a test").await.expect("nothing else runs");
        self.power.wait(&begun.id, PATIENCE).await.expect("it is remembered")
    }

    async fn status(&self) -> String {
        // The last reading is told again for two seconds.
        tokio::time::sleep(Duration::from_millis(2100)).await;
        self.power.status().await.observed.expect("the host answers").status
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let report = verify(self.audit.path()).expect("it can be read");
            assert!(report.is_intact(), "{report:?}");
        }
    }
}

fn outcome(operation: &Operation) -> Outcome {
    operation.outcome.unwrap_or_else(|| panic!("it has ended: {operation:?}"))
}
