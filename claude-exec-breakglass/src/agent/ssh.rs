//! The agent's way to the sick machine: an alias, and a key that only an ssh-agent holds.

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use claude_exec::executor::{Command, Control, Executor, Frame, Process, Stdin, Stop};
use claude_exec::{Error, Result};
use futures::StreamExt;

use super::preset::HOST_ALIAS;

/// How long an ssh-agent may take to have the key. It takes 20 ms.
const READY_LIMIT: Duration = Duration::from_secs(10);

/// What of its complaints is kept.
const MAX_SAID: usize = 1000;

/// What the ssh-agent runs: it gives it the key, says so, and lives until its stdin ends, which it does with the
/// server, however that ends; the ssh-agent then follows. From stdin the key is taken whatever its file's mode is,
/// which in a mounted secret is not ours to choose.
const HOLD: &str = r#"ssh-add -q - <"$1" && echo ready && exec cat >/dev/null"#;

/// How the sick machine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ssh {
    /// Its address, `host` or `host:port`.
    pub host: String,
    /// The user there.
    pub user: String,
    /// The private key's file.
    pub key: PathBuf,
    /// A `known_hosts` file that pins its key; without one the first key seen is kept, and another refused.
    pub known_hosts: Option<PathBuf>,
}

impl Ssh {
    /// The machine at `host`, as `user`, with the private key in the file `key`.
    pub fn new(host: impl Into<String>, user: impl Into<String>, key: impl Into<PathBuf>) -> Self {
        Self { host: host.into(), user: user.into(), key: key.into(), known_hosts: None }
    }

    /// Pins the host's key.
    #[must_use]
    pub fn known_hosts(mut self, file: impl Into<PathBuf>) -> Self {
        self.known_hosts = Some(file.into());
        self
    }

    /// Checks what goes into ssh's configuration.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) for a host, user or path that cannot stand there.
    pub fn check(&self) -> Result<()> {
        let fits = |text: &str, also: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
        };
        if !fits(&self.host, ".-:[]_") || (self.host.contains(':') && self.address().1.is_none()) {
            return Err(Error::invalid("BREAKGLASS_DEVVM_HOST", "must be a host, or host:port"));
        }
        if !fits(&self.user, ".-_") {
            return Err(Error::invalid("BREAKGLASS_DEVVM_USER", "must be the name of a user"));
        }
        for path in self.known_hosts.iter().chain([&self.key]) {
            let plain = path.to_str().is_some_and(|path| !path.contains(['"', '\n', '%', '$', '\\']));
            if !plain || !path.is_absolute() {
                let shown = path.display();
                return Err(Error::invalid(
                    "BREAKGLASS_KEY_PATH",
                    format!("`{shown}` is no plain absolute path"),
                ));
            }
        }
        Ok(())
    }

    fn address(&self) -> (&str, Option<u16>) {
        match self.host.rsplit_once(':') {
            Some((host, port)) => (host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()),
            None => (&self.host, None),
        }
    }

    /// The configuration that makes `ssh devvm` work, and nothing else.
    fn config(&self, directory: &Path) -> String {
        let (host, port) = self.address();
        let (check, pins) = match &self.known_hosts {
            Some(file) => ("yes", file.clone()),
            None => ("accept-new", directory.join("known_hosts")),
        };
        let mut text = String::new();
        let socket = socket(directory);
        let _ = write!(
            text,
            "Host {HOST_ALIAS}\n\
             \x20 HostName {host}\n\
             \x20 Port {port}\n\
             \x20 User {user}\n\
             \x20 IdentityAgent \"{socket}\"\n\
             \x20 StrictHostKeyChecking {check}\n\
             \x20 UserKnownHostsFile \"{pins}\"\n\
             \x20 GlobalKnownHostsFile /dev/null\n\
             \x20 ProxyCommand none\n\
             \x20 ConnectTimeout 10\n\
             \x20 ServerAliveInterval 5\n\
             \x20 ServerAliveCountMax 3\n\
             Host *\n\
             \x20 BatchMode yes\n\
             \x20 ForwardAgent no\n\
             \x20 ControlMaster no\n\
             \x20 ControlPath none\n\
             \x20 IdentityAgent none\n\
             \x20 ProxyCommand /bin/false\n",
            port = port.unwrap_or(22),
            user = self.user,
            socket = socket.display(),
            pins = pins.display(),
        );
        text
    }

    /// Writes the configuration and an `ssh` that uses it into `directory`, and gives what the CLI's environment
    /// needs for it.
    ///
    /// # Errors
    ///
    /// When the files cannot be written.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn prepare(&self, directory: &Path) -> Result<Vec<(&'static str, OsString)>> {
        let failed = |error| Error::io("setting up ssh for a session", error);
        self.check()?;
        let bin = directory.join("bin");
        std::fs::create_dir_all(&bin).map_err(failed)?;
        let config = directory.join("ssh_config");
        std::fs::write(&config, self.config(directory)).map_err(failed)?;
        // ssh looks for its configuration in the home of the user database, not in $HOME.
        let wrapper = bin.join("ssh");
        let script = format!("#!/bin/sh\nexec /usr/bin/ssh -F '{}' \"$@\"\n", config.display());
        std::fs::write(&wrapper, script).map_err(failed)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(&wrapper, mode).map_err(failed)?;
        }
        let inherited = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
        let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&inherited)))
            .map_err(|_| Error::invalid("STATE_DIR", "must not contain a colon"))?;
        Ok(vec![("PATH", path), ("SSH_AUTH_SOCK", socket(directory).into_os_string())])
    }
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("agent.sock")
}

