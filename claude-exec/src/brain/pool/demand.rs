//! Which launch keys are asked for: learned, and forgotten again. Pure, time is an argument.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::key::{LaunchKey, Setup};

/// A request counts half as much after this time.
const HALF_LIFE: Duration = Duration::from_secs(15 * 60);

/// The weight from which on a key is worth a spare: two requests within about nine minutes, and none for six.
const WORTH: f64 = 1.5;

/// Requests in a row that open their sessions alike, before spares are opened so ahead of the next one. That saves it
/// 15 ms, and costs one that opens otherwise a start of 300 ms (2.1.330), so it pays where fewer than one in 20 does.
const HABIT: u32 = 20;

/// Keys remembered. Whoever asks for more kinds of processes than this gets no spares for the rest.
const MAX_KEYS: usize = 32;

/// How long a spare waits for the turn of the claim that took the one before it: its start takes a processor for
/// 0.3 s, and the turn is what somebody waits for.
const REFILL_DELAY: Duration = Duration::from_millis(250);

/// The pause after a first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// How often each key was asked for lately.
#[derive(Debug, Default)]
pub(super) struct Demand(HashMap<LaunchKey, Interest>);

#[derive(Debug)]
struct Interest {
    /// Of the requests, as of the last one.
    weight: f64,
    last: Instant,
    failures: u32,
    not_before: Option<Instant>,
    /// What the last request opens its session with.
    setup: Setup,
    /// How many in a row do so.
    alike: u32,
}

impl Interest {
    fn weight(&self, now: Instant) -> f64 {
        let age = now.saturating_duration_since(self.last).as_secs_f64();
        self.weight * 0.5_f64.powf(age / HALF_LIFE.as_secs_f64())
    }

    /// When it will no longer be worth a spare.
    fn fades(&self) -> Instant {
        let half_lives = (self.weight / WORTH).log2().max(0.0);
        self.last + HALF_LIFE.mul_f64(half_lives)
    }
}

impl Demand {
    /// A process of this key was asked for, to be opened so, that a spare could have been.
    pub(super) fn asked(&mut self, key: &LaunchKey, setup: &Setup, now: Instant) {
        if !self.0.contains_key(key) && self.0.len() >= MAX_KEYS {
            let least = self.0.iter().min_by(|a, b| a.1.weight(now).total_cmp(&b.1.weight(now)));
            if let Some(least) = least.map(|(key, _)| key.clone()) {
                self.0.remove(&least);
            }
        }
        let Some(interest) = self.0.get_mut(key) else {
            let (weight, last, setup) = (1.0, now, setup.clone());
            let interest = Interest { weight, last, failures: 0, not_before: None, setup, alike: 1 };
            self.0.insert(key.clone(), interest);
            return;
        };
        interest.weight = interest.weight(now) + 1.0;
        interest.last = now;
        interest.alike = if interest.setup == *setup { interest.alike.saturating_add(1) } else { 1 };
        interest.setup = setup.clone();
    }

    /// Processes of this key will be asked for, to be opened so: as if two had been, and as if it were a habit.
    pub(super) fn expected(&mut self, key: &LaunchKey, setup: &Setup, now: Instant) {
        self.asked(key, setup, now);
        self.asked(key, setup, now);
        if let Some(interest) = self.0.get_mut(key) {
            interest.alike = interest.alike.max(HABIT);
        }
    }

    /// When it was last asked for.
    pub(super) fn last(&self, key: &LaunchKey) -> Option<Instant> {
        self.0.get(key).map(|interest| interest.last)
    }

    /// What a spare of this key may be opened with before anybody asks: what they are all opened with lately.
    pub(super) fn opens(&self, key: &LaunchKey) -> Option<&Setup> {
        self.0.get(key).filter(|interest| interest.alike >= HABIT).map(|interest| &interest.setup)
    }

    /// False for a spare that was opened with what is no habit, or no habit any more.
    pub(super) fn may_keep(&self, (key, setup): (&LaunchKey, Option<&Setup>)) -> bool {
        setup.is_none_or(|setup| self.opens(key) == Some(setup))
    }

    /// A process of this key ended before it was of use: the next spare waits, longer each time.
    pub(super) fn failed(&mut self, key: &LaunchKey, now: Instant) {
        if let Some(interest) = self.0.get_mut(key) {
            let pause = FIRST_PAUSE.saturating_mul(1 << interest.failures.min(16)).min(LONGEST_PAUSE);
            interest.failures += 1;
            interest.not_before = Some(now + pause);
        }
    }

    /// A process of this key did its work.
    pub(super) fn worked(&mut self, key: &LaunchKey) {
        if let Some(interest) = self.0.get_mut(key) {
            (interest.failures, interest.not_before) = (0, None);
        }
    }

    /// How many spares to keep: one, and as many as are asked for in the time that a start takes; at most `limit`.
    pub(super) fn keeps(&self, key: &LaunchKey, now: Instant, start: Duration, limit: usize) -> usize {
        let weight = self.0.get(key).map_or(0.0, |interest| interest.weight(now));
        if weight < WORTH {
            return 0;
        }
        let a_second = weight * std::f64::consts::LN_2 / HALF_LIFE.as_secs_f64();
        let meanwhile = (a_second * start.as_secs_f64()).floor() as usize;
        meanwhile.saturating_add(1).min(limit)
    }

