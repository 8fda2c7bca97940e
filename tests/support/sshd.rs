//! A real sshd on loopback, on a port of its own, with keys and rights of a test's.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SSHD: &str = "/usr/sbin/sshd";
const PATIENCE: Duration = Duration::from_secs(30);

/// A running sshd. Dropping it kills it, with the connections it serves.
#[derive(Debug)]
pub(crate) struct Sshd {
    daemon: Child,
    dir: tempfile::TempDir,
    pub(crate) port: u16,
}

impl Sshd {
    /// Starts one that lets nobody in yet; `None`, and a line in the report, where there is no sshd.
    pub(crate) fn start() -> Option<Self> {
        if !Path::new(SSHD).is_file() {
            super::left_out(
                "everything over a real sshd: there is none (on Debian: apt install openssh-server)",
            );
            return None;
        }
        // Of root's sshd alone, which the init system makes at boot.
        let _ = std::fs::create_dir_all("/run/sshd");
        let dir = tempfile::tempdir().expect("a directory");
        keygen(&dir.path().join("ssh_host_ed25519_key"));
        std::fs::write(dir.path().join("authorized_keys"), "").expect("it is writable");
        // Port 0 is not one of sshd's, so one that is free now is taken. It may be lost to somebody else: once more.
        for _ in 0..5 {
            let free =
                TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it has one").port();
            std::fs::write(dir.path().join("config"), config(dir.path(), free)).expect("it is writable");
            let log = std::fs::File::create(dir.path().join("log")).expect("it is writable");
            let mut daemon = Command::new(SSHD)
                .args(["-D", "-e", "-f"])
                .arg(dir.path().join("config"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .expect("sshd starts");
            if listens(free, &mut daemon) {
                return Some(Self { daemon, dir, port: free });
            }
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        panic!(
            "sshd does not start: {}",
            std::fs::read_to_string(dir.path().join("log")).unwrap_or_default()
        );
    }

    /// The account that tests log in to: the one they run as.
    pub(crate) fn user() -> String {
        let output = Command::new("id").arg("-un").output().expect("id is there");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Where keys and rights stand.
    pub(crate) fn authorized_keys(&self) -> PathBuf {
        self.dir.path().join("authorized_keys")
    }

    /// Where its own keys are.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Lets a key in, as this line of `authorized_keys` says.
    pub(crate) fn authorize(&self, line: &str) {
        let mut text = std::fs::read_to_string(self.authorized_keys()).expect("it is there");
        text.push_str(line.trim());
        text.push('\n');
        std::fs::write(self.authorized_keys(), text).expect("it is writable");
    }

    /// The line of a `known_hosts` file that pins this one.
    pub(crate) fn known_host(&self) -> String {
        let key =
            std::fs::read_to_string(self.dir.path().join("ssh_host_ed25519_key.pub")).expect("it is there");
        let words: Vec<&str> = key.split(' ').take(2).collect();
        format!("[127.0.0.1]:{} {}\n", self.port, words.join(" "))
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn config(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {dir}/ssh_host_ed25519_key\nAuthorizedKeysFile {dir}/authorized_keys\n\
         PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin prohibit-password\nAcceptEnv LANG LC_*\nUseDNS no\nLogLevel VERBOSE\n\
         Subsystem sftp internal-sftp\n"
    )
}

fn listens(port: u16, daemon: &mut Child) -> bool {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).is_ok() {
            return daemon.try_wait().is_ok_and(|ended| ended.is_none());
        }
        if !daemon.try_wait().is_ok_and(|ended| ended.is_none()) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// Makes a key at `path`, and gives its public half.
pub(crate) fn keygen(path: &Path) -> String {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(path)
        .output();
    let made = made.expect("ssh-keygen is there");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::read_to_string(path.with_extension("pub")).expect("it was made").trim().to_owned()
}
