//! A Proxmox host: the shipped forced command behind a real sshd, over a stand-in for `qm`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use claude_exec_breakglass::power::{HOST_SCRIPT, Ssh};

use super::process;
use super::sshd::{Sshd, keygen};

pub(crate) const VMID: u32 = 102;

const PATIENCE: Duration = Duration::from_secs(60);

/// How the stand-ins come to the host.
const TOOLS: [(&str, &str); 3] =
    [("qm", include_str!("qm")), ("ha-manager", include_str!("ha-manager")), ("vm", include_str!("vm"))];

/// The host. Dropping it ends its VM.
#[derive(Debug)]
pub(crate) struct Proxmox {
    pub(crate) sshd: Sshd,
    dir: tempfile::TempDir,
}

impl Proxmox {
    /// A host with the forced command installed and a VM that is stopped; `None`, and a line in the report, where
    /// there is no sshd.
    pub(crate) fn start() -> Option<Self> {
        Self::with(&TOOLS)
    }

    /// A host that knows nothing of breakglass yet.
    pub(crate) fn empty() -> Option<Self> {
        Self::bare(&TOOLS)
    }

    fn bare(tools: &[(&str, &str)]) -> Option<Self> {
        let sshd = Sshd::start()?;
        let host = Self { sshd, dir: tempfile::tempdir().expect("a directory") };
        for (name, text) in tools {
            executable(&host.path(name), text);
        }
        Some(host)
    }

    /// The same as [`start`](Self::start), with other stand-ins.
    pub(crate) fn with(tools: &[(&str, &str)]) -> Option<Self> {
        let host = Self::bare(tools)?;
        executable(&host.script(), HOST_SCRIPT);
        let key = keygen(&host.key());
        let installed = host.install(&key, &[]);
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        std::fs::write(host.known_hosts(), host.sshd.known_host()).expect("it is writable");
        Some(host)
    }

    /// Runs the documented installation for a key.
    pub(crate) fn install(&self, key: &str, more: &[&str]) -> Output {
        let mut install = Command::new(self.script());
        install.args(["--install", "--vmid", &VMID.to_string(), "--key", key]);
        install.args(self.options().split(' ')).args(more);
        install.stdin(Stdio::null()).output().expect("sh is there")
    }

    /// Where things are on this host, as options of the installation.
    pub(crate) fn options(&self) -> String {
        let dir = self.dir.path().display();
        let keys = self.sshd.authorized_keys();
        format!(
            "--path {dir}:/usr/sbin:/usr/bin:/sbin:/bin --run {dir}/run --state {dir}/state --log {dir}/log --seen 2 \
             --authorized-keys {} --host-keys {}",
            keys.display(),
            self.sshd.dir().display()
        )
    }

    /// Switches the VM on, by hand.
    pub(crate) fn power_on(&self) {
        // The VM keeps what it is given open.
        let mut qm = Command::new(self.path("qm"));
        qm.args(["start", &VMID.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        assert!(qm.status().expect("sh is there").success());
    }

    /// A file of the host.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The forced command.
    pub(crate) fn script(&self) -> PathBuf {
        self.path("breakglass-power")
    }

    /// The private key of the server that asks.
    pub(crate) fn key(&self) -> PathBuf {
        self.path("key")
    }

    /// What pins this host.
    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.path("known_hosts")
    }

    /// The way to it.
    pub(crate) fn ssh(&self) -> Ssh {
        Ssh::new("127.0.0.1", VMID, self.key(), self.known_hosts()).port(self.sshd.port).user(Sshd::user())
    }

    /// Sets what the stand-in does besides working.
    pub(crate) fn mode(&self, words: &str) {
        std::fs::write(self.path("mode"), words).expect("it is writable");
    }

    /// What the stand-in was called with, the verbs that change something alone.
    pub(crate) fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("calls")).unwrap_or_default();
        let reads = |line: &str| line.starts_with("status") || line.starts_with("config");
        text.lines().filter(|line| !reads(line)).map(str::to_owned).collect()
    }

    /// The process of the VM.
    pub(crate) fn vm(&self) -> Option<i32> {
        let pid = std::fs::read_to_string(self.path("run").join(format!("{VMID}.pid"))).ok()?;
        let pid: i32 = pid.trim().parse().ok()?;
        Path::new(&format!("/proc/{pid}")).exists().then_some(pid)
    }

    /// Waits until something is so.
    pub(crate) async fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !so(self) {
            assert!(start.elapsed() < PATIENCE, "not {what}: {:?}\n{}", self.calls(), self.sshd.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Proxmox {
    fn drop(&mut self) {
        // Everything that was started from this directory, and nothing else.
        let ours = self.dir.path().display().to_string();
        for process in process::with_command(&ours) {
            process::kill(process.pid, rustix::process::Signal::KILL);
        }
    }
}

fn executable(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    // Written under another name, and by another process: a fork of a test beside this one may hold it open for
    // writing, and then it cannot be run.
    let part = path.with_extension("part");
    std::fs::write(&part, text).expect("it is writable");
    std::fs::set_permissions(&part, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let copied = Command::new("cp").arg("-p").arg(&part).arg(path).status().expect("cp is there");
    assert!(copied.success());
}
