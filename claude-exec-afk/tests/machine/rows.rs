//! The machine, decision by decision. Each test is named by the failure, or the fault of the original, it is for.

use std::time::Duration;

use claude_exec_afk::issue::{IssueState, Permission};
use claude_exec_afk::run::{
    Activity, CiRun, Deployed, Effect, Head, Holder, Mode, Observation, Outcome, Ring, Row, State, TurnKind,
    Verdict, Why, step,
};
use claude_exec_afk::{Config, Digest, Fence, Seen, Usd};

use crate::scene::{NOW, ci, config, red, row, seen, session, sha};

/// The state that follows.
fn after(row: &Row, change: impl FnOnce(&mut Observation)) -> State {
    decide(row, &config(), Duration::ZERO, change).0.state
}

fn decide(
    row: &Row,
    config: &Config,
    later: Duration,
    change: impl FnOnce(&mut Observation),
) -> (Row, Vec<Effect>) {
    let mut seen = seen(row);
    change(&mut seen);
    step(row, &seen, config, NOW + later)
}

fn issue(seen: &mut Observation) -> &mut claude_exec_afk::run::IssueView {
    match &mut seen.issue {
        Seen::Known(view) => view,
        _ => unreachable!("it is known in these tests"),
    }
}

fn closing(outcome: Outcome) -> State {
    State::Closing(outcome)
}

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn the_lock_decides_and_the_loser_says_nothing() {
    let claimed = row(State::Claimed);
    let (row, effects) = decide(&claimed, &config(), Duration::ZERO, |_| {});
    assert_eq!((row.state, row.fence), (State::Starting, Some(Fence(1))));
    assert_eq!(effects, [Effect::Start(1), Effect::Mark, Effect::Comment]);
    let theirs = Holder { run: "other".parse().unwrap(), fence: Fence(9) };
    let (row, effects) = decide(&claimed, &config(), Duration::ZERO, |seen| seen.lock = Seen::Known(theirs));
    assert_eq!((row.state, effects), (State::Ended(Outcome::Cancelled(Why::LostRace)), vec![]));
    let (row, effects) = decide(&claimed, &config(), Duration::ZERO, |seen| seen.lock = Seen::Absent);
    assert_eq!((row.state, effects), (State::Claimed, vec![Effect::Lock]));
}

#[test]
fn f06_f05_what_is_unknown_starts_nothing() {
    let claimed = row(State::Claimed);
    for change in
        [(|seen: &mut Observation| seen.lock = Seen::unknown("down")) as fn(&mut Observation), |seen| {
            seen.issue = Seen::unknown("down")
        }]
    {
        let (row, effects) = decide(&claimed, &config(), Duration::ZERO, change);
        assert!(row.state == State::Claimed && effects.is_empty(), "{row:?}");
    }
}

#[test]
fn a_start_is_sent_again_and_then_given_up() {
    let starting = row(State::Starting);
    let gone = |seen: &mut Observation| seen.session = Seen::Absent;
    let (again, effects) = decide(&starting, &config(), Duration::from_secs(300), gone);
    assert_eq!((again.starts, effects), (2, vec![Effect::Start(2)]));
    let mut third = starting.clone();
    third.starts = 3;
    assert_eq!(decide(&third, &config(), Duration::from_secs(1199), gone).0.state, State::Starting);
    let state = decide(&third, &config(), Duration::from_secs(1200), gone).0.state;
    assert_eq!(state, closing(Outcome::Escalated(Why::NoStart)));
}

#[test]
fn c16_f11_every_way_a_session_can_be_is_understood() {
    let working = row(State::Working);
    let escalated = |why| closing(Outcome::Escalated(why));
    assert_eq!(after(&working, |_| {}), State::Working);
    assert_eq!(after(&working, |seen| seen.session = session(1, Activity::Asking)), escalated(Why::Asked));
    let quiet = |seconds| {
        move |seen: &mut Observation| {
            if let Seen::Known(session) = &mut seen.session {
                session.quiet_seconds = seconds;
            }
        }
    };
    assert_eq!(after(&working, quiet(1799)), State::Working, "a long test run is no stall");
    assert_eq!(after(&working, quiet(1800)), escalated(Why::Stalled));
    assert_eq!(after(&working, |seen| seen.session = Seen::unknown("down")), State::Working);
    for over in [session(1, Activity::Idle), session(1, Activity::Failed), Seen::Absent] {
        let (row, effects) = decide(&working, &config(), Duration::ZERO, |seen| seen.session = over);
        assert_eq!((row.state, row.turns), (State::Working, 2));
        assert_eq!(effects, [Effect::Turn(2, TurnKind::Continue)]);
    }
}

