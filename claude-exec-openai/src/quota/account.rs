//! A key's limits with what it has used: every decision, pure. The time is passed in.

use claude_exec::Usd;

use super::refusal::Refusal;
use super::{Counted, Figures, KeyLimits, Spent};

/// Seconds of a day. A UTC day has no other length for a clock of the Unix kind.
const DAY: u64 = 24 * 60 * 60;

/// What a turn is taken to have cost at least, when nobody tells: a cent. For nothing, it could be repeated without
/// end.
const LEAST: Usd = Usd::from_micros(10_000);

/// One key's account.
///
/// A request is [admitted](Self::admit) or refused. It holds a place until it is [released](Self::release), and its
/// turn's bill is open until it is [closed](Self::close), which can be later: a turn that waits for its client's tools
/// is nobody's request meanwhile, and one whose client hung up tells its cost after it.
///
/// A turn is charged to the day in which it ends. A clock that goes back changes no day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    limits: KeyLimits,
    counted: Counted,
    running: u32,
}

impl Account {
    /// The account of a key after a restart. Turns that were under way before it are gone, and with them the word about
    /// their cost.
    pub fn new(limits: KeyLimits, counted: Counted, now: u64) -> Self {
        let mut account = Self { limits, counted, running: 0 };
        for (model, count) in std::mem::take(&mut account.counted.open) {
            for _ in 0..count {
                account.spend(&model, &Spent::default(), now);
            }
        }
        account
    }

    /// Its limits.
    pub fn limits(&self) -> &KeyLimits {
        &self.limits
    }

    /// What was used in the day of `now`.
    pub fn counted(&mut self, now: u64) -> &Counted {
        self.roll(now);
        &self.counted
    }

    /// Requests under way.
    pub fn running(&self) -> u32 {
        self.running
    }

    /// When the day of its figures ends, in seconds since the Unix epoch.
    pub fn resets_at(&self) -> u64 {
        (self.counted.day + 1).saturating_mul(DAY)
    }

    /// Takes a request for a turn on `model`: counts it, gives it a place and opens its bill.
    ///
    /// # Errors
    ///
    /// What is used up, what lasts longest first. Then nothing has changed.
    pub fn admit(&mut self, model: &str, now: u64) -> Result<(), Refusal> {
        self.roll(now);
        self.decide(model, now)?;
        self.running += 1;
        self.figures(model).requests += 1;
        *self.counted.open.entry(model.to_owned()).or_default() += 1;
        Ok(())
    }

    fn decide(&self, model: &str, now: u64) -> Result<(), Refusal> {
        let limits = &self.limits;
        let resets_in = || self.resets_at().saturating_sub(now);
        let total = self.counted.total();
        if let Some(models) = limits.models.as_ref().filter(|models| !models.contains(model)) {
            let allowed = models.iter().cloned().collect();
            return Err(Refusal::Model { model: model.to_owned(), allowed });
        }
        match (limits.requests_per_day, limits.usd_per_day, limits.concurrent) {
            (Some(limit), ..) if total.requests >= limit => {
                Err(Refusal::Requests { limit, resets_in: resets_in() })
            }
            (_, Some(limit), _) if total.charged() >= limit => {
                Err(Refusal::Dollars { limit, resets_in: resets_in() })
            }
            (.., Some(limit)) if self.running >= limit.get() => Err(Refusal::Concurrent { limit }),
            _ => Ok(()),
        }
    }

