//! What is prepared, what runs and what was done: a pure table, with the time passed in.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use claude_exec::jobs::Timestamp;
use serde::{Serialize, Serializer};

use super::{Observed, Outcome, State, Verb, Verdict};
use crate::audit::{Event, Record};

/// How long a person may think it over before what was seen is too old.
const NONCE_TTL: Duration = Duration::from_secs(30);

/// Prepared at once; further ones push out the oldest. Nobody thinks about more.
const PREPARED: usize = 64;

/// Operations remembered, each with its idempotency key.
const REMEMBERED: usize = 1024;

/// For how long: what the idempotency-key draft suggests for a key's life is up to the server.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// So many within [`RATE_WINDOW`] and whoever wants one more has to type what it is.
const RATE_TYPED: usize = 3;

/// So many, and none more: somebody's script runs wild.
const RATE_MOST: usize = 10;

const RATE_WINDOW: Duration = Duration::from_secs(5 * 60);

/// The longest reason.
const REASON_BYTES: usize = 500;

/// What is kept of what the host said of one operation.
const STDOUT_BYTES: usize = 16 * 1024;

/// A moment on both clocks: one that people read and that a machine may set back, one that only goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// For records.
    pub(super) at: Timestamp,
    /// For limits.
    pub(super) instant: Instant,
}

impl Now {
    /// The moment it is.
    pub(super) fn read() -> Self {
        Self { at: Timestamp::now(), instant: Instant::now() }
    }
}

/// A verb that was shown with what it does, and waits for its commit.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Prepared {
    /// Commits it, once.
    pub nonce: String,
    /// For how long.
    #[serde(rename = "expires_s", serialize_with = "seconds")]
    pub expires: Duration,
    /// What.
    pub verb: Verb,
    /// On which VM.
    pub vmid: u32,
    /// The VM as it is; a commit that finds another is refused.
    pub observed: Observed,
    /// What the commit has to say; `None` when a tap is enough.
    pub phrase: Option<String>,
    /// The phrase has to be typed: there were many of these lately.
    pub typed: bool,
    /// What it does to the guest.
    pub consequence: &'static str,
    /// Why.
    #[serde(skip)]
    pub reason: String,
    #[serde(skip)]
    who: String,
    #[serde(skip)]
    until: Option<Instant>,
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}

/// A verb that was committed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Operation {
    /// Its id, and the nonce that the host knows it by.
    pub id: String,
    /// What.
    pub verb: Verb,
    /// On which VM.
    pub vmid: u32,
    /// Why.
    pub reason: String,
    /// Who wanted it, as [`Actor::identity`](crate::audit::Actor::identity) writes it.
    pub who: String,
    /// When it was committed.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Where it is.
    pub state: State,
    /// The step it is at on the host.
    pub step: Option<String>,
    /// What came of it.
    pub outcome: Option<Outcome>,
    /// Why.
    pub detail: Option<String>,
    /// The exit code of `qm`.
    pub rc: Option<i32>,
    /// What the host said.
    pub stdout: String,
    /// The VM as it was seen before.
    pub observed: Option<Observed>,
    /// The VM as it was seen after an outcome that was unknown.
    pub observed_after: Option<Observed>,
    /// False when its end is not in the audit, or only in memory.
    pub recorded: bool,
    /// The idempotency key, and the digest of what it stands for.
    #[serde(skip)]
    pub(super) key: Option<(String, String)>,
}

/// Why a verb goes nowhere.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// It cannot be asked like this.
    Invalid(String),
    /// Another operation runs.
    Busy(Box<Operation>),
    /// The same key, for the same thing, which has not ended yet.
    InFlight(Box<Operation>),
    /// The same key for something else.
    KeyReused,
    /// No such nonce: used, of somebody else, or more than 30 s old.
    Expired,
    /// The phrase is not the one that was asked for.
    WrongPhrase,
    /// The VM is not as it was when this was prepared.
    Changed(Box<Observed>),
    /// Too many lately.
    TooMany,
    /// The VM cannot be seen, so nothing can be prepared or committed.
    NotSeen(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => f.write_str(why),
            Self::Busy(operation) => write!(f, "busy: {} of {} has not ended", operation.verb, operation.who),
            Self::InFlight(operation) => write!(f, "this {} has not ended yet", operation.verb),
            Self::KeyReused => f.write_str("this Idempotency-Key was used for something else"),
            Self::Expired => f.write_str("expired or used: look at the VM and prepare it again"),
            Self::WrongPhrase => f.write_str("the phrase is not the one that was asked for"),
            Self::Changed(observed) => {
                write!(f, "state changed, look again: the VM is {} now", observed.status)
            }
            Self::TooMany => write!(
                f,
                "{RATE_MOST} verbs in {} minutes: something is wrong; wait, or go to the host",
                RATE_WINDOW.as_secs() / 60
            ),
            Self::NotSeen(why) => write!(f, "the VM cannot be seen: {why}"),
        }
    }
}