#[test]
fn a_turn_without_progress_is_the_last() {
    let mut working = row(State::Working);
    working.work = Some(Digest::of("work", "1"));
    let idle = |seen: &mut Observation| seen.session = session(1, Activity::Idle);
    assert_eq!(after(&working, idle), closing(Outcome::Escalated(Why::NoPush)));
    // Whether something was pushed must be known first.
    let blind = |seen: &mut Observation| {
        seen.session = session(1, Activity::Idle);
        seen.head = Seen::unknown("down");
    };
    assert_eq!(after(&working, blind), State::Working);
    working.work = None;
    working.turns = 4;
    let idle = |seen: &mut Observation| seen.session = session(4, Activity::Idle);
    assert_eq!(after(&working, idle), closing(Outcome::Escalated(Why::NoPush)));
}

#[test]
fn p7_only_the_pushed_commit_counts() {
    let waiting = row(State::CiWait);
    assert_eq!(after(&waiting, |seen| seen.ci = ci(&waiting, Verdict::Green)), closing(Outcome::Done));
    let other = CiRun { sha: sha(9), attempt: 1, verdict: Verdict::Green };
    assert_eq!(after(&waiting, |seen| seen.ci = Seen::Known(other)), State::CiWait);
    let newer = |seen: &mut Observation| {
        seen.ci = ci(&waiting, Verdict::Green);
        seen.head = Seen::Known(Head::Pushed(sha(2)));
    };
    let (row, _) = decide(&waiting, &config(), Duration::ZERO, newer);
    assert_eq!((row.state, row.pushed, row.green), (State::CiWait, Some(sha(2)), None));
    let gone = |seen: &mut Observation| {
        seen.ci = ci(&waiting, Verdict::Green);
        seen.head = Seen::unknown("down");
    };
    assert_eq!(after(&waiting, gone), State::CiWait, "it may be gone");
}

#[test]
fn b04_f09_t07_ci_that_never_starts_or_never_ends_is_an_end() {
    let waiting = row(State::CiWait);
    let stuck = closing(Outcome::Frozen(Why::CiStuck));
    let at = |seconds, ci: Seen<CiRun>| {
        decide(&waiting, &config(), Duration::from_secs(seconds), |seen| seen.ci = ci).0.state
    };
    assert_eq!(at(599, Seen::Absent), State::CiWait);
    assert_eq!(at(600, Seen::Absent), stuck);
    assert_eq!(at(3599, ci(&waiting, Verdict::Pending)), State::CiWait);
    assert_eq!(at(3600, ci(&waiting, Verdict::Pending)), stuck);
    assert_eq!(at(3599, Seen::unknown("down")), State::CiWait);
    assert_eq!(at(3600, Seen::unknown("down")), stuck);
    let blocked = after(&waiting, |seen| seen.ci = ci(&waiting, Verdict::Blocked));
    assert_eq!(blocked, closing(Outcome::Frozen(Why::CiBlocked)));
}

#[test]
fn a_session_that_ended_does_not_end_the_wait_for_ci() {
    let waiting = row(State::CiWait);
    for over in [session(1, Activity::Idle), session(1, Activity::Failed), Seen::Absent] {
        assert_eq!(after(&waiting, |seen| seen.session = over), State::CiWait);
    }
}

#[test]
fn f08_red_runs_again_once_before_an_agent_does() {
    let waiting = row(State::CiWait);
    let red = Verdict::Red { failure: None, rerunnable: true };
    let (again, effects) =
        decide(&waiting, &config(), Duration::ZERO, |seen| seen.ci = ci(&waiting, red.clone()));
    assert_eq!(again.state, State::Rerunning);
    assert_eq!(effects, [Effect::Rerun(sha(1), 1), Effect::Comment]);
    // The same attempt, still red: it has not run again yet.
    let same = decide(&again, &config(), Duration::ZERO, |seen| seen.ci = ci(&waiting, red.clone())).0;
    assert_eq!(same.state, State::Rerunning);
    let second = |verdict| Seen::Known(CiRun { sha: sha(1), attempt: 2, verdict });
    let (flake, _) = decide(&again, &config(), Duration::ZERO, |seen| seen.ci = second(Verdict::Green));
    assert_eq!((flake.state, flake.flakes), (closing(Outcome::Done), 1));
    let confirmed = |seen: &mut Observation| {
        seen.ci = second(red);
        seen.session = session(1, Activity::Idle);
    };
    assert_eq!(decide(&again, &config(), Duration::ZERO, confirmed).0.state, State::FixForward);
}

