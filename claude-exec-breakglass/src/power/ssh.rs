//! How a verb travels: one fixed argument list of the system's ssh.

use std::path::{Path, PathBuf};
use std::time::Duration;

use claude_exec::executor::Command;
use claude_exec::{Error, Result};

use super::Verb;

/// How long a verb that reads may take: the host gives forensics 18 s, and a connection 5.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// The shortest limit for verbs that change something. `qm stop` alone may take 141 s: 10 for the lock, 60 for QMP,
/// 60 until SIGTERM and 11 until it is done; then it is watched for 30.
const LEAST_LIMIT: Duration = Duration::from_secs(150);

/// Where the host is, and what proves that it is the one. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ssh {
    /// The ssh client. Default `/usr/bin/ssh`.
    pub program: PathBuf,
    /// The Proxmox host.
    pub host: String,
    /// Its user. Default `root`: `qm` wants it.
    pub user: String,
    /// Its port. Default 22.
    pub port: u16,
    /// The private key, of this server alone.
    pub key: PathBuf,
    /// The file with the host's key, and nothing else: a host with another key is not talked to.
    pub known_hosts: PathBuf,
    /// The VM, and no other.
    pub vmid: u32,
    /// How long a verb that changes something may take until its outcome is unknown. Default 240 s, at least 150 s.
    pub limit: Duration,
}

impl Ssh {
    /// A host by name or address.
    pub fn new(
        host: impl Into<String>,
        vmid: u32,
        key: impl AsRef<Path>,
        known_hosts: impl AsRef<Path>,
    ) -> Self {
        Self {
            program: PathBuf::from("/usr/bin/ssh"),
            host: host.into(),
            user: "root".to_owned(),
            port: 22,
            key: key.as_ref().to_path_buf(),
            known_hosts: known_hosts.as_ref().to_path_buf(),
            vmid,
            limit: Duration::from_secs(240),
        }
    }

    /// Sets the user.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    /// Sets the port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets the ssh client.
    #[must_use]
    pub fn program(mut self, program: impl AsRef<Path>) -> Self {
        self.program = program.as_ref().to_path_buf();
        self
    }

    /// Sets how long a verb that changes something may take. What is shorter than 150 s is 150 s: until then the
    /// host may well be at it.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit.max(LEAST_LIMIT);
        self
    }

    /// Looks for what would only show when it is needed.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) for a host or user that is no plain name, the VMID 0, and a key or a
    /// known-hosts file that cannot be read.
    pub fn check(&self) -> Result<()> {
        let plain = |text: &str, more: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        if !plain(&self.host, ".-:_") {
            return Err(Error::invalid("BREAKGLASS_PVE_HOST", "must be a host name or an address"));
        }
        if !plain(&self.user, "-_.") {
            return Err(Error::invalid("BREAKGLASS_PVE_USER", "must be a user name"));
        }
        if self.vmid == 0 {
            return Err(Error::invalid("BREAKGLASS_VMID", "must be the number of a VM"));
        }
        let read = |field, path: &Path, hint: &str| {
            let text = std::fs::read_to_string(path);
            let text =
                text.map_err(|error| Error::invalid(field, format!("{}: {error}; {hint}", path.display())))?;
            if text.trim().is_empty() {
                return Err(Error::invalid(field, format!("{} is empty; {hint}", path.display())));
            }
            Ok(())
        };
        read("BREAKGLASS_POWER_KEY_PATH", &self.key, "make one with `ssh-keygen -t ed25519 -N '' -f FILE`")?;
        let hint = "it holds what `breakglass-power --install` prints";
        read("BREAKGLASS_PVE_KNOWN_HOSTS", &self.known_hosts, hint)
    }

    /// How long `verb` may take until its outcome is unknown.
    pub fn limit_of(&self, verb: Verb) -> Duration {
        match verb {
            Verb::Status | Verb::Forensics => READ_LIMIT,
            Verb::Cycle => self.limit * 2, // two verbs, one after the other
            Verb::Start | Verb::Stop | Verb::Reset => self.limit,
        }
    }

    /// The command that asks `verb` of the host.
    ///
    /// No configuration file is read, nothing is asked of anybody, no agent and no shared connection is used. The
    /// remote words are fixed ones and a nonce of ours; no shell of this machine sees them.
    pub fn command(&self, verb: Verb, nonce: &str) -> Command {
        let option = |name: &str, path: &Path| format!("{name}={}", quoted(path));
        let mut command = Command::new(self.program.as_os_str()).args(["-F", "none", "-T", "-n"]);
        let fixed = [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "StrictHostKeyChecking=yes",
            "GlobalKnownHostsFile=/dev/null",
            "UpdateHostKeys=no",
            "PasswordAuthentication=no",
            "KbdInteractiveAuthentication=no",
            "ForwardAgent=no",
            "ClearAllForwardings=yes",
            "ControlMaster=no",
            "ControlPath=none",
            "ConnectTimeout=5",
            "ConnectionAttempts=1",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=3",
            "LogLevel=ERROR",
        ];
        for option in fixed {
            command = command.args(["-o", option]);
        }
        let request = format!("BG1 {} {} {nonce}", verb.name(), self.vmid);
        command
            .args(["-o".to_owned(), option("UserKnownHostsFile", &self.known_hosts)])
            .args(["-o".to_owned(), option("IdentityFile", &self.key)])
            .args(["-p".to_owned(), self.port.to_string(), "-l".to_owned(), self.user.clone()])
            .args(["--".to_owned(), self.host.clone(), request])
    }
}