impl std::error::Error for Refusal {}

/// What a commit comes to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Claim {
    /// It was done before; nothing is done again.
    Replay(Box<Operation>),
    /// It has its place, which it gives back by [`Operations::drop_claim`] or [`Operations::update`].
    Go(Box<Operation>),
}

/// What a commit says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Commit<'c> {
    pub(super) nonce: &'c str,
    pub(super) phrase: Option<&'c str>,
    pub(super) key: &'c str,
    pub(super) fingerprint: &'c str,
}

/// The operations on one VM.
#[derive(Debug, Clone)]
pub(super) struct Operations {
    vmid: u32,
    prepared: VecDeque<Prepared>,
    /// Oldest first; the last one may not have ended.
    done: VecDeque<Operation>,
    running: Option<String>,
    starts: VecDeque<Timestamp>,
}

impl Operations {
    pub(super) fn new(vmid: u32) -> Self {
        Self {
            vmid,
            prepared: VecDeque::new(),
            done: VecDeque::new(),
            running: None,
            starts: VecDeque::new(),
        }
    }

    /// What an audit remembers, as a server finds it that is started again.
    pub(super) fn restore(vmid: u32, records: Vec<Record>, now: Now) -> Self {
        let mut operations = Self::new(vmid);
        for Record { at, actor, event, .. } in records {
            match event {
                Event::VerbRequested { id, verb, vmid: on, reason, key, fingerprint, observed }
                    if on == vmid =>
                {
                    let mut operation = operation(id, verb, vmid, reason, actor.identity(), at);
                    operation.key = key.zip(fingerprint);
                    operation.observed = observed;
                    operation.state = State::Ended;
                    operation.outcome = Some(Outcome::Unknown);
                    operation.detail = Some("this server ended while it ran; look at the status".to_owned());
                    operation.recorded = false;
                    operations.starts.push_back(at);
                    operations.done.push_back(operation);
                }
                Event::VerbEnded { id, outcome, detail, rc, .. } => {
                    if let Some(operation) = operations.done.iter_mut().rfind(|operation| operation.id == id)
                    {
                        operation.ended = Some(at);
                        operation.outcome = Some(outcome);
                        operation.detail = Some(detail);
                        operation.rc = rc;
                        operation.recorded = true;
                    }
                }
                _ => {}
            }
        }
        operations.forget(now);
        operations
    }

    /// Shows a verb before it is done.
    pub(super) fn prepare(
        &mut self,
        now: Now,
        who: &str,
        verb: Verb,
        reason: &str,
        observed: Observed,
        nonce: String,
    ) -> Result<Prepared, Refusal> {
        let reason = check_reason(verb, reason)?;
        self.forget(now);
        let typed = self.typed()?;
        let phrase = match (typed, verb.is_destructive()) {
            (true, _) => Some(format!("{verb} {}", self.vmid)),
            (false, true) => Some(self.vmid.to_string()),
            (false, false) => None,
        };
        let prepared = Prepared {
            nonce,
            expires: NONCE_TTL,
            verb,
            vmid: self.vmid,
            observed,
            phrase,
            typed,
            consequence: verb.consequence(),
            reason,
            who: who.to_owned(),
            until: now.instant.checked_add(NONCE_TTL),
        };
        if self.prepared.len() >= PREPARED {
            self.prepared.pop_front();
        }
        self.prepared.push_back(prepared.clone());
        Ok(prepared)
    }

