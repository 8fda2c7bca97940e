//! What holds whatever happens, in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::stats::Eviction;
use super::*;

const MB: u64 = 1_000_000;
const MEMORY: u64 = 1_200 * MB;

/// Something that happens; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Happens {
    Wait(u64),
    New(u8, u8),
    Resume(usize, u8, u8),
    Take(usize),
    Cancel(usize),
    Started(usize),
    Dies(usize),
    Ends(usize),
    Release(usize),
    GiveBack(usize),
    Discard(usize),
    Measured(usize, u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    use Happens::*;
    let any = 0..1000_usize;
    prop_oneof![
        3 => (1..400_u64).prop_map(Wait),
        1 => (100_000..900_000_u64).prop_map(Wait),
        4 => (0..3_u8, 0..2_u8).prop_map(|(key, setup)| New(key, setup)),
        4 => (any.clone(), 0..3_u8, 0..2_u8).prop_map(|(session, key, setup)| Resume(session, key, setup)),
        1 => any.clone().prop_map(Take),
        1 => any.clone().prop_map(Cancel),
        6 => any.clone().prop_map(Started),
        1 => any.clone().prop_map(Dies),
        4 => any.clone().prop_map(Ends),
        5 => any.clone().prop_map(Release),
        1 => any.clone().prop_map(GiveBack),
        1 => any.clone().prop_map(Discard),
        3 => (any, 50..400_u64).prop_map(|(which, mb)| Measured(which, mb * MB)),
    ]
}

/// The world around a policy, which checks whatever the policy says.
struct World {
    policy: Policy,
    limits: Limits,
    now: Instant,
    /// Processes there are, and the session of each that has one.
    alive: BTreeMap<Slot, Option<SessionId>>,
    starting: BTreeSet<Slot>,
    claimed: BTreeSet<Slot>,
    retiring: BTreeSet<Slot>,
    /// Processes that have had a turn, with what they were opened with.
    used: BTreeMap<Slot, (LaunchKey, Setup)>,
    open: BTreeMap<Ticket, Want>,
    sessions: Vec<SessionId>,
    granted: u64,
    taken: u64,
}

