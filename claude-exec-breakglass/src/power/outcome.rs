//! What came of a verb: a pure judgement over what the host said and how the connection ended.

use serde::{Deserialize, Serialize};

use super::transcript::{Proof, Transcript};
use super::{Ended, Verb};

/// What came of a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The new state was seen.
    Verified,
    /// It was accepted, and its effect was not seen. For `reset` there is nothing to see.
    SentNotVerified,
    /// The HA manager was asked, and does it in its own time.
    Requested,
    /// It could not be done as things are; nothing was changed.
    Refused,
    /// `qm` tried and failed; `detail` says what it had done before.
    Failed,
    /// It never left this machine, or never reached the other; nothing was changed.
    NotSent,
    /// It may have been done and may not. Never tried again: look at the VM.
    Unknown,
}

impl Outcome {
    /// True when the verb did, or is known to do, what was asked.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Verified | Self::SentNotVerified | Self::Requested)
    }
}

/// How the connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closed {
    /// ssh ended by itself with this code, `None` for a signal, and the end of its stderr.
    Exit(Option<i32>, String),
    /// The time ran out; ssh was ended, the verb on the host was not.
    TimedOut,
    /// ssh could not be started.
    NotStarted(String),
    /// ssh was started and then lost.
    Lost(String),
}

/// An outcome with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// What came of it.
    pub outcome: Outcome,
    /// Why, for people.
    pub detail: String,
    /// The exit code of `qm`, when it is known.
    pub rc: Option<i32>,
}

impl Verdict {
    pub(super) fn new(outcome: Outcome, detail: impl Into<String>, rc: Option<i32>) -> Self {
        Self { outcome, detail: detail.into(), rc }
    }
}

/// What ssh says when it never got as far as running anything (OpenSSH 9.2).
const NEVER_IN: [&str; 13] = [
    "Permission denied",
    "Connection refused",
    "Connection timed out",
    "Operation timed out",
    "No route to host",
    "Network is unreachable",
    "Could not resolve hostname",
    "Host key verification failed",
    "REMOTE HOST IDENTIFICATION HAS CHANGED",
    "kex_exchange_identification",
    "Unable to negotiate",
    "Too many authentication failures",
    "Bad configuration option",
];

/// What `qm` says when it does nothing (qemu-server; every failure of it is exit code 255).
const NOTHING_DONE: [(&str, &str); 7] = [
    ("can't lock file", "locked: another task works on this VM; look at its tasks, then try again"),
    (
        "VM is locked",
        "locked: a backup, snapshot or migration holds this VM; let it end, or unlock it by hand",
    ),
    ("not running", "not running: start it instead"),
    ("already running", "already running"),
    ("does not exist", "there is no such VM on this host"),
    ("system_reset' failed", "QEMU does not answer: a reset cannot work, a cycle ends it"),
    ("ha-manager", "the HA manager refused"),
];

/// Judges how `verb` ended.
pub fn judge(verb: Verb, said: &Transcript, closed: &Closed) -> Verdict {
    match &said.end {
        Some(end) => by_proof(verb, end, said),
        None => by_connection(said, closed),
    }
}

/// Judges by the host's own word.
pub(super) fn by_proof(verb: Verb, end: &Ended, said: &Transcript) -> Verdict {
    let status = &end.status;
    let (outcome, detail) = match end.proof {
        Proof::Verified => (Outcome::Verified, format!("the VM was seen to be {status}")),
        Proof::Read => (Outcome::Verified, format!("the VM is {status}")),
        Proof::Sent => (
            Outcome::SentNotVerified,
            "accepted by QEMU; whether the guest comes back shows in the guest".into(),
        ),
        Proof::Requested => (
            Outcome::Requested,
            "requested from the HA manager, which does it in its own time; look at the status".into(),
        ),
        Proof::Survived => {
            let next = if verb == Verb::Cycle { "; it was not started again" } else { "" };
            let why = "told to stop, and its QEMU process is still there: it waits for storage";
            (Outcome::SentNotVerified, format!("{why}{next}"))
        }
        Proof::Unseen if verb == Verb::Cycle && said.step() == Some("stopped") => (
            Outcome::SentNotVerified,
            format!("told to stop, and not seen to be stopped ({status}); it was not started again"),
        ),
        Proof::Unseen => (Outcome::SentNotVerified, format!("accepted; the VM is {status} so far")),
        Proof::Busy => (Outcome::Refused, "another verb runs on the host".into()),
        Proof::Failed => return failed(verb, end, said),
        Proof::Unknown => (Outcome::Unknown, "the host gave up waiting; look at the status".into()),
    };
    Verdict::new(outcome, detail, Some(end.rc))
}