#[test]
fn c13_b03_b11_one_turn_for_a_red_commit_in_the_same_session_when_it_is_idle() {
    let waiting = row(State::CiWait);
    let busy = decide(&waiting, &config(), Duration::ZERO, |seen| seen.ci = ci(&waiting, red(1)));
    assert_eq!((busy.0.state, busy.1), (State::CiWait, vec![]), "it may be fixing it already");
    let idle = |seen: &mut Observation| {
        seen.ci = ci(&waiting, red(1));
        seen.session = session(1, Activity::Idle);
    };
    let (fixing, effects) = decide(&waiting, &config(), Duration::ZERO, idle);
    assert_eq!((fixing.state, fixing.fixes()), (State::FixForward, 1));
    assert_eq!(effects, [Effect::Turn(2, TurnKind::Fix(sha(1))), Effect::Comment]);
    // The next ticks see the same red commit: nothing more.
    let (still, effects) = decide(&fixing, &config(), Duration::ZERO, |seen| seen.ci = ci(&waiting, red(1)));
    assert_eq!((still.state, effects), (State::FixForward, vec![]));
    // A new commit is waited for as the first one was, and its green is seen.
    let (pushed, _) =
        decide(&fixing, &config(), Duration::ZERO, |seen| seen.head = Seen::Known(Head::Pushed(sha(2))));
    assert_eq!((pushed.state, pushed.pushed.clone()), (State::CiWait, Some(sha(2))));
    assert_eq!(after(&pushed, |seen| seen.ci = ci(&pushed, Verdict::Green)), closing(Outcome::Done));
    // The turn is over and pushed nothing.
    let over = |seen: &mut Observation| seen.session = session(2, Activity::Idle);
    assert_eq!(after(&fixing, over), closing(Outcome::Frozen(Why::NoFix)));
}

/// One red commit after another: what decides, in the original's bounds.
#[test]
fn the_bounds_of_fixing() {
    let waiting = |reds: u8| {
        let mut row = row(State::CiWait);
        row.pushed = Some(sha(reds + 1));
        row.turns = u32::from(reds) + 1;
        row.red_since = Some(NOW);
        row.reds = (1..=reds)
            .map(|number| claude_exec_afk::run::Red {
                sha: sha(number),
                attempt: 1,
                failure: Some(Digest::of("failure", &number.to_string())),
                rerun: false,
                fixed: true,
            })
            .collect();
        row
    };
    let at = |reds: u8, seconds: u64, failure: u8| {
        let row = waiting(reds);
        let idle = |seen: &mut Observation| {
            seen.ci = ci(&row, red(failure));
            seen.session = session(row.turns, Activity::Idle);
        };
        decide(&row, &config(), Duration::from_secs(seconds), idle).0.state
    };
    assert_eq!(at(4, 3599, 99), State::FixForward);
    assert_eq!(at(5, 3599, 99), closing(Outcome::Frozen(Why::FixAttempts)));
    assert_eq!(at(4, 3600, 99), closing(Outcome::Frozen(Why::FixTime)));
    assert_eq!(at(4, 0, 2), closing(Outcome::Frozen(Why::SameFailure)), "F24");
}

#[test]
fn f23_b10_money_ends_a_run_and_an_unknown_price_is_the_highest() {
    let working = row(State::Working);
    let spent = |spent, unpriced| {
        move |seen: &mut Observation| {
            if let Seen::Known(session) = &mut seen.session {
                (session.spent, session.unpriced) = (spent, unpriced);
            }
        }
    };
    assert_eq!(after(&working, spent(Usd::dollars(99), 0)), State::Working);
    assert_eq!(after(&working, spent(Usd::dollars(100), 0)), closing(Outcome::Escalated(Why::Budget)));
    assert_eq!(after(&working, spent(Usd::ZERO, 4)), State::Working);
    assert_eq!(
        after(&working, spent(Usd::ZERO, 5)),
        closing(Outcome::Escalated(Why::Budget)),
        "5 turns of 20"
    );
    let broke = |seen: &mut Observation| {
        seen.session = session(1, Activity::Idle);
        seen.room.repo_day = Usd::ZERO;
    };
    assert_eq!(after(&working, broke), closing(Outcome::Escalated(Why::Budget)));
}

