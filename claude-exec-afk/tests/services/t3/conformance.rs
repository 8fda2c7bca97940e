//! The contract of [`Agent`], point by point, on both releases, in git workspaces and others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use claude_exec_afk::RunId;
use claude_exec_afk::adapter::{T3Agent, T3Settings};
use claude_exec_afk::port::{Accepted, Agent, Permit, Start, Task, Turn};
use claude_exec_afk::run::{Activity, Session};
use claude_exec_afk::{Seen, Usd};

use crate::t3::fake::{Fake, Play, TOKEN};
use crate::t3::schema::Release;

pub(crate) fn run(number: u32) -> RunId {
    format!("octo.site.7.home.{number}").parse().unwrap()
}

fn task(run: &RunId) -> Task {
    let (issue, branch) = ("octo/site#7".parse().unwrap(), "afk/issue-7".into());
    Task { run: run.clone(), issue, branch, budget: Usd::dollars(5) }
}

pub(crate) fn start(run: &RunId) -> Start {
    Start { task: task(run), preamble: "The rules.\n".into(), prompt: "Do what the issue says.".into() }
}

pub(crate) fn turn(run: &RunId, number: u32) -> Turn {
    Turn { task: task(run), number, preamble: "The rules.\n".into(), prompt: "Go on.".into() }
}

pub(crate) fn yes() -> Permit {
    Permit::fixed(true)
}

/// An agent as after a restart: it remembers nothing.
pub(crate) fn agent(fake: &Fake) -> T3Agent {
    let settings = T3Settings::with_token(fake.url(), TOKEN, "/srv/{}").unwrap();
    settings.with_poll(Duration::from_millis(1)).open().unwrap()
}

pub(crate) fn thread(run: &RunId) -> String {
    format!("afk-{run}")
}

/// Looks until `is` says so: with every look, a moment passes for the server.
pub(crate) async fn until(agent: &T3Agent, run: &RunId, is: impl Fn(&Session) -> bool) -> Session {
    for _ in 0..40 {
        if let Seen::Known(session) = agent.look(run).await
            && is(&session)
        {
            return session;
        }
    }
    panic!("not reached: {:?}", agent.look(run).await);
}

pub(crate) async fn until_over(agent: &T3Agent, run: &RunId) -> Session {
    until(agent, run, |session| session.activity != Activity::Busy).await
}

/// Each release, with and without git.
macro_rules! everywhere {
    ($name:ident, $test:ident) => {
        #[tokio::test]
        async fn $name() {
            for release in Release::ALL {
                for git in [true, false] {
                    let fake = Fake::start(release, git).await;
                    $test(&fake).await;
                    fake.judge();
                }
            }
        }
    };
}

everywhere!(contract_1_a_run_has_one_session_and_one_first_turn, one_session);
async fn one_session(fake: &Fake) {
    let (one, other, run) = (agent(fake), agent(fake), run(1));
    assert!(one.look(&run).await.is_absent(), "none, for certain");
    let start = start(&run);
    let (a, b) = tokio::join!(one.start(&start, yes()), other.start(&start, yes()));
    assert_eq!((a.unwrap(), b.unwrap()), (Accepted::Begun, Accepted::Begun));
    let done = until_over(&one, &run).await;
    assert_eq!((done.turns, done.activity, done.unpriced), (1, Activity::Idle, 1));
    assert!(done.work.known().is_some(), "a tool completed");
    assert_eq!(agent(fake).start(&start, yes()).await.unwrap(), Accepted::Begun, "a start that is repeated");
    until_over(&one, &run).await;
    let world = fake.world();
    assert_eq!(world.begun.len(), 1, "{:?}", world.begun);
    assert_eq!(world.threads.len(), 1);
    assert!(world.begun[0].1.starts_with("The rules.") && world.begun[0].1.contains("/srv/octo__site"));
}

everywhere!(contract_2_a_turn_has_a_number, numbered_turns);
async fn numbered_turns(fake: &Fake) {
    let (agent, run) = (agent(fake), run(1));
    assert_eq!(agent.start(&start(&run), yes()).await.unwrap(), Accepted::Begun);
    let busy = until(&agent, &run, |session| session.activity == Activity::Busy).await;
    assert_eq!((busy.turns, busy.unpriced), (1, 0));
    assert!(
        agent.turn(&turn(&run, 2), yes()).await.is_err_and(|error| error.is_transient()),
        "one at a time"
    );
    until_over(&agent, &run).await;
    for _ in 0..2 {
        assert_eq!(agent.turn(&turn(&run, 2), yes()).await.unwrap(), Accepted::Begun);
    }
    assert_eq!(until_over(&agent, &run).await.turns, 2);
    assert_eq!(agent.turn(&turn(&run, 2), yes()).await.unwrap(), Accepted::Begun);
    assert_eq!(agent.start(&start(&run), yes()).await.unwrap(), Accepted::Begun);
    assert_eq!(until_over(&agent, &run).await.turns, 2);
    // A process that is gone is resumed.
    fake.world().alive.clear();
    assert_eq!(agent.turn(&turn(&run, 3), yes()).await.unwrap(), Accepted::Begun);
    let last = until(&agent, &run, |session| session.turns == 3 && session.activity == Activity::Idle).await;
    assert_eq!(last.unpriced, 3);
    assert_eq!(fake.world().begun.len(), 3);
}