/// A path as ssh reads it: quoted, without its own `%` tokens.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.to_string_lossy().replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn ssh() -> Ssh {
        Ssh::new("192.168.1.127", 102, "/secrets/a key%h", "/etc/known_hosts.pve").port(2222)
    }

    fn words(command: &Command) -> Vec<&str> {
        command.args.iter().filter_map(|arg| OsStr::to_str(arg)).collect()
    }

    #[test]
    fn the_command_is_one_fixed_list() {
        let command = ssh().command(Verb::Reset, "0123456789abcdef");
        assert_eq!(command.program, "/usr/bin/ssh");
        let words = words(&command);
        let end = ["-p", "2222", "-l", "root", "--", "192.168.1.127", "BG1 reset 102 0123456789abcdef"];
        assert_eq!(words[words.len() - 7..], end);
        for must in [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "UserKnownHostsFile=\"/etc/known_hosts.pve\"",
            "GlobalKnownHostsFile=/dev/null",
            "IdentityFile=\"/secrets/a key%%h\"",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "ConnectTimeout=5",
            "ControlPath=none",
            "-n",
        ] {
            assert!(words.contains(&must), "{must} is not in {words:?}");
        }
        assert!(command.env.is_empty());
    }

    #[test]
    fn what_would_only_show_when_it_is_needed_shows_at_start() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name)
        };
        let (key, hosts, empty) = (file("key", "k"), file("hosts", "h"), file("empty", "\n"));
        let good = Ssh::new("pve.example", 102, &key, &hosts);
        assert!(good.check().is_ok());
        let gone = dir.path().join("gone");
        let table = [
            (Ssh { host: "-oProxyCommand=x".into(), ..good.clone() }, "BREAKGLASS_PVE_HOST"),
            (Ssh { host: "a b".into(), ..good.clone() }, "BREAKGLASS_PVE_HOST"),
            (Ssh { host: String::new(), ..good.clone() }, "BREAKGLASS_PVE_HOST"),
            (Ssh { user: "root@x".into(), ..good.clone() }, "BREAKGLASS_PVE_USER"),
            (Ssh { vmid: 0, ..good.clone() }, "BREAKGLASS_VMID"),
            (Ssh { key: gone.clone(), ..good.clone() }, "BREAKGLASS_POWER_KEY_PATH"),
            (Ssh { known_hosts: gone, ..good.clone() }, "BREAKGLASS_PVE_KNOWN_HOSTS"),
            (Ssh { known_hosts: empty, ..good.clone() }, "BREAKGLASS_PVE_KNOWN_HOSTS"),
        ];
        for (ssh, field) in table {
            assert_eq!(ssh.check().unwrap_err().field(), Some(field), "{ssh:?}");
        }
    }

    #[test]
    fn no_limit_is_shorter_than_a_stop_takes() {
        assert_eq!(ssh().limit(Duration::from_secs(1)).limit_of(Verb::Stop), LEAST_LIMIT);
        assert_eq!(ssh().limit_of(Verb::Cycle), Duration::from_secs(480));
        assert_eq!(ssh().limit_of(Verb::Status), READ_LIMIT);
    }
}
