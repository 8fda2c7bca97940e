//! One request's turn, from the queue to its end, as the steps of its answer.

use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use claude_exec::brain::{self, Turn};
use claude_exec::http::RequestId;
use claude_exec::protocol::Event;
use claude_exec::{Invocation, Result};
use futures::future::{BoxFuture, Either};
use futures::{FutureExt, Stream};

use super::builder::{OpenAi, unix_now};
use crate::answer::{Answer, Step};
use crate::error::ApiError;
use crate::failure;
use crate::models::{Model, Workspace};
use crate::plan::Plan;

/// The steps of one answer. Dropping it leaves the queue, or stops the process.
pub(super) struct Answering {
    state: State,
    answer: Answer,
    stopped: BoxFuture<'static, ApiError>,
    agent: bool,
    request_id: RequestId,
}

enum State {
    /// In the queue, then preparing a checkout, then starting the process.
    Starting(BoxFuture<'static, Result<Turn, ApiError>>),
    Running(Turn),
    Ended,
}

impl Answering {
    /// Begins a turn. `cancelled` comes when its caller wants it to end.
    pub(super) fn new(
        endpoint: &OpenAi,
        model: &Model,
        plan: Plan,
        request_id: RequestId,
        cancelled: Option<BoxFuture<'static, ()>>,
    ) -> Self {
        let mut shutdown = endpoint.0.shutdown.subscribe();
        let workspace = model.workspace();
        let answer = plan.answer();
        Self {
            state: State::Starting(start(endpoint.clone(), workspace, plan.invocation).boxed()),
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
            request_id,
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        loop {
            match &mut self.state {
                State::Ended => return Poll::Ready(None),
                State::Starting(starting) => match ready!(starting.poll_unpin(cx)) {
                    Ok(turn) => self.state = State::Running(turn),
                    Err(error) => return Poll::Ready(self.end(Step::Failed(error))),
                },
                State::Running(turn) => {
                    let event = ready!(Pin::new(turn).poll_next(cx)).unwrap_or(Event::TurnEnd);
                    if let Event::Error(error) = &event {
                        tracing::warn!(request_id = %self.request_id, %error, "a turn failed");
                    }
                    match self.answer.take(event, unix_now) {
                        None => {}
                        Some(step @ Step::Done(_)) => return Poll::Ready(self.end(step)),
                        Some(Step::Failed(error)) => {
                            // Its tools have run: once more would be twice.
                            let error = if self.agent { error.final_answer() } else { error };
                            return Poll::Ready(self.end(Step::Failed(error)));
                        }
                        step => return Poll::Ready(step),
                    }
                }
            }
        }
    }

    /// The last step. A turn that has its result ends by itself; the slot is free when it has.
    fn end(&mut self, step: Step) -> Option<Step> {
        self.state = State::Ended;
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

async fn start(endpoint: OpenAi, workspace: Workspace, invocation: Invocation) -> Result<Turn, ApiError> {
    let shared = &endpoint.0;
    let slot = shared.gate.enter().await.map_err(|error| failure::from_queue(&error))?;
    let start = async {
        let mut invocation = match &shared.prepare {
            Some(prepare) => prepare(invocation),
            None => invocation,
        };
        let workspace = match (workspace, &shared.workspaces) {
            (Workspace::Job, Some(workspaces)) => {
                let name = uuid::Uuid::new_v4().simple().to_string();
                let checkout = if workspaces.has_base() {
                    workspaces.checkout(&name).await?
                } else {
                    workspaces.scratch(&name).await?
                };
                invocation = invocation.cwd(checkout.path());
                Some(checkout)
            }
            _ => None,
        };
        // In this order: the checkout is gone before the next one gets the slot.
        brain::run_holding(&*shared.executor, &invocation, (workspace, slot)).await
    };
    start.await.map_err(|error: claude_exec::Error| {
        tracing::warn!(%error, "a turn could not be started");
        failure::from_error(&error)
    })
}
