//! What is left of a run: found in `/proc` and killed.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::marker::{self, Marker};

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
    /// A thread of the kernel itself.
    kernel: bool,
}

/// The flag of a kernel thread in `/proc/<pid>/stat` (`include/linux/sched.h`).
const PF_KTHREAD: u32 = 0x0020_0000;

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
            kernel: fields.get(6)?.parse::<u32>().ok()? & PF_KTHREAD != 0,
        })
    }
}

/// A process's directory in `/proc`.
struct Entry {
    pid: u32,
    /// Linux numbers these directories as it makes them, so that another process with the same pid has another
    /// number (`get_next_ino` in `fs/proc/base.c`).
    inode: u64,
    path: PathBuf,
}

fn processes() -> impl Iterator<Item = Entry> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some(Entry { pid, inode: entry.ino(), path: entry.path() })
    })
}

/// Every living descendant of `leader`, by a walk from parent to child.
pub(super) fn walk(leader: u32) -> HashSet<Identity> {
    let all: Vec<Stat> = processes().filter_map(|process| Stat::read(&process.path)).collect();
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

/// The processes that were seen to carry no run's marker, by pid and inode, in order. Nothing gets a marker but by
/// inheriting it (and a run's leader, which is no sweep's business), so that each needs to be read once only; to read
/// all at the end of every run would cost more than the rest of a short run.
static STRANGERS: Mutex<Vec<(u32, u64)>> = Mutex::new(Vec::new());

/// Kills every process whose environment satisfies `is_ours`, once; says how many there were.
fn kill_matching(is_ours: impl Fn(&[u8]) -> bool) -> usize {
    let own = std::process::id();
    let known = STRANGERS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut strangers = Vec::with_capacity(known.len() + 16);
    let mut killed = 0;
    for process in processes() {
        let identity = (process.pid, process.inode);
        if known.binary_search(&identity).is_ok() {
            strangers.push(identity);
            continue;
        }
        // A process of another user cannot be read, nor could we have started it.
        let Ok(environ) = fs::read(process.path.join("environ")) else { continue };
        if environ.is_empty() {
            // That of a process in the middle of an `exec` is empty too, and that one may be ours.
            let kernel = Stat::read(&process.path).is_some_and(|stat| stat.kernel);
            strangers.extend(kernel.then_some(identity));
        } else if !marker::is_carried(&environ) {
            strangers.push(identity);
        } else if process.pid != own && is_ours(&environ) {
            kill(process.pid);
            killed += 1;
        }
    }
    strangers.sort_unstable();
    // Of two sweeps at a time the later one's stay: the other's are read once more.
    *STRANGERS.lock().unwrap_or_else(PoisonError::into_inner) = strangers;
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

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_with_the_pid_of_a_stranger_is_looked_at_anew() {
        use std::os::unix::process::ExitStatusExt;
        let marker = Marker::new();
        let mut command = std::process::Command::new("sleep");
        let mut child = command.arg("10").env(marker::VARIABLE, marker.value()).spawn().unwrap();
        let inode = processes().find(|process| process.pid == child.id()).unwrap().inode;
        STRANGERS.lock().unwrap().clone_from(&vec![(child.id(), inode - 1)]);
        kill_marked(&marker);
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_keeps_its_inode_and_shares_it_with_none() {
        let inodes = || processes().map(|process| (process.pid, process.inode)).collect::<Vec<_>>();
        let own = |inodes: &[(u32, u64)]| inodes.iter().find(|(pid, _)| *pid == std::process::id()).copied();
        let (before, after) = (inodes(), inodes());
        assert_eq!((own(&before), own(&before).is_some()), (own(&after), true));
        let distinct: HashSet<u64> = after.iter().map(|(_, inode)| *inode).collect();
        assert_eq!(distinct.len(), after.len());
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let line =
            "42 (a) b (c) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1000 10 18446744073709551615";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.pid, stat.parent, stat.start_time), (42, 7, 98765));
        assert!(!stat.zombie && !stat.kernel);
    }

    #[test]
    fn a_kernel_thread_is_known_by_its_flags() {
        let kthreadd = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 12 0 0 20 0 1 0 7 0 0";
        let dead = "3 (a) Z 1 3 3 0 -1 4228364 1 0 0 0 0 0 0 0 20 0 1 0 9 0 0";
        let flags = [kthreadd, dead].map(|line| Stat::parse(line).map(|stat| (stat.zombie, stat.kernel)));
        assert_eq!(flags, [Some((false, true)), Some((true, false))]);
    }
}
