//! Long random lives of a run: whatever is seen, in whatever order, what must never happen does not.

use std::time::Duration;

use claude_exec_afk::issue::{IssueState, Permission};
use claude_exec_afk::port::takeover_after;
use claude_exec_afk::run::{
    Activity, CiRun, Deployed, Effect, Evidence, Head, Holder, IssueView, Mode, Observation, Record, Room,
    Session, State, TurnKind, Verdict, remind, step,
};
use claude_exec_afk::{Config, Digest, Fence, Now, Seen, Timekeeper, Usd};
use proptest::prelude::*;

use crate::scene::{NOW, config, row, seen, sha, text};

fn looked<T: Clone + std::fmt::Debug + 'static>(
    known: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Seen<T>> {
    prop_oneof![8 => known.prop_map(Seen::Known), 1 => Just(Seen::Absent), 1 => Just(Seen::unknown("down"))]
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![8 => Just(Mode::Run), 1 => Just(Mode::Drain), 1 => Just(Mode::Pause), 1 => Just(Mode::Halt)]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        4 => Just(Verdict::Pending),
        2 => Just(Verdict::Green),
        4 => (0..6_u8, any::<bool>()).prop_map(|(failure, rerunnable)| Verdict::Red {
            failure: Some(Digest::of("failure", &failure.to_string())),
            rerunnable,
        }),
        1 => Just(Verdict::Blocked),
    ]
}

fn session() -> impl Strategy<Value = Session> {
    let activity = prop_oneof![
        6 => Just(Activity::Busy),
        4 => Just(Activity::Idle),
        2 => Just(Activity::Failed),
        1 => Just(Activity::Asking),
    ];
    (0..12_u32, activity, 0..100_u64, 0..30_u64, 0..2_u32, 0..9_u8).prop_map(
        |(turns, activity, quiet_seconds, dollars, unpriced, work)| Session {
            turns,
            activity,
            quiet_seconds: if quiet_seconds == 99 { 99_999 } else { quiet_seconds },
            spent: Usd::dollars(dollars),
            unpriced,
            work: Seen::Known(Digest::of("work", &work.to_string())),
            evidence: Evidence::default(),
        },
    )
}

fn view() -> impl Strategy<Value = IssueView> {
    let state = prop_oneof![
        20 => Just(IssueState::Open),
        1 => Just(IssueState::ClosedByCommit),
        1 => Just(IssueState::ClosedByPerson),
    ];
    (state, 0..40_u8, 0..10_u8, 0..40_u8, 0..40_u8).prop_map(|(state, ready, marked, human, text_)| {
        IssueView {
            state,
            ready: ready > 0,
            marked: marked > 0,
            human: human == 0,
            text: Seen::Known(if text_ == 0 { Digest::of("title", "edited") } else { text() }),
            editor: Seen::Known(if text_ % 2 == 0 { Permission::Write } else { Permission::None }),
            labelled: Seen::Known(5),
        }
    })
}

/// Whatever can be seen, much of it at odds with the rest.
fn observation() -> impl Strategy<Value = (Observation, u64)> {
    let head = prop_oneof![
        20 => (1..6_u8).prop_map(|number| Head::Pushed(sha(number))),
        1 => Just(Head::Diverged),
        1 => Just(Head::Foreign),
    ];
    let head = prop_oneof![5 => looked(head), 5 => Just(Seen::Absent)];
    let ci = (1..6_u8, 1..3_u32, verdict()).prop_map(|(number, attempt, verdict)| CiRun {
        sha: sha(number),
        attempt,
        verdict,
    });
    let deploy = prop_oneof![
        3 => Just(Deployed::Pending),
        3 => (1..6_u8).prop_map(|number| Deployed::Healthy(sha(number))),
        1 => (1..6_u8).prop_map(|number| Deployed::Failed(sha(number))),
        1 => Just(Deployed::Superseded(sha(9))),
    ];
    let holder = prop_oneof![
        40 => Just("octo.site.7.afk.1"),
        1 => Just("another"),
    ];
    let holder = holder.prop_map(|run| Holder { run: run.parse().unwrap(), fence: Fence(1) });
    let lock = prop_oneof![40 => holder.prop_map(Seen::Known), 2 => Just(Seen::unknown("down")), 1 => Just(Seen::Absent)];
    let room = (0..20_u64).prop_map(|dollars| Room { repo_day: Usd::dollars(dollars), total: Usd::ONE });
    let time = prop_oneof![8 => 0..120_000_u64, 1 => 0..8_000_000_u64];
    (mode(), room, lock, looked(view()), looked(session()), head, looked(ci), looked(deploy), time).prop_map(
        |(mode, room, lock, issue, session, head, ci, deploy, time)| {
            (Observation { mode, pending: false, room, lock, issue, session, head, ci, deploy }, time)
        },
    )
}