#[test]
fn c15_b08_f22_nothing_is_fixed_while_halted_or_off_the_list() {
    let waiting = row(State::CiWait);
    let red = |mode| {
        let waiting = &waiting;
        move |seen: &mut Observation| {
            seen.mode = mode;
            seen.ci = ci(waiting, red(1));
            seen.session = session(1, Activity::Idle);
        }
    };
    let halted = closing(Outcome::Frozen(Why::Halted));
    assert_eq!(after(&waiting, red(Mode::Halt)), halted);
    assert_eq!(after(&waiting, red(Mode::Pause)), State::CiWait);
    assert_eq!(after(&waiting, red(Mode::Drain)), State::FixForward);
    let mut off = config();
    off.allowlist.clear();
    assert_eq!(decide(&waiting, &off, Duration::ZERO, red(Mode::Run)).0.state, halted);
    let mut off = config();
    off.kill_switch = true;
    assert_eq!(decide(&waiting, &off, Duration::ZERO, red(Mode::Run)).0.state, halted);
    // What has pushed nothing is given up; what waits for a verdict is watched, without its session.
    let halt = |seen: &mut Observation| seen.mode = Mode::Halt;
    assert_eq!(after(&row(State::Working), halt), closing(Outcome::Cancelled(Why::Halted)));
    let (watched, effects) = decide(&waiting, &config(), Duration::ZERO, halt);
    assert_eq!((watched.state, effects), (State::CiWait, vec![Effect::Interrupt(1)]));
    let green = |seen: &mut Observation| {
        seen.mode = Mode::Halt;
        seen.ci = ci(&waiting, Verdict::Green);
    };
    assert_eq!(after(&watched, green), closing(Outcome::Done));
}

#[test]
fn f15_f16_people_can_stop_a_run() {
    let working = row(State::Working);
    let cancelled = |why| closing(Outcome::Cancelled(why));
    assert_eq!(
        after(&working, |seen| issue(seen).state = IssueState::ClosedByPerson),
        cancelled(Why::ClosedByPerson)
    );
    assert_eq!(after(&working, |seen| seen.issue = Seen::Absent), cancelled(Why::ClosedByPerson));
    assert_eq!(after(&working, |seen| issue(seen).ready = false), cancelled(Why::Unready));
    assert_eq!(after(&working, |seen| issue(seen).human = true), cancelled(Why::HandedOver));
    assert_eq!(after(&working, |seen| seen.issue = Seen::unknown("down")), State::Working);
    // After the push it is finished, unless someone takes it over.
    let waiting = row(State::CiWait);
    assert_eq!(after(&waiting, |seen| issue(seen).ready = false), State::CiWait);
    assert_eq!(after(&waiting, |seen| issue(seen).state = IssueState::ClosedByCommit), State::CiWait);
    assert_eq!(after(&waiting, |seen| issue(seen).human = true), cancelled(Why::HandedOver));
    // Whether it was pushed must be known before anything is given up; the session stops all the same.
    let blind = |seen: &mut Observation| {
        issue(seen).human = true;
        seen.head = Seen::unknown("down");
    };
    let (row, effects) = decide(&working, &config(), Duration::ZERO, blind);
    assert_eq!((row.state, effects), (State::Working, vec![Effect::Interrupt(1)]));
}

#[test]
fn f16_the_in_progress_label_is_put_back_once() {
    let mut working = row(State::Working);
    working.marked = true;
    let off = |seen: &mut Observation| issue(seen).marked = false;
    let (once, effects) = decide(&working, &config(), Duration::ZERO, off);
    assert_eq!((once.state, once.unmarked, effects), (State::Working, 1, vec![Effect::Mark]));
    let (back, _) = decide(&once, &config(), Duration::ZERO, |_| {});
    assert_eq!(after(&back, off), closing(Outcome::Cancelled(Why::Unmarked)));
}

#[test]
fn f17_a_text_that_changed_is_the_same_only_from_trusted_hands() {
    let working = row(State::Working);
    let new = Digest::of("title", "new body");
    let edited = |editor: Seen<Permission>| {
        let new = new.clone();
        move |seen: &mut Observation| {
            issue(seen).text = Seen::Known(new);
            issue(seen).editor = editor;
        }
    };
    let (trusted, _) = decide(&working, &config(), Duration::ZERO, edited(Seen::Known(Permission::Write)));
    assert_eq!((trusted.state, &trusted.text), (State::Working, &new));
    let stop = closing(Outcome::Escalated(Why::Edited));
    assert_eq!(after(&working, edited(Seen::Known(Permission::Read))), stop);
    assert_eq!(
        after(&working, edited(Seen::unknown("403"))),
        State::Working,
        "it was given what was trusted"
    );
}

