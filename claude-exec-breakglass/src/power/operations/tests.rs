use std::time::{Duration, Instant};

use claude_exec::jobs::Timestamp;

use super::super::{Observed, Outcome, Verb, Verdict};
use super::operation::STDOUT_BYTES;
use super::prepared::REASON_BYTES;
use super::table::{PREPARED, REMEMBERED};
use super::*;
use crate::audit::{Actor, Event, Record};

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

    fn commit(&mut self, who: &str, nonce: &str, phrase: Option<&str>, key: &str) -> Result<Claim, Refusal> {
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
    assert_eq!(table.commit("jwt:phone", nonce, Some("102"), "a"), Err(Refusal::Expired), "of somebody else");
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
    assert_eq!(table.commit(ME, &nonce, Some("102"), "k"), Err(Refusal::Expired), "forgotten after a day");
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
    let mut operation = Operation::new("i".into(), Verb::Stop, 1, String::new(), String::new(), table.now.at);
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
