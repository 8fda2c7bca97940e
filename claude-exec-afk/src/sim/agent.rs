//! The simulated agent's sessions.

use super::Plot;
use crate::money::Usd;
use crate::names::Digest;
use crate::run::{Activity, Evidence, Proof, Session};
use crate::seen::Seen;

#[derive(Debug, Clone)]
pub(super) struct SimSession {
    pub(super) plot: Plot,
    pub(super) turns: u32,
    pub(super) activity: Activity,
    /// How far the present turn is.
    pub(super) moments: u32,
    pub(super) worked: u32,
    pub(super) stopped: bool,
    pub(super) gone: bool,
}

/// What a moment of work costs.
const MOMENT: Usd = Usd::from_micros(140_000);

impl SimSession {
    pub(super) fn new(plot: Plot) -> Self {
        let (turns, moments, worked) = (0, 0, 0);
        Self { plot, turns, activity: Activity::Idle, moments, worked, stopped: false, gone: false }
    }

    pub(super) fn begin(&mut self, turn: u32) {
        if turn > self.turns {
            self.turns = turn;
            self.activity = Activity::Busy;
            self.moments = 0;
            self.gone = false;
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.turns > 0 && !self.stopped && !self.gone && self.activity == Activity::Busy
    }

    pub(super) fn vanish(&mut self) {
        self.gone = true;
    }

    /// A moment of work; true when it pushed.
    pub(super) fn work(&mut self) -> bool {
        if !self.is_busy() {
            return false;
        }
        self.moments += 1;
        self.worked += 1;
        let fixing = self.turns > 1;
        match self.plot {
            Plot::Stalls | Plot::Spends => false,
            Plot::Asks if self.moments >= 2 => {
                self.activity = Activity::Asking;
                false
            }
            Plot::NeverPushes => {
                self.ends(3);
                false
            }
            Plot::NeedsTwoTurns if !fixing => {
                self.ends(2);
                false
            }
            Plot::GivesUpFixing if fixing => {
                self.ends(2);
                false
            }
            _ => self.ends(if fixing { 2 } else { 4 }),
        }
    }

    fn ends(&mut self, after: u32) -> bool {
        let over = self.moments >= after;
        if over {
            self.activity = Activity::Idle;
        }
        over
    }

    pub(super) fn seen(&self) -> Session {
        let proof = |exit| Proof {
            command: "cargo test".into(),
            exit,
            log: Digest::of("log", if exit == 0 { "ok" } else { "FAILED" }),
        };
        let spends = if self.plot == Plot::Spends { 100 } else { 1 };
        Session {
            turns: self.turns,
            activity: if self.stopped { Activity::Failed } else { self.activity },
            quiet_seconds: if self.plot == Plot::Stalls && self.moments > 2 {
                u64::from(u32::MAX)
            } else {
                0
            },
            spent: MOMENT * (self.worked * spends),
            unpriced: 0,
            work: match self.plot {
                Plot::NeverPushes => Seen::Absent,
                _ => Seen::Known(Digest::of("work", &self.worked.to_string())),
            },
            evidence: Evidence {
                worktree: self.worked >= 1,
                red: (self.worked >= 2).then(|| proof(101)),
                green: (self.worked >= 3).then(|| proof(0)),
            },
        }
    }
}
