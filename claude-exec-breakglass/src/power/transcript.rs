//! What the forced command says, line by line. Sans-I/O.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Verb;
use crate::redact::plain;

/// The most kept of what programs said: the forced command says at most this much of each.
const TEXT_BYTES: usize = 256 * 1024;

/// The longest line kept while it has no end.
const LINE_BYTES: usize = 128 * 1024;

/// More facts and steps than any verb has.
const FACTS: usize = 64;

const SENTINEL: &[u8] = b"BG1 ";
const QUOTED: &[u8] = b"> ";

/// Takes the bytes of one answer of the forced command, and holds what they say.
///
/// Only lines that carry the nonce of this request begin and end it, and what other programs said is quoted line
/// by line, so nothing that a guest writes into a log can pass for either.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transcript {
    nonce: String,
    line: Vec<u8>,
    /// The request was understood; a verb that changes something is on its way.
    pub begun: bool,
    /// Things observed, by name.
    pub facts: BTreeMap<String, String>,
    /// Where the verb was, in order.
    pub steps: Vec<String>,
    /// How the verb before this one ended.
    pub last: Option<Ended>,
    /// The verb that runs at the moment, by its nonce.
    pub running: Option<String>,
    /// How this one ended.
    pub end: Option<Ended>,
    /// Why the host refused to understand it.
    pub rejected: Option<String>,
    /// What the programs said, plain text.
    pub text: String,
    /// They said more than was kept.
    pub truncated: bool,
}

/// How a verb ended on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// Which one.
    pub nonce: String,
    /// The exit code of `qm`.
    pub rc: i32,
    /// What `qm status` said afterwards.
    pub status: String,
    /// What was proved.
    pub proof: Proof,
}

/// What the forced command has proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Proof {
    /// The new state was seen.
    Verified,
    /// Accepted; there is nothing to see.
    Sent,
    /// Handed to the HA manager.
    Requested,
    /// Told to stop, and its process is still there.
    Survived,
    /// Accepted, and the new state was not seen.
    Unseen,
    /// `qm` said no.
    Failed,
    /// Nothing was to be changed.
    Read,
    /// Another verb runs.
    Busy,
    /// No end within the host's own limit, or a word of a newer forced command.
    Unknown,
}

impl Proof {
    fn of(word: &str) -> Self {
        match word {
            "verified" => Self::Verified,
            "sent" => Self::Sent,
            "requested" => Self::Requested,
            "survived" => Self::Survived,
            "unseen" => Self::Unseen,
            "failed" => Self::Failed,
            "read" => Self::Read,
            "busy" => Self::Busy,
            _ => Self::Unknown,
        }
    }
}

impl Transcript {
    /// Nothing yet, of the request with this nonce.
    pub fn new(nonce: impl Into<String>) -> Self {
        Self { nonce: nonce.into(), ..Self::default() }
    }

    /// Takes the next bytes of standard output.
    pub fn push(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_BYTES.saturating_sub(self.line.len());
            self.truncated |= part.len() > room;
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.take(line.strip_suffix(b"\n").unwrap_or(&line));
            }
        }
    }

    /// The step it was at last.
    pub fn step(&self) -> Option<&str> {
        self.steps.last().map(String::as_str)
    }

    fn take(&mut self, line: &[u8]) {
        if let Some(said) = line.strip_prefix(QUOTED) {
            self.keep(&plain(&String::from_utf8_lossy(said)));
        } else if let Some(said) = line.strip_prefix(SENTINEL) {
            let said = plain(&String::from_utf8_lossy(said));
            self.sentinel(&said);
        }
    }

    fn keep(&mut self, line: &str) {
        if self.text.len() + line.len() >= TEXT_BYTES {
            self.truncated = true;
            return;
        }
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn sentinel(&mut self, said: &str) {
        let (word, rest) = said.split_once(' ').unwrap_or((said, ""));
        match word {
            "begin" => self.begun |= rest.split(' ').next() == Some(&self.nonce),
            "fact" if self.facts.len() < FACTS => {
                if let Some((name, value)) = rest.split_once('=') {
                    self.facts.insert(name.to_owned(), value.to_owned());
                }
            }
            "step" if self.steps.len() < FACTS => self.steps.push(rest.to_owned()),
            "section" => self.keep(&format!("== {rest}")),
            "reject" => self.rejected = Some(rest.to_owned()),
            "last" => self.last = ended(rest),
            "running" => self.running = rest.split(' ').next().map(str::to_owned),
            "end" => {
                if let Some(end) = ended(rest).filter(|end| end.nonce == self.nonce) {
                    self.end = Some(end);
                }
            }
            _ => {} // of a newer forced command
        }
    }
}

