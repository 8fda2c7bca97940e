//! The pool over a scripted CLI: what processes there are, whose they are, and that none is left.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use claude_exec::brain::live::TurnOptions;
use claude_exec::brain::pool::{Claimed, Eviction, Origin, Pool};
use claude_exec::executor::{Answer, Command, Control, Executor, Process, Scripted, ScriptedCli, Stop};
use claude_exec::invocation::{Deadlines, SessionChoice};
use claude_exec::protocol::{Event, SessionId};
use claude_exec::{Error, Invocation, Result};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};

/// Counts the processes of a scripted CLI, and says what each holds.
#[derive(Clone)]
struct Counted {
    cli: ScriptedCli,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    started: AtomicUsize,
    alive: AtomicUsize,
    most: AtomicUsize,
    memory: Mutex<Option<u64>>,
    controls: Mutex<Vec<Arc<dyn Control>>>,
}

impl Counted {
    fn new(cli: ScriptedCli) -> Self {
        Self { cli, counts: Arc::default() }
    }

    fn alive(&self) -> usize {
        self.counts.alive.load(Ordering::SeqCst)
    }

    fn started(&self) -> usize {
        self.counts.started.load(Ordering::SeqCst)
    }

    /// Kills the processes that there are.
    fn kill_all(&self) {
        for control in self.counts.controls.lock().unwrap().drain(..) {
            control.stop(Stop::Now);
        }
    }
}

struct Alive(Arc<Counts>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Measured(Arc<dyn Control>, Arc<Counts>);

impl Control for Measured {
    fn write(&self, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.0.write(data)
    }

    fn close_stdin(&self) {
        self.0.close_stdin();
    }

    fn stop(&self, how: Stop) {
        self.0.stop(how);
    }

    fn memory(&self) -> Option<u64> {
        *self.1.memory.lock().unwrap()
    }
}

impl Executor for Counted {
    fn start(&self, command: Command) -> BoxFuture<'_, Result<Process>> {
        async move {
            let process = self.cli.start(command).await?;
            self.counts.started.fetch_add(1, Ordering::SeqCst);
            let alive = self.counts.alive.fetch_add(1, Ordering::SeqCst) + 1;
            self.counts.most.fetch_max(alive, Ordering::SeqCst);
            self.counts.controls.lock().unwrap().push(Arc::clone(&process.control));
            let guard = Alive(Arc::clone(&self.counts));
            let output = process.output.map(move |frame| {
                let _alive = &guard;
                frame
            });
            let control = Arc::new(Measured(process.control, Arc::clone(&self.counts)));
            Ok(Process { output: output.boxed(), control })
        }
        .boxed()
    }
}

fn new() -> Invocation {
    Invocation::conversational("").session(SessionChoice::New)
}

fn resume(id: &SessionId) -> Invocation {
    new().session(SessionChoice::Resume(id.clone()))
}

/// A turn, after which the session waits for the next one.
async fn say(claimed: Claimed, text: &str) -> String {
    let (live, place) = claimed.into_parts();
    let (outcome, live) = live.say(text, &TurnOptions::new()).finish().await;
    place.give_back(live.unwrap());
    outcome.unwrap().text
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("waited in vain until {what}");
}

