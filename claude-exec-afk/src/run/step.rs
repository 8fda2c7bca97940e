//! One decision: the rules that hold in every state.

use super::{Effect, Head, IssueView, Mode, Observation, Outcome, Red, Row, State, Why};
use crate::config::Config;
use crate::issue::{IssueState, Permission};
use crate::names::Sha;
use crate::seen::Seen;
use crate::time::Now;

/// Decides what becomes of a run: the row as it is from now on, and what is to be done.
///
/// Pure and total. The row only moves forward; an effect is asked for again only when it can have been lost.
/// What is unknown never starts, reaps or closes anything, it only lets deadlines run.
pub fn step(row: &Row, seen: &Observation, config: &Config, now: Now) -> (Row, Vec<Effect>) {
    let mut step = Step { row: row.clone(), seen, config, now, effects: Vec::new() };
    step.decide();
    (step.row, step.effects)
}

/// A decision in the making. The first rule that decides ends it; each rule says so by `true`.
pub(super) struct Step<'a> {
    pub(super) row: Row,
    pub(super) seen: &'a Observation,
    pub(super) config: &'a Config,
    pub(super) now: Now,
    pub(super) effects: Vec<Effect>,
}

impl Step<'_> {
    fn decide(&mut self) {
        match self.row.state {
            State::Ended(_) => return,
            State::Closing(outcome) => return self.finish(outcome),
            _ => {}
        }
        self.note();
        if self.lock_is_lost() || self.taken_over() {
            return;
        }
        // What was pushed was pushed, whatever else is true by now.
        if let Seen::Known(Head::Pushed(sha)) = &self.seen.head
            && self.row.pushed.as_ref() != Some(sha)
            && self.row.starts > 0
        {
            return self.landed(sha.clone());
        }
        if self.halted() || self.person_decided() {
            return;
        }
        // An agent that goes on after its push spends too.
        if self.row.pushed.is_some() && self.row.spent >= self.config.budget.run {
            self.interrupt();
        }
        match self.row.state {
            State::Claimed => self.claimed(),
            State::Starting => self.starting(),
            State::Working => self.working(),
            State::CiWait | State::Rerunning => self.ci(),
            State::FixForward => self.fixing(),
            State::DeployWait | State::Soaking => self.deployment(),
            State::Closing(_) | State::Ended(_) => {}
        }
    }

    /// Records what is true whatever is decided.
    fn note(&mut self) {
        self.note_pause();
        if let Seen::Known(holder) = &self.seen.lock
            && holder.run == self.row.run
            && self.row.fence.is_none_or(|fence| fence == holder.fence)
        {
            let first = self.row.fence.is_none();
            self.row.fence = Some(holder.fence);
            // Written down now and then, not at every tick: a row that has not changed costs no write.
            if first || self.now.since(self.row.renewed) >= self.config.patience.lease / RENEWALS_NOTED {
                self.row.renewed = self.now;
            }
        }
        if let Seen::Known(session) = &self.seen.session {
            let spent = session.spent + self.config.budget.turn * session.unpriced;
            self.row.spent = self.row.spent.max(spent);
            self.note_evidence();
        }
        let Seen::Known(issue) = &self.seen.issue else { return };
        if let Seen::Known(at) = issue.labelled {
            self.row.labelled = self.row.labelled.max(at);
        }
        if self.row.pushed.is_some() && issue.state == IssueState::ClosedByPerson {
            self.row.report_only = true;
        }
    }

    /// While the operator pauses, deadlines rest: they are moved by as long as it took.
    fn note_pause(&mut self) {
        if self.mode() == Mode::Pause {
            self.row.paused.get_or_insert(self.now);
        } else if let Some(since) = self.row.paused.take() {
            let rested = self.now.since(since);
            self.row.claimed = self.row.claimed + rested;
            self.row.entered = self.row.entered + rested;
            self.row.red_since = self.row.red_since.map(|since| since + rested);
        }
    }

    fn note_evidence(&mut self) {
        let Seen::Known(session) = &self.seen.session else { return };
        let (have, new) = (&mut self.row.evidence, &session.evidence);
        let mut changed = new.worktree && !have.worktree;
        have.worktree |= new.worktree;
        if have.red.is_none() && new.red.as_ref().is_some_and(|proof| proof.exit != 0) {
            have.red.clone_from(&new.red);
            changed = true;
        }
        // Green counts only after red, and by the same test.
        let proves =
            |red: &super::Proof, green: &super::Proof| green.exit == 0 && green.command == red.command;
        if let (Some(red), None, Some(green)) = (&have.red, &have.green, &new.green)
            && proves(red, green)
        {
            have.green = Some(green.clone());
            changed = true;
        }
        if changed {
            self.ask(Effect::Comment);
        }
    }

    /// The lock is someone else's, or may be: this run ends and touches nothing but its own session.
    fn lock_is_lost(&mut self) -> bool {
        let Some(fence) = self.row.fence else { return false };
        let lost = match &self.seen.lock {
            Seen::Known(holder) => holder.run != self.row.run || holder.fence != fence,
            Seen::Absent => true,
            // Others may take it over from now on, so it is not ours to use any more.
            Seen::Unknown(_) => self.now.since(self.row.renewed) >= self.config.patience.lease,
        };
        if lost {
            self.row.fenced = true;
            self.close(Outcome::Cancelled(Why::LostLock));
        }
        lost
    }

    fn taken_over(&mut self) -> bool {
        let taken =
            matches!(self.seen.head, Seen::Known(Head::Diverged | Head::Foreign)) && self.row.starts > 0;
        if taken {
            self.close(Outcome::Frozen(Why::TakenOver));
        }
        taken
    }

    /// A halt stops the session at once. What has pushed nothing is given up; what is red stays as it is; what
    /// waits for a verdict is watched to its end.
    fn halted(&mut self) -> bool {
        if self.mode() != Mode::Halt {
            return false;
        }
        match self.row.state {
            _ if self.is_unpushed() => self.close(Outcome::Cancelled(Why::Halted)),
            State::FixForward => self.close(Outcome::Frozen(Why::Halted)),
            _ => {
                self.interrupt();
                return self.row.pushed.is_none();
            }
        }
        true
    }

    /// What people did to the issue. Whether something was pushed decides what becomes of the run, so while that
    /// is unknown the session is only interrupted.
    fn person_decided(&mut self) -> bool {
        let pushed = self.row.pushed.is_some();
        let Some(outcome) = self.wish(pushed) else { return false };
        if pushed || self.is_unpushed() {
            self.close(outcome);
        } else {
            self.interrupt();
        }
        true
    }

    fn wish(&mut self, pushed: bool) -> Option<Outcome> {
        let seen = self.seen;
        let view = match &seen.issue {
            Seen::Known(view) => view,
            // Deleted.
            Seen::Absent if !pushed => return Some(Outcome::Cancelled(Why::ClosedByPerson)),
            Seen::Absent | Seen::Unknown(_) => return None,
        };
        if view.human {
            return Some(Outcome::Cancelled(Why::HandedOver));
        }
        if !pushed && view.state != IssueState::Open {
            return Some(Outcome::Cancelled(Why::ClosedByPerson));
        }
        if !pushed && !view.ready {
            return Some(Outcome::Cancelled(Why::Unready));
        }
        if !pushed && self.was_edited(view) {
            return Some(Outcome::Escalated(Why::Edited));
        }
        self.mark(view).then_some(Outcome::Cancelled(Why::Unmarked))
    }

    /// Takes over what a trusted person changed; true when someone else did.
    fn was_edited(&mut self, view: &IssueView) -> bool {
        let Seen::Known(text) = &view.text else { return false };
        if *text == self.row.text {
            return false;
        }
        match view.editor {
            Seen::Known(editor) if editor.is_trusted() => {
                self.row.text = text.clone();
                false
            }
            Seen::Known(Permission::None | Permission::Read) | Seen::Absent => true,
            // The agent was given the text that was trusted, so there is time to find out.
            _ => false,
        }
    }

    /// Keeps the in-progress label on; true when a person took it off for the second time.
    fn mark(&mut self, view: &IssueView) -> bool {
        if self.row.starts == 0 || view.state != IssueState::Open {
            return false;
        }
        if view.marked {
            self.row.marked = true;
            return false;
        }
        if self.row.marked {
            self.row.marked = false;
            self.row.unmarked += 1;
        }
        if self.row.unmarked >= UNMARKED_LIMIT {
            return true;
        }
        self.ask(Effect::Mark);
        false
    }

    /// Records the verdict, with all that follows from it. Nothing is undecided after this.
    pub(super) fn close(&mut self, outcome: Outcome) {
        let (started, speaks) = (self.row.starts > 0, !self.row.fenced);
        self.effects.clear();
        if started {
            self.ask(Effect::Stop);
        }
        // Whoever never began leaves no word on the issue.
        if speaks && (started || outcome.needs_person()) {
            self.ask(Effect::Comment);
            self.ask(Effect::Label);
            if outcome.needs_person() || outcome.is_done() && !self.row.report_only {
                self.ask(Effect::Ring(super::Ring(0)));
                self.row.bell = Some(super::Bell { at: self.now, rings: 1, acknowledged: false });
            }
            if let (true, false, Some(sha)) = (outcome.is_done(), self.row.report_only, &self.row.pushed) {
                self.effects.push(Effect::Close(sha.clone()));
            }
        }
        if speaks {
            self.ask(Effect::Unlock);
        }
        self.enter(State::Closing(outcome));
    }

    /// What follows from the verdict is being done; when all of it is, the run is over.
    fn finish(&mut self, outcome: Outcome) {
        if let (Some(fence), Seen::Known(holder)) = (self.row.fence, &self.seen.lock)
            && (holder.run != self.row.run || holder.fence != fence)
        {
            self.row.fenced = true;
        }
        // It may have pushed before it could be stopped; whoever looks has to know.
        if let (None, Seen::Known(Head::Pushed(sha))) = (&self.row.pushed, &self.seen.head) {
            self.row.pushed = Some(sha.clone());
        }
        if !self.seen.pending {
            self.enter(State::Ended(outcome));
        }
    }

    /// A commit of this run is in the remote: what CI said so far was about another one.
    pub(super) fn landed(&mut self, sha: Sha) {
        self.row.unproven |= self.row.pushed.is_none() && self.row.evidence.green.is_none();
        self.row.pushed = Some(sha);
        self.ask(Effect::Comment);
        self.enter(State::CiWait);
    }

    pub(super) fn enter(&mut self, state: State) {
        self.row.state = state;
        self.row.entered = self.now;
    }

    pub(super) fn ask(&mut self, effect: Effect) {
        if !self.effects.contains(&effect) {
            self.effects.push(effect);
        }
    }

    pub(super) fn interrupt(&mut self) {
        if !self.row.interrupted && self.row.starts > 0 {
            self.row.interrupted = true;
            self.ask(Effect::Interrupt(self.row.turns));
        }
    }

    /// What the operator allows for this repository.
    pub(super) fn mode(&self) -> Mode {
        let listed = self.config.allowlist.contains(&self.row.issue.repo);
        if self.config.kill_switch || !listed { Mode::Halt } else { self.seen.mode }
    }

    /// True when it is known that nothing was pushed.
    pub(super) fn is_unpushed(&self) -> bool {
        self.row.pushed.is_none() && (self.row.starts == 0 || self.seen.head.is_absent())
    }

    /// True when the budgets allow one more turn.
    pub(super) fn can_pay(&self) -> bool {
        let room = self.seen.room;
        let zero = crate::Usd::ZERO;
        self.row.spent < self.config.budget.run && room.repo_day > zero && room.total > zero
    }

    /// True when the present state has lasted as long as `limit`, and the operator does not pause.
    pub(super) fn is_late(&self, since: Now, limit: std::time::Duration) -> bool {
        self.row.paused.is_none() && self.now.since(since) >= limit
    }

    /// The entry of a red commit, made when there is none.
    pub(super) fn red_entry(&mut self, sha: &Sha, attempt: u32) -> &mut Red {
        let place = self.row.reds.iter().position(|red| red.sha == *sha).unwrap_or_else(|| {
            let red = Red { sha: sha.clone(), attempt, failure: None, rerun: false, fixed: false };
            self.row.reds.push(red);
            self.row.reds.len() - 1
        });
        &mut self.row.reds[place]
    }
}

/// A renewed lease is noted so many times over its length.
const RENEWALS_NOTED: u32 = 8;
/// Taking the in-progress label off once may be a slip; the second time it is a wish.
const UNMARKED_LIMIT: u32 = 2;