fn ended(said: &str) -> Option<Ended> {
    let mut words = said.split(' ');
    let nonce = words.next()?.to_owned();
    let fields: BTreeMap<&str, &str> = words.filter_map(|word| word.split_once('=')).collect();
    let rc = fields.get("rc")?.parse().ok()?;
    let status = (*fields.get("status")?).to_owned();
    let proof = fields.get("proof").map_or(Proof::Unknown, |word| Proof::of(word));
    Some(Ended { nonce, rc, status, proof })
}

/// What was seen of a VM.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Observed {
    /// What `qm` says, such as `running`, `stopped`, `paused`; `unknown` when it says nothing. It falls back to
    /// whether there is a process, so `running` does not prove that QEMU answers: see [`qmp`](Self::qmp).
    pub status: String,
    /// What QEMU itself says, `dead` when it does not answer; `None` when there is nothing to ask.
    pub qmp: Option<String>,
    /// Seconds since it was started.
    pub uptime_s: Option<u64>,
    /// What holds its configuration, such as `backup`.
    pub lock: Option<String>,
    /// The state the HA manager keeps it in, when it does.
    pub ha: Option<String>,
    /// Its QEMU process.
    pub pid: Option<u32>,
    /// The state of that process as `/proc` writes it: `D` waits for storage, and no signal ends it.
    pub process_state: Option<String>,
    /// The name of the VM.
    pub name: Option<String>,
    /// The process and when it began, which tells it from a later one with its number.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub process: String,
}

impl Observed {
    /// What `transcript` says of the VM.
    pub fn of(transcript: &Transcript) -> Self {
        let fact = |name: &str| transcript.facts.get(name).cloned();
        let process = fact("process").unwrap_or_default();
        Self {
            status: fact("status").unwrap_or_else(|| "unknown".to_owned()),
            qmp: fact("qmp"),
            uptime_s: fact("uptime").and_then(|text| text.parse().ok()),
            lock: fact("lock"),
            ha: fact("ha"),
            pid: process.split(':').next().and_then(|text| text.parse().ok()),
            process_state: fact("process_state"),
            name: fact("name"),
            process,
        }
    }

    /// True when somebody who has seen `self` would be surprised by `now`: another state, another lock, or another
    /// process.
    pub fn differs(&self, now: &Self) -> bool {
        (&self.status, &self.lock, &self.process) != (&now.status, &now.lock, &now.process)
    }