fn settings() -> impl Strategy<Value = Config> {
    (any::<bool>(), any::<bool>(), 0..4_u32).prop_map(|(rerun, deploy, fixes)| {
        let mut config = config();
        (config.ci_rerun, config.deploy, config.attempts.fixes) = (rerun, deploy, fixes);
        config
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_run_does_nothing_wrong_whatever_is_seen(
        config in settings(),
        sights in prop::collection::vec((observation(), any::<bool>()), 1..60),
    ) {
        let mut record = Record::new(row(State::Claimed));
        record.row.fence = None;
        let mut now = NOW;
        let mut delivered: Vec<(Effect, Option<claude_exec_afk::run::Outcome>)> = Vec::new();
        for ((mut seen, time), deliver) in sights {
            now = now + Duration::from_millis(time);
            seen.pending = record.is_pending();
            let before = record.row.clone();
            let (row, effects) = step(&before, &seen, &config, now);
            // P2, P8: nothing begins that the mode forbids, or that rests on nothing.
            for effect in &effects {
                match effect {
                    Effect::Start(_) => prop_assert_eq!(seen.mode, Mode::Run),
                    Effect::Turn(..) => prop_assert!(seen.mode.may_turn()),
                    Effect::Close(sha) => {
                        // P7: green for exactly this commit, which is where it was pushed.
                        prop_assert_eq!(Some(sha), row.green.as_ref());
                        prop_assert_eq!(Some(sha), row.pushed.as_ref());
                    }
                    _ => {}
                }
            }
            if let Some(outcome) = before.state.outcome() {
                // P10: one verdict.
                prop_assert_eq!(row.state.outcome(), Some(outcome));
            }
            if let (Some(_), true) = (row.state.outcome(), before.state.is_active() && row.starts > 0) {
                prop_assert!(effects.contains(&Effect::Stop));
            }
            // P4: one turn for a red commit, so many in all; P11: money never comes back.
            prop_assert!(row.fixes() <= config.attempts.fixes);
            let mut shas: Vec<_> = row.reds.iter().map(|red| &red.sha).collect();
            shas.sort();
            shas.dedup();
            prop_assert_eq!(shas.len(), row.reds.len());
            prop_assert!(row.turns <= config.attempts.turns + config.attempts.fixes);
            prop_assert!(row.spent >= before.spent);
            if row.spent >= config.budget.run {
                prop_assert!(!effects.iter().any(|effect| matches!(effect, Effect::Turn(..))) || row.turns == before.turns);
            }
            record = record.decided(row, effects);
            while let Some(effect) = record.next(now).filter(|_| deliver) {
                let fixes = matches!(&effect, Effect::Turn(_, TurnKind::Fix(_)));
                let again = delivered.iter().any(|(other, _)| *other == effect);
                if fixes && again {
                    // Asked for again only because it did not begin; never as another turn.
                    prop_assert_eq!(record.row.state, State::FixForward);
                }
                delivered.push((effect.clone(), record.row.state.outcome()));
                record = record.acknowledged(&effect);
            }
        }
        // P3: one bell.
        let bells = delivered.iter().filter(|(effect, _)| matches!(effect, Effect::Ring(_))).count();
        prop_assert!(bells <= 1);
        // The lock is last: nothing but a bell comes after it.
        if let Some(unlock) = delivered.iter().position(|(effect, _)| *effect == Effect::Unlock) {
            prop_assert!(delivered[unlock + 1..].iter().all(|(effect, _)| matches!(effect, Effect::Ring(_))));
        }
    }

    /// P8: blind for less than every deadline, nothing changes at all.
    #[test]
    fn p08_a_blind_step_changes_nothing(
        sights in prop::collection::vec(observation(), 1..30),
        config in settings(),
        seconds in 0..59_u64,
    ) {
        let mut row = row(State::Claimed);
        row.fence = None;
        let mut now = NOW;
        for (seen, _) in sights {
            row = step(&row, &seen, &config, now).0;
            let blind = Observation {
                mode: Mode::Run,
                pending: true,
                lock: Seen::unknown("down"),
                issue: Seen::unknown("down"),
                session: Seen::unknown("down"),
                head: Seen::unknown("down"),
                ci: Seen::unknown("down"),
                deploy: Seen::unknown("down"),
                ..seen
            };
            if row.paused.is_some() || row.spent >= config.budget.run {
                break;
            }
            let (after, effects) = step(&row, &blind, &config, now + Duration::from_secs(seconds));
            prop_assert_eq!(after.state, row.state);
            let again: Vec<_> = effects.iter().filter(|effect| effect.spends()).collect();
            prop_assert!(again.is_empty(), "{:?}", again);
            now = now + Duration::from_millis(1);
        }
    }

    /// P12: a wall clock that jumps about moves no deadline within a process, and none by more than a day over a
    /// restart.
    #[test]
    fn p12_f14_clock_jumps_move_no_deadline(
        jumps in prop::collection::vec((any::<u32>(), 0..10_000_u64, prop::bool::weighted(0.1)), 1..50),
    ) {
        let mut keeper = Timekeeper::new(1_000_000_000_000);
        let start = keeper.now();
        let (mut real, mut restarts) = (Duration::ZERO, 0_u32);
        let mut last = start;
        for (wall, elapsed, restart) in jumps {
            let elapsed = Duration::from_millis(elapsed);
            let now = keeper.advance(u64::from(wall) * 1000, (!restart).then_some(elapsed));
            prop_assert!(now >= last);
            last = now;
            real += elapsed;
            restarts += u32::from(restart);
            let most = real + claude_exec_afk::LEAP_LIMIT * restarts;
            prop_assert!(now.since(start) <= most);
            if restarts == 0 {
                prop_assert_eq!(now.since(start), real);
            }
        }
    }

    /// Two deployments and a lease, with clocks that agree on nothing but the length of a second: whoever took
    /// over never meets the other one at work.
    #[test]
    fn leases_never_overlap(
        holds in prop::collection::vec(any::<bool>(), 1..200),
        skew in 0..29_u64,
    ) {
        let config = config();
        let (lease, tick) = (config.patience.lease, config.patience.tick);
        let mut holder = row(State::Working);
        holder.renewed = NOW;
        // When the other deployment saw the lock change last, which is at its own next look.
        let mut unchanged_since = NOW;
        let mut now = NOW;
        for reachable in holds {
            now = now + tick;
            let mut seen = seen(&holder);
            if reachable {
                unchanged_since = now + Duration::from_secs(skew);
            } else {
                seen.lock = Seen::unknown("down");
            }
            holder = step(&holder, &seen, &config, now).0;
            let taken = (now + Duration::from_secs(skew)).since(unchanged_since) >= takeover_after(lease);
            prop_assert!(!taken || !holder.state.is_active(), "taken over while the holder works");
            if !holder.state.is_active() {
                prop_assert!(now.since(holder.renewed) >= lease - lease / 8);
                break;
            }
        }
    }

    /// A phone that loses every other ring: at least once, and at most one for each reminder.
    #[test]
    fn a_lossy_bell_rings_often_enough_and_not_more(acknowledged_at in 0..12_u32, waits in prop::collection::vec(0..20_000_u64, 12)) {
        let config = config();
        let mut row = row(State::Ended(claude_exec_afk::run::Outcome::Escalated(claude_exec_afk::run::Why::Asked)));
        row.bell = Some(claude_exec_afk::run::Bell { at: NOW, rings: 1, acknowledged: false });
        let (mut now, mut rings): (Now, u32) = (NOW, 1);
        for (look, wait) in (0..).zip(waits) {
            now = now + Duration::from_secs(wait);
            let acknowledged = Seen::Known(look >= acknowledged_at);
            let (after, effect) = remind(&row, &acknowledged, &config, now);
            rings += u32::from(effect.is_some());
            if look >= acknowledged_at {
                prop_assert_eq!(effect, None);
            }
            row = after;
        }
        prop_assert!(rings <= 1 + config.attempts.reminders);
    }
}
