//! From the push to the end: CI, fixes, deployment.

use super::step::Step;
use super::{Activity, CiRun, Deployed, Effect, Head, Mode, Outcome, State, TurnKind, Verdict, Why};
use crate::names::{Digest, Sha};
use crate::seen::Seen;

impl Step<'_> {
    /// Waits for the verdict on exactly the commit that was pushed.
    pub(super) fn ci(&mut self) {
        let Some(sha) = self.row.pushed.clone() else { return };
        let seen = self.seen;
        let run = seen.ci.known().filter(|run| run.sha == sha);
        let asked = self.row.reds.iter().find(|red| red.sha == sha && red.rerun);
        // While the jobs run again, only the newer attempt counts.
        let newer = |run: &CiRun| asked.is_none_or(|red| run.attempt > red.attempt);
        let flake = asked.is_some();
        match run {
            Some(run) if newer(run) => match &run.verdict {
                Verdict::Green => return self.green(sha, flake),
                Verdict::Blocked => return self.close(Outcome::Frozen(Why::CiBlocked)),
                Verdict::Red { failure, rerunnable } => {
                    return self.red(&sha, run.attempt, failure.as_ref(), *rerunnable && !flake);
                }
                Verdict::Pending => {}
            },
            // The jobs did not run again: red as they were.
            Some(CiRun { verdict: Verdict::Red { failure, .. }, .. })
                if self.is_late(self.row.entered, self.config.patience.ci_start) =>
            {
                return self.fix(&sha, failure.as_ref());
            }
            _ => {}
        }
        let patience = self.config.patience;
        let silent = seen.ci.is_absent() && self.is_late(self.row.entered, patience.ci_start);
        if silent || self.is_late(self.row.entered, patience.ci_total) {
            self.close(Outcome::Frozen(self.unless_halted(Why::CiStuck)));
        }
    }

    fn green(&mut self, sha: Sha, flake: bool) {
        if self.row.green.as_ref() != Some(&sha) {
            self.row.flakes += u32::from(flake);
            self.row.green = Some(sha.clone());
        }
        if self.config.deploy && self.mode().may_turn() {
            self.ask(Effect::Deploy(sha));
            self.ask(Effect::Comment);
            self.enter(State::DeployWait);
        } else if !self.config.deploy && self.is_still_there(&sha) {
            self.close(Outcome::Done);
        } else if self.is_late(self.row.entered, self.config.patience.ci_total) {
            self.close(Outcome::Frozen(self.unless_halted(Why::CiStuck)));
        }
    }

    /// Red: once more by itself where that is possible, then by the agent.
    fn red(&mut self, sha: &Sha, attempt: u32, failure: Option<&Digest>, rerunnable: bool) {
        self.row.red_since.get_or_insert(self.now);
        if self.mode() == Mode::Halt {
            return self.close(Outcome::Frozen(Why::Halted));
        }
        let rerun = rerunnable && self.config.ci_rerun && !self.row.report_only;
        let paused = self.mode() == Mode::Pause;
        let entry = self.red_entry(sha, attempt);
        if !rerun {
            return self.fix(sha, failure);
        }
        if !paused {
            entry.rerun = true;
            self.ask(Effect::Rerun(sha.clone(), attempt));
            self.ask(Effect::Comment);
            self.enter(State::Rerunning);
        }
    }

    /// One turn of the agent for one red commit, or a person.
    fn fix(&mut self, sha: &Sha, failure: Option<&Digest>) {
        let since = *self.row.red_since.get_or_insert(self.now);
        let again = failure.is_some()
            && self.row.reds.iter().any(|red| red.sha != *sha && red.failure.as_ref() == failure);
        let fixed = self.row.reds.iter().any(|red| red.sha == *sha && red.fixed);
        let why = if self.mode() == Mode::Halt {
            Some(Why::Halted)
        } else if self.row.report_only {
            Some(Why::ClosedByPerson)
        } else if fixed {
            Some(Why::NoFix)
        } else if self.row.fixes() >= self.config.attempts.fixes {
            Some(Why::FixAttempts)
        } else if self.is_late(since, self.config.patience.fix_forward) {
            Some(Why::FixTime)
        } else if again {
            Some(Why::SameFailure)
        } else if !self.can_pay() {
            Some(Why::Budget)
        } else {
            None
        };
        if let Some(why) = why {
            return self.close(Outcome::Frozen(why));
        }
        if self.mode() == Mode::Pause || !self.is_still_there(sha) {
            return;
        }
        match &self.seen.session {
            Seen::Unknown(_) => return,
            Seen::Absent => {}
            Seen::Known(session) => match session.activity {
                Activity::Asking => return self.close(Outcome::Frozen(Why::Asked)),
                Activity::Busy if self.is_stalled(session) => {
                    return self.close(Outcome::Frozen(Why::Stalled));
                }
                // It may be fixing it already.
                Activity::Busy => return,
                Activity::Idle | Activity::Failed => {}
            },
        }
        let failure = failure.cloned();
        let entry = self.red_entry(sha, 0);
        entry.fixed = true;
        entry.failure = failure;
        self.row.turns += 1;
        self.row.interrupted = false;
        self.ask(Effect::Turn(self.row.turns, TurnKind::Fix(sha.clone())));
        self.ask(Effect::Comment);
        self.enter(State::FixForward);
    }

    /// Waits for the commit that the turn was given for. Another commit was noticed before this.
    pub(super) fn fixing(&mut self) {
        let Some(sha) = self.row.pushed.clone() else { return };
        let since = self.row.red_since.unwrap_or(self.row.entered);
        if self.is_late(since, self.config.patience.fix_forward) {
            return self.close(Outcome::Frozen(Why::FixTime));
        }
        if self.row.report_only {
            return self.close(Outcome::Frozen(Why::ClosedByPerson));
        }
        if self.row.spent >= self.config.budget.run {
            return self.close(Outcome::Frozen(Why::Budget));
        }
        match &self.seen.session {
            Seen::Unknown(_) => {}
            Seen::Known(session) if session.turns >= self.row.turns => match session.activity {
                Activity::Asking => self.close(Outcome::Frozen(Why::Asked)),
                Activity::Busy if self.is_stalled(session) => self.close(Outcome::Frozen(Why::Stalled)),
                Activity::Busy => {}
                Activity::Idle | Activity::Failed if self.is_still_there(&sha) => {
                    self.close(Outcome::Frozen(Why::NoFix));
                }
                Activity::Idle | Activity::Failed => {}
            },
            // The turn has not begun.
            _ if self.seen.pending => {}
            _ if self.is_late(self.row.entered, self.config.patience.start) => {
                self.close(Outcome::Frozen(Why::NoFix));
            }
            _ if self.mode().may_turn() => self.ask(Effect::Turn(self.row.turns, TurnKind::Fix(sha))),
            _ => {}
        }
    }

    /// Waits until exactly this commit is deployed, and stays healthy for a while.
    pub(super) fn deployment(&mut self) {
        let Some(sha) = self.row.pushed.clone() else { return };
        let patience = self.config.patience;
        let soaking = self.row.state == State::Soaking;
        match &self.seen.deploy {
            Seen::Known(Deployed::Superseded(_)) => return self.close(Outcome::Superseded),
            Seen::Known(Deployed::Failed(failed)) if *failed == sha => {
                self.row.deployed = None;
                self.row.red_since.get_or_insert(self.now);
                return self.fix(&sha, None);
            }
            Seen::Known(Deployed::Healthy(healthy)) if *healthy == sha => {
                self.row.deployed = Some(sha.clone());
                if !soaking && !patience.soak.is_zero() {
                    self.ask(Effect::Comment);
                    return self.enter(State::Soaking);
                }
                let soaked = !soaking || self.is_late(self.row.entered, patience.soak);
                if soaked && self.is_still_there(&sha) {
                    return self.close(Outcome::Done);
                }
            }
            _ => {}
        }
        let limit = if soaking { patience.soak + patience.deploy } else { patience.deploy };
        if self.is_late(self.row.entered, limit) {
            self.close(Outcome::Frozen(self.unless_halted(Why::DeployStuck)));
        }
    }

    /// True when the remote is known to hold this commit as the run's newest.
    fn is_still_there(&self, sha: &Sha) -> bool {
        matches!(&self.seen.head, Seen::Known(Head::Pushed(head)) if head == sha)
    }

    fn unless_halted(&self, why: Why) -> Why {
        if self.mode() == Mode::Halt { Why::Halted } else { why }
    }
}
