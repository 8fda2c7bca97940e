//! `/v1/responses`: going on from an earlier one, keeping this one, and the requests about one.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

use claude_exec::http::{Body, KeyName};
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use http::Response;
use serde_json::json;
use serde_json::value::RawValue;

use super::answering::Answering;
use super::builder::{OpenAi, unix_now};
use super::kept::{Kept, KeptResponses};
use super::respond;
use super::running::Turn;
use super::wire::{Read, Steps, Wire};
use crate::answer::Step;
use crate::collected::{Collected, Whole};
use crate::envelope::Envelope;
use crate::error::ApiError;
use crate::failure;
use crate::responses::{
    Context, Echo, Page, ResponseEvents, ResponsesRequest, Status, empty, input_items, response,
};
use crate::stamp::Stamp;

/// How long a request to cancel waits for the end. A client that takes nothing may hold it up.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);

/// Reads a request, and the conversation that it goes on from.
pub(super) async fn read(endpoint: &OpenAi, caller: Option<&KeyName>, body: &[u8]) -> Result<Read, ApiError> {
    let asked = ResponsesRequest::parse(body)?;
    let earlier = match &asked.previous_response_id {
        None => Context::default(),
        Some(id) => find(endpoint, id, caller).await?.ok_or_else(|| no_previous(id))?.conversation(),
    };
    let (echo, store) = (asked.echo.clone(), asked.store);
    let (request, instructions) = asked.after(earlier)?;
    let keep = match &endpoint.0.kept {
        Some(kept) if store => {
            Some((kept.clone(), Context { messages: request.messages.clone(), instructions }))
        }
        _ => None,
    };
    let (running, owner) = (endpoint.0.running.clone(), caller.cloned());
    let wire = move |stamp: Stamp| {
        let turn = running.enter(&stamp, &echo, owner.clone());
        let keep = keep.map(|(kept, context)| Keep {
            kept,
            context,
            owner: owner.map(|owner| owner.as_str().to_owned()),
            stamp: stamp.clone(),
            echo: echo.clone(),
        });
        let wire =
            Responses { stamp, echo, stored: Arc::new(AtomicBool::new(false)), turn: Some(turn), keep };
        Box::new(wire) as Box<dyn Wire>
    };
    Ok((request, Box::new(wire)))
}

struct Responses {
    stamp: Stamp,
    echo: Echo,
    stored: Arc<AtomicBool>,
    turn: Option<Turn>,
    keep: Option<Keep>,
}

impl Wire for Responses {
    fn envelope(self: Box<Self>) -> Box<dyn Envelope + Send> {
        Box::new(ResponseEvents::new(self.stamp, self.echo, self.stored))
    }

    fn whole(self: Box<Self>, answer: &Whole) -> Vec<u8> {
        response(&self.stamp, &self.echo, self.stored.load(Ordering::Relaxed), answer)
    }

    fn steps(&mut self, answering: Answering) -> Steps {
        let keeping = Keeping {
            steps: answering,
            collected: Collected::default(),
            keep: self.keep.take(),
            saving: None,
            stored: self.stored.clone(),
            _turn: self.turn.take(),
        };
        keeping.boxed()
    }

    fn cancelled(&mut self) -> Option<BoxFuture<'static, ()>> {
        self.turn.as_ref().map(Turn::cancelled)
    }
}

/// What is needed to keep a response.
struct Keep {
    kept: Arc<KeptResponses>,
    context: Context,
    owner: Option<String>,
    stamp: Stamp,
    echo: Echo,
}

impl Keep {
    async fn save(self, ended: Result<Whole, ()>) -> bool {
        let object = match &ended {
            Ok(whole) => response(&self.stamp, &self.echo, true, whole),
            Err(()) => empty(&self.stamp, &self.echo, true, Status::Cancelled),
        };
        let answer = ended.ok().map(|whole| whole.to_message());
        let Some(response) = String::from_utf8(object).ok().and_then(|json| RawValue::from_string(json).ok())
        else {
            return false;
        };
        let Self { owner, context, .. } = self;
        let kept = Kept { owner, created: self.stamp.created, context, answer, response };
        self.kept.put(&self.stamp.id, &kept).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a response could not be kept");
            false
        })
    }
}