#[test]
fn f19_f20_a_branch_that_others_changed_is_theirs() {
    for head in [Head::Diverged, Head::Foreign] {
        for state in [State::Working, State::CiWait, State::FixForward, State::DeployWait] {
            let taken = after(&row(state), |seen| seen.head = Seen::Known(head.clone()));
            assert_eq!(taken, closing(Outcome::Frozen(Why::TakenOver)), "{state:?}");
        }
    }
}

#[test]
fn f10_done_means_deployed_where_that_is_watched() {
    let mut config = config();
    config.deploy = true;
    let waiting = row(State::CiWait);
    let (deploying, effects) =
        decide(&waiting, &config, Duration::ZERO, |seen| seen.ci = ci(&waiting, Verdict::Green));
    assert_eq!(
        (deploying.state, effects),
        (State::DeployWait, vec![Effect::Deploy(sha(1)), Effect::Comment])
    );
    let at = |row: &Row, seconds, deploy: Seen<Deployed>| {
        let idle = |seen: &mut Observation| {
            seen.deploy = deploy;
            seen.session = session(1, Activity::Idle);
        };
        decide(row, &config, Duration::from_secs(seconds), idle).0
    };
    let stuck = closing(Outcome::Frozen(Why::DeployStuck));
    assert_eq!(at(&deploying, 1799, Seen::Known(Deployed::Pending)).state, State::DeployWait);
    assert_eq!(at(&deploying, 1800, Seen::Known(Deployed::Pending)).state, stuck);
    assert_eq!(at(&deploying, 1799, Seen::Known(Deployed::Healthy(sha(9)))).state, State::DeployWait);
    assert_eq!(
        at(&deploying, 0, Seen::Known(Deployed::Superseded(sha(9)))).state,
        closing(Outcome::Superseded)
    );
    assert_eq!(at(&deploying, 0, Seen::Known(Deployed::Failed(sha(1)))).state, State::FixForward);
    let soaking = at(&deploying, 0, Seen::Known(Deployed::Healthy(sha(1))));
    assert_eq!((soaking.state, soaking.deployed.clone()), (State::Soaking, Some(sha(1))));
    assert_eq!(at(&soaking, 59, Seen::Known(Deployed::Healthy(sha(1)))).state, State::Soaking);
    assert_eq!(at(&soaking, 60, Seen::Known(Deployed::Healthy(sha(1)))).state, closing(Outcome::Done));
    assert_eq!(at(&soaking, 60, Seen::Known(Deployed::Failed(sha(1)))).state, State::FixForward);
}

#[test]
fn f12_p6_whoever_lost_the_lock_touches_nothing_but_its_own_session() {
    let newer = |row: &Row| Holder { run: row.run.clone(), fence: Fence(2) };
    let other = |_: &Row| Holder { run: "other".parse().unwrap(), fence: Fence(2) };
    for state in [State::Starting, State::Working, State::CiWait, State::FixForward] {
        let held = row(state);
        for lock in [Seen::Absent, Seen::Known(newer(&held)), Seen::Known(other(&held))] {
            let (lost, effects) = decide(&held, &config(), Duration::ZERO, |seen| seen.lock = lock);
            assert_eq!(lost.state, closing(Outcome::Cancelled(Why::LostLock)));
            assert_eq!(effects, [Effect::Stop]);
            assert!(!Effect::Label.is_wanted(&lost) && !Effect::Comment.is_wanted(&lost));
        }
        // Unknown: until others may take it over, and not longer.
        let blind = |seen: &mut Observation| seen.lock = Seen::unknown("down");
        assert_eq!(decide(&held, &config(), Duration::from_secs(899), blind).0.state.outcome(), None);
        let state = decide(&held, &config(), Duration::from_secs(900), blind).0.state;
        assert_eq!(state, closing(Outcome::Cancelled(Why::LostLock)));
    }
}

