// What is asked most often at 3 a.m., as data: a prompt for Claude, and the same look as commands to run by hand when
// there is no model to ask.

/**
 * @typedef {{ name: string, line: string, prompt: string, checks: string[] }} Preset
 * @type {Preset[]}
 */
export const PRESETS = [
  {
    name: 'Triage',
    line: 'Load, failed units, errors, disks, boots',
    prompt: 'Triage the machine over ssh, read-only: load, pressure, failed units, kernel errors, disk use, top processes by CPU and memory, last boots. Begin with the finding that matters most, then the evidence, a line each, then what you would do next and its risk.',
    checks: ['uptime; cat /proc/pressure/*', 'systemctl --failed', 'dmesg -T --level=err,warn | tail -n 40', 'df -hT', 'ps -eo pid,stat,pcpu,rss,comm --sort=-rss | head', 'last -x reboot | head'],
  },
  {
    name: 'Memory / OOM',
    line: 'Pressure, OOM kills, slab, swap',
    prompt: 'Find out where the memory went, over ssh, read-only: free, pressure, every OOM kill with time and victim, largest slabs, memory.events of limited cgroups, swap. Say whether memory is short now or was before, which unit is the cause, and what would stop it from coming back.',
    checks: ['free -m; swapon --show', 'cat /proc/pressure/memory', 'dmesg -T | grep -i "out of memory"', 'slabtop -o -s c | head -n 15', 'grep -r "oom_kill [1-9]" /sys/fs/cgroup --include=memory.events'],
  },
  {
    name: 'Disk',
    line: 'Full mounts, inodes, open files, health',
    prompt: 'Find out what is wrong with the disks, over ssh, read-only: space and inodes, large deleted files still open, the journal, the largest directories of the fullest mount, SMART and zpool health, mounts gone read-only. List what could be removed safely, with sizes, and remove nothing.',
    checks: ['df -hT; df -i', 'lsof -nP +L1 | sort -k7 -n | tail', 'journalctl --disk-usage', 'du -xhd1 / | sort -h | tail', 'grep " ro[ ,]" /proc/mounts', 'zpool status -x'],
  },
  {
    name: 'Services',
    line: 'Failed units, last lines, open ports',
    prompt: 'Look at the services over ssh, read-only: units that failed or hang while activating, the last 50 journal lines of each, restarts, listening ports. For each broken unit give the first error that explains it and the command that would repair it. Run none of them yet.',
    checks: ['systemctl list-units --state=failed,activating', 'systemctl show "*" -p Id,NRestarts | grep -B1 "NRestarts=[1-9]"', 'journalctl -p err -b -n 50', 'ss -tlnp'],
  },
  {
    name: 'QEMU wedged?',
    line: 'Reset, stop, or neither',
    prompt: 'Find out whether the guest hangs or QEMU itself. Try ssh to the guest with a short time limit. If it answers, look there for D-state processes and blocked I/O. If not, ask me for the forensics of the power sheet and judge: QMP answers: reset. QMP is silent, QEMU not in D state: stop, it ends in SIGKILL. QEMU in D state: storage first, stop will not help. End with one recommendation, asked for with the power tool.',
    checks: ['timeout 10 ssh devvm uptime', 'qm status $VMID --verbose', 'ps -o stat,wchan:24,cmd -p $(cat /run/qemu-server/$VMID.pid)', 'cat /proc/pressure/io', 'dmesg -T | grep -i "blocked for more"'],
  },
];
