//! Which programs, with which arguments, only look.
//!
//! A program that is not in the table is asked for. Of one that is, the flags that write, follow for ever or show
//! secrets are named here; a flag's value in a word of its own counts as a word.

/// A program that only looks, but for some of its flags.
struct Program {
    name: &'static str,
    /// The short flags that are not taken.
    short: &'static str,
    /// The long flags that are not taken, nor any beginning of them: GNU programs take those too.
    long: &'static [&'static str],
    words: Words,
}

/// Which words, that are no flags, it may have.
enum Words {
    None,
    /// The values of its flags.
    Numbers,
    Any,
    /// Files whose content is no secret.
    Files,
    /// A pattern first, then such files.
    PatternAndFiles,
    /// One of these first, then any.
    First(&'static [&'static str]),
    /// These alone.
    Of(&'static [&'static str]),
    /// A format, as `date` has it.
    Format,
}

const fn program(
    name: &'static str,
    short: &'static str,
    long: &'static [&'static str],
    words: Words,
) -> Program {
    Program { name, short, long, words }
}

const PROGRAMS: &[Program] = &[
    program("uptime", "", &[], Words::None),
    program("free", "sc", &["seconds", "count"], Words::None),
    program("w", "", &[], Words::None),
    program("who", "", &[], Words::None),
    program("last", "f", &["file"], Words::Any),
    program("id", "", &[], Words::None),
    program("whoami", "", &[], Words::None),
    program("uname", "", &[], Words::None),
    program("hostname", "Fb", &["file", "boot"], Words::None),
    program("nproc", "", &[], Words::None),
    program("lscpu", "", &[], Words::None),
    program("lsmem", "", &[], Words::None),
    program("lsblk", "", &[], Words::Any),
    program("findmnt", "pw", &["poll", "timeout"], Words::Any),
    program("date", "sf", &["set", "file"], Words::Format),
    program("echo", "", &[], Words::Any),
    program("true", "", &[], Words::None),
    program("df", "", &["sync"], Words::Any),
    program("du", "X", &["files0-from", "exclude-from"], Words::Any),
    program("ls", "", &[], Words::Any),
    program("stat", "", &[], Words::Any),
    program(
        "ps",
        "E",
        &[],
        Words::Of(&["aux", "auxf", "auxw", "auxww", "ax", "axf", "axu", "ef", "pid", "%cpu", "%mem"]),
    ),
    program("pgrep", "F", &["pidfile"], Words::Any),
    program(
        "dmesg",
        "cCnDEwWF",
        &[
            "clear",
            "read-clear",
            "console-level",
            "console-off",
            "console-on",
            "follow",
            "follow-new",
            "file",
        ],
        Words::Of(&["err,warn", "err", "warn", "crit", "alert", "emerg", "kern"]),
    ),
    program(
        "journalctl",
        "fD",
        &[
            "follow",
            "directory",
            "file",
            "root",
            "image",
            "vacuum-size",
            "vacuum-time",
            "vacuum-files",
            "rotate",
            "flush",
            "sync",
            "relinquish-var",
            "smart-relinquish-var",
            "update-catalog",
            "setup-keys",
            "force",
            "cursor-file",
        ],
        Words::Any,
    ),
    program(
        "systemctl",
        "HM",
        &["host", "machine", "root", "image", "force", "now", "runtime", "global", "preset-mode", "wait"],
        Words::First(&[
            "status",
            "list-units",
            "list-unit-files",
            "list-timers",
            "list-sockets",
            "list-jobs",
            "list-dependencies",
            "is-active",
            "is-failed",
            "is-enabled",
            "is-system-running",
            "get-default",
        ]),
    ),
    program("ss", "KDFE", &["kill", "diag", "filter", "events"], Words::Any),
    program("vmstat", "", &[], Words::None),
    program("zpool", "", &[], Words::First(&["status", "list"])),
    program("zfs", "", &[], Words::First(&["list"])),
    program(
        "docker",
        "Hc",
        &["host", "config", "context", "tlscacert", "tlscert", "tlskey"],
        Words::First(&["ps", "images", "df"]),
    ),
    program("cat", "", &[], Words::Files),
    program("head", "", &[], Words::Files),
    program("tail", "fF", &["follow", "retry"], Words::Files),
    program("wc", "", &["files0-from"], Words::Files),
    program("grep", "fe", &["file", "regexp"], Words::PatternAndFiles),
    program("egrep", "fe", &["file", "regexp"], Words::PatternAndFiles),
    program(
        "sort",
        "oTS",
        &["output", "temporary-directory", "compress-program", "files0-from", "buffer-size"],
        Words::Numbers,
    ),
    program("uniq", "", &[], Words::Numbers),
    program("cut", "", &[], Words::Numbers),
    program("tr", "", &[], Words::Any),
];