#[test]
fn p10_a_verdict_is_final() {
    for outcome in [Outcome::Done, Outcome::Frozen(Why::NoFix), Outcome::Escalated(Why::Stalled)] {
        let over = row(State::Closing(outcome));
        let changes: [fn(&mut Observation); 4] = [
            |seen| seen.pending = true,
            |seen| (seen.pending, seen.mode) = (true, Mode::Halt),
            |seen| (seen.pending, seen.head) = (true, Seen::Known(Head::Diverged)),
            |seen| (seen.pending, seen.issue) = (true, Seen::Absent),
        ];
        for change in changes {
            assert_eq!(decide(&over, &config(), DAY, change).0.state, State::Closing(outcome));
        }
        assert_eq!(after(&over, |_| {}), State::Ended(outcome));
        let ended = row(State::Ended(outcome));
        assert_eq!(decide(&ended, &config(), DAY, |seen| seen.mode = Mode::Halt), (ended, vec![]));
    }
}

#[test]
fn what_follows_from_a_verdict_comes_in_order_and_the_lock_last() {
    let waiting = row(State::CiWait);
    let (row, effects) =
        decide(&waiting, &config(), Duration::ZERO, |seen| seen.ci = ci(&waiting, Verdict::Green));
    let mut record = claude_exec_afk::run::Record::new(waiting).decided(row, effects);
    let mut order = Vec::new();
    while let Some(effect) = record.next(NOW) {
        record = record.acknowledged(&effect);
        order.push(effect);
    }
    let close = Effect::Close(sha(1));
    assert_eq!(
        order,
        [Effect::Stop, Effect::Comment, Effect::Ring(Ring(0)), Effect::Label, close, Effect::Unlock]
    );
}

#[test]
fn f07_an_effect_that_fails_waits_as_long_as_it_is_told() {
    use claude_exec_afk::Error;
    use claude_exec_afk::run::Delivery;
    let mut delivery = Delivery::default();
    let limited = Error::unavailable("the tracker", "secondary rate limit", Some(Duration::from_secs(77)));
    assert!(!delivery.failed(&Effect::Label, &limited, NOW));
    assert_eq!(delivery.not_before, NOW + Duration::from_secs(77));
    // Unanswered is tried for ever, refused three times; a session that may live is never given up.
    let refused = Error::refused("the tracker", "422");
    for _ in 0..50 {
        assert!(!delivery.failed(&Effect::Label, &limited, NOW));
    }
    assert_eq!([0; 3].map(|_| delivery.failed(&Effect::Label, &refused, NOW)), [false, false, true]);
    let mut delivery = Delivery::default();
    assert!((0..50).all(|_| !delivery.failed(&Effect::Stop, &refused, NOW)));
    assert_eq!(delivery.not_before, NOW + Duration::from_secs(600), "ten minutes at most");
}

#[test]
fn c19_evidence_alone_ticks_a_phase() {
    let working = row(State::Working);
    let proof = |command: &str, exit| claude_exec_afk::run::Proof {
        command: command.into(),
        exit,
        log: Digest::of("log", ""),
    };
    let with = |red, green| {
        move |seen: &mut Observation| {
            if let Seen::Known(session) = &mut seen.session {
                (session.evidence.red, session.evidence.green) = (red, green);
            }
        }
    };
    let green_only = decide(&working, &config(), Duration::ZERO, with(None, Some(proof("t", 0)))).0;
    assert_eq!(green_only.evidence.green, None, "never seen to fail");
    let passed = decide(&working, &config(), Duration::ZERO, with(Some(proof("t", 0)), None)).0;
    assert_eq!(passed.evidence.red, None, "it passed");
    let red = decide(&working, &config(), Duration::ZERO, with(Some(proof("t", 101)), None)).0;
    assert_eq!(red.evidence.red, Some(proof("t", 101)));
    let other = decide(&red, &config(), Duration::ZERO, with(None, Some(proof("u", 0)))).0;
    assert_eq!(other.evidence.green, None, "another test");
    let green = decide(&red, &config(), Duration::ZERO, with(None, Some(proof("t", 0)))).0;
    assert_eq!(green.evidence.green, Some(proof("t", 0)));
    let (pushed, _) =
        decide(&working, &config(), Duration::ZERO, |seen| seen.head = Seen::Known(Head::Pushed(sha(1))));
    assert!(pushed.unproven && pushed.state == State::CiWait);
    let (pushed, _) =
        decide(&green, &config(), Duration::ZERO, |seen| seen.head = Seen::Known(Head::Pushed(sha(1))));
    assert!(!pushed.unproven);
}
