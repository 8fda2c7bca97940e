//! From the claim to the first push.

use super::step::Step;
use super::{Activity, Effect, Mode, Outcome, Session, State, TurnKind, Why};
use crate::seen::Seen;

impl Step<'_> {
    /// The lock decides whose run it is; the loser says nothing, not even on the issue.
    pub(super) fn claimed(&mut self) {
        let may_start = self.mode().may_start();
        match &self.seen.lock {
            Seen::Known(holder) if holder.run != self.row.run => {
                return self.enter(State::Ended(Outcome::Cancelled(Why::LostRace)));
            }
            // What the issue looks like by now must be known, and people have not decided otherwise.
            Seen::Known(_) if may_start && self.seen.issue.known().is_some() => return self.start(),
            _ => {}
        }
        if self.mode() == Mode::Drain {
            self.close(Outcome::Cancelled(Why::Halted));
        } else if self.is_late(self.row.entered, self.config.patience.start) {
            self.close(Outcome::Cancelled(Why::LostRace));
        } else if self.seen.lock.is_absent() && may_start {
            self.ask(Effect::Lock);
        }
    }

    fn start(&mut self) {
        self.row.turns = 1;
        self.row.starts += 1;
        self.enter(State::Starting);
        self.ask(Effect::Start(self.row.starts));
        self.ask(Effect::Mark);
        self.ask(Effect::Comment);
    }

    pub(super) fn starting(&mut self) {
        if self.seen.session.known().is_some_and(|session| session.turns >= 1) {
            self.row.interrupted = false;
            self.ask(Effect::Comment);
            return self.enter(State::Working);
        }
        if self.mode() == Mode::Drain && self.seen.session.is_absent() && !self.seen.pending {
            return self.close(Outcome::Cancelled(Why::Halted));
        }
        // Each attempt is given twice the time of the one before.
        let doublings = self.row.starts.saturating_sub(1).min(10);
        if !self.is_late(self.row.entered, self.config.patience.start * 2_u32.pow(doublings)) {
            return;
        }
        if self.row.starts >= self.config.attempts.starts {
            self.close(Outcome::Escalated(Why::NoStart));
        } else if self.mode().may_start() {
            self.row.starts += 1;
            self.ask(Effect::Start(self.row.starts));
            self.enter(State::Starting);
        }
    }

    pub(super) fn working(&mut self) {
        if self.is_late(self.row.claimed, self.config.patience.work) {
            return self.close(Outcome::Escalated(Why::Deadline));
        }
        if self.row.spent >= self.config.budget.run {
            return self.give_up(Why::Budget);
        }
        match &self.seen.session {
            Seen::Unknown(_) => {}
            // Gone without a trace; its worktree is still there to go on in.
            Seen::Absent => self.next_turn(None),
            Seen::Known(session) if session.turns < self.row.turns => self.turn_again(),
            Seen::Known(session) => match session.activity {
                Activity::Asking => self.give_up(Why::Asked),
                Activity::Busy if self.is_stalled(session) => self.give_up(Why::Stalled),
                Activity::Busy => {}
                Activity::Idle | Activity::Failed => self.next_turn(Some(session)),
            },
        }
    }

    /// The last turn is over and nothing was pushed: another one, or a person.
    fn next_turn(&mut self, session: Option<&Session>) {
        // A push that is not known about is no failure.
        if !self.seen.head.is_absent() || self.mode() == Mode::Pause {
            return;
        }
        if session.is_some_and(|session| session.work.is_unknown()) {
            return;
        }
        let work = session.and_then(|session| session.work.known());
        let moved =
            session.is_none() || self.row.interrupted || work.is_some() && work != self.row.work.as_ref();
        if !self.can_pay() {
            return self.close(Outcome::Escalated(Why::Budget));
        }
        if !moved || self.row.turns >= self.config.attempts.turns {
            return self.close(Outcome::Escalated(Why::NoPush));
        }
        self.row.work = work.cloned();
        self.row.interrupted = false;
        self.row.turns += 1;
        self.ask(Effect::Turn(self.row.turns, TurnKind::Continue));
    }

    /// The turn was asked for and has not begun: it was refused while the loop was paused, say.
    fn turn_again(&mut self) {
        if !self.seen.pending && self.mode().may_turn() {
            self.ask(Effect::Turn(self.row.turns, TurnKind::Continue));
        }
    }

    /// Stops a session that must not go on. Whether it has pushed decides what becomes of the run, so while
    /// that is unknown it is only interrupted.
    fn give_up(&mut self, why: Why) {
        if self.is_unpushed() {
            self.close(Outcome::Escalated(why));
        } else {
            self.interrupt();
        }
    }

    pub(super) fn is_stalled(&self, session: &Session) -> bool {
        self.row.paused.is_none() && session.quiet_seconds >= self.config.patience.stall.as_secs()
    }
}
