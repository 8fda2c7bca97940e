//! What is left of a run: found in `/proc` and killed.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::marker::Marker;

/// How often a sweep looks again for processes that were being started while it looked. The waits between
/// double from 1 ms, so it all ends within about 2 s.
const SWEEP_ROUNDS: u32 = 11;

/// Sends `signal` to the process group that `leader` leads.
///
/// The group keeps the leader's pid as its id as long as it has a member, so a leader already reaped is no
/// obstacle; a group that is gone is no error.
pub(super) fn signal_group(leader: u32, signal: Signal) {
    if let Some(pid) = pid(leader) {
        let _gone = rustix::process::kill_process_group(pid, signal);
    }
}

/// A pid that may be signalled: never 0 (our own group) and never 1 (everyone, or init).
fn pid(raw: u32) -> Option<Pid> {
    i32::try_from(raw).ok().filter(|raw| *raw > 1).and_then(Pid::from_raw)
}

/// A process, told apart from a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pid: u32,
    start_time: u64,
}

/// What `/proc/<pid>/stat` says (proc(5)).
#[derive(Debug)]
pub(super) struct Stat {
    pid: u32,
    parent: u32,
    /// In clock ticks since boot.
    pub(super) start_time: u64,
    zombie: bool,
}

impl Stat {
    pub(super) fn read(process: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(process.join("stat")).ok()?)
    }

    /// The command name, in parentheses, may hold anything, parentheses and spaces included.
    fn parse(stat: &str) -> Option<Self> {
        let (pid, rest) = stat.split_once(' ')?;
        let fields: Vec<&str> = rest.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        Some(Self {
            pid: pid.parse().ok()?,
            parent: fields.get(1)?.parse().ok()?,
            start_time: fields.get(19)?.parse().ok()?,
            zombie: matches!(*fields.first()?, "Z" | "X"),
        })
    }
}

fn processes() -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit()).map(|entry| entry.path())
}

/// Every living descendant of `leader`, by a walk from parent to child.
pub(super) fn walk(leader: u32) -> HashSet<Identity> {
    if pid(leader).is_none() {
        return HashSet::new(); // everything on the machine descends from 0 and 1
    }
    let all: Vec<Stat> = processes().filter_map(|process| Stat::read(&process)).collect();
    let mut found = HashSet::new();
    let mut parents = vec![leader];
    while let Some(parent) = parents.pop() {
        for stat in all.iter().filter(|stat| stat.parent == parent && !stat.zombie) {
            if found.insert(Identity { pid: stat.pid, start_time: stat.start_time }) {
                parents.push(stat.pid);
            }
        }
    }
    found
}

/// Kills the processes of `known` that still are who they were.
pub(super) fn kill_known(known: &HashSet<Identity>) {
    for identity in known {
        let stat = Stat::read(&Path::new("/proc").join(identity.pid.to_string()));
        if stat.is_some_and(|stat| stat.start_time == identity.start_time && !stat.zombie) {
            kill(identity.pid);
        }
    }
}

fn kill(process: u32) {
    if let Some(pid) = pid(process) {
        let _gone = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// Kills every process whose environment satisfies `is_ours`, once; says how many there were.
fn kill_matching(is_ours: impl Fn(&[u8]) -> bool) -> usize {
    let own = std::process::id();
    let mut killed = 0;
    for process in processes() {
        // A process of another user cannot be read, nor could we have started it. A zombie's is empty.
        let Ok(environ) = fs::read(process.join("environ")) else { continue };
        let number = process.file_name().and_then(|name| name.to_str()?.parse().ok());
        if let Some(pid) = number.filter(|pid| *pid != own && is_ours(&environ)) {
            kill(pid);
            killed += 1;
        }
    }
    killed
}

/// Kills all that carry the marker, once, without waiting: for a drop.
pub(super) fn kill_marked(marker: &Marker) {
    kill_matching(|environ| marker.is_in(environ));
}

/// Kills every process whose environment satisfies `is_ours`, until none is left; gives their number.
pub(super) async fn sweep(is_ours: impl Fn(&[u8]) -> bool) -> usize {
    let mut total = 0;
    for round in 0..SWEEP_ROUNDS {
        let killed = kill_matching(&is_ours);
        if killed == 0 {
            break;
        }
        total = total.max(killed);
        tokio::time::sleep(Duration::from_millis(1 << round)).await;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn init_and_our_own_group_are_never_signalled() {
        assert_eq!((pid(0), pid(1), pid(u32::MAX)), (None, None, None));
        assert!(pid(2).is_some());
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let line =
            "42 (a) b (c) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1000 10 18446744073709551615";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.pid, stat.parent, stat.start_time, stat.zombie), (42, 7, 98765, false));
    }
}
