//! Which processes are alive, read from `/proc`; a zombie counts as dead.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than any condition here takes, so that one that never comes fails its test.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// A live process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    /// The arguments, joined by spaces.
    pub(crate) command: String,
}

/// Every live process this user may look at, without this one.
pub(crate) fn all() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").expect("the suite runs on Linux");
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| pid != std::process::id().cast_signed()).filter_map(read).collect()
}

/// Those whose environment holds `name=value`, at whatever depth and in whatever session.
pub(crate) fn with_env(name: &str, value: &str) -> Vec<Process> {
    let wanted = format!("{name}={value}");
    all().into_iter().filter(|process| environ(process.pid).contains(&wanted)).collect()
}

/// Those whose command line holds `needle`.
pub(crate) fn with_command(needle: &str) -> Vec<Process> {
    all().into_iter().filter(|process| process.command.contains(needle)).collect()
}

/// Those that `pid` started, and those that they started.
pub(crate) fn descendants(pid: i32) -> Vec<Process> {
    let all = all();
    let mut parents = vec![pid];
    let mut found: Vec<Process> = Vec::new();
    while let Some(parent) = parents.pop() {
        for process in all.iter().filter(|process| process.parent == parent) {
            parents.push(process.pid);
            found.push(process.clone());
        }
    }
    found
}

pub(crate) fn is_alive(pid: i32) -> bool {
    read(pid).is_some()
}

/// `NAME=value` strings of a process; empty when it is gone.
pub(crate) fn environ(pid: i32) -> Vec<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    bytes.split(|&byte| byte == 0).map(|entry| String::from_utf8_lossy(entry).into_owned()).collect()
}

/// Resident memory in bytes; 0 when it is gone.
pub(crate) fn resident(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Waits until `condition` holds.
///
/// # Panics
///
/// When it does not hold for a long time; `what` says what was missed.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// As [`until`], for a test without a runtime.
pub(crate) fn until_blocking(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(POLL);
    }
}

pub(crate) fn kill(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may have gone by itself.
        let _ = kill_process(pid, signal);
    }
}

/// A value for a marker variable that no other test uses; what carries it is killed when this is dropped, so that
/// a failed test leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Marker {
    name: &'static str,
    value: String,
}

impl Marker {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, value: uuid::Uuid::new_v4().to_string() }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn value(&self) -> &str {
        &self.value
    }

    /// The live processes that carry it.
    pub(crate) fn live(&self) -> Vec<Process> {
        with_env(self.name, &self.value)
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        for process in self.live() {
            kill(process.pid, Signal::KILL);
        }
    }
}

fn read(pid: i32) -> Option<Process> {
    let directory = Path::new("/proc").join(pid.to_string());
    let stat = std::fs::read_to_string(directory.join("stat")).ok()?;
    // The name in parentheses may hold anything, so the fields begin after the last one.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    let number = |at: usize| fields.get(at)?.parse::<i32>().ok();
    let command = std::fs::read(directory.join("cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command).replace('\0', " ").trim().to_owned();
    Some(Process { pid, parent: number(1)?, group: number(2)?, session: number(3)?, command })
}