#[tokio::test(start_paused = true)]
async fn a_conversation_finds_its_process_and_goes_on_without_it() {
    let cli = ScriptedCli::new(|said| Answer::text(&format!("{} before", said.history.len())));
    let pool = Pool::builder(cli).build().unwrap();
    let claimed = pool.claim(&new()).await.unwrap();
    assert_eq!(claimed.origin(), Origin::Cold);
    let id = claimed.session_id().unwrap().clone();
    assert_eq!(say(claimed, "a").await, "0 before");
    let claimed = pool.claim(&resume(&id)).await.unwrap();
    assert_eq!(claimed.origin(), Origin::Live);
    assert_eq!(say(claimed, "b").await, "2 before");
    assert!(pool.evict(&id) && !pool.evict(&id));
    let claimed = pool.claim(&resume(&id)).await.unwrap();
    assert_eq!(claimed.origin(), Origin::Resumed);
    assert_eq!(say(claimed, "c").await, "4 before");
    let claims = pool.stats().claims;
    assert_eq!((claims.live, claims.spare, claims.cold, claims.resumed), (1, 0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_third_conversation_gets_a_spare_with_its_own_system_prompt() {
    let cli = ScriptedCli::new(|said| Answer::text(said.system_prompt.as_deref().unwrap_or("none")));
    let pool = Pool::builder(cli).build().unwrap();
    for _ in 0..2 {
        say(pool.claim(&new()).await.unwrap(), "a").await;
    }
    until("there is a spare", || pool.stats().spares == 1).await;
    let claimed = pool.claim(&new().system_prompt("Be brief.")).await.unwrap();
    assert_eq!(claimed.origin(), Origin::Spare);
    assert_eq!(say(claimed, "b").await, "Be brief.");
    until("there is another", || pool.stats().spares == 1).await;
    let claimed = pool.claim(&new().model("opus")).await.unwrap();
    assert_eq!(claimed.origin(), Origin::Cold, "another model needs another process");
}

#[tokio::test(start_paused = true)]
async fn what_is_expected_is_warm_for_the_first_who_asks() {
    let pool = Pool::builder(ScriptedCli::echo()).build().unwrap();
    pool.expect(&new()).unwrap();
    until("there is a spare", || pool.stats().spares == 1).await;
    assert_eq!(pool.claim(&new()).await.unwrap().origin(), Origin::Spare);
}

#[tokio::test(start_paused = true)]
async fn a_spare_that_was_opened_for_another_has_the_limits_of_who_claims_it() {
    let pool = Pool::builder(ScriptedCli::new(|_| Answer::text("").hang())).build().unwrap();
    let within = |seconds| new().deadlines(Deadlines::within(Duration::from_secs(seconds)));
    pool.expect(&within(3600)).unwrap();
    until("there is a spare", || pool.stats().spares == 1).await;
    let claimed = pool.claim(&within(10)).await.unwrap();
    assert_eq!(claimed.origin(), Origin::Spare);
    let (live, _place) = claimed.into_parts();
    let begun = tokio::time::Instant::now();
    let (outcome, _) = live.say("a", &TurnOptions::new()).finish().await;
    assert!(outcome.unwrap_err().is_timeout() && begun.elapsed() < Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn many_at_once_are_all_served_within_the_bounds() {
    let cli = Counted::new(ScriptedCli::echo());
    let pool = Pool::builder(cli.clone()).processes(3).build().unwrap();
    let turns = (0..40).map(|n| {
        let pool = pool.clone();
        async move {
            let text = format!("turn {n}");
            assert_eq!(say(pool.claim(&new()).await.unwrap(), &text).await, text);
        }
    });
    futures::future::join_all(turns).await;
    assert!(cli.counts.most.load(Ordering::SeqCst) <= 3);
    assert_eq!(pool.stats().claims.total(), 40);
    let fine = new();
    let too_many = (0..90).map(|_| pool.claim(&fine));
    let claimed =
        futures::future::join_all(too_many.map(|claim| claim.map(|claimed| claimed.map(drop)))).await;
    let refused = claimed.iter().filter(|claimed| claimed.as_ref().is_err_and(Error::is_queue_full)).count();
    assert!(refused > 0 && refused as u64 == pool.stats().refused, "{refused} of 90");
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_nobody_can_serve_ends_by_its_time_limit() {
    let pool = Pool::builder(ScriptedCli::echo()).processes(1).build().unwrap();
    let held = pool.claim(&new()).await.unwrap();
    assert!(pool.claim(&new()).await.unwrap_err().is_timeout());
    assert_eq!(pool.stats().waiting, 0);
    drop(held);
    assert_eq!(pool.claim(&new()).await.unwrap().origin(), Origin::Cold);
}

#[tokio::test(start_paused = true)]
async fn two_turns_of_one_conversation_wait_for_each_other() {
    let pool = Pool::builder(ScriptedCli::echo()).build().unwrap();
    let first = pool.claim(&new()).await.unwrap();
    let id = first.session_id().unwrap().clone();
    let resumed = resume(&id);
    let mut second = Box::pin(pool.claim(&resumed));
    assert!(futures::poll!(second.as_mut()).is_pending());
    assert!(pool.take(&id).is_none(), "somebody has it");
    say(first, "a").await;
    let second = second.await.unwrap();
    assert_eq!(second.origin(), Origin::Live);
    drop(second);
    assert_eq!(pool.take(&id).unwrap().origin(), Origin::Live);
}

#[tokio::test(start_paused = true)]
async fn a_claim_dropped_at_any_moment_costs_nothing_but_its_place() {
    let cli = Counted::new(ScriptedCli::echo());
    let pool = Pool::builder(cli.clone()).processes(2).build().unwrap();
    let first = pool.claim(&new()).await.unwrap();
    let id = first.session_id().unwrap().clone();
    say(first, "a").await;
    for polls in 0..40 {
        for invocation in [new(), resume(&id)] {
            let mut claim = Box::pin(pool.claim(&invocation));
            for _ in 0..polls {
                if futures::poll!(claim.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
    }
    until("everything has settled", || {
        let stats = pool.stats();
        stats.claimed + stats.waiting + stats.starting + stats.retiring == 0
    })
    .await;
    assert!(cli.counts.most.load(Ordering::SeqCst) <= 2);
    let claimed = pool.claim(&resume(&id)).await.unwrap();
    assert_eq!(say(claimed, "b").await, "b");
}

#[tokio::test(start_paused = true)]
async fn a_severed_turn_is_never_reused_and_the_conversation_goes_on() {
    let cli = ScriptedCli::new(|said| match said.text.as_str() {
        "hang" => Answer::text("so far").hang(),
        _ => Answer::text(&said.history.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("|")),
    });
    let cli = Counted::new(cli);
    let pool = Pool::builder(cli.clone()).build().unwrap();
    let claimed = pool.claim(&new()).await.unwrap();
    let id = claimed.session_id().unwrap().clone();
    say(claimed, "one").await;
    let (live, place) = pool.claim(&resume(&id)).await.unwrap().into_parts();
    let mut turn = live.say("hang", &TurnOptions::new());
    while !matches!(turn.next().await, Some(Event::Text(_))) {}
    drop((turn, place));
    let claimed = pool.claim(&resume(&id)).await.unwrap();
    assert_eq!(claimed.origin(), Origin::Resumed);
    assert!(say(claimed, "two").await.starts_with("one|"));
    assert_eq!(pool.stats().evictions.of(Eviction::Doubt), 1);
    assert_eq!(cli.alive(), 1);
}

#[tokio::test(start_paused = true)]
async fn processes_that_die_while_nobody_looks_are_replaced() {
    let cli = Counted::new(ScriptedCli::echo());
    let pool = Pool::builder(cli.clone()).build().unwrap();
    let mut id = SessionId::from(uuid::Uuid::nil());
    for _ in 0..2 {
        let claimed = pool.claim(&new()).await.unwrap();
        id = claimed.session_id().unwrap().clone();
        say(claimed, "a").await;
    }
    until("there is a spare", || pool.stats().spares == 1).await;
    cli.kill_all();
    // In this very moment nobody knows it yet.
    let claimed = pool.claim(&new()).await.unwrap();
    assert_eq!((claimed.origin(), say(claimed, "b").await.as_str()), (Origin::Cold, "b"));
    let claimed = pool.claim(&resume(&id)).await.unwrap();
    assert_eq!((claimed.origin(), say(claimed, "c").await.as_str()), (Origin::Resumed, "c"));
    let evictions = pool.stats().evictions;
    assert_eq!(evictions.of(Eviction::Died) + evictions.of(Eviction::Doubt), 3, "{evictions:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_started_is_told_to_who_asked_and_to_nobody_else() {
    let cli = Counted::new(ScriptedCli::echo());
    let pool = Pool::builder(cli.clone()).build().unwrap();
    let unknown = SessionId::parse("6f1c1e0a-3a52-4b57-9d7b-0b1f4c2d3e4f").unwrap();
    let (unknown, fine) = (resume(&unknown), new());
    let (unknown, fine) = tokio::join!(pool.claim(&unknown), pool.claim(&fine));
    assert!(unknown.unwrap_err().is_unknown_session());
    assert_eq!(say(fine.unwrap(), "a").await, "a");
    assert_eq!(pool.claim(&new().system_prompt("\0")).await.unwrap_err().field(), Some("system_prompt"));
    until("only the good one is left", || cli.alive() == 1).await;

    let dead = Scripted::new().stderr(Bytes::from_static(b"no")).exit(3);
    let pool = Pool::builder(dead).build().unwrap();
    for _ in 0..3 {
        assert_eq!(pool.claim(&new()).await.unwrap_err().exit().unwrap().code, Some(3));
    }
    tokio::time::sleep(Duration::from_secs(120)).await;
    let failed = pool.stats().evictions.of(Eviction::Failed);
    assert!((4..20).contains(&failed), "{failed}: it backs off");
}

#[tokio::test(start_paused = true)]
async fn memory_is_kept_within_its_bound() {
    let cli = Counted::new(ScriptedCli::echo());
    *cli.counts.memory.lock().unwrap() = Some(100_000_000);
    let pool = Pool::builder(cli.clone()).memory(450_000_000).processes(50).build().unwrap();
    for n in 0..10 {
        say(pool.claim(&new()).await.unwrap(), &n.to_string()).await;
        tokio::time::sleep(Duration::from_secs(20)).await; // it is measured
    }
    let stats = pool.stats();
    assert!(stats.memory <= 450_000_000 && stats.processes() >= 3, "{stats:?}");
    *cli.counts.memory.lock().unwrap() = Some(200_000_000);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let stats = pool.stats();
    assert!(stats.memory <= 450_000_000 && stats.evictions.of(Eviction::Memory) >= 1, "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_a_pool() {
    // Dropped: what nobody has ends, and what somebody has ends instead of coming back.
    let cli = Counted::new(ScriptedCli::echo());
    let pool = Pool::builder(cli.clone()).build().unwrap();
    say(pool.claim(&new()).await.unwrap(), "a").await;
    let held = pool.claim(&new()).await.unwrap();
    let waiting = new();
    drop(pool);
    until("one is left", || cli.alive() == 1).await;
    assert_eq!(say(held, "b").await, "b");
    until("none is left", || cli.alive() == 0).await;

    // Shut down: claims are refused, and a turn that does not end is ended after the grace.
    let cli = Counted::new(ScriptedCli::new(|_| Answer::default().hang()));
    let pool = Pool::builder(cli.clone()).processes(2).build().unwrap();
    let (live, place) = pool.claim(&new()).await.unwrap().into_parts();
    let turn = live.say("a", &TurnOptions::new());
    let idle = pool.claim(&new()).await.unwrap();
    let line = tokio::spawn({
        let pool = pool.clone();
        async move { pool.claim(&waiting).await.map(drop) }
    });
    tokio::task::yield_now().await;
    drop(idle);
    let shutdown = tokio::spawn({
        let pool = pool.clone();
        async move { pool.shutdown(Duration::from_secs(5)).await }
    });
    assert!(line.await.unwrap().unwrap_err().is_stopped());
    shutdown.await.unwrap();
    assert_eq!(cli.alive(), 0);
    assert!(turn.finish().await.0.is_err());
    drop(place);
    assert!(pool.claim(&new()).await.unwrap_err().is_stopped());
    assert_eq!(pool.stats().processes(), 0);
}

/// Many conversations that hang up, cancel, are evicted and share few processes: each answer shows the whole history
/// of its session, and must show this conversation's and nothing else.
#[tokio::test(start_paused = true)]
async fn no_conversation_sees_another() {
    let cli = ScriptedCli::new(|said| {
        let before: Vec<_> = said.history.iter().filter(|(role, _)| role == "user").collect();
        let mut answer = Answer::text(&format!("{before:?} then {}", said.text));
        if said.text.contains("hang") {
            answer = answer.hang();
        }
        answer
    });
    let cli = Counted::new(cli);
    let pool = Pool::builder(cli.clone()).processes(4).max_waiting(64).build().unwrap();
    let conversations = (0..16_u64).map(|who| {
        let pool = pool.clone();
        async move {
            let mut random = who * 7919 + 1;
            let mut next = move || {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random
            };
            let tag = |n: usize| format!("<{who}:{n}>");
            let mut id: Option<SessionId> = None;
            for n in 0..25 {
                let claimed = match pool.claim(&id.as_ref().map_or_else(new, resume)).await {
                    // Its first turn was severed before anything was written.
                    Err(error) if error.is_unknown_session() => pool.claim(&new()).await,
                    claimed => claimed,
                };
                let claimed = claimed.unwrap();
                id = claimed.session_id().cloned();
                let fate = next() % 6;
                let (live, place) = claimed.into_parts();
                let hangs = if fate < 2 { "hang" } else { "" };
                let mut turn = live.say(format!("{}{hangs}", tag(n)), &TurnOptions::new());
                let mut text = String::new();
                while let Some(event) = turn.next().await {
                    if let Event::Text(piece) = event {
                        text.push_str(&piece.text);
                    }
                    if text.ends_with("hang") {
                        break;
                    }
                }
                let mut others = text.clone();
                for mine in 0..=n {
                    others = others.replace(&tag(mine), "");
                }
                assert!(!others.contains('<') && text.contains(&tag(n)), "{who} sees {text}");
                match fate {
                    0 => drop((turn, place)), // hangs up
                    1 => {
                        if let Some(live) = turn.cancel().await {
                            place.give_back(live);
                        }
                    }
                    _ => place.give_back(turn.finish().await.1.unwrap()),
                }
                if fate == 5 {
                    pool.evict(id.as_ref().unwrap());
                }
                for _ in 0..next() % 20 {
                    tokio::task::yield_now().await;
                }
            }
        }
    });
    futures::future::join_all(conversations).await;
    let stats = pool.stats();
    assert!(stats.claims.total() >= 16 * 25);
    assert!(cli.counts.most.load(Ordering::SeqCst) <= 4 && cli.started() > 16, "{stats:?}");
    let by: HashMap<_, _> = stats.claims.by_origin().into_iter().collect();
    assert!(by["live"] > 0 && by["resumed"] > 0, "{by:?}");
}
