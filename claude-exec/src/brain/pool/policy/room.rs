//! Who gets what there is: claims in line first, then what is over its time, then spares.

use tokio::time::Instant;

use super::super::key::{LaunchKey, Setup};
use super::super::stats::{Eviction, Origin};
use super::member::{Member, State};
use super::{Action, Policy, Session, Slot, Ticket, Want};
use crate::brain::live::Vitals;

/// What claims ahead in line will take of the room that is being made.
#[derive(Default)]
struct Promised {
    processes: usize,
    memory: u64,
}

impl Policy {
    /// Draws the consequences of what has happened.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.is_closed {
            return;
        }
        self.serve(now);
        self.trim(now);
        self.refill(now);
    }

    /// Gives the claims in line what there is for them.
    fn serve(&mut self, now: Instant) {
        self.is_short = false;
        let mut promised = Promised::default();
        for (ticket, want) in std::mem::take(&mut self.waiting) {
            let is_served = match want.session.id() {
                Some(_) => self.serve_session(now, ticket, &want, &mut promised),
                None => {
                    self.serve_spare(ticket, &want)
                        || self.serve_start(now, ticket, &want, Origin::Cold, &mut promised)
                }
            };
            if !is_served {
                self.waiting.push_back((ticket, want));
            }
        }
    }

    /// A claim for a certain session: its own process, or one that resumes it once no other has it.
    fn serve_session(&mut self, now: Instant, ticket: Ticket, want: &Want, promised: &mut Promised) -> bool {
        let held = self.members.iter().find(|(_, member)| member.session.as_ref() == want.session.id());
        let Some((slot, member)) = held else {
            let resumes = matches!(want.session, Session::Resume(_));
            let origin = if resumes { Origin::Resumed } else { Origin::Cold };
            return self.serve_start(now, ticket, want, origin, promised);
        };
        let slot = *slot;
        match member.state {
            State::Idle if member.fits(want) => {
                self.grant(ticket, slot, Origin::Live);
                true
            }
            // Two processes on one session would lose a part of it: the other one ends first.
            State::Idle => {
                self.retire(slot, Eviction::Replaced);
                false
            }
            _ => false,
        }
    }

    /// A claim for a new session: a spare, or one that is on its way.
    fn serve_spare(&mut self, ticket: Ticket, want: &Want) -> bool {
        let ready = |member: &Member| member.state == State::Spare && member.suits(want);
        let ready = self.members.iter().filter(|(_, member)| ready(member));
        // One that was opened is of use to nobody else.
        if let Some(slot) = ready.min_by_key(|(_, member)| member.setup.is_none()).map(|(slot, _)| *slot) {
            self.grant(ticket, slot, Origin::Spare);
            return true;
        }
        let coming = self.members.values_mut().find(|member| member.is_coming() && member.suits(want));
        let Some(member) = coming else { return false };
        member.state = State::Starting { ticket: Some(ticket), origin: Origin::Cold };
        true
    }

    fn serve_start(
        &mut self,
        now: Instant,
        ticket: Ticket,
        want: &Want,
        origin: Origin,
        promised: &mut Promised,
    ) -> bool {
        if self.starting() + promised.processes >= self.limits.starts {
            self.is_short = true;
            return false; // it could not start yet, so nobody has to go for it
        }
        while !self.will_fit(promised) {
            let Some(oldest) = self.oldest(None) else { break };
            self.retire(oldest, Eviction::Room);
        }
        if self.fits(promised) {
            let setup = Some(want.setup.clone());
            self.start(now, &want.key, want.session.clone(), setup, Some(ticket), origin);
            return true;
        }
        self.is_short = true;
        promised.processes += 1;
        promised.memory += self.expected_memory;
        false
    }

    fn grant(&mut self, ticket: Ticket, slot: Slot, origin: Origin) {
        if let Some(member) = self.members.get_mut(&slot) {
            member.state = State::Claimed { origin };
            self.stats.claims.count(origin);
            self.actions.push_back(Action::Grant { ticket, slot, origin });
        }
    }

    fn start(
        &mut self,
        now: Instant,
        key: &LaunchKey,
        session: Session,
        setup: Option<Setup>,
        ticket: Option<Ticket>,
        origin: Origin,
    ) {
        let slot = Slot(self.fresh());
        let member = Member {
            key: key.clone(),
            setup: setup.clone(),
            session: session.id().cloned(),
            state: State::Starting { ticket, origin },
            vitals: Vitals { started: now, last_used: now, turns: 0, memory: None },
        };
        self.members.insert(slot, member);
        self.actions.push_back(Action::Start { slot, key: key.clone(), setup });
    }

    /// Retires what is over its time, its size or its use, and the oldest ones while all hold too much.
    fn trim(&mut self, now: Instant) {
        let mut over = Vec::new();
        for (slot, member) in &self.members {
            let verdict = self.limits.each.verdict(&member.vitals, now).map(Eviction::from);
            let why = match member.state {
                State::Idle => verdict,
                State::Spare if self.is_surplus(*slot, member, now) => Some(Eviction::Unwanted),
                State::Spare => verdict.filter(|why| *why != Eviction::Idle),
                _ => None,
            };
            over.extend(why.map(|why| (*slot, why)));
        }
        for (slot, why) in over {
            self.retire(slot, why);
        }
        while self.staying_memory() > self.limits.memory {
            let Some(oldest) = self.oldest(None) else { break };
            self.retire(oldest, Eviction::Memory);
        }
    }

    /// True for the spares beyond those that their key is worth, and for one opened with what is no habit any more.
    fn is_surplus(&self, slot: Slot, spare: &Member, now: Instant) -> bool {
        if !self.demand.may_keep(spare.opening()) {
            return true;
        }
        let keeps = self.demand.keeps(&spare.key, now, self.expected_start, self.limits.spares);
        let before = self.members.range(..slot).filter(|(_, member)| member.is_spare_of(&spare.key)).count();
        before >= keeps
    }

    /// Starts the spares that are worth it, one key after the other, the one asked for last first.
    fn refill(&mut self, now: Instant) {
        for key in self.demand.keys() {
            if !self.demand.may_start(&key, now) {
                continue;
            }
            let keeps = self.demand.keeps(&key, now, self.expected_start, self.limits.spares);
            let have = self.members.values().filter(|member| member.is_spare_of(&key)).count();
            for _ in have..keeps {
                if self.is_short || self.starting() >= self.limits.starts {
                    return;
                }
                let nothing = Promised::default();
                if !self.will_fit(&nothing)
                    && let Some(oldest) = self.oldest(self.demand.last(&key))
                {
                    self.retire(oldest, Eviction::Room);
                }
                if !self.fits(&nothing) {
                    break;
                }
                let setup = self.demand.opens(&key).cloned();
                self.start(now, &key, Session::New, setup, None, Origin::Cold);
            }
        }
    }

    fn starting(&self) -> usize {
        let starting = |member: &&Member| matches!(member.state, State::Starting { .. });
        self.members.values().filter(starting).count()
    }

    /// One more would fit now.
    fn fits(&self, promised: &Promised) -> bool {
        self.has_room(promised, self.members.values())
    }

    /// One more will fit once those that retire are gone.
    fn will_fit(&self, promised: &Promised) -> bool {
        self.has_room(promised, self.staying())
    }

    fn has_room<'m>(&self, promised: &Promised, members: impl Iterator<Item = &'m Member>) -> bool {
        let (count, memory) = members
            .fold((promised.processes, promised.memory), |(count, memory), member| {
                (count + 1, memory + self.memory_of(member))
            });
        // A single process is let in whatever it will hold: else nothing would ever run.
        count == 0 || (count < self.limits.processes && memory + self.expected_memory <= self.limits.memory)
    }

    fn staying(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| member.state != State::Retiring)
    }

    pub(super) fn staying_memory(&self) -> u64 {
        self.staying().map(|member| self.memory_of(member)).sum()
    }

    pub(super) fn memory_of(&self, member: &Member) -> u64 {
        member.vitals.memory.unwrap_or(self.expected_memory)
    }

    /// The one that can be done without and that nobody has wanted for longest, if that was before `than`.
    fn oldest(&self, than: Option<Instant>) -> Option<Slot> {
        let unused = self.members.iter().filter_map(|(slot, member)| {
            let since = member.unused_since(&self.demand)?;
            than.is_none_or(|than| since < than).then_some((since, *slot))
        });
        unused.min().map(|(_, slot)| slot)
    }
}