/// An ssh-agent with one key. Dropping it ends it.
#[must_use = "dropping it takes the key away"]
pub struct SshAgent {
    control: Arc<dyn Control>,
}

impl SshAgent {
    /// Starts one in `directory`, with the key of `ssh`.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or does not take the key: its own words are in the error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends it.
    pub async fn start(executor: &dyn Executor, ssh: &Ssh, directory: &Path) -> Result<Self> {
        let socket = socket(directory);
        // One that a crash has left is no agent any more, or soon none.
        let _ = std::fs::remove_file(&socket);
        let command = Command::new("ssh-agent")
            .args([OsString::from("-a"), socket.into()])
            .args(["sh", "-c", HOLD, "sh"])
            .arg(&ssh.key)
            .env_remove("SSH_ASKPASS")
            .stdin(Stdin::Open(bytes::Bytes::new()));
        let Process { mut output, control } = executor.start(command).await?;
        let agent = Self { control };
        let ready = async {
            let mut said = Vec::new();
            while let Some(frame) = output.next().await {
                match frame? {
                    Frame::Stdout(bytes) if bytes.starts_with(b"ready") => return Ok(()),
                    Frame::Stderr(bytes) if said.len() < MAX_SAID => said.extend_from_slice(&bytes),
                    Frame::Exit(_) => break,
                    _ => {}
                }
            }
            let said = String::from_utf8_lossy(&said).trim().to_owned();
            Err(Error::failed("giving the key to an ssh-agent", format!("{}: {said}", ssh.key.display())))
        };
        tokio::time::timeout(READY_LIMIT, ready)
            .await
            .map_err(|_| Error::timed_out("starting an ssh-agent", READY_LIMIT))??;
        // Read on, so that its end is seen and waited for.
        tokio::spawn(async move { while output.next().await.is_some() {} });
        Ok(agent)
    }
}

impl fmt::Debug for SshAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SshAgent").finish_non_exhaustive()
    }
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        self.control.close_stdin();
        self.control.stop(Stop::GRACEFUL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_alias_goes_anywhere() {
        let ssh = Ssh::new("10.0.10.10:2222", "breakglass", "/secrets/key");
        let config = ssh.config(Path::new("/state/s"));
        assert!(
            config.starts_with("Host devvm\n  HostName 10.0.10.10\n  Port 2222\n  User breakglass\n"),
            "{config}"
        );
        assert!(config.contains("accept-new") && config.ends_with("ProxyCommand /bin/false\n"), "{config}");
        assert!(ssh.known_hosts("/etc/pins").config(Path::new("/s")).contains("StrictHostKeyChecking yes"));
    }

    #[test]
    fn nothing_gets_into_the_configuration_that_is_more_than_a_name() {
        let good = Ssh::new("vm.example", "me", "/k");
        assert!(good.check().is_ok());
        assert_eq!(Ssh::new("[::1]:22", "me", "/k").address(), ("::1", Some(22)));
        for bad in [
            Ssh::new("", "me", "/k"),
            Ssh::new("-oProxyCommand=x", "me", "/k"),
            Ssh::new("a b", "me", "/k"),
            Ssh::new("a\nProxyCommand x", "me", "/k"),
            Ssh::new("host:port", "me", "/k"),
            Ssh::new("a", "me;x", "/k"),
            Ssh::new("a", "me", "k"),
            Ssh::new("a", "me", "/k\"x"),
            good.known_hosts("/a\nb"),
        ] {
            assert!(bad.check().unwrap_err().is_invalid(), "{bad:?}");
        }
    }
}
