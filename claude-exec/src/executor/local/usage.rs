//! What a process tree holds and has used, as `/proc` shows it (proc(5)).

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::proc::{Identity, Stat, directory};

/// Processes of one tree that are looked at; a tool that forks without end is not followed to its last child.
const MAX_PROCESSES: usize = 256;

/// Resident bytes of `leader` and its descendants, pages shared with others counted in proportion (PSS), so that the
/// sum over several trees counts each page once. `None` when there is no such process, or no `/proc`.
///
/// A descendant that left its parents is not found.
pub(super) fn memory(leader: Identity) -> Option<u64> {
    sum(leader, resident)
}

/// The processor time that `leader` and its descendants have used, those included that have ended and were waited
/// for. `None` as for [`memory`].
pub(super) fn cpu_time(leader: Identity) -> Option<Duration> {
    let ticks = sum(leader, |process| Stat::read(process).map(|stat| stat.ticks))?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_millis(ticks.saturating_mul(1000) / per_second))
}

/// The sum of what `measure` finds in the directory of each process of the tree.
fn sum(leader: Identity, measure: impl Fn(&Path) -> Option<u64>) -> Option<u64> {
    let mut total = measure(&directory(leader.pid))?;
    let mut seen = HashSet::from([leader.pid]);
    let mut parents = vec![leader.pid];
    while let Some(parent) = parents.pop() {
        for child in children(parent) {
            if seen.len() < MAX_PROCESSES && seen.insert(child) {
                total += measure(&directory(child)).unwrap_or(0); // it may have ended meanwhile
                parents.push(child);
            }
        }
    }
    (Identity::of(leader.pid)? == leader).then_some(total)
}

/// PSS, or RSS, which counts shared pages whole, where the kernel does not give the former (before 4.14).
fn resident(process: &Path) -> Option<u64> {
    let pss = fs::read_to_string(process.join("smaps_rollup")).ok().and_then(|rollup| field(&rollup, "Pss:"));
    pss.or_else(|| field(&fs::read_to_string(process.join("status")).ok()?, "VmRSS:"))
}

/// The bytes of a line such as `Pss:    1234 kB`.
fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The children of all of its threads; none where the kernel does not list them (`CONFIG_PROC_CHILDREN`).
fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(directory(pid).join("task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_by_its_whole_name() {
        let rollup =
            "55d0-7ffe ---p 00000000 00:00 0    [rollup]\nRss:  9000 kB\nPss:  1234 kB\nPss_Dirty: 7 kB\n";
        assert_eq!(field(rollup, "Pss:"), Some(1234 * 1024));
        assert_eq!(field("VmRSS:\t 5 kB\n", "VmRSS:"), Some(5 * 1024));
        assert_eq!(field("Pss: many kB", "Pss:"), None);
    }

    #[test]
    fn what_a_child_has_used_counts_when_it_is_gone() {
        let own = Identity::of(std::process::id()).unwrap();
        let before = cpu_time(own).unwrap();
        let spin = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        assert!(std::process::Command::new("sh").args(["-c", spin]).status().unwrap().success());
        assert!(cpu_time(own).unwrap() > before);
    }

    #[test]
    fn a_tree_holds_more_than_its_leader() {
        use std::io::Read;
        let own = Identity::of(std::process::id()).unwrap();
        let mut child = std::process::Command::new("sh")
            .args(["-c", "echo there; read wait"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0; 6]).unwrap();
        assert!(children(own.pid).contains(&child.id()));
        let leaf = Identity::of(child.id()).unwrap();
        assert!(memory(own).unwrap() >= memory(leaf).unwrap() && memory(leaf).unwrap() > 0);
        assert!(cpu_time(own).unwrap() >= cpu_time(leaf).unwrap());
        assert_eq!(memory(Identity { start_time: leaf.start_time + 1, ..leaf }), None, "another one");
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!((memory(leaf), cpu_time(leaf)), (None, None));
    }
}