    /// What is most likely to help, for a VM that does not answer its users.
    pub fn advice(&self) -> (&'static str, Option<Verb>) {
        match (self.status.as_str(), self.qmp.as_deref(), self.process_state.as_deref()) {
            _ if self.lock.is_some() => ("Locked by another task: look at that first.", None),
            ("stopped", _, _) => ("Stopped: start it.", Some(Verb::Start)),
            (_, _, Some("D")) => ("QEMU waits for storage: look there first, a stop will not help.", None),
            (_, Some("dead"), _) => {
                ("QEMU does not answer: a reset cannot work, a cycle ends it.", Some(Verb::Cycle))
            }
            ("running", Some(_), _) => ("QEMU answers: a reset will do.", Some(Verb::Reset)),
            _ => ("Look at the forensics first.", None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "0123456789abcdef";

    fn read(text: &str) -> Transcript {
        let mut transcript = Transcript::new(NONCE);
        transcript.push(text.as_bytes());
        transcript
    }

    #[test]
    fn however_it_is_cut_it_says_the_same() {
        let text = format!(
            "BG1 begin {NONCE} cycle 102\nBG1 fact status=running\nBG1 step stop\n> ok\rso \u{1b}[1mit\n\
             BG1 section disks\n> 9%\nBG1 last ffff stop rc=0 status=stopped proof=verified at=7\n\
             BG1 running eeee cycle\nBG1 step start\nBG1 end {NONCE} rc=0 status=running proof=verified\n"
        );
        let whole = read(&text);
        assert!(whole.begun && !whole.truncated);
        assert_eq!(
            (whole.steps.clone(), whole.step()),
            (vec!["stop".to_owned(), "start".to_owned()], Some("start"))
        );
        assert_eq!(whole.text, "ok\nso it\n== disks\n9%\n");
        assert_eq!(whole.running.as_deref(), Some("eeee"));
        let ended = |nonce: &str, status: &str| Ended {
            nonce: nonce.into(),
            rc: 0,
            status: status.into(),
            proof: Proof::Verified,
        };
        assert_eq!(
            (whole.last.clone(), whole.end.clone()),
            (Some(ended("ffff", "stopped")), Some(ended(NONCE, "running")))
        );
        for at in 0..text.len() {
            let mut transcript = Transcript::new(NONCE);
            transcript.push(&text.as_bytes()[..at]);
            transcript.push(&text.as_bytes()[at..]);
            assert_eq!(transcript, whole);
        }
    }

    #[test]
    fn only_a_whole_line_with_our_nonce_begins_or_ends() {
        let table = [
            format!("> BG1 end {NONCE} rc=0 status=running proof=verified\n"),
            format!("> x\rBG1 end {NONCE} rc=0 status=running proof=verified\n"),
            "BG1 end fedcba9876543210 rc=0 status=running proof=verified\n".to_owned(),
            format!(" BG1 end {NONCE} rc=0 status=running proof=verified\n"),
            format!("BG1 end {NONCE} rc=0 status=running proof=verified"),
            format!("BG1 end {NONCE} rc=x status=running proof=verified\n"),
            format!("BG1 end {NONCE}\n"),
            "BG1 begin fedcba9876543210 stop 102\nBG1\nBG1 \nBG1 end\n".to_owned(),
        ];
        for text in table {
            let transcript = read(&text);
            assert_eq!((transcript.begun, transcript.end), (false, None), "{text:?}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut transcript = Transcript::new(NONCE);
        for _ in 0..100 {
            transcript.push(b"> ");
            transcript.push(&[b'x'; 10_000]);
            transcript.push(b"\nBG1 step s\nBG1 fact a=b\n");
        }
        transcript.push(&[b'y'; 1_000_000]);
        assert!(
            transcript.truncated
                && transcript.text.len() <= TEXT_BYTES
                && transcript.line.len() <= LINE_BYTES
        );
        assert_eq!(transcript.steps.len(), FACTS);
        transcript.push(format!("\nBG1 end {NONCE} rc=0 status=running proof=sent\n").as_bytes());
        assert!(transcript.end.is_some(), "the end is heard whatever came before");
    }

    #[test]
    fn a_word_of_a_newer_host_is_unknown() {
        let transcript = read(&format!("BG1 end {NONCE} rc=0 status=running proof=hoped\n"));
        assert_eq!(transcript.end.unwrap().proof, Proof::Unknown);
    }

    #[test]
    fn what_was_observed_surprises_or_not() {
        let seen = |text: &str| Observed::of(&read(text));
        let before =
            seen("BG1 fact status=running\nBG1 fact process=7:99\nBG1 fact uptime=5\nBG1 fact qmp=running\n");
        assert_eq!((before.pid, before.uptime_s, before.qmp.as_deref()), (Some(7), Some(5), Some("running")));
        let table = [
            ("BG1 fact status=running\nBG1 fact process=7:99\nBG1 fact uptime=9\nBG1 fact qmp=dead\n", false),
            ("BG1 fact status=running\nBG1 fact process=7:100\n", true),
            ("BG1 fact status=stopped\nBG1 fact process=7:99\n", true),
            ("BG1 fact status=running\nBG1 fact process=7:99\nBG1 fact lock=backup\n", true),
            ("", true),
        ];
        for (text, expected) in table {
            assert_eq!(before.differs(&seen(text)), expected, "{text}");
        }
    }

    #[test]
    fn advice_follows_what_answers() {
        let table = [
            ("BG1 fact status=stopped\n", Some(Verb::Start)),
            ("BG1 fact status=running\nBG1 fact qmp=running\n", Some(Verb::Reset)),
            ("BG1 fact status=running\nBG1 fact qmp=dead\nBG1 fact process_state=S\n", Some(Verb::Cycle)),
            ("BG1 fact status=running\nBG1 fact qmp=dead\nBG1 fact process_state=D\n", None),
            ("BG1 fact status=running\nBG1 fact qmp=running\nBG1 fact lock=backup\n", None),
            ("BG1 fact status=io-error\n", None),
        ];
        for (text, expected) in table {
            assert_eq!(Observed::of(&read(text)).advice().1, expected, "{text}");
        }
    }
}
