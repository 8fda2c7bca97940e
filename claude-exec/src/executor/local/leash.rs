//! The stop ladder, and the guard that leaves nothing of a run behind.

use std::collections::HashSet;

use rustix::process::Signal;
use tokio::time::Instant;

use super::descendants;
use super::marker::Marker;
use super::proc::Identity;
use super::scratch::Scratch;
use crate::executor::Stop;
use crate::time::after;

/// How far the stop ladder has been climbed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Ladder {
    Ground,
    Terminating(Instant),
    Killed,
}

/// What ties us to the child and its descendants. Dropped while held (the caller of a start has left,
/// or the runtime shuts down), it kills.
pub(super) struct Leash {
    leader: u32,
    marker: Marker,
    /// Descendants seen by a walk before the stop.
    known: HashSet<Identity>,
    /// Removed last: whoever is still there writes to it.
    scratch: Option<Scratch>,
    held: bool,
}

impl Leash {
    pub(super) fn new(leader: u32, marker: Marker, scratch: Option<Scratch>) -> Self {
        Self { leader, marker, known: HashSet::new(), scratch, held: true }
    }

    /// Says that the leader was reaped and swept after.
    pub(super) fn let_go(&mut self) {
        self.held = false;
    }

    /// Takes the next step of the ladder that `how` asks for.
    pub(super) fn climb(&mut self, ladder: Ladder, how: Stop, ended: bool) -> Ladder {
        if ended {
            return if ladder == Ladder::Ground { Ladder::Ground } else { Ladder::Killed };
        }
        self.known.extend(descendants::walk(self.leader));
        match (how, ladder) {
            (Stop::Graceful { grace }, Ladder::Ground) if !grace.is_zero() => {
                descendants::signal_group(self.leader, Signal::TERM);
                Ladder::Terminating(after(Instant::now(), grace))
            }
            (Stop::Graceful { grace }, Ladder::Terminating(until)) if !grace.is_zero() => {
                // Asked again: the shorter grace holds.
                Ladder::Terminating(until.min(after(Instant::now(), grace)))
            }
            _ => {
                descendants::signal_group(self.leader, Signal::KILL);
                Ladder::Killed
            }
        }
    }

    /// Kills what is left once the leader has ended, and removes its temporary files. Called right after it was reaped, since its pid, which
    /// is the group's id, could be given away in time.
    pub(super) async fn sweep(&mut self) {
        descendants::signal_group(self.leader, Signal::KILL);
        descendants::kill_known(&self.known);
        descendants::sweep(|environ| self.marker.is_in(environ)).await;
        if let Some(scratch) = self.scratch.take() {
            scratch.remove().await;
        }
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        if self.held {
            self.known.extend(descendants::walk(self.leader));
            descendants::signal_group(self.leader, Signal::KILL);
            descendants::kill_known(&self.known);
            descendants::kill_marked(&self.marker);
        }
    }
}
