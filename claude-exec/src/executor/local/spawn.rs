//! The spawning of a child, from a thread that never ends.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;

use tokio::process::Child;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::leash::Leash;
use super::marker::{self, Marker};
use super::scratch::Scratch;
use crate::error::{Error, Result};
use crate::executor::{Command, Stdin};

/// Spawns asked for and not yet begun; more wait in `spawn`.
const WAITING_SPAWNS: usize = 64;

/// Where a program keeps its temporary files (POSIX.1-2017, section 8.3).
const TMPDIR: &str = "TMPDIR";

struct Job {
    command: tokio::process::Command,
    marker: Marker,
    scratch: Option<Scratch>,
    runtime: Handle,
    reply: oneshot::Sender<io::Result<Spawned>>,
}

/// A child on its leash: dropped on the way to its caller, it is killed with what it has started meanwhile.
pub(super) struct Spawned {
    pub(super) leash: Leash,
    pub(super) child: Child,
}

/// Spawns `command` in a process group of its own.
pub(super) async fn spawn(command: &Command, environment: &BTreeMap<OsString, OsString>) -> Result<Spawned> {
    let marker = Marker::new();
    let program = command.program.to_string_lossy().into_owned();
    if let Some(cwd) = &command.cwd
        && !cwd.is_dir()
    {
        // The system's error would read as if the program were missing.
        return Err(Error::invalid("cwd", format!("{} is no directory", cwd.display())));
    }
    let (reply, child) = oneshot::channel();
    let base = match command.env.get(OsStr::new(TMPDIR)) {
        Some(Some(chosen)) => PathBuf::from(chosen),
        _ => temporary(environment),
    };
    let scratch = Scratch::make(&base, &marker);
    let mut command = prepare(command, environment, &marker);
    if let Some(scratch) = &scratch {
        command.env(TMPDIR, scratch.path());
    }
    let job = Job { command, marker, scratch, runtime: Handle::current(), reply };
    let spawner = spawner().map_err(|error| Error::spawn(&program, error))?;
    let gone = || Error::spawn(&program, io::Error::other("the spawning thread is gone"));
    spawner.send(job).await.map_err(|_| gone())?;
    child.await.map_err(|_| gone())?.map_err(|error| Error::spawn(&program, error))
}

/// Where a child with this environment would keep its temporary files.
pub(super) fn temporary(environment: &BTreeMap<OsString, OsString>) -> PathBuf {
    environment.get(OsStr::new(TMPDIR)).map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
}

fn prepare(
    command: &Command,
    environment: &BTreeMap<OsString, OsString>,
    marker: &Marker,
) -> tokio::process::Command {
    let mut prepared = tokio::process::Command::new(&command.program);
    prepared.args(&command.args).env_clear().envs(environment);
    for (name, value) in &command.env {
        match value {
            Some(value) => prepared.env(name, value),
            None => prepared.env_remove(name),
        };
    }
    prepared.env(marker::VARIABLE, marker.value());
    if let Some(cwd) = &command.cwd {
        prepared.current_dir(cwd);
    }
    let has_stdin = !matches!(command.stdin, Stdin::Null);
    prepared
        .stdin(if has_stdin { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    #[cfg(target_os = "linux")]
    die_with_parent(&mut prepared);
    prepared
}

/// Has the kernel send SIGTERM to the child when this process dies. SIGTERM and not SIGKILL, since it lets
/// the CLI end the tools it runs (prctl(2), PR_SET_PDEATHSIG).
#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut tokio::process::Command) {
    use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
    let parent = getpid();
    let in_child = move || {
        set_parent_process_death_signal(Some(Signal::TERM))?;
        // The parent may have died before the call: then nobody will ever send the signal.
        if getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    };
    #[expect(unsafe_code, reason = "no safe API sets PDEATHSIG; the closure makes two system calls only")]
    // SAFETY: between fork and exec only async-signal-safe work is allowed; prctl and getppid are plain
    // system calls here, and nothing allocates or locks (`ErrorKind` into `io::Error` does not allocate).
    unsafe {
        command.pre_exec(in_child);
    }
}

/// The thread that spawns. The kernel ties PDEATHSIG to the thread that forked, and threads of a runtime
/// come and go; this one stays as long as the process.
fn spawner() -> io::Result<&'static mpsc::Sender<Job>> {
    static SPAWNER: OnceLock<io::Result<mpsc::Sender<Job>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, mut waiting) = mpsc::channel::<Job>(WAITING_SPAWNS);
        std::thread::Builder::new().name("claude-exec-spawn".to_owned()).spawn(move || {
            while let Some(Job { mut command, marker, scratch, runtime, reply }) = waiting.blocking_recv() {
                if reply.is_closed() {
                    continue; // its caller has left
                }
                let _runtime = runtime.enter();
                // tokio panics on a runtime without its I/O driver; that is one caller's fault, and this
                // thread serves them all.
                let spawned = std::panic::catch_unwind(AssertUnwindSafe(|| command.spawn()));
                let no_io = |_| Err(io::Error::other("the runtime has no I/O driver: use `enable_all`"));
                let spawned = spawned.unwrap_or_else(no_io).map(|child| {
                    let leader = child.id().expect("a child that was never waited for has a pid");
                    Spawned { leash: Leash::new(leader, marker, scratch), child }
                });
                let _unwanted = reply.send(spawned);
            }
        })?;
        Ok(jobs)
    });
    spawner.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))
}