    /// Gives a request's place back.
    pub fn release(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// Forgets a request that was admitted at `admitted` and never got a process. Its bill is closed.
    pub fn refund(&mut self, model: &str, admitted: u64, now: u64) {
        self.roll(now);
        self.close(model);
        if admitted / DAY == self.counted.day {
            let figures = self.figures(model);
            figures.requests = figures.requests.saturating_sub(1);
        }
    }

    /// Charges what a turn has used, and tells what was added. The bill stays open.
    ///
    /// A turn of unknown cost is charged as the dearest one of the day, and a cent at least.
    pub fn spend(&mut self, model: &str, spent: &Spent, now: u64) -> Figures {
        self.roll(now);
        let assumed = self.counted.dearest.max(LEAST);
        let added = Figures {
            requests: 0,
            input_tokens: spent.input_tokens,
            cached_tokens: spent.cached_tokens,
            output_tokens: spent.output_tokens,
            cost: spent.cost.unwrap_or_default(),
            unknown: u64::from(spent.cost.is_none()),
            assumed: if spent.cost.is_none() { assumed } else { Usd::ZERO },
        };
        self.counted.dearest = self.counted.dearest.max(added.cost);
        *self.figures(model) += added;
        added
    }

    /// Closes a turn's bill: no more of it will come.
    pub fn close(&mut self, model: &str) {
        if let Some(open) = self.counted.open.get_mut(model) {
            *open = open.saturating_sub(1);
        }
        self.counted.open.retain(|_, open| *open > 0);
    }

    fn figures(&mut self, model: &str) -> &mut Figures {
        self.counted.models.entry(model.to_owned()).or_default()
    }

    /// Begins the day of `now`, if it is a later one.
    fn roll(&mut self, now: u64) {
        let today = now / DAY;
        if today > self.counted.day {
            let open = std::mem::take(&mut self.counted.open);
            self.counted = Counted { day: today, open, ..Counted::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 20_000 * DAY + DAY / 2;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    fn cost(text: &str) -> Spent {
        Spent { input_tokens: 10, cached_tokens: 4, output_tokens: 3, cost: Some(usd(text)) }
    }

    fn account(limits: KeyLimits) -> Account {
        Account::new(limits, Counted::default(), NOON)
    }

    /// Admits a request on `model` and ends it at this cost.
    fn turn(account: &mut Account, model: &str, spent: &Spent, now: u64) {
        account.admit(model, now).unwrap();
        account.spend(model, spent, now);
        account.close(model);
        account.release();
    }

    #[test]
    fn each_limit_refuses_what_is_beyond_it_and_nothing_else() {
        let one = || 1.try_into().unwrap();
        let none = KeyLimits::default;
        let resets_in = DAY / 2;
        // What the key may; its requests and cost today, and its turns under way; the answer.
        let table = [
            (none(), (1_000_000, "10000", 500), Ok(())),
            (none().models(["haiku", "opus"]), (0, "0", 0), Ok(())),
            (
                none().models(["opus", "fable"]),
                (0, "0", 0),
                Err(Refusal::Model { model: "haiku".into(), allowed: vec!["fable".into(), "opus".into()] }),
            ),
            (none().models(Vec::<String>::new()), (0, "0", 0), {
                Err(Refusal::Model { model: "haiku".into(), allowed: vec![] })
            }),
            (none().requests_per_day(3), (2, "0", 0), Ok(())),
            (none().requests_per_day(3), (3, "0", 0), Err(Refusal::Requests { limit: 3, resets_in })),
            (none().requests_per_day(0), (0, "0", 0), Err(Refusal::Requests { limit: 0, resets_in })),
            (none().usd_per_day(usd("0.5")), (9, "0.499999", 0), Ok(())),
            (none().usd_per_day(usd("0.5")), (9, "0.5", 0), {
                Err(Refusal::Dollars { limit: usd("0.5"), resets_in })
            }),
            (none().usd_per_day(Usd::ZERO), (0, "0", 0), {
                Err(Refusal::Dollars { limit: Usd::ZERO, resets_in })
            }),
            (none().concurrent(one()), (9, "9", 0), Ok(())),
            (none().concurrent(one()), (9, "9", 1), Err(Refusal::Concurrent { limit: one() })),
            // Of several, the one that lasts longest: waiting for a place would be in vain.
            (none().concurrent(one()).requests_per_day(9).usd_per_day(usd("1")), (9, "1", 1), {
                Err(Refusal::Requests { limit: 9, resets_in })
            }),
            (none().concurrent(one()).usd_per_day(usd("1")), (9, "1", 1), {
                Err(Refusal::Dollars { limit: usd("1"), resets_in })
            }),
        ];
        for (limits, (requests, spent, running), expected) in table {
            let mut account = account(limits.clone());
            account.roll(NOON);
            // Over several models: a limit is the key's.
            account.figures("sonnet").requests = requests;
            account.figures("opus").cost = usd(spent);
            account.running = running;
            let before = account.clone();
            assert_eq!(account.admit("haiku", NOON), expected, "{limits:?}");
            if expected.is_err() {
                assert_eq!(account, before, "a refusal changes nothing");
            } else {
                assert_eq!((account.running, account.counted.total().requests), (running + 1, requests + 1));
            }
        }
    }

    #[test]
    fn a_day_ends_at_midnight_utc_and_turns_are_charged_to_the_day_they_end_in() {
        let midnight = 20_001 * DAY;
        let mut account = account(KeyLimits::default().requests_per_day(1).usd_per_day(usd("1")));
        account.admit("haiku", midnight - 1).unwrap();
        assert_eq!(account.admit("haiku", midnight - 1), Err(Refusal::Requests { limit: 1, resets_in: 1 }));
        account.admit("haiku", midnight).unwrap();
        account.spend("haiku", &cost("0.4"), midnight + 5);
        account.close("haiku");
        let counted = account.counted(midnight + 5).clone();
        assert_eq!((counted.day, counted.total().requests, counted.total().cost), (20_001, 1, usd("0.4")));
        assert_eq!(counted.open["haiku"], 1, "the other is under way");
        assert_eq!(account.running(), 2);
        // Back over midnight: what was counted stays.
        assert!(matches!(account.admit("haiku", midnight - 1), Err(Refusal::Requests { .. })));
        // A refund of yesterday's request takes nothing off today's.
        account.refund("haiku", midnight - 1, midnight + 9);
        assert_eq!((account.counted.total().requests, account.counted.open.len()), (1, 0));
    }

    #[test]
    fn a_turn_of_unknown_cost_is_charged_as_the_dearest_and_told_apart() {
        let mut account = account(KeyLimits::default().usd_per_day(usd("1")));
        turn(&mut account, "haiku", &Spent::default(), NOON);
        assert_eq!(account.counted.total().charged(), usd("0.01"), "a cent at least");
        turn(&mut account, "opus", &cost("0.5"), NOON);
        turn(&mut account, "haiku", &Spent::default(), NOON);
        let total = account.counted.total();
        assert_eq!((total.cost, total.assumed, total.unknown), (usd("0.5"), usd("0.51"), 2));
        assert!(matches!(account.admit("haiku", NOON), Err(Refusal::Dollars { .. })));
    }

    #[test]
    fn a_request_that_got_no_process_is_forgotten() {
        let mut account = account(KeyLimits::default().requests_per_day(1));
        account.admit("haiku", NOON).unwrap();
        account.refund("haiku", NOON, NOON);
        account.release();
        assert_eq!((account.counted.total(), account.running()), (Figures::default(), 0));
        assert!(account.admit("haiku", NOON).is_ok());
    }

    #[test]
    fn a_restart_keeps_the_count_and_charges_what_was_under_way() {
        let limits = KeyLimits::default().requests_per_day(3).usd_per_day(usd("1"));
        let mut before = account(limits.clone());
        turn(&mut before, "opus", &cost("0.3"), NOON);
        before.admit("haiku", NOON).unwrap();
        let kept = serde_json::to_vec(before.counted(NOON)).unwrap();
        let kept: Counted = serde_json::from_slice(&kept).unwrap();
        let mut after = Account::new(limits, kept, NOON + 60);
        let total = after.counted(NOON + 60).total();
        assert_eq!((total.requests, total.cost, total.assumed), (2, usd("0.3"), usd("0.3")));
        assert_eq!((after.running(), after.counted.open.len()), (0, 0));
        assert!(after.admit("haiku", NOON + 60).is_ok());
        assert!(matches!(after.admit("haiku", NOON + 60), Err(Refusal::Requests { .. })));
    }
}