    /// True when a new spare may be started now.
    pub(super) fn may_start(&self, key: &LaunchKey, now: Instant) -> bool {
        self.0.get(key).is_some_and(|interest| {
            interest.last + REFILL_DELAY <= now && interest.not_before.is_none_or(|at| at <= now)
        })
    }

    /// The keys, the one asked for last first.
    pub(super) fn keys(&self) -> Vec<LaunchKey> {
        let mut keys: Vec<_> = self.0.iter().map(|(key, interest)| (interest.last, key)).collect();
        keys.sort_by_key(|(last, _)| std::cmp::Reverse(*last));
        keys.into_iter().map(|(_, key)| key.clone()).collect()
    }

    /// How many keys are remembered.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// When an answer of this will next be another without a call.
    pub(super) fn next_change(&self, now: Instant) -> Option<Instant> {
        let times = self.0.values().flat_map(|interest| {
            let fades = interest.fades() + Duration::from_millis(1); // past the rounding
            [Some(interest.last + REFILL_DELAY), interest.not_before, Some(fades)]
        });
        times.flatten().filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_millis(500);

    fn key(name: &str) -> LaunchKey {
        LaunchKey::named(name)
    }

    fn setup() -> Setup {
        Setup::named("s")
    }

    #[test]
    fn a_habit_is_learned_or_told_and_ends_at_the_first_who_has_another() {
        let (now, [s, t]) = (Instant::now(), ["s", "t"].map(Setup::named));
        let mut demand = Demand::default();
        for asked in [&s, &t, &s] {
            for n in 1..=HABIT {
                demand.asked(&key("a"), asked, now);
                assert_eq!(demand.opens(&key("a")), Some(asked).filter(|_| n == HABIT));
            }
        }
        demand.asked(&key("a"), &t, now);
        assert!(!demand.may_keep((&key("a"), Some(&s))) && demand.may_keep((&key("a"), None)));
        demand.expected(&key("b"), &t, now);
        assert_eq!((demand.opens(&key("b")), demand.opens(&key("c"))), (Some(&t), None));
    }

    #[test]
    fn a_key_is_worth_a_spare_once_it_was_asked_for_twice_and_until_nobody_asks() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut demand = Demand::default();
        demand.asked(&key("a"), &setup(), at(0));
        assert_eq!(demand.keeps(&key("a"), at(0), START, 3), 0);
        demand.asked(&key("a"), &setup(), at(10));
        for (seconds, wanted) in [(10, 1), (300, 1), (360, 1), (400, 0)] {
            assert_eq!(demand.keeps(&key("a"), at(seconds), START, 3), wanted, "after {seconds} s");
        }
        let fades = demand.next_change(at(20)).unwrap();
        assert_eq!(demand.keeps(&key("a"), fades, START, 3), 0);
        assert_eq!(demand.keeps(&key("b"), at(10), START, 3), 0);
    }

    #[test]
    fn two_that_are_far_apart_are_no_habit() {
        let start = Instant::now();
        let mut demand = Demand::default();
        demand.asked(&key("a"), &setup(), start);
        let later = start + Duration::from_secs(20 * 60);
        demand.asked(&key("a"), &setup(), later);
        assert_eq!(demand.keeps(&key("a"), later, START, 3), 0);
    }

    #[test]
    fn a_rush_is_worth_more_than_one() {
        let start = Instant::now();
        let mut demand = Demand::default();
        let mut now = start;
        for _ in 0..20_000 {
            now += Duration::from_millis(100); // ten a second, for half an hour
            demand.asked(&key("a"), &setup(), now);
        }
        let keeps = |limit| demand.keeps(&key("a"), now, START, limit);
        assert_eq!((keeps(1), keeps(3), keeps(100)), (1, 3, 4));
    }

    #[test]
    fn a_key_that_fails_waits_longer_each_time() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut demand = Demand::default();
        demand.asked(&key("a"), &setup(), at(0));
        assert!(!demand.may_start(&key("a"), at(0)), "the turn goes first");
        assert!(demand.may_start(&key("a"), at(1)));
        for (now, until) in [(10, 11), (11, 13), (13, 17), (17, 25)] {
            demand.failed(&key("a"), at(now));
            assert!(!demand.may_start(&key("a"), at(until) - Duration::from_millis(1)));
            assert!(demand.may_start(&key("a"), at(until)), "after {until} s");
        }
        for _ in 0..100 {
            demand.failed(&key("a"), at(100));
        }
        assert!(demand.may_start(&key("a"), at(400)), "the pause has an end");
        demand.worked(&key("a"));
        assert!(demand.may_start(&key("a"), at(101)));
    }

    #[test]
    fn the_least_wanted_key_is_forgotten() {
        let start = Instant::now();
        let mut demand = Demand::default();
        demand.asked(&key("once"), &setup(), start);
        for n in 0..MAX_KEYS {
            demand.asked(&key(&n.to_string()), &setup(), start + Duration::from_secs(1));
        }
        assert_eq!((demand.len(), demand.last(&key("once"))), (MAX_KEYS, None));
        assert_eq!(demand.keys().len(), MAX_KEYS);
    }
}
