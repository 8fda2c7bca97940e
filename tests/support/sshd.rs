//! A real sshd on loopback, for this user or, under root, for one made for it.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(10);

/// A running sshd. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Sshd {
    child: Child,
    dir: TempDir,
    pub(crate) port: u16,
}

impl Sshd {
    /// One that lets the key of [`key`](Self::key) in, as this user; `None` when there is no sshd here.
    pub(crate) fn start() -> Option<Self> {
        let program = ["/usr/sbin/sshd", "/usr/bin/sshd"].into_iter().find(|path| Path::new(path).is_file())?;
        let dir = tempfile::Builder::new().prefix("claude-exec-sshd-").tempdir().expect("a directory");
        for name in ["host_key", "user_key"] {
            let path = dir.path().join(name);
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
                .arg(&path)
                .stdin(Stdio::null())
                .status();
            assert!(made.expect("ssh-keygen is beside sshd").success());
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let root = dir.path().display();
        let key = std::fs::read_to_string(dir.path().join("user_key.pub")).expect("it was made");
        std::fs::write(dir.path().join("authorized_keys"), format!("restrict {key}")).expect("writable");
        let host = std::fs::read_to_string(dir.path().join("host_key.pub")).expect("it was made");
        std::fs::write(dir.path().join("known_hosts"), format!("[127.0.0.1]:{port} {host}")).expect("writable");
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {root}/host_key\nAuthorizedKeysFile {root}/authorized_keys\n\
             PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        );
        let path = dir.path().join("sshd_config");
        std::fs::write(&path, config).expect("writable");
        // Under root it wants a directory to put the unprivileged half in.
        let _ = std::fs::create_dir_all("/run/sshd");
        let child = Command::new(program)
            .args(["-D", "-e", "-f"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("log")).expect("writable"))
            .spawn()
            .expect("sshd starts");
        let sshd = Self { child, dir, port };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < PATIENCE, "sshd does not listen: {}", sshd.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(sshd)
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.dir.path().join("user_key")
    }

    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.dir.path().join("known_hosts")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The name of the user it lets in.
    pub(crate) fn user() -> String {
        let output = Command::new("id").arg("-un").output().expect("id");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}
