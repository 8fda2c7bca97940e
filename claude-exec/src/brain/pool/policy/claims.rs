//! What happens to claims and to processes.

use tokio::time::Instant;

use super::super::key::{LaunchKey, Setup};
use super::super::stats::{Eviction, Origin};
use super::member::{Member, State};
use super::{Action, Policy, Session, Slot, Ticket, Want};
use crate::protocol::SessionId;

impl Policy {
    /// Somebody asks for a process. `None` when it would have to wait and as many wait as may, or the pool is closed.
    pub(in super::super) fn claim(&mut self, now: Instant, want: Want) -> Option<Ticket> {
        if self.is_closed {
            self.stats.refused += 1;
            return None;
        }
        if want.session == Session::New {
            self.demand.asked(&want.key, &want.setup, now);
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
        let slot = self.idle(session)?;
        self.members.get_mut(&slot)?.state = State::Claimed { origin: Origin::Live };
        self.stats.claims.count(Origin::Live);
        Some(slot)
    }

    /// Processes of this key will be asked for, to be opened so: it is worth a spare from now on.
    pub(in super::super) fn expect(&mut self, now: Instant, key: &LaunchKey, setup: &Setup) {
        self.demand.expected(key, setup, now);
        self.settle(now);
    }

    /// Ends this session's process if it waits for a turn at this moment.
    pub(in super::super) fn evict(&mut self, now: Instant, session: &SessionId) -> bool {
        let Some(slot) = self.idle(session) else { return false };
        self.retire(slot, Eviction::Unwanted);
        self.settle(now);
        true
    }

    /// The process of this session that waits for a turn.
    fn idle(&self, session: &SessionId) -> Option<Slot> {
        let is_it = |member: &Member| member.state == State::Idle && member.session.as_ref() == Some(session);
        self.members.iter().find(|(_, member)| is_it(member)).map(|(slot, _)| *slot)
    }

    /// Whoever holds the ticket has left.
    pub(in super::super) fn cancel(&mut self, now: Instant, ticket: Ticket) {
        self.waiting.retain(|(waiting, _)| *waiting != ticket);
        let start = self.members.iter_mut().find_map(|(slot, member)| match member.state {
            State::Starting { ticket: mine, origin } if mine == Some(ticket) => {
                member.state = State::Starting { ticket: None, origin };
                // A new session may be somebody else's, unless its id was chosen.
                let is_of_use = member.session.is_none() && self.demand.may_keep(member.opening());
                (origin == Origin::Cold && !is_of_use).then_some(*slot)
            }
            _ => None,
        });
        if let Some(slot) = start {
            self.retire(slot, Eviction::Unwanted);
        }
        self.settle(now);
    }

    /// A process answers, with its session's id when that is known.
    pub(in super::super) fn started(&mut self, now: Instant, slot: Slot, session: Option<SessionId>) {
        let Some(member) = self.members.get_mut(&slot) else { return };
        let State::Starting { ticket, origin } = member.state else { return };
        let took = now.saturating_duration_since(member.vitals.started);
        self.stats.starts.record(took);
        self.expected_start = (self.expected_start * 3 + took) / 4;
        member.session = session;
        member.vitals.last_used = now;
        match ticket {
            Some(ticket) => {
                member.state = State::Claimed { origin };
                self.actions.push_back(Action::Grant { ticket, slot, origin });
                self.stats.claims.count(origin);
            }
            None if origin == Origin::Cold => member.state = State::Spare,
            None => member.state = State::Idle,
        }
        self.settle(now);
    }

    /// The session of a claimed process was opened with `setup`.
    pub(in super::super) fn opened(&mut self, slot: Slot, setup: Setup) {
        if let Some(member) = self.members.get_mut(&slot) {
            member.setup = Some(setup);
        }
    }

    /// The turn of a claimed process is over, after so many in all, and it may have another.
    pub(in super::super) fn release(
        &mut self,
        now: Instant,
        slot: Slot,
        session: Option<SessionId>,
        turns: u32,
    ) {
        let Some(member) = self.members.get_mut(&slot) else { return };
        if !matches!(member.state, State::Claimed { .. }) {
            return;
        }
        let is_known = session.is_some() && member.setup.is_some();
        member.state = State::Idle;
        member.session = session;
        (member.vitals.last_used, member.vitals.turns) = (now, turns);
        if turns > 0 {
            self.demand.worked(&member.key);
        }
        if self.is_closed {
            self.retire(slot, Eviction::Shutdown);
        } else if !is_known {
            self.retire(slot, Eviction::Unwanted); // nobody could ask for it again
        }
        self.settle(now);
    }

    /// A grant that nobody took: the process is as it was.
    pub(in super::super) fn give_back(&mut self, now: Instant, slot: Slot) {
        let Some(member) = self.members.get_mut(&slot) else { return };
        let State::Claimed { origin } = member.state else { return };
        let is_known = matches!(origin, Origin::Live | Origin::Resumed);
        let is_its_own = origin == Origin::Cold && member.setup.is_some(); // its id may have been chosen
        member.state = if is_known { State::Idle } else { State::Spare };
        if self.is_closed {
            self.retire(slot, Eviction::Shutdown);
        } else if is_its_own {
            self.retire(slot, Eviction::Unwanted);
        }
        self.settle(now);
    }

    /// A claimed process is not to be used again.
    pub(in super::super) fn discard(&mut self, now: Instant, slot: Slot, why: Eviction) {
        if self.members.get(&slot).is_some_and(|member| matches!(member.state, State::Claimed { .. })) {
            self.retire(slot, why);
            self.settle(now);
        }
    }

    /// A start came to nothing; what there is of it ends. Gives the claim that waited for it.
    pub(in super::super) fn failed(&mut self, now: Instant, slot: Slot) -> Option<Ticket> {
        let member = self.members.get_mut(&slot)?;
        let State::Starting { ticket, origin } = member.state else { return None };
        member.state = State::Retiring;
        self.stats.evictions.count(Eviction::Failed);
        // A session that could not be resumed says nothing about the key.
        if origin == Origin::Cold {
            self.demand.failed(&member.key, now);
        }
        self.settle(now);
        ticket
    }

    /// A process and all its descendants have ended.
    pub(in super::super) fn gone(&mut self, now: Instant, slot: Slot) {
        let Some(member) = self.members.remove(&slot) else { return };
        if member.state != State::Retiring {
            self.stats.evictions.count(Eviction::Died);
        }
        if member.state == State::Spare {
            self.demand.failed(&member.key, now);
        }
        self.settle(now);
    }

    /// What a process holds, in bytes.
    pub(in super::super) fn measured(&mut self, now: Instant, slot: Slot, bytes: u64) {
        let Some(member) = self.members.get_mut(&slot) else { return };
        member.vitals.memory = Some(bytes);
        if matches!(member.state, State::Idle | State::Claimed { .. }) {
            self.expected_memory = (self.expected_memory * 3 + bytes) / 4;
        }
        let total = self.members.values().filter_map(|member| member.vitals.memory).sum();
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
            self.retire(slot, Eviction::Shutdown);
            self.actions.extend(ticket.map(|ticket| Action::Refuse { ticket }));
        }
    }

    pub(super) fn retire(&mut self, slot: Slot, why: Eviction) {
        if let Some(member) = self.members.get_mut(&slot)
            && member.state != State::Retiring
        {
            member.state = State::Retiring;
            self.stats.evictions.count(why);
            self.actions.push_back(Action::Retire { slot });
        }
    }
}
