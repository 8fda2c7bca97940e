//! Processes as `/proc` shows them (proc(5)).

use std::fs;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

/// A process, told apart from a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) pid: u32,
    pub(super) start_time: u64,
}

impl Identity {
    pub(super) fn of(pid: u32) -> Option<Self> {
        let stat = Stat::read(&directory(pid))?;
        Some(Self { pid, start_time: stat.start_time })
    }
}

pub(super) fn directory(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// What `/proc/<pid>/stat` says (proc(5)).
#[derive(Debug)]
pub(super) struct Stat {
    pub(super) pid: u32,
    pub(super) parent: u32,
    /// In clock ticks since boot.
    pub(super) start_time: u64,
    /// The processor time that it and its children that were waited for have used, in clock ticks.
    pub(super) ticks: u64,
    pub(super) zombie: bool,
    /// A thread of the kernel itself.
    pub(super) kernel: bool,
    /// It has a place for its environment, be it empty: not so in the middle of an `exec`.
    pub(super) has_environment: bool,
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
            // `utime`, `stime`, `cutime`, `cstime`.
            ticks: fields.get(11..15)?.iter().filter_map(|ticks| ticks.parse::<u64>().ok()).sum(),
            zombie: matches!(*fields.first()?, "Z" | "X"),
            kernel: fields.get(6)?.parse::<u32>().ok()? & PF_KTHREAD != 0,
            // `env_start`, field 50; kernels before 3.5 do not tell.
            has_environment: fields.get(47).is_none_or(|start| *start != "0"),
        })
    }
}

/// A process's directory in `/proc`.
pub(super) struct Entry {
    pub(super) pid: u32,
    /// Linux numbers these directories as it makes them, so that another process with the same pid has another
    /// number (`get_next_ino` in `fs/proc/base.c`).
    pub(super) inode: u64,
    pub(super) path: PathBuf,
}

pub(super) fn processes() -> impl Iterator<Item = Entry> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some(Entry { pid, inode: entry.ino(), path: entry.path() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let line =
            "42 (a) b (c) S 7 42 42 0 -1 4194560 1 0 0 0 9 1 3 2 20 0 1 0 98765 1000 10 18446744073709551615";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.pid, stat.parent, stat.start_time, stat.ticks), (42, 7, 98765, 15));
        assert!(!stat.zombie && !stat.kernel);
    }

    #[test]
    fn a_kernel_thread_is_known_by_its_flags() {
        let kthreadd = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 12 0 0 20 0 1 0 7 0 0";
        let dead = "3 (a) Z 1 3 3 0 -1 4228364 1 0 0 0 0 0 0 0 20 0 1 0 9 0 0";
        let own = Stat::read(Path::new("/proc/self")).unwrap();
        assert!(own.has_environment && !own.kernel && own.pid == std::process::id());
        let flags = [kthreadd, dead].map(|line| Stat::parse(line).map(|stat| (stat.zombie, stat.kernel)));
        assert_eq!(flags, [Some((false, true)), Some((true, false))]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_keeps_its_inode_and_shares_it_with_none() {
        let inodes = || processes().map(|process| (process.pid, process.inode)).collect::<Vec<_>>();
        let own = |inodes: &[(u32, u64)]| inodes.iter().find(|(pid, _)| *pid == std::process::id()).copied();
        let (before, after) = (inodes(), inodes());
        assert_eq!((own(&before), own(&before).is_some()), (own(&after), true));
        let distinct: std::collections::HashSet<u64> = after.iter().map(|(_, inode)| *inode).collect();
        assert_eq!(distinct.len(), after.len());
    }
}
