//! What is left of a run: found in `/proc` and killed.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::marker::{self, Marker};
use super::proc::{Identity, Stat, processes};

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

/// Every living descendant of `leader`, by a walk from parent to child.
pub(super) fn walk(leader: u32) -> HashSet<Identity> {
    if pid(leader).is_none() {
        return HashSet::new(); // everything on the machine descends from 0 and 1
    }
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

/// What one look at all processes came to.
#[derive(Default)]
struct Look {
    killed: usize,
    /// Processes in the middle of an `exec`, whose environment cannot be seen yet: any of them may be ours.
    undecided: usize,
}

impl Look {
    fn is_clear(&self) -> bool {
        self.killed + self.undecided == 0
    }
}

/// Kills every process whose environment satisfies `is_ours`, once.
fn kill_matching(is_ours: impl Fn(&[u8]) -> bool) -> Look {
    let own = std::process::id();
    let known = STRANGERS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut strangers = Vec::with_capacity(known.len() + 16);
    let mut look = Look::default();
    for process in processes() {
        let identity = (process.pid, process.inode);
        if known.binary_search(&identity).is_ok() {
            strangers.push(identity);
            continue;
        }
        // A process of another user cannot be read, nor could we have started it.
        let Ok(environ) = fs::read(process.path.join("environ")) else { continue };
        if environ.is_empty() {
            match Stat::read(&process.path) {
                Some(stat) if stat.zombie => {}
                Some(stat) if !stat.kernel && !stat.has_environment => look.undecided += 1,
                Some(_) => strangers.push(identity), // a thread of the kernel, or truly no variable
                None => {}
            }
        } else if !marker::is_carried(&environ) {
            strangers.push(identity);
        } else if process.pid != own && is_ours(&environ) {
            kill(process.pid);
            look.killed += 1;
        }
    }
    strangers.sort_unstable();
    // Of two sweeps at a time the later one's stay: the other's are read once more.
    *STRANGERS.lock().unwrap_or_else(PoisonError::into_inner) = strangers;
    look
}

/// Kills all that carry the marker, without waiting: for a drop.
pub(super) fn kill_marked(marker: &Marker) {
    for _ in 0..SWEEP_ROUNDS {
        if kill_matching(|environ| marker.is_in(environ)).is_clear() {
            return;
        }
        std::thread::yield_now();
    }
}

/// Kills every process whose environment satisfies `is_ours`, until none is left; gives their number.
pub(super) async fn sweep(is_ours: impl Fn(&[u8]) -> bool) -> usize {
    let mut total = 0;
    for round in 0..SWEEP_ROUNDS {
        let look = kill_matching(&is_ours);
        if look.is_clear() {
            break;
        }
        total = total.max(look.killed);
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
}