    /// Takes a commit: the key first, since a repeated one has spent its nonce.
    pub(super) fn commit(&mut self, now: Now, who: &str, commit: Commit<'_>) -> Result<Claim, Refusal> {
        self.forget(now);
        let same = |operation: &&Operation| {
            operation.who == who && operation.key.as_ref().is_some_and(|(key, _)| key == commit.key)
        };
        if let Some(operation) = self.done.iter().rfind(same) {
            let fits =
                operation.key.as_ref().is_some_and(|(_, fingerprint)| fingerprint == commit.fingerprint);
            return match (fits, operation.state) {
                (false, _) => Err(Refusal::KeyReused),
                (true, State::Ended) => Ok(Claim::Replay(Box::new(operation.clone()))),
                (true, _) => Err(Refusal::InFlight(Box::new(operation.clone()))),
            };
        }
        let at = self.prepared.iter().position(|prepared| {
            prepared.nonce == commit.nonce
                && prepared.who == who
                && prepared.until.is_some_and(|until| now.instant < until)
        });
        let at = at.ok_or(Refusal::Expired)?;
        self.free()?;
        // Asked again: there may have been more since this was prepared.
        let typed = self.typed()?;
        let prepared = &self.prepared[at];
        if typed && !prepared.typed {
            self.prepared.remove(at);
            return Err(Refusal::Expired);
        }
        if prepared.phrase.as_deref().is_some_and(|phrase| commit.phrase.map(str::trim) != Some(phrase)) {
            return Err(Refusal::WrongPhrase);
        }
        let Some(prepared) = self.prepared.remove(at) else { return Err(Refusal::Expired) };
        let key = Some((commit.key.to_owned(), commit.fingerprint.to_owned()));
        let mut operation =
            operation(prepared.nonce, prepared.verb, self.vmid, prepared.reason, prepared.who, now.at);
        operation.key = key;
        operation.observed = Some(prepared.observed);
        Ok(Claim::Go(Box::new(self.begin(operation))))
    }

    /// Takes a verb in one step, for a caller that is a program.
    pub(super) fn begin_at_once(
        &mut self,
        now: Now,
        who: &str,
        verb: Verb,
        reason: &str,
        id: String,
    ) -> Result<Operation, Refusal> {
        let reason = check_reason(verb, reason)?;
        self.forget(now);
        self.free()?;
        self.typed()?;
        Ok(self.begin(operation(id, verb, self.vmid, reason, who.to_owned(), now.at)))
    }

    fn begin(&mut self, operation: Operation) -> Operation {
        self.running = Some(operation.id.clone());
        self.starts.push_back(operation.began);
        self.done.push_back(operation.clone());
        operation
    }

    /// Takes back what was claimed and will not be sent.
    pub(super) fn drop_claim(&mut self, id: &str) {
        self.done.retain(|operation| operation.id != id);
        self.starts.pop_back();
        if self.running.as_deref() == Some(id) {
            self.running = None;
        }
    }

    /// Changes an operation. One that has ended makes room for the next.
    pub(super) fn update(&mut self, id: &str, change: impl FnOnce(&mut Operation)) -> Option<Operation> {
        let operation = self.done.iter_mut().rfind(|operation| operation.id == id)?;
        change(operation);
        let operation = operation.clone();
        if operation.state == State::Ended && self.running.as_deref() == Some(id) {
            self.running = None;
        }
        Some(operation)
    }

    pub(super) fn get(&self, id: &str) -> Option<&Operation> {
        self.done.iter().rfind(|operation| operation.id == id)
    }

    pub(super) fn running(&self) -> Option<&Operation> {
        self.get(self.running.as_deref()?)
    }

    /// The last one, running or ended.
    pub(super) fn last(&self) -> Option<&Operation> {
        self.done.back()
    }

    /// Those whose outcome is unknown.
    pub(super) fn unknown(&self) -> impl Iterator<Item = &Operation> {
        self.done.iter().filter(|operation| operation.outcome == Some(Outcome::Unknown))
    }

    fn free(&self) -> Result<(), Refusal> {
        match self.running() {
            Some(operation) => Err(Refusal::Busy(Box::new(operation.clone()))),
            None => Ok(()),
        }
    }

    fn typed(&self) -> Result<bool, Refusal> {
        match self.starts.len() {
            RATE_MOST.. => Err(Refusal::TooMany),
            count => Ok(count >= RATE_TYPED),
        }
    }

