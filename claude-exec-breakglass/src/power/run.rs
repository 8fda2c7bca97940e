//! One verb from the wish to its outcome: a pure state machine.

use serde::{Deserialize, Serialize};

use super::outcome::{by_proof, judge};
use super::{Closed, Outcome, Transcript, Verb, Verdict};

/// Where a verb is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A person, or a key, wants it.
    Requested,
    /// Its record is durable.
    Audited,
    /// It is on its way; from here on an end that is not heard is unknown.
    Dispatched,
    /// It has its outcome.
    Ended,
}

/// A verb on its way. **The order is fixed: nothing is dispatched that was not audited, and no outcome changes
/// but an unknown one, by the host's own word.**
///
/// 1. [`audited`](Self::audited) once the record is durable, or [`not_audited`](Self::not_audited);
/// 2. [`dispatched`](Self::dispatched) right before the command is started;
/// 3. [`heard`](Self::heard) for what comes, then [`closed`](Self::closed);
/// 4. when the outcome is unknown, [`reread`](Self::reread) with what a later `status` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    verb: Verb,
    nonce: String,
    state: State,
    said: Transcript,
    verdict: Option<Verdict>,
}

impl Run {
    /// A verb that is wanted.
    pub fn new(verb: Verb, nonce: impl Into<String>) -> Self {
        let nonce = nonce.into();
        let said = Transcript::new(nonce.clone());
        Self { verb, nonce, state: State::Requested, said, verdict: None }
    }

    /// One whose end nobody heard: the process that ran it is gone.
    pub fn abandoned(verb: Verb, nonce: impl Into<String>) -> Self {
        let verdict =
            Verdict::new(Outcome::Unknown, "this server ended while it ran; look at the status", None);
        Self { state: State::Ended, verdict: Some(verdict), ..Self::new(verb, nonce) }
    }

    /// Its record is durable.
    pub fn audited(&mut self) {
        if self.state == State::Requested {
            self.state = State::Audited;
        }
    }

    /// Its record could not be made durable, so it goes nowhere.
    pub fn not_audited(&mut self, why: &str) {
        if self.state == State::Requested {
            self.end(Verdict::new(
                Outcome::NotSent,
                format!("no audit record, so nothing was sent: {why}"),
                None,
            ));
        }
    }

    /// It goes out now. False, and nothing may be sent, for one that was not audited or has gone already.
    #[must_use]
    pub fn dispatched(&mut self) -> bool {
        let may = self.state == State::Audited;
        if may {
            self.state = State::Dispatched;
        }
        may
    }

    /// Takes bytes that the host said.
    pub fn heard(&mut self, bytes: &[u8]) {
        if self.state == State::Dispatched {
            self.said.push(bytes);
        }
    }

    /// The connection has ended.
    pub fn closed(&mut self, how: &Closed) {
        if self.state == State::Dispatched {
            self.end(judge(self.verb, &self.said, how));
        }
    }

    /// Takes what a later `status` said: the host remembers how its last verb ended.
    ///
    /// True when that settles an unknown outcome.
    pub fn reread(&mut self, status: &Transcript) -> bool {
        let unknown = self.outcome() == Some(Outcome::Unknown);
        let Some(end) = status.last.as_ref().filter(|end| unknown && end.nonce == self.nonce) else {
            return false;
        };
        let mut verdict = by_proof(self.verb, end, &self.said);
        verdict.detail = format!("{} (the host's own record, read later)", verdict.detail);
        let settled = verdict.outcome != Outcome::Unknown;
        if settled {
            self.verdict = Some(verdict);
        }
        settled
    }

    fn end(&mut self, verdict: Verdict) {
        self.state = State::Ended;
        self.verdict = Some(verdict);
    }

    /// What was asked.
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// Where it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// What the host has said.
    pub fn said(&self) -> &Transcript {
        &self.said
    }

    /// What came of it, once it has ended.
    pub fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    fn outcome(&self) -> Option<Outcome> {
        self.verdict.as_ref().map(|verdict| verdict.outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "0123456789abcdef";

    fn status(last: &str) -> Transcript {
        let mut transcript = Transcript::new("ffffffffffffffff");
        transcript.push(format!("BG1 last {last}\n").as_bytes());
        transcript
    }

    fn dispatched(verb: Verb) -> Run {
        let mut run = Run::new(verb, NONCE);
        run.audited();
        assert!(run.dispatched());
        run
    }

    #[test]
    fn the_order_is_fixed() {
        let mut run = Run::new(Verb::Stop, NONCE);
        assert!(!run.dispatched(), "not audited");
        run.heard(b"BG1 begin 0123456789abcdef stop 102\n");
        run.closed(&Closed::TimedOut);
        assert_eq!((run.state(), run.said().begun, run.verdict()), (State::Requested, false, None));
        run.audited();
        assert!(run.dispatched());
        assert!(!run.dispatched(), "never twice");
        run.not_audited("too late");
        assert_eq!(run.state(), State::Dispatched);
        run.closed(&Closed::TimedOut);
        assert_eq!((run.state(), run.outcome()), (State::Ended, Some(Outcome::Unknown)));
        run.closed(&Closed::NotStarted("x".into()));
        assert_eq!(run.outcome(), Some(Outcome::Unknown), "an outcome stays");
    }

    #[test]
    fn without_a_record_nothing_is_sent() {
        let mut run = Run::new(Verb::Cycle, NONCE);
        run.not_audited("No space left on device");
        assert_eq!((run.state(), run.outcome()), (State::Ended, Some(Outcome::NotSent)));
        assert!(run.verdict().unwrap().detail.contains("No space left"));
        assert!(!run.dispatched());
    }

    #[test]
    fn an_unknown_outcome_is_settled_by_the_hosts_own_record_and_by_nothing_else() {
        let table = [
            (format!("{NONCE} cycle rc=0 status=running proof=verified at=1"), Some(Outcome::Verified)),
            (
                format!("{NONCE} cycle rc=0 status=stopped proof=survived at=1"),
                Some(Outcome::SentNotVerified),
            ),
            (format!("{NONCE} cycle rc=255 status=running proof=failed at=1"), Some(Outcome::Failed)),
            (format!("{NONCE} cycle rc=124 status=running proof=unknown at=1"), None),
            ("fedcba9876543210 cycle rc=0 status=running proof=verified at=1".to_owned(), None),
            ("nonsense".to_owned(), None),
        ];
        for (last, expected) in table {
            for mut run in [dispatched(Verb::Cycle), Run::abandoned(Verb::Cycle, NONCE)] {
                run.closed(&Closed::TimedOut);
                assert_eq!(run.reread(&status(&last)), expected.is_some(), "{last}");
                assert_eq!(run.outcome(), Some(expected.unwrap_or(Outcome::Unknown)), "{last}");
            }
        }
    }

    #[test]
    fn a_known_outcome_is_not_settled_again() {
        let mut run = dispatched(Verb::Reset);
        run.heard(
            format!("BG1 begin {NONCE} reset 102\nBG1 end {NONCE} rc=0 status=running proof=sent\n")
                .as_bytes(),
        );
        run.closed(&Closed::TimedOut);
        assert_eq!(run.outcome(), Some(Outcome::SentNotVerified));
        assert!(!run.reread(&status(&format!("{NONCE} reset rc=0 status=running proof=verified at=1"))));
        assert_eq!(run.outcome(), Some(Outcome::SentNotVerified));
    }
}