/// The steps of an answer, whose end is told when the response is kept, or is known not to be.
struct Keeping {
    steps: Answering,
    collected: Collected,
    keep: Option<Keep>,
    saving: Option<(BoxFuture<'static, bool>, Option<Step>)>,
    stored: Arc<AtomicBool>,
    _turn: Option<Turn>,
}

impl Stream for Keeping {
    type Item = Step;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Option<Step>> {
        loop {
            if let Some((saving, step)) = &mut self.saving {
                let stored = ready!(saving.poll_unpin(cx));
                let step = step.take();
                self.stored.store(stored, Ordering::Relaxed);
                self.saving = None;
                return Poll::Ready(step);
            }
            let step = ready!(self.steps.poll_next_unpin(cx));
            match (&step, self.keep.take()) {
                (Some(Step::Done(done)), Some(keep)) => {
                    let whole = self.collected.finish(done.clone());
                    self.saving = Some((keep.save(Ok(whole)).boxed(), step));
                }
                (Some(Step::Failed(error)), Some(keep)) if error.code == Some(failure::CANCELLED) => {
                    self.saving = Some((keep.save(Err(())).boxed(), step));
                }
                (Some(piece), Some(keep)) => {
                    self.collected.note(piece);
                    self.keep = (!self.collected.is_too_long()).then_some(keep);
                    return Poll::Ready(step);
                }
                _ => return Poll::Ready(step),
            }
        }
    }
}

/// `GET /v1/responses/{id}`.
pub(super) async fn get(endpoint: OpenAi, id: String, caller: Option<KeyName>) -> Response<Body> {
    if let Some(seen) = endpoint.0.running.find(&id, caller.as_ref()) {
        return respond::json(empty(&seen.stamp, &seen.echo, false, Status::InProgress));
    }
    match find(&endpoint, &id, caller.as_ref()).await {
        Ok(Some(kept)) => respond::json(kept.response.get().to_owned()),
        Ok(None) => not_found(&id).to_response(),
        Err(error) => error.to_response(),
    }
}

/// `GET /v1/responses/{id}/input_items`.
pub(super) async fn items(
    endpoint: OpenAi,
    id: String,
    query: String,
    caller: Option<KeyName>,
) -> Response<Body> {
    let listed = async {
        let page = Page::parse(&query)?;
        let kept = find(&endpoint, &id, caller.as_ref()).await?.ok_or_else(|| not_found(&id))?;
        input_items(&id, &kept.context, &page)
    };
    match listed.await {
        Ok(list) => respond::json(list),
        Err(error) => error.to_response(),
    }
}

/// `DELETE /v1/responses/{id}`.
pub(super) async fn delete(endpoint: OpenAi, id: String, caller: Option<KeyName>) -> Response<Body> {
    let owner = caller.as_ref().map(KeyName::as_str);
    let removed = match &endpoint.0.kept {
        None => Ok(false),
        Some(kept) => kept.remove(&id, owner, unix_now()).await,
    };
    match removed {
        Ok(true) => respond::json(json!({"id": id, "object": "response", "deleted": true}).to_string()),
        Ok(false) => not_found(&id).to_response(),
        Err(error) => unreadable(&error).to_response(),
    }
}

/// `POST /v1/responses/{id}/cancel`.
pub(super) async fn cancel(endpoint: OpenAi, id: String, caller: Option<KeyName>) -> Response<Body> {
    if let Some(seen) = endpoint.0.running.find(&id, caller.as_ref()) {
        let (stamp, echo) = (seen.stamp.clone(), seen.echo.clone());
        // Its end is told in any case; what is waited for is that it is over.
        let _ = tokio::time::timeout(CANCEL_LIMIT, seen.cancel()).await;
        return respond::json(empty(&stamp, &echo, endpoint.0.kept.is_some(), Status::Cancelled));
    }
    match find(&endpoint, &id, caller.as_ref()).await {
        Ok(Some(_)) => {
            ApiError::new(400, "invalid_request_error", "the response has ended: nothing is left to cancel")
                .to_response()
        }
        Ok(None) => not_found(&id).to_response(),
        Err(error) => error.to_response(),
    }
}

async fn find(endpoint: &OpenAi, id: &str, caller: Option<&KeyName>) -> Result<Option<Kept>, ApiError> {
    let Some(kept) = &endpoint.0.kept else { return Ok(None) };
    let owner = caller.map(KeyName::as_str);
    kept.get(id, owner, unix_now()).await.map_err(|error| unreadable(&error))
}

fn unreadable(error: &claude_exec::Error) -> ApiError {
    tracing::error!(%error, "the kept responses cannot be read");
    failure::from_error(error)
}

fn not_found(id: &str) -> ApiError {
    let id: String = id.chars().take(64).collect();
    ApiError::new(404, "invalid_request_error", format!("there is no response `{id}`")).code("not_found")
}

fn no_previous(id: &str) -> ApiError {
    let message =
        format!("there is no response `{id}` to go on from; it may have been deleted or be too old");
    ApiError::invalid("previous_response_id", message).code("previous_response_not_found")
}