impl World {
    fn new() -> Self {
        let limits = Limits { processes: 4, memory: MEMORY, spares: 2, waiting: 5, ..Limits::default() };
        Self {
            policy: Policy::new(limits.clone()),
            limits,
            now: Instant::now(),
            alive: BTreeMap::new(),
            starting: BTreeSet::new(),
            claimed: BTreeSet::new(),
            retiring: BTreeSet::new(),
            used: BTreeMap::new(),
            open: BTreeMap::new(),
            sessions: Vec::new(),
            granted: 0,
            taken: 0,
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.policy.poll_action() {
            match action {
                Action::Start { slot, .. } => {
                    let held: u64 = self
                        .alive
                        .keys()
                        .filter_map(|slot| Some(self.policy.memory_of(self.policy.members.get(slot)?)))
                        .sum();
                    assert!(self.alive.is_empty() || held + self.policy.expected_memory <= MEMORY);
                    let session = self.policy.members[&slot].session.clone();
                    assert!(self.alive.insert(slot, session).is_none());
                    self.starting.insert(slot);
                }
                Action::Retire { slot } => {
                    assert!(self.alive.contains_key(&slot) && self.retiring.insert(slot));
                    self.claimed.remove(&slot);
                    self.starting.remove(&slot);
                }
                Action::Grant { ticket, slot, origin } => self.grant(ticket, slot, origin),
                Action::Refuse { .. } => panic!("only a pool that closes refuses"),
            }
            assert!(self.alive.len() <= self.limits.processes && self.starting.len() <= self.limits.starts);
            let held: Vec<_> = self.alive.values().flatten().collect();
            let distinct: BTreeSet<_> = held.iter().map(|id| id.as_str()).collect();
            assert_eq!(held.len(), distinct.len(), "two processes on one session");
        }
    }

    fn grant(&mut self, ticket: Ticket, slot: Slot, origin: Origin) {
        let want = self.open.remove(&ticket).expect("a ticket is served once, and not after it was given up");
        assert!(self.alive.contains_key(&slot) && !self.retiring.contains(&slot));
        assert!(!self.starting.contains(&slot), "it answers");
        assert!(self.claimed.insert(slot), "nobody else has it");
        self.granted += 1;
        let setup = self.policy.members[&slot].setup.as_ref();
        assert!(setup.is_none_or(|setup| *setup == want.setup), "opened otherwise");
        let used = self.used.get(&slot);
        match (&want.session, origin) {
            (Session::New, Origin::Spare | Origin::Cold) => {
                assert!(used.is_none(), "somebody's words are in it")
            }
            (Session::Create(_), Origin::Cold) => assert!(used.is_none()),
            (Session::Resume(id), Origin::Live | Origin::Resumed) => {
                assert_eq!(self.alive[&slot].as_ref(), Some(id), "another conversation's");
                if let Some((key, setup)) = used {
                    assert!(*key == want.key && *setup == want.setup, "opened otherwise");
                }
            }
            other => panic!("{other:?}"),
        }
        self.policy.opened(slot, want.setup.clone());
        self.used.insert(slot, (want.key, want.setup));
    }

    fn ended(&mut self, slot: Slot) {
        self.alive.remove(&slot);
        self.starting.remove(&slot);
        self.claimed.remove(&slot);
        self.retiring.remove(&slot);
        self.policy.gone(self.now, slot);
    }

    fn started(&mut self, slot: Slot, fails: bool) {
        if !self.starting.remove(&slot) {
            return;
        }
        if fails {
            self.retiring.insert(slot);
            if let Some(ticket) = self.policy.failed(self.now, slot) {
                self.open.remove(&ticket).expect("its claim still waited");
            }
            return;
        }
        let fresh = || SessionId::from(uuid::Uuid::from_u128(1_000_000 + u128::from(slot.0)));
        let id = self.alive[&slot].clone().unwrap_or_else(fresh);
        self.alive.insert(slot, Some(id.clone()));
        self.policy.started(self.now, slot, Some(id));
    }

    fn release(&mut self, slot: Slot) {
        if self.claimed.remove(&slot) {
            let id = self.alive[&slot].clone().expect("it answers");
            if !self.sessions.contains(&id) {
                self.sessions.push(id.clone());
            }
            self.policy.release(self.now, slot, Some(id), 1);
        }
    }

    fn claim(&mut self, key: u8, setup: u8, session: Session) {
        let (key, setup) = (LaunchKey::named(&key.to_string()), Setup::named(&setup.to_string()));
        let want = Want { key, setup, session };
        if let Some(ticket) = self.policy.claim(self.now, want.clone()) {
            self.open.insert(ticket, want);
        }
    }

    fn happens(&mut self, what: &Happens) {
        let pick = |slots: &mut dyn Iterator<Item = Slot>, n: usize| {
            let slots: Vec<_> = slots.collect();
            (!slots.is_empty()).then(|| slots[n % slots.len()])
        };
        match *what {
            Happens::Wait(millis) => {
                self.now += Duration::from_millis(millis);
                self.policy.handle_timeout(self.now);
            }
            Happens::New(key, setup) => self.claim(key, setup, Session::New),
            Happens::Resume(n, key, setup) if !self.sessions.is_empty() => {
                let session = self.sessions[n % self.sessions.len()].clone();
                self.claim(key, setup, Session::Resume(session));
            }
            Happens::Take(n) if !self.sessions.is_empty() => {
                let session = self.sessions[n % self.sessions.len()].clone();
                if let Some(slot) = self.policy.take(&session) {
                    assert!(self.claimed.insert(slot) && !self.retiring.contains(&slot));
                    assert_eq!(self.alive[&slot].as_ref(), Some(&session));
                    self.taken += 1;
                }
            }
            Happens::Resume(..) | Happens::Take(_) => {}
            Happens::Cancel(n) => {
                let tickets: Vec<_> = self.open.keys().copied().collect();
                if !tickets.is_empty() {
                    let ticket = tickets[n % tickets.len()];
                    self.open.remove(&ticket);
                    self.policy.cancel(self.now, ticket);
                }
            }
            Happens::Started(n) => {
                if let Some(slot) = pick(&mut self.starting.iter().copied(), n) {
                    self.started(slot, n % 7 == 0);
                }
            }
            Happens::Dies(n) => {
                // One that starts is told of as failed first.
                let started = self.alive.keys().copied().filter(|slot| !self.starting.contains(slot));
                if let Some(slot) = pick(&mut started.collect::<Vec<_>>().into_iter(), n) {
                    self.ended(slot);
                }
            }
            Happens::Ends(n) => {
                if let Some(slot) = pick(&mut self.retiring.iter().copied(), n) {
                    self.ended(slot);
                }
            }
            Happens::Release(n) => {
                if let Some(slot) = pick(&mut self.claimed.iter().copied(), n) {
                    self.release(slot);
                }
            }
            Happens::GiveBack(n) => {
                if let Some(slot) = pick(&mut self.claimed.iter().copied(), n) {
                    self.claimed.remove(&slot);
                    // A grant that nobody took is one into which nobody spoke.
                    if self.alive[&slot].as_ref().is_none_or(|id| !self.sessions.contains(id)) {
                        self.used.remove(&slot);
                    }
                    self.policy.give_back(self.now, slot);
                }
            }
            Happens::Discard(n) => {
                if let Some(slot) = pick(&mut self.claimed.iter().copied(), n) {
                    self.policy.discard(self.now, slot, Eviction::Doubt);
                }
            }
            Happens::Measured(n, bytes) => {
                if let Some(slot) = pick(&mut self.alive.keys().copied(), n) {
                    self.policy.measured(self.now, slot, bytes);
                    let idle = |member: &Member| matches!(member.state, State::Idle | State::Spare);
                    let over = self.policy.staying_memory() > MEMORY;
                    assert!(
                        !over || !self.policy.members.values().any(idle),
                        "over the cap, and one is idle"
                    );
                }
            }
        }
        self.act();
    }

    /// Everything goes well from here on.
    fn drain(&mut self) {
        for _ in 0..1000 {
            if self.open.is_empty() {
                return;
            }
            for slot in self.starting.iter().copied().collect::<Vec<_>>() {
                self.started(slot, false);
                self.act();
            }
            for slot in self.retiring.iter().copied().collect::<Vec<_>>() {
                self.ended(slot);
                self.act();
            }
            for slot in self.claimed.iter().copied().collect::<Vec<_>>() {
                self.policy.measured(self.now, slot, 100 * MB);
                self.act();
                self.release(slot);
                self.act();
            }
        }
        panic!("never served: {:?}", self.open);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn bounds_hold_and_every_claim_is_served_once(events in prop::collection::vec(happens(), 1..200)) {
        let mut world = World::new();
        for event in &events {
            world.happens(event);
            let stats = world.policy.stats();
            prop_assert_eq!(stats.processes(), world.alive.len());
            prop_assert_eq!(stats.claimed, world.claimed.len());
            prop_assert_eq!(stats.claims.total(), world.granted + world.taken);
            if let Some(at) = world.policy.poll_timeout(world.now) {
                prop_assert!(at > world.now || event_is_pending(&world), "it would spin");
            }
        }
        world.drain();
    }
}

/// A clock that has not been told yet what time it is.
fn event_is_pending(world: &World) -> bool {
    world.policy.members.values().any(|member| member.ends(&world.limits).is_some_and(|at| at <= world.now))
}