fn failed(verb: Verb, end: &Ended, said: &Transcript) -> Verdict {
    let last = said.text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    // A cycle that fails at its second half has done its first.
    if verb == Verb::Cycle && said.step() == Some("start") {
        let detail = format!("stopped, and not started: {last}; the VM is {}", end.status);
        return Verdict::new(Outcome::Failed, detail, Some(end.rc));
    }
    let known = NOTHING_DONE.iter().find(|(words, _)| said.text.contains(words));
    match known {
        Some((_, advice)) => Verdict::new(Outcome::Refused, format!("{advice} ({last})"), Some(end.rc)),
        None => Verdict::new(Outcome::Failed, format!("{last}; the VM is {}", end.status), Some(end.rc)),
    }
}

fn by_connection(said: &Transcript, closed: &Closed) -> Verdict {
    if let Some(why) = &said.rejected {
        return Verdict::new(Outcome::NotSent, format!("the host does not take it: {why}"), None);
    }
    let unknown = |why: &str| Verdict::new(Outcome::Unknown, format!("{why}; look at the status"), None);
    match closed {
        Closed::NotStarted(why) => Verdict::new(Outcome::NotSent, why.clone(), None),
        Closed::TimedOut => unknown("no end within the time"),
        Closed::Lost(why) => unknown(&format!("the connection was lost: {why}")),
        Closed::Exit(_, stderr) if said.begun => {
            unknown(&format!("the connection ended in the middle{}", reason(stderr)))
        }
        // 255 is also what `qm` fails with: only the words tell that nothing was run.
        Closed::Exit(Some(255), stderr) if NEVER_IN.iter().any(|words| stderr.contains(words)) => {
            Verdict::new(Outcome::NotSent, format!("the host was not reached{}", reason(stderr)), None)
        }
        Closed::Exit(_, stderr) => unknown(&format!("the host gave no sign{}", reason(stderr))),
    }
}