    fn forget(&mut self, now: Now) {
        // A clock that was set back makes things look new, which errs on the safe side.
        self.starts.retain(|start| now.at.since(*start) < RATE_WINDOW);
        self.prepared.retain(|prepared| prepared.until.is_some_and(|until| now.instant < until));
        while self.done.len() > REMEMBERED
            || self.done.front().is_some_and(|oldest| now.at.since(oldest.began) > REMEMBERED_FOR)
        {
            if self.done.front().map(|oldest| &oldest.id) == self.running.as_ref() {
                break;
            }
            self.done.pop_front();
        }
    }
}

impl Operation {
    /// Takes over a verdict.
    pub(super) fn end(&mut self, verdict: &Verdict, at: Timestamp) {
        self.state = State::Ended;
        self.ended = Some(at);
        self.outcome = Some(verdict.outcome);
        self.detail = Some(verdict.detail.clone());
        self.rc = verdict.rc;
        self.step = None;
    }

    /// Keeps the end of what the host said.
    pub(super) fn said(&mut self, text: &str) {
        let start = text.len().saturating_sub(STDOUT_BYTES);
        let start = (start..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        text[start..].clone_into(&mut self.stdout);
    }
}

fn operation(id: String, verb: Verb, vmid: u32, reason: String, who: String, began: Timestamp) -> Operation {
    Operation {
        id,
        verb,
        vmid,
        reason,
        who,
        began,
        ended: None,
        state: State::Requested,
        step: None,
        outcome: None,
        detail: None,
        rc: None,
        stdout: String::new(),
        observed: None,
        observed_after: None,
        recorded: true,
        key: None,
    }
}

fn check_reason(verb: Verb, reason: &str) -> Result<String, Refusal> {
    let reason = reason.trim();
    if !verb.is_mutating() {
        return Err(Refusal::Invalid(format!("`{verb}` changes nothing: ask it without preparing")));
    }
    if reason.is_empty() || reason.len() > REASON_BYTES {
        return Err(Refusal::Invalid(format!(
            "a reason of 1 to {REASON_BYTES} bytes is needed: it goes into the audit"
        )));
    }
    Ok(crate::redact::plain(reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Actor;

    const ME: &str = "bearer:phone";

    struct Table {
        operations: Operations,
        now: Now,
        count: u32,
    }

    impl Table {
        fn new() -> Self {
            let now = Now { at: Timestamp::from_micros(1_000_000_000_000), instant: Instant::now() };
            Self { operations: Operations::new(102), now, count: 0 }
        }

        fn pass(&mut self, seconds: u64) {
            let passed = Duration::from_secs(seconds);
            self.now.instant += passed;
            self.now.at = Timestamp::from_micros(self.now.at.micros() + passed.as_micros() as i64);
        }

        fn prepare(&mut self, verb: Verb) -> Result<Prepared, Refusal> {
            self.count += 1;
            let nonce = format!("nonce-{}", self.count);
            self.operations.prepare(self.now, ME, verb, "it hangs", seen("running"), nonce)
        }

        fn commit(
            &mut self,
            who: &str,
            nonce: &str,
            phrase: Option<&str>,
            key: &str,
        ) -> Result<Claim, Refusal> {
            let fingerprint = format!("{nonce}/{phrase:?}");
            let commit = Commit { nonce, phrase, key, fingerprint: &fingerprint };
            self.operations.commit(self.now, who, commit)
        }

        fn go(&mut self, verb: Verb) -> Operation {
            let prepared = self.prepare(verb).unwrap();
            let key = format!("key-{}", self.count);
            match self.commit(ME, &prepared.nonce, prepared.phrase.as_deref(), &key).unwrap() {
                Claim::Go(operation) => *operation,
                Claim::Replay(operation) => panic!("{operation:?}"),
            }
        }

        fn end(&mut self, id: &str, outcome: Outcome) {
            let at = self.now.at;
            self.operations.update(id, |operation| operation.end(&Verdict::new(outcome, "", None), at));
        }
    }

    fn seen(status: &str) -> Observed {
        Observed { status: status.to_owned(), ..Observed::default() }
    }

    #[test]
    fn a_nonce_is_for_one_person_one_verb_once_and_not_for_long() {
        let mut table = Table::new();
        let prepared = table.prepare(Verb::Stop).unwrap();
        assert_eq!((prepared.phrase.as_deref(), prepared.typed), (Some("102"), false));
        let nonce = &prepared.nonce;
        assert_eq!(
            table.commit("jwt:phone", nonce, Some("102"), "a"),
            Err(Refusal::Expired),
            "of somebody else"
        );
        assert_eq!(table.commit(ME, "nonce-9", Some("102"), "a"), Err(Refusal::Expired));
        assert_eq!(table.commit(ME, nonce, None, "a"), Err(Refusal::WrongPhrase));
        assert_eq!(table.commit(ME, nonce, Some("103"), "a"), Err(Refusal::WrongPhrase));
        let Claim::Go(operation) = table.commit(ME, nonce, Some(" 102 "), "a").unwrap() else { panic!() };
        assert_eq!((operation.verb, operation.reason.as_str()), (Verb::Stop, "it hangs"));
        table.end(nonce, Outcome::Verified);
        assert_eq!(table.commit(ME, nonce, Some("102"), "b"), Err(Refusal::Expired), "used");
        let late = table.prepare(Verb::Stop).unwrap();
        table.pass(29);
        assert!(table.commit(ME, &late.nonce, None, "c") == Err(Refusal::WrongPhrase), "still there");
        table.pass(1);
        assert_eq!(table.commit(ME, &late.nonce, Some("102"), "c"), Err(Refusal::Expired), "too old");
    }

    #[test]
    fn a_clock_that_is_set_back_or_forth_changes_no_nonce() {
        for step in [-86_400_000_000, 86_400_000_000] {
            let mut table = Table::new();
            let prepared = table.prepare(Verb::Start).unwrap();
            table.now.at = Timestamp::from_micros(table.now.at.micros() + step);
            assert!(matches!(table.commit(ME, &prepared.nonce, None, "a"), Ok(Claim::Go(_))));
        }
    }

    #[test]
    fn a_key_stands_for_one_thing() {
        let mut table = Table::new();
        let nonce = table.prepare(Verb::Reset).unwrap().nonce;
        assert!(matches!(table.commit(ME, &nonce, Some("102"), "k"), Ok(Claim::Go(_))));
        let again = table.commit(ME, &nonce, Some("102"), "k");
        assert!(matches!(&again, Err(Refusal::InFlight(operation)) if operation.id == nonce), "{again:?}");
        table.end(&nonce, Outcome::SentNotVerified);
        let again = table.commit(ME, &nonce, Some("102"), "k");
        assert!(matches!(&again, Ok(Claim::Replay(operation)) if operation.id == nonce), "{again:?}");
        assert_eq!(table.commit(ME, "another", Some("102"), "k"), Err(Refusal::KeyReused));
        // The same key of somebody else is another key.
        assert_eq!(table.commit("jwt:x", &nonce, Some("102"), "k"), Err(Refusal::Expired));
        table.pass(24 * 60 * 60 + 1);
        assert_eq!(
            table.commit(ME, &nonce, Some("102"), "k"),
            Err(Refusal::Expired),
            "forgotten after a day"
        );
    }

    #[test]
    fn one_verb_at_a_time() {
        let mut table = Table::new();
        let first = table.go(Verb::Stop);
        let second = table.prepare(Verb::Start).unwrap();
        let busy = table.commit(ME, &second.nonce, None, "z");
        assert!(matches!(&busy, Err(Refusal::Busy(operation)) if operation.id == first.id), "{busy:?}");
        let now = table.now;
        assert!(matches!(
            table.operations.begin_at_once(now, ME, Verb::Start, "x", "i".into()),
            Err(Refusal::Busy(_))
        ));
        table.end(&first.id, Outcome::Verified);
        assert!(
            matches!(table.commit(ME, &second.nonce, None, "z"), Ok(Claim::Go(_))),
            "the nonce was not spent"
        );
    }

    #[test]
    fn what_was_claimed_and_not_sent_leaves_nothing() {
        let mut table = Table::new();
        let operation = table.go(Verb::Stop);
        table.operations.drop_claim(&operation.id);
        assert!(table.operations.running().is_none() && table.operations.get(&operation.id).is_none());
        assert!(table.operations.starts.is_empty());
    }

    #[test]
    fn many_verbs_want_more_than_a_tap_and_too_many_are_refused() {
        let mut table = Table::new();
        for count in 0..10 {
            let prepared = table.prepare(Verb::Start).unwrap();
            let expected = if count < 3 { (None, false) } else { (Some("start 102"), true) };
            assert_eq!((prepared.phrase.as_deref(), prepared.typed), expected, "after {count}");
            let operation = table.go(Verb::Start);
            table.end(&operation.id, Outcome::Verified);
        }
        assert_eq!(table.prepare(Verb::Start), Err(Refusal::TooMany));
        let now = table.now;
        let at_once = table.operations.begin_at_once(now, ME, Verb::Start, "x", "i".into());
        assert_eq!(at_once, Err(Refusal::TooMany));
        table.pass(300);
        assert!(table.prepare(Verb::Start).is_ok());
    }

    #[test]
    fn what_was_prepared_before_the_rush_is_prepared_again() {
        let mut table = Table::new();
        let early = table.prepare(Verb::Stop).unwrap();
        for _ in 0..3 {
            let operation = table.go(Verb::Start);
            table.end(&operation.id, Outcome::Verified);
        }
        assert_eq!(table.commit(ME, &early.nonce, Some("102"), "k"), Err(Refusal::Expired));
    }

    #[test]
    fn a_reason_is_needed_and_reading_needs_no_preparing() {
        let mut table = Table::new();
        let now = table.now;
        let long = "x".repeat(REASON_BYTES + 1);
        for (verb, reason) in [
            (Verb::Stop, ""),
            (Verb::Stop, " \n"),
            (Verb::Stop, long.as_str()),
            (Verb::Status, "x"),
            (Verb::Forensics, "x"),
        ] {
            let refused = table.operations.prepare(now, ME, verb, reason, seen("running"), "n".into());
            assert!(matches!(refused, Err(Refusal::Invalid(_))), "{verb} {reason:?}");
        }
    }

    #[test]
    fn everything_is_bounded() {
        let mut table = Table::new();
        for _ in 0..1000 {
            table.prepare(Verb::Start).unwrap();
        }
        assert_eq!(table.operations.prepared.len(), PREPARED);
        for _ in 0..REMEMBERED + 10 {
            table.pass(40);
            let operation = table.go(Verb::Start);
            table.end(&operation.id, Outcome::Verified);
        }
        assert!(table.operations.done.len() <= REMEMBERED + 1);
        let mut operation = operation("i".into(), Verb::Stop, 1, String::new(), String::new(), table.now.at);
        operation.said(&"é".repeat(STDOUT_BYTES));
        assert_eq!(operation.stdout.len(), STDOUT_BYTES);
    }

    #[test]
    fn a_server_that_is_started_again_knows_its_keys_and_what_it_does_not_know() {
        let record = |seq, event| Record {
            seq,
            prev: String::new(),
            at: Timestamp::from_micros(1_000_000_000_000),
            actor: Actor::new("phone", "bearer", "10.0.0.9"),
            event,
        };
        let requested = |id: &str, key: &str, vmid| Event::VerbRequested {
            id: id.into(),
            verb: Verb::Stop,
            vmid,
            reason: "r".into(),
            key: Some(key.into()),
            fingerprint: Some("f".into()),
            observed: None,
        };
        let ended = Event::VerbEnded {
            id: "one".into(),
            verb: Verb::Stop,
            outcome: Outcome::Verified,
            detail: "d".into(),
            rc: Some(0),
            ms: 5,
            truncated: false,
        };
        let records = vec![
            record(1, requested("one", "k1", 102)),
            record(2, ended),
            record(3, requested("two", "k2", 102)),
            record(4, requested("elsewhere", "k3", 103)),
        ];
        let mut table = Table::new();
        table.operations = Operations::restore(102, records, table.now);
        let mut replay = |key| {
            let commit = Commit { nonce: "x", phrase: None, key, fingerprint: "f" };
            table.operations.commit(table.now, ME, commit)
        };
        let outcome = |claim: Result<Claim, Refusal>| match claim {
            Ok(Claim::Replay(operation)) => operation.outcome,
            other => panic!("{other:?}"),
        };
        assert_eq!(outcome(replay("k1")), Some(Outcome::Verified));
        assert_eq!(outcome(replay("k2")), Some(Outcome::Unknown), "its end was not heard");
        assert_eq!(replay("k3"), Err(Refusal::Expired));
        assert!(table.operations.running().is_none());
        assert_eq!(table.operations.starts.len(), 2, "the rate is remembered");
    }
}