/// Files that may be read: what a diagnosis wants and no secret is in.
const FILES: &[&str] = &[
    "/proc/buddyinfo",
    "/proc/cmdline",
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/interrupts",
    "/proc/loadavg",
    "/proc/mdstat",
    "/proc/meminfo",
    "/proc/mounts",
    "/proc/pressure/cpu",
    "/proc/pressure/io",
    "/proc/pressure/memory",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/version",
    "/proc/vmstat",
    "/etc/fstab",
    "/etc/hostname",
    "/etc/os-release",
    "/etc/resolv.conf",
];

/// Directories whose files may be read.
const DIRECTORIES: &[&str] = &["/var/log/", "/sys/fs/cgroup/", "/sys/block/", "/proc/net/"];

/// True when every command only looks.
pub(super) fn is_read_only(commands: &[Vec<String>]) -> bool {
    commands.iter().all(|words| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        looks(&words)
    })
}

fn looks(words: &[&str]) -> bool {
    match words {
        ["sudo", "-n", rest @ ..] | ["sudo", rest @ ..] => rest.first() != Some(&"sudo") && looks(rest),
        ["timeout", seconds, rest @ ..] => {
            is_number(seconds) && rest.first() != Some(&"timeout") && looks(rest)
        }
        ["top", "-b", "-n", "1"]
        | ["top", "-bn1"]
        | ["top", "-b", "-n1"]
        | ["mount"]
        | ["env", "--version"] => true,
        // Without a count it goes on for ever.
        ["vmstat", pause, count] => is_number(pause) && is_number(count),
        ["ip", rest @ ..] => ip(rest),
        [name, arguments @ ..] => PROGRAMS
            .iter()
            .find(|program| program.name == *name)
            .is_some_and(|program| program.takes(arguments)),
        [] => false,
    }
}