fn reason(stderr: &str) -> String {
    match stderr.lines().map(str::trim).rfind(|line| !line.is_empty()) {
        Some(line) => format!(": {line}"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "0123456789abcdef";

    fn verdict(verb: Verb, said: &str, closed: &Closed) -> (Outcome, String) {
        let mut transcript = Transcript::new(NONCE);
        transcript.push(said.replace("NONCE", NONCE).as_bytes());
        let verdict = judge(verb, &transcript, closed);
        (verdict.outcome, verdict.detail)
    }

    #[test]
    fn the_hosts_word_is_the_outcome_whatever_the_connection_did() {
        let end =
            |proof: &str| format!("BG1 begin NONCE x 102\nBG1 end NONCE rc=0 status=running proof={proof}\n");
        let table = [
            ("verified", Outcome::Verified),
            ("read", Outcome::Verified),
            ("sent", Outcome::SentNotVerified),
            ("survived", Outcome::SentNotVerified),
            ("unseen", Outcome::SentNotVerified),
            ("requested", Outcome::Requested),
            ("busy", Outcome::Refused),
            ("unknown", Outcome::Unknown),
            ("of-a-newer-host", Outcome::Unknown),
        ];
        for (proof, expected) in table {
            for closed in [Closed::Exit(Some(0), String::new()), Closed::TimedOut, Closed::Lost("x".into())] {
                assert_eq!(verdict(Verb::Stop, &end(proof), &closed).0, expected, "{proof} {closed:?}");
            }
        }
    }

    #[test]
    fn what_qm_says_tells_a_refusal_from_a_failure() {
        let table = [
            (
                Verb::Stop,
                "can't lock file '/var/lock/qemu-server/lock-102.conf' - got timeout",
                Outcome::Refused,
                "locked",
            ),
            (Verb::Start, "VM is locked (backup)", Outcome::Refused, "locked"),
            (Verb::Reset, "VM 102 not running", Outcome::Refused, "start it instead"),
            (Verb::Start, "VM 102 already running", Outcome::Refused, "already running"),
            (
                Verb::Reset,
                "VM 102 qmp command 'system_reset' failed - got timeout",
                Outcome::Refused,
                "a cycle ends it",
            ),
            (Verb::Start, "start failed: QEMU exited with code 1", Outcome::Failed, "start failed"),
            (Verb::Stop, "", Outcome::Failed, "the VM is stopped"),
        ];
        for (verb, text, outcome, detail) in table {
            let said = format!(
                "BG1 begin NONCE x 102\nBG1 step {verb}\n> {text}\nBG1 end NONCE rc=255 status=stopped proof=failed\n"
            );
            let got = verdict(verb, &said, &Closed::Exit(Some(255), String::new()));
            assert!(got.0 == outcome && got.1.contains(detail), "{verb} {text}: {got:?}");
        }
    }

    #[test]
    fn a_cycle_that_fails_to_start_says_that_it_has_stopped() {
        let said = "BG1 begin NONCE x 102\nBG1 step stop\nBG1 step stopped\nBG1 step start\n> VM 102 already running\n\
            BG1 end NONCE rc=255 status=stopped proof=failed\n";
        let got = verdict(Verb::Cycle, said, &Closed::Exit(Some(255), String::new()));
        let expected = "stopped, and not started: VM 102 already running; the VM is stopped";
        assert_eq!(got, (Outcome::Failed, expected.to_owned()));
    }

    #[test]
    fn a_cycle_without_a_stop_that_was_seen_was_not_started() {
        for proof in ["survived", "unseen"] {
            let said = format!(
                "BG1 begin NONCE x 102\nBG1 step stop\nBG1 step stopped\nBG1 end NONCE rc=0 status=running proof={proof}\n"
            );
            let got = verdict(Verb::Cycle, &said, &Closed::Exit(Some(0), String::new()));
            assert!(got.0 == Outcome::SentNotVerified && got.1.ends_with("not started again"), "{got:?}");
        }
    }

    #[test]
    fn without_an_end_only_a_door_that_stayed_shut_proves_that_nothing_was_done() {
        let exit = |code, stderr: &str| Closed::Exit(Some(code), stderr.to_owned());
        let begun = "BG1 begin NONCE reset 102\n";
        let table = [
            ("", Closed::NotStarted("cannot start ssh".into()), Outcome::NotSent),
            ("", exit(255, "ssh: connect to host pve port 22: Connection refused\r\n"), Outcome::NotSent),
            ("", exit(255, "ssh: connect to host pve port 22: Connection timed out"), Outcome::NotSent),
            ("", exit(255, "Host key verification failed."), Outcome::NotSent),
            ("", exit(255, "root@pve: Permission denied (publickey)."), Outcome::NotSent),
            ("BG1 reject no such verb\n", exit(64, ""), Outcome::NotSent),
            ("", exit(255, ""), Outcome::Unknown),
            ("", exit(255, "client_loop: send disconnect: Broken pipe"), Outcome::Unknown),
            ("", exit(1, "Connection refused"), Outcome::Unknown),
            ("", exit(0, ""), Outcome::Unknown),
            ("", Closed::TimedOut, Outcome::Unknown),
            ("", Closed::Lost("x".into()), Outcome::Unknown),
            (begun, exit(255, "Connection refused"), Outcome::Unknown),
            (begun, Closed::TimedOut, Outcome::Unknown),
            (begun, Closed::Exit(None, String::new()), Outcome::Unknown),
        ];
        for (said, closed, expected) in table {
            assert_eq!(verdict(Verb::Reset, said, &closed).0, expected, "{said:?} {closed:?}");
        }
    }

    #[test]
    fn no_connection_however_it_ends_makes_a_failure_or_a_success() {
        let words =
            ["", "timeout", "VM is locked (backup)", "Permission denied", "Connection closed by 10.0.0.1"];
        for code in [None, Some(0), Some(1), Some(124), Some(255)] {
            for stderr in words {
                for said in ["", "BG1 begin NONCE stop 102\n", "> VM 102 not running\n"] {
                    let got = verdict(Verb::Stop, said, &Closed::Exit(code, stderr.to_owned())).0;
                    assert!(
                        matches!(got, Outcome::Unknown | Outcome::NotSent),
                        "{code:?} {stderr:?} {said:?}: {got:?}"
                    );
                }
            }
        }
    }
}
