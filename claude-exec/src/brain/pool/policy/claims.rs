//! What happens to claims and to processes.

use std::sync::Arc;

use tokio::time::Instant;

use super::super::stats::{Origin, Retirement};
use super::member::State;
use super::{Action, Policy, Session, Slot, Ticket, Want};
use crate::protocol::{Initialize, SessionId};

impl Policy {
    /// Somebody asks for a process. `None` when it would have to wait and as many wait as may, or the pool is closed.
    pub(in super::super) fn claim(&mut self, now: Instant, want: Want) -> Option<Ticket> {
        if self.is_closed {
            self.stats.refused += 1;
            return None;
        }
        if want.session == Session::New {
            self.demand.asked(&want.key, now);
        }
        let ticket = Ticket(self.fresh());
        self.waiting.push_back((ticket, want));
        self.settle(now);
        if self.waiting.len() > self.limits.waiting {
            self.waiting.pop_back();
            self.stats.refused += 1;
            return None;
        }
        Some(ticket)
    }

    /// Takes this session's process if it waits for a turn at this moment; nothing else changes otherwise.
    pub(in super::super) fn take(&mut self, session: &SessionId) -> Option<Slot> {
        let found = self
            .members
            .iter_mut()
            .find(|(_, member)| member.state == State::Idle && member.session.as_ref() == Some(session));
        let (slot, member) = found?;
        member.state = State::Claimed { origin: Origin::Live };
        let slot = *slot;
        self.stats.claims.count(Origin::Live);
        Some(slot)
    }

    /// Whoever holds the ticket has left.
    pub(in super::super) fn cancel(&mut self, now: Instant, ticket: Ticket) {
        self.waiting.retain(|(waiting, _)| *waiting != ticket);
        let start = self.members.iter_mut().find_map(|(slot, member)| match &mut member.state {
            State::Starting { ticket: mine, origin } if *mine == Some(ticket) => {
                *mine = None;
                // A new session that was opened is nobody else's, and nobody knows its id.
                (*origin == Origin::Cold && member.setup.is_some()).then_some(*slot)
            }
            _ => None,
        });
        if let Some(slot) = start {
            self.retire(slot, Retirement::Unwanted);
        }
        self.settle(now);
    }

    /// A process answers, with its session's id.
    pub(in super::super) fn started(&mut self, now: Instant, slot: Slot, session: SessionId) {
        let Some(member) = self.members.get_mut(&slot) else { return };
        let State::Starting { ticket, origin } = member.state else { return };
        let took = now.saturating_duration_since(member.born);
        self.stats.starts.record(took);
        self.expected_start = (self.expected_start * 3 + took) / 4;
        member.session = Some(session);
        member.used = now;
        match ticket {
            Some(ticket) => {
                member.state = State::Claimed { origin };
                self.actions.push_back(Action::Grant { ticket, slot, origin });
                self.stats.claims.count(origin);
            }
            None if member.setup.is_none() => member.state = State::Spare,
            None => member.state = State::Idle,
        }
        self.settle(now);
    }

    /// The session of a claimed process was opened with `setup`.
    pub(in super::super) fn opened(&mut self, slot: Slot, setup: Arc<Initialize>) {
        if let Some(member) = self.members.get_mut(&slot) {
            member.setup = Some(setup);
        }
    }

    /// The turn of a claimed process is over, and it may have another.
    pub(in super::super) fn release(&mut self, now: Instant, slot: Slot, session: SessionId) {
        let Some(member) = self.members.get_mut(&slot) else { return };
        if !matches!(member.state, State::Claimed { .. }) {
            return;
        }
        let is_new = member.setup.is_none();
        (member.state, member.used, member.session) = (State::Idle, now, Some(session));
        self.demand.worked(&self.members[&slot].key);
        if self.is_closed {
            self.retire(slot, Retirement::Shutdown);
        } else if is_new {
            // Nobody opened it, so nobody can ask for it again.
            self.retire(slot, Retirement::Unwanted);
        }
        self.settle(now);
    }

    /// A grant that nobody took: the process is as it was.
    pub(in super::super) fn give_back(&mut self, now: Instant, slot: Slot) {
        let Some(member) = self.members.get_mut(&slot) else { return };
        let State::Claimed { origin } = member.state else { return };
        let is_known = matches!(origin, Origin::Live | Origin::Resumed);
        let is_open = member.setup.is_some();
        member.state = if is_known { State::Idle } else { State::Spare };
        if self.is_closed {
            self.retire(slot, Retirement::Shutdown);
        } else if is_open && !is_known {
            self.retire(slot, Retirement::Unwanted);
        }
        self.settle(now);
    }

    /// A claimed process is not to be used again.
    pub(in super::super) fn discard(&mut self, now: Instant, slot: Slot, why: Retirement) {
        if self.members.get(&slot).is_some_and(|member| matches!(member.state, State::Claimed { .. })) {
            self.retire(slot, why);
            self.settle(now);
        }
    }

    /// A process and all its descendants have ended, or could not be started. Gives the claim that waited for it.
    pub(in super::super) fn gone(&mut self, now: Instant, slot: Slot) -> Option<Ticket> {
        let member = self.members.remove(&slot)?;
        let why = match member.state {
            State::Starting { .. } => Some(Retirement::Failed),
            State::Spare | State::Idle | State::Claimed { .. } => Some(Retirement::Died),
            State::Retiring => None, // counted when it was told to go
        };
        if let Some(why) = why {
            self.stats.retirements.count(why);
        }
        // A session that could not be resumed says nothing about the key.
        if matches!(member.state, State::Starting { origin: Origin::Cold, .. } | State::Spare) {
            self.demand.failed(&member.key, now);
        }
        let ticket = match member.state {
            State::Starting { ticket, .. } => ticket,
            _ => None,
        };
        self.settle(now);
        ticket
    }

    /// What a process holds, in bytes.
    pub(in super::super) fn measured(&mut self, now: Instant, slot: Slot, bytes: u64) {
        let Some(member) = self.members.get_mut(&slot) else { return };
        member.memory = Some(bytes);
        if matches!(member.state, State::Idle | State::Claimed { .. }) {
            self.expected_memory = (self.expected_memory * 3 + bytes) / 4;
        }
        let total = self.members.values().filter_map(|member| member.memory).sum();
        self.stats.peak_memory = self.stats.peak_memory.max(total);
        self.settle(now);
    }

    /// Nothing is started or granted any more, and all that nobody holds goes.
    pub(in super::super) fn close(&mut self) {
        self.is_closed = true;
        for (ticket, _) in self.waiting.drain(..) {
            self.actions.push_back(Action::Refuse { ticket });
        }
        let idle: Vec<(Slot, Option<Ticket>)> = self
            .members
            .iter()
            .filter_map(|(slot, member)| match member.state {
                State::Starting { ticket, .. } => Some((*slot, ticket)),
                State::Spare | State::Idle => Some((*slot, None)),
                State::Claimed { .. } | State::Retiring => None,
            })
            .collect();
        for (slot, ticket) in idle {
            self.retire(slot, Retirement::Shutdown);
            self.actions.extend(ticket.map(|ticket| Action::Refuse { ticket }));
        }
    }

    pub(super) fn retire(&mut self, slot: Slot, why: Retirement) {
        if let Some(member) = self.members.get_mut(&slot)
            && member.state != State::Retiring
        {
            member.state = State::Retiring;
            self.stats.retirements.count(why);
            self.actions.push_back(Action::Retire { slot, why });
        }
    }
}
