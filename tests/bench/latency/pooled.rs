//! With a pool: a new conversation, a later turn, and a conversation whose process was retired.

use std::time::{Duration, Instant};

use claude_exec::Invocation;
use claude_exec::brain::live::{Live, TurnOptions};
use claude_exec::brain::pool::{Claimed, Origin, Pool};
use claude_exec::executor::LocalExecutor;
use claude_exec::invocation::SessionChoice;
use claude_exec::protocol::{Event, SessionId};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};

use crate::stand::{PROMPT, Sample, Stand, Way};
use crate::support::process;

/// The CLI goes on starting for a while after its first answer; a spare has mostly waited for longer.
const SETTLED: Duration = Duration::from_secs(1);

/// A pool on a stand of its own.
struct Pooled {
    stand: Stand,
    pool: Pool,
}

impl Pooled {
    async fn new() -> Self {
        let pool = Pool::builder(LocalExecutor::new()).build().expect("the bounds are fine");
        Self { stand: Stand::new().await, pool }
    }

    fn invocation(&self, session: SessionChoice) -> Invocation {
        self.stand.on(Invocation::conversational("").session(session))
    }

    /// A turn from the claim on; the session, its origin and how long the first text took.
    async fn turn(&self, session: SessionChoice) -> (SessionId, Origin, Duration) {
        let invocation = self.invocation(session);
        let start = Instant::now();
        let claimed = self.pool.claim(&invocation).await.expect("there is room");
        let origin = claimed.origin();
        let (first, id) = say(claimed, PROMPT).await;
        (id, origin, first - start)
    }
}

/// Says `text`; gives when the first of the answer was there.
pub(crate) async fn say(claimed: Claimed, text: &str) -> (Instant, SessionId) {
    let (live, place) = claimed.into_parts();
    let (first, live) = speak(live, text).await;
    let id = live.session_id().expect("it has had a turn").clone();
    place.give_back(live);
    (first, id)
}

async fn speak(live: Live, text: &str) -> (Instant, Live) {
    let mut turn = live.say(text, &TurnOptions::new());
    let mut first = None;
    while let Some(event) = turn.next().await {
        if matches!(event, Event::Text(_)) {
            first.get_or_insert_with(Instant::now);
        }
    }
    let (outcome, live) = turn.finish().await;
    assert!(outcome.expect("the turn ends well").is_success());
    (first.expect("it has text"), live.expect("the session goes on"))
}

/// A new conversation's first turn, in a spare.
pub(crate) struct Spare(Pooled);

impl Spare {
    pub(crate) async fn new() -> Self {
        Self(Pooled::new().await)
    }
}

impl Way for Spare {
    fn name(&self) -> &'static str {
        "first turn of a new conversation, in a spare"
    }

    fn ready(&mut self) -> BoxFuture<'_, ()> {
        async {
            let new = self.0.invocation(SessionChoice::New);
            self.0.pool.expect(&new).expect("the invocation is fine");
            process::until("a spare is there, and nothing else", || {
                let stats = self.0.pool.stats();
                (stats.spares, stats.processes()) == (1, 1)
            })
            .await;
            tokio::time::sleep(SETTLED).await;
        }
        .boxed()
    }

    fn take(&mut self) -> BoxFuture<'_, Sample> {
        async {
            let (id, origin, first) = self.0.turn(SessionChoice::New).await;
            assert_eq!(origin, Origin::Spare);
            let sample = self.0.stand.sample(first);
            self.0.pool.evict(&id);
            sample
        }
        .boxed()
    }
}

/// A conversation's later turn.
pub(crate) struct Later {
    pooled: Pooled,
    id: Option<SessionId>,
}

impl Later {
    pub(crate) async fn new() -> Self {
        Self { pooled: Pooled::new().await, id: None }
    }
}

impl Way for Later {
    fn name(&self) -> &'static str {
        "later turn, live"
    }

    fn ready(&mut self) -> BoxFuture<'_, ()> {
        async {
            if self.id.is_none() {
                self.id = Some(self.pooled.turn(SessionChoice::New).await.0);
            }
        }
        .boxed()
    }

    fn take(&mut self) -> BoxFuture<'_, Sample> {
        async {
            let id = self.id.clone().expect("it is ready");
            let (_, origin, first) = self.pooled.turn(SessionChoice::Resume(id)).await;
            assert_eq!(origin, Origin::Live);
            self.pooled.stand.sample(first)
        }
        .boxed()
    }
}

/// A conversation's later turn, after its process was retired.
pub(crate) struct Resumed(Later);

impl Resumed {
    pub(crate) async fn new() -> Self {
        Self(Later::new().await)
    }
}

impl Way for Resumed {
    fn name(&self) -> &'static str {
        "later turn, resumed after its process was retired"
    }

    fn ready(&mut self) -> BoxFuture<'_, ()> {
        async {
            self.0.ready().await;
            let Later { pooled, id } = &self.0;
            pooled.pool.evict(id.as_ref().expect("it is ready"));
            process::until("it is gone", || pooled.pool.stats().processes() == 0).await;
        }
        .boxed()
    }

    fn take(&mut self) -> BoxFuture<'_, Sample> {
        async {
            let Later { pooled, id } = &self.0;
            let id = id.clone().expect("it is ready");
            let (_, origin, first) = pooled.turn(SessionChoice::Resume(id)).await;
            assert_eq!(origin, Origin::Resumed);
            pooled.stand.sample(first)
        }
        .boxed()
    }
}
