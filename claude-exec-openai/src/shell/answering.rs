//! One request's turn, from the queue to its end, as the steps of its answer.

use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use claude_exec::http::RequestId;
use claude_exec::protocol::Event;
use futures::future::{BoxFuture, Either};
use futures::{FutureExt, Stream};

use super::builder::{OpenAi, unix_now};
use super::queue::{self, Wanted};
use super::underway::Underway;
use crate::answer::{Answer, Step};
use crate::error::ApiError;
use crate::failure;
use crate::models::Model;
use crate::plan::Plan;
use crate::quota::{Bill, Permit};
use crate::warm::Conversation;

/// The steps of one answer. Dropping it leaves the queue, or stops the process.
pub(super) struct Answering {
    state: State,
    answer: Answer,
    stopped: BoxFuture<'static, ApiError>,
    agent: bool,
    /// Its place among the requests of its key, until its last step.
    permit: Option<Permit>,
    request_id: RequestId,
}

enum State {
    /// In the queue, then preparing a checkout, then starting or finding the process.
    Starting(BoxFuture<'static, Result<Underway, ApiError>>),
    Running(Underway),
    /// The answer is whole, and its session goes back before the client can ask for it again.
    Ending(BoxFuture<'static, ()>, Option<Step>),
    Ended,
}

impl Answering {
    /// Begins the turn of `plan`, as one of `conversation` where there is a pool. `cancelled` comes when its caller wants
    /// it to end.
    pub(super) fn new(
        endpoint: &OpenAi,
        model: &Model,
        plan: Plan,
        conversation: Option<Conversation>,
        (permit, bill): (Option<Permit>, Bill),
        request_id: RequestId,
        cancelled: Option<BoxFuture<'static, ()>>,
    ) -> Self {
        let mut shutdown = endpoint.0.shutdown.subscribe();
        let answer = plan.answer();
        let deadlines = endpoint.0.deadlines;
        let wanted = match (conversation, &endpoint.0.sessions) {
            (Some(mut conversation), Some(sessions)) => {
                conversation.invocation = conversation.invocation.deadlines(deadlines);
                Wanted::Talk(sessions.clone(), Box::new(conversation))
            }
            _ if model.is_agent() => Wanted::Once(Box::new(plan.invocation), model.workspace()),
            _ => Wanted::Once(Box::new(plan.invocation.deadlines(deadlines)), model.workspace()),
        };
        Self {
            state: State::Starting(queue::start(endpoint.clone(), wanted, bill).boxed()),
            answer,
            stopped: async move {
                let down = async {
                    // An endpoint that is gone cannot be shut down any more.
                    if shutdown.wait_for(|down| *down).await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                let cancelled = cancelled.unwrap_or_else(|| std::future::pending().boxed());
                match futures::future::select(pin!(down), cancelled).await {
                    Either::Left(_) => failure::stopped(),
                    Either::Right(_) => failure::cancelled(),
                }
            }
            .boxed(),
            agent: model.is_agent(),
            permit,
            request_id,
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        loop {
            match &mut self.state {
                State::Ended => return Poll::Ready(None),
                State::Starting(starting) => match ready!(starting.poll_unpin(cx)) {
                    Ok(running) => self.state = State::Running(running),
                    Err(error) => return Poll::Ready(self.end(Step::Failed(error))),
                },
                State::Running(running) => {
                    let event = ready!(Pin::new(&mut *running).poll_next(cx)).unwrap_or(Event::TurnEnd);
                    if let Event::Error(error) = &event {
                        tracing::warn!(request_id = %self.request_id, %error, "a turn failed");
                    }
                    let Some(step) = self.answer.take(event, unix_now) else { continue };
                    if let Underway::Talk(talk) = running {
                        talk.note(&step);
                    }
                    match step {
                        Step::Done(_) => self.done(step),
                        Step::Failed(error) => {
                            // Its tools have run: once more would be twice.
                            let error = if self.agent { error.final_answer() } else { error };
                            return Poll::Ready(self.end(Step::Failed(error)));
                        }
                        step => return Poll::Ready(Some(step)),
                    }
                }
                State::Ending(ending, step) => {
                    ready!(ending.poll_unpin(cx));
                    let step = step.take();
                    self.state = State::Ended;
                    // Before the client knows: its next request may come at once.
                    self.permit = None;
                    return Poll::Ready(step);
                }
            }
        }
    }

    fn done(&mut self, step: Step) {
        let running = std::mem::replace(&mut self.state, State::Ended);
        let ending = match (running, &step) {
            (State::Running(Underway::Talk(talk)), Step::Done(done)) => talk.end(done.clone()).boxed(),
            // A turn that has its result ends by itself; the slot is free when it has.
            _ => std::future::ready(()).boxed(),
        };
        self.state = State::Ending(ending, Some(step));
    }

    /// The last step, where there is no answer.
    fn end(&mut self, step: Step) -> Option<Step> {
        self.state = State::Ended;
        self.permit = None;
        Some(step)
    }
}

impl Stream for Answering {
    type Item = Step;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        let step = self.poll_step(cx);
        if step.is_pending()
            && let Poll::Ready(error) = self.stopped.poll_unpin(cx)
        {
            return Poll::Ready(self.end(Step::Failed(error)));
        }
        step
    }
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}
