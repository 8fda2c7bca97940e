//! One request and its answer, on whatever wire.

use std::fmt;

use bytes::Bytes;
use claude_exec::http::sse::{KEEP_ALIVE_INTERVAL, keep_alive};
use claude_exec::http::{Body, BodyError, KeyName, RequestId, event_stream, read_body};
use futures::StreamExt;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response};

use super::answering::Answering;
use super::builder::{OpenAi, unix_now};
use super::frames::Frames;
use super::record::Record;
use super::respond::{self, Dialect};
use super::wire::{Api, Steps, Wire};
use crate::answer::Step;
use crate::collected::{Collected, Whole};
use crate::error::ApiError;
use crate::failure;
use crate::limits::Limits;
use crate::models::Model;
use crate::plan::{Plan, plan};
use crate::relay::Relay;
use crate::stamp::Stamp;
use crate::warm::Conversation;

/// The response header that names what was not honoured.
pub const IGNORED: HeaderName = HeaderName::from_static("x-claude-exec-ignored");

/// The request header that asks to be refused instead: `true` or `1`.
pub const STRICT: HeaderName = HeaderName::from_static("x-claude-exec-strict");

/// A request that was understood.
struct Asked<'m> {
    model: &'m Model,
    plan: Plan,
    conversation: Option<Conversation>,
    stream: bool,
    wire: Box<dyn Wire>,
}

/// Answers one request for a turn.
pub(super) async fn answer<B>(
    endpoint: OpenAi,
    request: Request<B>,
    request_id: RequestId,
    caller: Option<KeyName>,
    api: Api,
) -> Response<Body>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let dialect = Dialect::of(request.uri().path());
    let mut record = Some(Record::new(request_id.clone(), caller.clone()));
    let mut limits = None;
    let mut ignored = None;
    let answered = async {
        let Asked { model, plan, conversation, stream, mut wire } =
            understand(&endpoint, request, caller.clone(), api).await?;
        if let Some(record) = &mut record {
            record.asked(model.name(), stream, &plan.ignored);
        }
        ignored = plan.ignored.header();
        let admitted = endpoint.admit(caller.as_ref(), model.name()).await?;
        let cancelled = wire.cancelled();
        let answering =
            Answering::new(&endpoint, model, plan, conversation, admitted, request_id.clone(), cancelled);
        let steps = wire.steps(answering);
        if stream {
            let relay = Relay::new(wire.envelope());
            let record = record.take().expect("it is taken once");
            let end = record.answer_end();
            let frames = Frames::open(steps, relay, record, &mut limits).await?;
            let mut response = event_stream(keep_alive(frames, KEEP_ALIVE_INTERVAL));
            response.extensions_mut().insert(end);
            Ok(response)
        } else {
            let whole = collect(steps, &mut limits).await?;
            let body = wire.whole(&whole);
            if let Some(record) = &mut record {
                record.end(&Ok(whole.done));
            }
            Ok(respond::json(body))
        }
    };
    let mut response = match answered.await {
        Ok(response) => response,
        Err(error) => {
            let error = api.in_its_words(error);
            let response = dialect.refusal(&error, &request_id);
            if let Some(record) = &mut record {
                record.end(&Err(error));
            }
            response
        }
    };
    respond::add_limits(&mut response, limits.as_ref(), unix_now());
    if let Some(Ok(names)) = ignored.map(|names: String| HeaderValue::from_str(&names)) {
        response.headers_mut().insert(IGNORED, names);
    }
    response
}

async fn understand<'m, B>(
    endpoint: &'m OpenAi,
    request: Request<B>,
    caller: Option<KeyName>,
    api: Api,
) -> Result<Asked<'m>, ApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let (head, body) = request.into_parts();
    let body = read_body(&head.headers, body, endpoint.0.body_limit).await.map_err(unread)?;
    let (request, wire) = api.read(endpoint, caller.as_ref(), &body).await?;
    drop(body);
    let model = endpoint.0.models.resolve(request.model.as_deref())?;
    let plan = plan(&request, model)?;
    if endpoint.0.strict || is_strict(&head.headers) {
        plan.ignored.refuse()?;
    }
    let caller = caller.as_ref().map(KeyName::as_str);
    let conversation = endpoint.0.sessions.as_ref().and_then(|_| Conversation::of(&request, model, caller));
    if conversation.is_none() && request.offers_tools() {
        return Err(ApiError::unsupported(
            "tools",
            "this server keeps no processes, and tools need one that waits",
        ));
    }
    let stamp = Stamp {
        id: format!("{}{}", api.id_prefix(), uuid::Uuid::new_v4().simple()),
        created: unix_now(),
        model: model.name().to_owned(),
    };
    // The prompt is in the plan now: a long answer need not hold a long conversation twice.
    Ok(Asked { model, plan, conversation, stream: request.stream, wire: wire(stamp) })
}

async fn collect(mut steps: Steps, limits: &mut Option<Limits>) -> Result<Whole, ApiError> {
    let mut collected = Collected::default();
    while let Some(step) = steps.next().await {
        if let Step::Limits(told) = &step {
            *limits = Some(told.clone());
        }
        if let Some(end) = collected.take(step) {
            return end;
        }
    }
    Err(failure::no_result())
}

fn unread(error: BodyError) -> ApiError {
    let answer = ApiError::new(error.status().as_u16(), "invalid_request_error", error.to_string());
    match error {
        BodyError::TooLarge { .. } => answer.code("request_too_large"),
        _ => answer.code("invalid_body"),
    }
}

fn is_strict(headers: &HeaderMap) -> bool {
    headers.get(STRICT).is_some_and(|value| value == "1" || value.as_bytes().eq_ignore_ascii_case(b"true"))
}