everywhere!(contract_3_the_permit_is_asked_last, permit);
async fn permit(fake: &Fake) {
    let (agent, run) = (agent(fake), run(1));
    assert_eq!(agent.start(&start(&run), Permit::fixed(false)).await.unwrap(), Accepted::Refused);
    assert!(agent.look(&run).await.is_absent());
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let permit = Permit::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(true))
    });
    assert_eq!(agent.start(&start(&run), permit.clone()).await.unwrap(), Accepted::Begun);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    until_over(&agent, &run).await;
    assert_eq!(agent.turn(&turn(&run, 2), Permit::fixed(false)).await.unwrap(), Accepted::Refused);
    assert_eq!(until_over(&agent, &run).await.turns, 1);
    assert_eq!(fake.world().begun.len(), 1);
}

everywhere!(contract_4_a_stop_is_final, stop);
async fn stop(fake: &Fake) {
    for (number, after) in [(1, 0), (2, 1), (3, 2), (4, 3), (5, 12)] {
        fake.world().plays = [Play::Hangs].into();
        if after == 12 {
            fake.world().plays.clear();
        }
        let (agent, run) = (agent(fake), run(number));
        assert_eq!(agent.start(&start(&run), yes()).await.unwrap(), Accepted::Begun);
        (0..after).for_each(|_| fake.world().pass());
        agent.stop(&run).await.unwrap();
        (0..12).for_each(|_| fake.world().pass());
        assert!(fake.world().alive.is_empty(), "stopped after {after}: {:?}", fake.world().alive);
        stays_stopped(fake, &agent, &run).await;
    }
    // One that never began.
    let (agent, run) = (agent(fake), run(6));
    agent.stop(&run).await.unwrap();
    stays_stopped(fake, &agent, &run).await;
}

async fn stays_stopped(fake: &Fake, known: &T3Agent, run: &RunId) {
    let begun = fake.world().begun.len();
    known.stop(run).await.unwrap();
    for agent in [known, &agent(fake)] {
        assert_eq!(agent.start(&start(run), yes()).await.unwrap(), Accepted::Refused);
        assert_eq!(agent.turn(&turn(run, 2), yes()).await.unwrap(), Accepted::Refused);
        assert!(agent.look(run).await.is_absent());
        agent.stop(run).await.unwrap();
    }
    (0..6).for_each(|_| fake.world().pass());
    assert_eq!(fake.world().begun.len(), begun);
}

everywhere!(contract_4_a_stop_meets_a_start_under_way, stop_and_start);
async fn stop_and_start(fake: &Fake) {
    let (agent, run) = (agent(fake), run(1));
    let start = start(&run);
    let (started, stopped) = tokio::join!(agent.start(&start, yes()), agent.stop(&run));
    let _either = started.unwrap();
    stopped.unwrap();
    (0..12).for_each(|_| fake.world().pass());
    assert!(fake.world().alive.is_empty());
    stays_stopped(fake, &agent, &run).await;
}

everywhere!(contract_5_an_interrupt_is_not_a_stop, interrupt);
async fn interrupt(fake: &Fake) {
    fake.world().plays = [Play::Hangs].into();
    let (agent, run) = (agent(fake), run(1));
    agent.interrupt(&run, 1).await.unwrap();
    assert_eq!(agent.start(&start(&run), yes()).await.unwrap(), Accepted::Begun);
    (0..4).for_each(|_| fake.world().pass());
    agent.interrupt(&run, 0).await.unwrap();
    assert_eq!(fake.world().thread(&thread(&run)).unwrap()["session"]["status"], "running", "not that turn");
    agent.interrupt(&run, 1).await.unwrap();
    let over = until_over(&agent, &run).await;
    assert_eq!(over.turns, 1);
    assert!(matches!(over.activity, Activity::Failed | Activity::Idle), "{over:?}");
    agent.interrupt(&run, 1).await.unwrap();
    assert_eq!(agent.turn(&turn(&run, 2), yes()).await.unwrap(), Accepted::Begun);
    let done = until(&agent, &run, |session| session.turns == 2 && session.activity != Activity::Busy).await;
    assert_eq!(done.activity, Activity::Idle);
}

everywhere!(contract_6_no_secret_reaches_an_agent, no_secret);
async fn no_secret(fake: &Fake) {
    let (agent, run) = (agent(fake), run(1));
    assert_eq!(agent.start(&start(&run), yes()).await.unwrap(), Accepted::Begun);
    until_over(&agent, &run).await;
    let world = fake.world();
    let all = format!("{:?} {:?}", world.threads, world.projects);
    assert!(!all.contains(TOKEN), "{all}");
    assert!(!format!("{agent:?}").contains(TOKEN));
}

everywhere!(every_way_in_which_a_turn_ends_is_told, ends);
async fn ends(fake: &Fake) {
    for (number, play, activity) in [
        (1, Play::Works, Activity::Idle),
        (2, Play::Fails, Activity::Failed),
        (3, Play::CannotStart, Activity::Failed),
        (4, Play::Asks, Activity::Asking),
        (5, Play::Limited, Activity::Failed),
    ] {
        fake.world().plays = [play].into();
        let (agent, run) = (agent(fake), run(number));
        assert_eq!(agent.start(&start(&run), yes()).await.unwrap(), Accepted::Begun);
        let session = until_over(&agent, &run).await;
        assert_eq!((session.turns, session.activity), (1, activity), "{play:?}");
        agent.stop(&run).await.unwrap();
    }
    assert_eq!(fake.world().projects.len(), 1, "one project for the repository");
}