impl Program {
    fn takes(&self, arguments: &[&str]) -> bool {
        let mut words = Vec::new();
        for argument in arguments {
            if let Some(long) = argument.strip_prefix("--") {
                let name = long.split('=').next().unwrap_or_default();
                // `--` alone ends the flags, and with them what is known here.
                if name.is_empty()
                    || self.long.iter().any(|refused| refused.starts_with(name) || name.starts_with(refused))
                {
                    return false;
                }
            } else if let Some(short) = argument.strip_prefix('-').filter(|short| !short.is_empty()) {
                if short.contains(|flag| self.short.contains(flag)) {
                    return false;
                }
            } else {
                words.push(*argument);
            }
        }
        match (&self.words, &words[..]) {
            (Words::Any, _) | (Words::Files | Words::Format, []) => true,
            (Words::None, words) => words.is_empty(),
            (Words::Numbers, words) => words.iter().all(|word| is_number(word)),
            (Words::Files, words) => words.iter().all(|word| is_number(word) || is_open(word)),
            (Words::PatternAndFiles, words) => {
                words.iter().skip(1).all(|word| is_number(word) || is_open(word))
            }
            (Words::First(firsts), [first, ..]) => firsts.contains(first),
            // Flags alone, such as `systemctl --failed`.
            (Words::First(_), []) => !arguments.is_empty(),
            (Words::Of(known), words) => words.iter().all(|word| is_number(word) || known.contains(word)),
            (Words::Format, words) => matches!(words, [format] if format.starts_with('+')),
        }
    }
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_open(path: &str) -> bool {
    let plain = !path.split('/').any(|part| part == ".." || part == ".");
    plain && (FILES.contains(&path) || DIRECTORIES.iter().any(|directory| path.starts_with(directory)))
}

fn ip(arguments: &[&str]) -> bool {
    const FLAGS: &[&str] = &["-s", "-d", "-4", "-6", "-br", "-brief", "-o", "-j", "-c"];
    let words: Vec<&str> = arguments.iter().copied().skip_while(|flag| FLAGS.contains(flag)).collect();
    let object = ["a", "addr", "address", "l", "link", "r", "route", "n", "neigh", "rule"];
    match &words[..] {
        [first] => object.contains(first),
        [first, "show" | "list" | "ls"] | [first, "show" | "list" | "ls", "dev", _] => object.contains(first),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::is_read_only;

    fn free(command: &str) -> bool {
        is_read_only("Bash", &json!({ "command": command }), "devvm")
    }

    #[test]
    fn what_a_diagnosis_runs_is_free() {
        let commands = [
            "ssh devvm uptime",
            "ssh devvm 'uptime; free -m; df -hT; df -i'",
            "ssh devvm 'sudo -n dmesg -T | tail -n 30'",
            "ssh devvm 'dmesg -T --level err,warn | tail -30'",
            "ssh devvm journalctl -p err -b -n 50 --no-pager",
            "ssh devvm 'systemctl --failed --no-pager'",
            "ssh devvm systemctl status nginx --no-pager",
            "ssh devvm 'ps aux --sort=-%mem | head -15'",
            "ssh devvm 'cat /proc/pressure/memory /proc/meminfo'",
            "ssh devvm 'journalctl -k | grep -i oom | tail -20'",
            "ssh devvm 'du -xh --max-depth=1 /var 2>/dev/null | sort -h | tail -15'",
            "ssh devvm 'ss -ltnp'",
            "ssh devvm 'vmstat 1 3'",
            "ssh devvm 'df -h | sort -k 5 -n'",
            "ssh devvm docker ps -a",
            "ssh devvm 'ip -br addr'",
            "ssh devvm 'timeout 10 tail -n 50 /var/log/syslog'",
            "ssh -o ConnectTimeout=5 devvm 'top -bn1 | head -20'",
        ];
        for command in commands {
            assert!(free(command), "{command}");
        }
    }

    #[test]
    fn what_changes_hangs_or_shows_secrets_is_asked_for() {
        let commands = [
            "ssh devvm reboot",
            "ssh devvm sudo systemctl restart nginx",
            "ssh devvm systemctl restart nginx",
            "ssh devvm systemctl -H other status",
            "ssh devvm systemctl",
            "ssh devvm systemctl cat nginx",
            "ssh devvm systemctl show nginx",
            "ssh devvm dmesg -C",
            "ssh devvm dmesg -Tc",
            "ssh devvm dmesg --cle",
            "ssh devvm dmesg -w",
            "ssh devvm journalctl --vacuum-size=10M",
            "ssh devvm journalctl --vac",
            "ssh devvm journalctl --rotate",
            "ssh devvm journalctl -f",
            "ssh devvm journalctl --cursor-file=/etc/passwd",
            "ssh devvm hostname evil",
            "ssh devvm hostname 123",
            "ssh devvm vmstat 1",
            "ssh devvm date -s 2020-01-01",
            "ssh devvm date 010100002020",
            "ssh devvm sort -o /etc/passwd /etc/group",
            "ssh devvm 'sort --compress-program=reboot'",
            "ssh devvm uniq /etc/group /etc/passwd",
            "ssh devvm tail -f /var/log/syslog",
            "ssh devvm tail --fol /var/log/syslog",
            "ssh devvm cat /etc/shadow",
            "ssh devvm cat /proc/1/environ",
            "ssh devvm cat /proc/pressure/../1/environ",
            "ssh devvm cat /var/log/../../etc/shadow",
            "ssh devvm grep -r . /root",
            "ssh devvm grep -f /etc/shadow x",
            "ssh devvm ps auxe",
            "ssh devvm ps eww",
            "ssh devvm ss -K dst 10.0.0.1",
            "ssh devvm ip link set eth0 down",
            "ssh devvm ip route del default",
            "ssh devvm mount /dev/sda1 /mnt",
            "ssh devvm top",
            "ssh devvm find / -delete",
            "ssh devvm awk x",
            "ssh devvm sed -i x /etc/passwd",
            "ssh devvm xargs rm",
            "ssh devvm sudo su",
            "ssh devvm sudo sudo reboot",
            "ssh devvm sudo -u x df",
            "ssh devvm env reboot",
            "ssh devvm docker -H tcp://x ps",
            "ssh devvm docker -Htcp://x ps",
            "ssh devvm docker --host=tcp://x ps",
            "ssh devvm docker --con=/x ps",
            "ssh devvm docker stop x",
            "ssh devvm zpool destroy x",
            "ssh devvm timeout 5",
            "ssh devvm timeout -s KILL df",
            "ssh devvm tee /etc/passwd",
            "ssh devvm df -- x",
            "uptime",
        ];
        for command in commands {
            assert!(!free(command), "{command}");
        }
        let background = json!({"command": "ssh devvm uptime", "run_in_background": true});
        assert!(!is_read_only("Bash", &background, "devvm"));
        assert!(!is_read_only("Read", &json!({"file_path": "/etc/hosts"}), "devvm"));
        assert!(!is_read_only("Bash", &json!({}), "devvm"));
    }
}
