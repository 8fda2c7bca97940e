//! The CLI as the agent: a conversation per session, a process per turn.

use std::fmt;
use std::sync::Arc;

use claude_exec::brain::{Conversations, TurnHandle};
use claude_exec::executor::Executor;
use claude_exec::protocol::Reply;
use claude_exec::{Invocation, Result};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};

use super::agent::{Agent, Ask, Reins, Saying};

/// Runs each turn in a process of its own, which ends with the turn.
pub struct Conversing {
    executor: Arc<dyn Executor>,
    conversations: Conversations,
    preset: Invocation,
}

impl Conversing {
    /// Turns as `preset` says, on `executor`, as conversations that are kept.
    pub fn new(executor: Arc<dyn Executor>, conversations: Conversations, preset: Invocation) -> Self {
        Self { executor, conversations, preset }
    }
}

impl Agent for Conversing {
    fn say(&self, ask: Ask) -> BoxFuture<'_, Result<Saying>> {
        async move {
            let seat = self.conversations.open(&ask.session).await?;
            let mut invocation = self.preset.clone().prompt(ask.prompt);
            if let Some(model) = ask.model {
                invocation = invocation.model(model);
            }
            let turn = seat.say(&*self.executor, invocation, ()).await?;
            let reins = Arc::new(turn.handle());
            Ok(Saying { events: turn.boxed(), reins })
        }
        .boxed()
    }

    fn rest<'a>(&'a self, _session: &'a str) -> BoxFuture<'a, ()> {
        futures::future::ready(()).boxed()
    }

    fn forget<'a>(&'a self, session: &'a str) -> BoxFuture<'a, Result<()>> {
        self.conversations.forget(session).boxed()
    }
}

impl Reins for TurnHandle {
    fn interrupt(&self) {
        Self::interrupt(self);
    }

    fn stop(&self) {
        Self::stop(self);
    }

    fn reply<'a>(&'a self, request_id: &'a str, reply: Reply) -> BoxFuture<'a, Result<()>> {
        async move { Self::reply(self, request_id, &reply).await }.boxed()
    }
}

impl fmt::Debug for Conversing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversing").field("preset", &self.preset).finish_non_exhaustive()
    }
}
