//! The bundled server as a process of its own, as anyone would run it.
#![allow(dead_code)] // shared by the benchmarks; none of them uses all of it

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

pub(crate) const TOKEN: &str = "a-token-for-benchmarks-on-loopback";

/// A running server; it ends when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    _state: TempDir,
}

impl Server {
    /// Starts `server --role api` on a free port with `claude` as its CLI, its own defaults, and no environment but
    /// `env`.
    pub(crate) fn start(claude: &Path, env: impl IntoIterator<Item = (String, String)>) -> Self {
        let state = tempfile::tempdir().expect("the temporary directory is writable");
        let program = program();
        let log = File::create(state.path().join("log")).expect("the directory is writable");
        let mut child = Command::new(&program)
            .args(["--role", "api", "--listen", "127.0.0.1:0"])
            .env_clear()
            .envs(env)
            .env("CLAUDE_BIN", claude)
            .env("API_BEARER_TOKEN", TOKEN)
            .env("JOBS_DIR", state.path())
            .env("WORKSPACE_DIR", "")
            .env("GIT_CRYPT_KEY", "")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; tests/bench.sh builds it", program.display()));
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the server says a line");
        let address = line.trim().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| {
            let log = std::fs::read_to_string(state.path().join("log"));
            panic!("the server did not start: {}", log.unwrap_or_default())
        });
        Self { child, address, _state: state }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The most memory it ever had resident, in MB.
    pub(crate) fn peak_rss_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse::<f64>().ok()).map_or(f64::NAN, |kib| kib * 1024.0 / 1e6)
    }
}

/// Clock ticks in a second, as Linux tells them to every program (proc(5)).
const TICKS: f64 = 100.0;

/// CPU time in seconds.
#[derive(Clone, Copy)]
pub(crate) struct Cpu {
    pub(crate) server: f64,
    /// Of the CLIs that have ended.
    pub(crate) cli: f64,
}

impl Server {
    /// What it has used so far.
    pub(crate) fn cpu(&self) -> Cpu {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks: Vec<f64> = fields.split_whitespace().skip(11).filter_map(|field| field.parse().ok()).collect();
        let seconds = |at: usize| ticks.get(at..at + 2).map_or(f64::NAN, |both| both.iter().sum::<f64>() / TICKS);
        Cpu { server: seconds(0), cli: seconds(2) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing runs on it any more: there is nothing to drain.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// `target/release/examples/server`, beside which this benchmark was built.
fn program() -> PathBuf {
    let own = std::env::current_exe().expect("a process knows its program");
    let profile = own.parent().and_then(Path::parent).expect("cargo puts benchmarks into deps/");
    profile.join("examples/server")
}
