use super::super::{Claims, Eviction, Evictions};
use super::*;

const MB: u64 = 1_000_000;

/// A pool whose processes start and end at once when told so, and its clock.
struct Bench {
    policy: Policy,
    now: Instant,
    granted: Vec<(Ticket, Slot, Origin)>,
    starting: Vec<Slot>,
    retired: Vec<Slot>,
    refused: Vec<Ticket>,
    evictions: Evictions,
}

fn id(n: u128) -> SessionId {
    SessionId::from(uuid::Uuid::from_u128(n))
}

fn want(key: &str, session: Session) -> Want {
    opened(key, "s", session)
}

fn opened(key: &str, system: &str, session: Session) -> Want {
    Want { key: LaunchKey::named(key), setup: Setup::named(system), session }
}

impl Bench {
    fn new(change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits { processes: 3, memory: 10_000 * MB, waiting: 4, ..Limits::default() };
        change(&mut limits);
        Self {
            policy: Policy::new(limits),
            now: Instant::now(),
            granted: Vec::new(),
            starting: Vec::new(),
            retired: Vec::new(),
            refused: Vec::new(),
            evictions: Evictions::default(),
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.policy.poll_action() {
            match action {
                Action::Grant { ticket, slot, origin } => self.granted.push((ticket, slot, origin)),
                Action::Refuse { ticket } => self.refused.push(ticket),
                Action::Start { slot, .. } => self.starting.push(slot),
                Action::Retire { slot } => self.retired.push(slot),
            }
        }
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.policy.handle_timeout(self.now);
        self.act();
    }

    fn claim(&mut self, want: Want) -> Option<Ticket> {
        let ticket = self.policy.claim(self.now, want);
        self.act();
        ticket
    }

    /// All starts succeed; new sessions are numbered by their slots.
    fn start_all(&mut self) {
        while !self.starting.is_empty() {
            let slot = self.starting.remove(0);
            let session = self.policy.members[&slot].session.clone();
            let id = session.unwrap_or_else(|| id(u128::from(slot.0)));
            self.policy.started(self.now, slot, Some(id));
            self.act();
        }
    }

    /// All that were told to go are gone; gives the reasons for all that went since it was last called.
    fn end_all(&mut self) -> Vec<(Eviction, u64)> {
        while !self.retired.is_empty() {
            let slot = self.retired.remove(0);
            self.starting.retain(|starting| *starting != slot);
            self.policy.gone(self.now, slot);
            self.act();
        }
        let evictions = self.policy.stats().evictions;
        let before = std::mem::replace(&mut self.evictions, evictions);
        let new = evictions.iter().map(|(why, count)| (why, count - before.of(why)));
        new.filter(|(_, count)| *count > 0).collect()
    }

    /// The grant of this ticket.
    fn grant_of(&self, ticket: Ticket) -> Option<(Slot, Origin)> {
        let granted = self.granted.iter().find(|(granted, ..)| *granted == ticket);
        granted.map(|(_, slot, origin)| (*slot, *origin))
    }

    /// Claims, and waits for whatever it takes.
    fn obtain(&mut self, want: Want) -> (Slot, Origin) {
        let setup = want.setup.clone();
        let ticket = self.claim(want).expect("there is room to wait");
        self.start_all();
        self.end_all();
        self.start_all();
        let (slot, origin) = self.grant_of(ticket).expect("it is served");
        self.policy.opened(slot, setup);
        (slot, origin)
    }

    fn release(&mut self, slot: Slot) -> SessionId {
        let session = self.policy.members[&slot].session.clone().expect("it has started");
        let turns = self.policy.members[&slot].vitals.turns + 1;
        self.policy.release(self.now, slot, Some(session.clone()), turns);
        self.act();
        session
    }

    /// A turn of a new conversation; gives its session.
    fn talk(&mut self, key: &str) -> (SessionId, Origin) {
        let (slot, origin) = self.obtain(want(key, Session::New));
        self.now += Duration::from_millis(10);
        (self.release(slot), origin)
    }

    /// A further turn.
    fn go_on(&mut self, key: &str, session: &SessionId) -> Origin {
        let (slot, origin) = self.obtain(want(key, Session::Resume(session.clone())));
        self.release(slot);
        origin
    }
}

#[test]
fn the_first_is_cold_and_the_next_turn_is_live() {
    let mut bench = Bench::new(|_| {});
    let (session, origin) = bench.talk("a");
    assert_eq!(origin, Origin::Cold);
    assert_eq!(bench.go_on("a", &session), Origin::Live);
    assert_eq!(bench.policy.stats().claims, Claims { cold: 1, live: 1, ..Claims::default() });
}

#[test]
fn a_key_that_was_asked_for_twice_has_a_spare_and_another_key_has_none() {
    let mut bench = Bench::new(|_| {});
    bench.talk("a");
    bench.wait(1);
    assert_eq!(bench.starting, []);
    assert_eq!(bench.talk("a").1, Origin::Cold);
    bench.wait(1);
    assert_eq!(bench.starting.len(), 1, "one spare");
    bench.start_all();
    assert_eq!(bench.talk("b").1, Origin::Cold, "another key's spare is of no use");
    bench.wait(1);
    bench.start_all();
    bench.end_all();
    bench.wait(1);
    bench.start_all();
    assert_eq!(bench.talk("a").1, Origin::Spare);
}

#[test]
fn a_spare_is_opened_already_while_all_are_opened_alike() {
    let mut bench = Bench::new(|limits| limits.processes = 4);
    let new = |system: &str| opened("a", system, Session::New);
    let spare_of = |bench: &mut Bench| {
        bench.wait(1);
        bench.start_all();
        let spare = bench.policy.members.values().find(|member| member.state == State::Spare);
        spare.expect("there is one").setup.clone()
    };
    bench.obtain(new("s"));
    bench.obtain(new("s"));
    assert_eq!(spare_of(&mut bench), None, "two are no habit");
    assert_eq!(bench.obtain(new("s")).1, Origin::Spare);
    bench.policy.expect(bench.now, &LaunchKey::named("a"), &Setup::named("s"));
    assert_eq!(spare_of(&mut bench), Some(Setup::named("s")));
    // One who opens otherwise does not get it, and ends the habit.
    let (slot, origin) = bench.obtain(new("t"));
    assert_eq!((origin, bench.policy.members[&slot].setup.clone()), (Origin::Cold, Some(Setup::named("t"))));
    assert_eq!(bench.policy.stats().evictions.of(Eviction::Room), 1);
    bench.policy.discard(bench.now, slot, Eviction::Doubt);
    bench.act();
    bench.end_all();
    assert_eq!(spare_of(&mut bench), None);
    assert_eq!(bench.obtain(new("t")).1, Origin::Spare);
}

#[test]
fn a_claim_takes_the_spare_that_is_on_its_way_and_is_counted_as_cold() {
    let mut bench = Bench::new(|_| {});
    bench.talk("a");
    bench.talk("a");
    bench.wait(1);
    let on_its_way = bench.starting[0];
    let ticket = bench.claim(want("a", Session::New)).unwrap();
    assert_eq!(bench.starting.len(), 1);
    bench.start_all();
    assert_eq!(bench.grant_of(ticket), Some((on_its_way, Origin::Cold)));
}

#[test]
fn without_room_the_one_not_used_for_longest_goes_and_resumes_later() {
    let mut bench = Bench::new(|limits| limits.spares = 0);
    let sessions: Vec<_> = (0..3)
        .map(|_| {
            bench.wait(1);
            bench.talk("a").0
        })
        .collect();
    bench.wait(1);
    assert_eq!(bench.go_on("a", &sessions[0]), Origin::Live);
    bench.wait(1);
    bench.talk("a"); // takes the place of the second
    assert_eq!(bench.go_on("a", &sessions[0]), Origin::Live);
    assert_eq!(bench.go_on("a", &sessions[2]), Origin::Live);
    assert_eq!(bench.go_on("a", &sessions[1]), Origin::Resumed);
    assert_eq!(bench.policy.stats().evictions.of(Eviction::Room), 2);
}

#[test]
fn a_claim_starts_only_when_the_one_before_it_is_gone() {
    let mut bench = Bench::new(|limits| (limits.processes, limits.spares) = (1, 0));
    bench.talk("a");
    let ticket = bench.claim(want("a", Session::New)).unwrap();
    assert_eq!((bench.starting.len(), bench.retired.len()), (0, 1));
    bench.end_all();
    bench.start_all();
    assert_eq!(bench.grant_of(ticket).unwrap().1, Origin::Cold);
}

#[test]
fn while_all_are_busy_claims_wait_in_line_and_one_too_many_is_refused() {
    let mut bench = Bench::new(|limits| (limits.processes, limits.spares, limits.waiting) = (1, 0, 2));
    let (busy, _) = bench.obtain(want("a", Session::New));
    let tickets = [(); 3].map(|()| bench.claim(want("a", Session::New)));
    assert!(tickets[0].is_some() && tickets[1].is_some() && tickets[2].is_none());
    let busy_session = bench.release(busy);
    assert!(bench.claim(want("a", Session::Resume(busy_session))).is_none(), "it was told to go");
    bench.end_all();
    bench.start_all();
    assert!(bench.grant_of(tickets[0].unwrap()).is_some() && bench.grant_of(tickets[1].unwrap()).is_none());
    assert_eq!((bench.policy.stats().refused, bench.policy.stats().waiting), (2, 1));
}

#[test]
fn a_live_one_is_granted_though_others_wait() {
    let mut bench = Bench::new(|limits| (limits.processes, limits.spares, limits.waiting) = (2, 0, 0));
    let (session, _) = bench.talk("a");
    bench.obtain(want("a", Session::New));
    assert_eq!(bench.go_on("a", &session), Origin::Live);
}

#[test]
fn starts_are_bounded_and_claims_go_before_spares() {
    let mut bench = Bench::new(|limits| (limits.processes, limits.starts) = (9, 2));
    let tickets: Vec<_> = (0..4).map(|_| bench.claim(want("a", Session::New)).unwrap()).collect();
    bench.wait(1);
    assert_eq!(bench.starting.len(), 2, "not four, and no spare");
    bench.start_all();
    assert!(tickets.iter().all(|ticket| bench.grant_of(*ticket).is_some()));
    bench.wait(1);
    bench.start_all();
    assert_eq!(bench.policy.stats().spares, 1);
}

#[test]
fn no_more_go_for_claims_than_may_start() {
    let mut bench = Bench::new(|limits| {
        (limits.processes, limits.starts, limits.spares, limits.waiting) = (4, 2, 0, 9);
    });
    let sessions: Vec<_> = (0..4).map(|_| bench.talk("a").0).collect();
    for _ in 0..6 {
        bench.claim(want("a", Session::New)).unwrap();
    }
    assert_eq!(bench.policy.stats().idle, 2, "the others may still have their turns");
    assert_eq!(bench.go_on("a", &sessions[3]), Origin::Live);
}

#[test]
fn two_turns_of_one_session_share_its_process_one_after_the_other() {
    let mut bench = Bench::new(|_| {});
    let (session, _) = bench.talk("a");
    let first = bench.claim(want("a", Session::Resume(session.clone()))).unwrap();
    let second = bench.claim(want("a", Session::Resume(session))).unwrap();
    let (slot, _) = bench.grant_of(first).unwrap();
    assert_eq!((bench.grant_of(second), bench.starting.len()), (None, 0));
    bench.release(slot);
    assert_eq!(bench.grant_of(second), Some((slot, Origin::Live)));
}

#[test]
fn other_options_replace_the_process_once_it_is_gone() {
    let mut bench = Bench::new(|_| {});
    let (session, _) = bench.talk("a");
    for other in [
        want("b", Session::Resume(session.clone())),
        opened("b", "another system prompt", Session::Resume(session.clone())),
    ] {
        let ticket = bench.claim(other).unwrap();
        assert_eq!((bench.starting.len(), bench.retired.len()), (0, 1));
        assert_eq!(bench.end_all(), [(Eviction::Replaced, 1)]);
        bench.start_all();
        let (slot, origin) = bench.grant_of(ticket).unwrap();
        assert_eq!(origin, Origin::Resumed);
        bench.release(slot);
    }
}

#[test]
fn a_spare_takes_the_place_only_of_what_is_older_than_the_last_request() {
    let mut bench = Bench::new(|limits| limits.processes = 3);
    let (first, _) = bench.talk("a");
    bench.wait(1);
    let (second, _) = bench.talk("a");
    bench.wait(1);
    bench.start_all(); // the spare
    bench.wait(1);
    bench.talk("a"); // takes the spare: the pool is full
    bench.wait(1);
    assert_eq!(bench.end_all(), [(Eviction::Room, 1)], "for the next spare, the first conversation goes");
    bench.start_all();
    assert_eq!(bench.policy.stats().spares, 1);
    assert_eq!(bench.go_on("a", &second), Origin::Live);
    assert_eq!(bench.go_on("a", &first), Origin::Resumed, "the spare goes, and no other conversation");
    bench.wait(1);
    assert_eq!(
        (bench.policy.stats().spares, bench.policy.stats().idle),
        (0, 3),
        "it is not worth a conversation"
    );
}

#[test]
fn too_much_memory_ends_the_oldest() {
    let mut bench = Bench::new(|limits| limits.memory = 700 * MB);
    let sessions: Vec<_> = (0..3)
        .map(|_| {
            bench.wait(1);
            bench.obtain(want("a", Session::New)).0
        })
        .collect();
    for slot in &sessions {
        bench.policy.measured(bench.now, *slot, 300 * MB);
    }
    assert_eq!(bench.retired, [], "a turn under way is not ended for it");
    bench.release(sessions[0]);
    assert_eq!(bench.end_all(), [(Eviction::Memory, 1)]);
    bench.release(sessions[1]);
    assert_eq!(bench.retired, []);
    assert_eq!(bench.policy.stats().peak_memory, 900 * MB);
}

#[test]
fn a_start_waits_for_memory_as_for_a_place() {
    let mut bench = Bench::new(|limits| limits.memory = 500 * MB);
    let (first, _) = bench.obtain(want("a", Session::New));
    bench.policy.measured(bench.now, first, 200 * MB);
    let (second, _) = bench.obtain(want("a", Session::New));
    let ticket = bench.claim(want("a", Session::New)).unwrap();
    assert_eq!(bench.starting, []);
    bench.policy.measured(bench.now, second, 80 * MB);
    bench.act();
    assert_eq!(bench.starting.len(), 1, "there is room for it");
    bench.start_all();
    assert!(bench.grant_of(ticket).is_some());
}

#[test]
fn a_pool_too_small_for_one_runs_one() {
    let mut bench = Bench::new(|limits| limits.memory = MB);
    let (slot, _) = bench.obtain(want("a", Session::New));
    let ticket = bench.claim(want("a", Session::New)).unwrap();
    assert_eq!(bench.starting, []);
    bench.release(slot);
    bench.end_all();
    bench.start_all();
    assert!(bench.grant_of(ticket).is_some());
}

#[test]
fn sessions_end_by_idleness_age_and_size() {
    type Case = (fn(&mut Limits), u64, u64, &'static [Eviction]);
    let table: [Case; 5] = [
        (|limits| limits.each.idle = Duration::from_secs(60), 59, 1, &[]),
        (|limits| limits.each.idle = Duration::from_secs(60), 60, 1, &[Eviction::Idle]),
        (|limits| limits.each.age = Duration::from_secs(60), 60, 1, &[Eviction::Age]),
        (|limits| limits.each.memory = 5, 1, 6, &[Eviction::Grown]),
        (|limits| limits.each.turns = 1, 1, 1, &[Eviction::Turns]),
    ];
    for (change, seconds, bytes, expected) in table {
        let mut bench = Bench::new(change);
        let (slot, _) = bench.obtain(want("a", Session::New));
        bench.release(slot);
        bench.policy.measured(bench.now, slot, bytes);
        bench.act();
        bench.wait(seconds);
        let reasons: Vec<_> = bench.end_all().into_iter().map(|(why, _)| why).collect();
        assert_eq!(reasons, expected);
    }
}

#[test]
fn it_wakes_up_for_what_is_due_and_never_spins() {
    let mut bench = Bench::new(|limits| limits.each.idle = Duration::from_secs(60));
    assert_eq!(bench.policy.poll_timeout(bench.now), None);
    bench.talk("a");
    bench.talk("a");
    let mut wakes = 0;
    while let Some(at) = bench.policy.poll_timeout(bench.now) {
        assert!(at > bench.now, "it would spin");
        bench.now = at;
        bench.policy.handle_timeout(at);
        bench.act();
        bench.start_all();
        bench.end_all();
        wakes += 1;
        assert!(wakes < 20);
    }
    let left = bench.policy.stats();
    assert_eq!((left.processes(), left.starts.count()), (0, 3), "two claims and a spare, all gone by now");
    assert_eq!(left.evictions.of(Eviction::Unwanted), 1, "the spare");
}

#[test]
fn a_key_whose_spares_die_is_left_alone_for_longer_and_longer() {
    let mut bench = Bench::new(|limits| limits.processes = 9);
    bench.talk("a");
    bench.talk("a");
    let mut starts = 0;
    for _ in 0..240 {
        bench.wait(1);
        for slot in std::mem::take(&mut bench.starting) {
            starts += 1;
            assert_eq!(bench.policy.failed(bench.now, slot), None);
            bench.policy.gone(bench.now, slot);
            bench.act();
        }
    }
    assert_eq!(starts, 8, "after 1, 2, 4 … seconds");
    assert_eq!(bench.talk("a").1, Origin::Cold, "a claim is tried all the same");
    bench.wait(1);
    assert_eq!(bench.starting.len(), 1, "it worked, so there is a spare again");
}

#[test]
fn a_failed_start_is_told_to_its_claim() {
    let mut bench = Bench::new(|_| {});
    let ticket = bench.claim(want("a", Session::New));
    let slot = bench.starting.remove(0);
    assert_eq!(bench.policy.failed(bench.now, slot), ticket);
    assert_eq!(bench.policy.stats().retiring, 1, "what there is of it still counts");
    bench.policy.gone(bench.now, slot);
    assert_eq!(bench.policy.stats().evictions.of(Eviction::Failed), 1);
}

#[test]
fn a_claim_that_leaves_costs_no_resumed_process_and_no_spare() {
    let mut bench = Bench::new(|_| {});
    // A new session that was opened for it alone is of no use to others.
    let ticket = bench.claim(want("a", Session::New)).unwrap();
    bench.policy.cancel(bench.now, ticket);
    bench.act();
    assert_eq!(bench.end_all(), [(Eviction::Unwanted, 1)]);
    // A session that is resumed is its conversation's next time.
    let ticket = bench.claim(want("a", Session::Resume(id(7)))).unwrap();
    bench.policy.cancel(bench.now, ticket);
    bench.act();
    bench.start_all();
    assert_eq!(bench.go_on("a", &id(7)), Origin::Live);
    // A spare stays one, on its way or granted to somebody who had left.
    bench.talk("a");
    bench.wait(1);
    let ticket = bench.claim(want("a", Session::New)).unwrap();
    bench.policy.cancel(bench.now, ticket);
    bench.act();
    bench.start_all();
    assert_eq!(bench.policy.stats().spares, 1);
    let ticket = bench.claim(want("a", Session::New)).unwrap();
    let (slot, origin) = bench.grant_of(ticket).unwrap();
    bench.policy.give_back(bench.now, slot);
    assert_eq!((origin, bench.policy.stats().spares), (Origin::Spare, 1));
}

#[test]
fn a_process_that_dies_is_resumed_and_one_in_doubt_is_not_used_again() {
    let mut bench = Bench::new(|limits| limits.spares = 0);
    let (session, _) = bench.talk("a");
    let idle = *bench.policy.members.keys().next().unwrap();
    bench.policy.gone(bench.now, idle);
    let (slot, origin) = bench.obtain(want("a", Session::Resume(session.clone())));
    assert_eq!(origin, Origin::Resumed);
    bench.policy.discard(bench.now, slot, Eviction::Doubt);
    bench.act();
    assert_eq!(bench.end_all(), [(Eviction::Doubt, 1)]);
    assert_eq!(bench.policy.stats().evictions.of(Eviction::Died), 1);
    assert_eq!(bench.go_on("a", &session), Origin::Resumed);
}

#[test]
fn take_gives_what_waits_and_starts_nothing() {
    let mut bench = Bench::new(|_| {});
    let (session, _) = bench.talk("a");
    assert_eq!(bench.policy.take(&id(99)), None);
    let slot = bench.policy.take(&session).unwrap();
    assert_eq!(bench.policy.take(&session), None);
    bench.act();
    assert_eq!(bench.starting, []);
    bench.release(slot);
    assert_eq!(bench.policy.take(&session), Some(slot));
}

#[test]
fn a_closed_pool_ends_everything_and_takes_nothing() {
    let mut bench = Bench::new(|limits| (limits.processes, limits.starts, limits.spares) = (4, 1, 0));
    let (busy, _) = bench.obtain(want("a", Session::New));
    bench.talk("a");
    let starting = bench.claim(want("a", Session::New)).unwrap();
    let waiting = bench.claim(want("a", Session::New)).unwrap();
    bench.policy.close();
    bench.act();
    assert_eq!(bench.refused, [waiting, starting]);
    assert_eq!(bench.end_all(), [(Eviction::Shutdown, 2)]);
    assert_eq!(bench.claim(want("a", Session::New)), None);
    assert!(!bench.policy.is_over());
    bench.release(busy);
    assert_eq!(bench.end_all(), [(Eviction::Shutdown, 1)]);
    assert!(bench.policy.is_over() && bench.policy.poll_timeout(bench.now).is_none());
}
