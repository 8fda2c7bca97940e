//! `POST /v1/chat/completions`.

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
use super::respond;
use crate::chat::{ChatRequest, Chunker, completion};
use crate::collected::{Collected, Whole};
use crate::envelope::Envelope;
use crate::error::ApiError;
use crate::failure;
use crate::plan::plan;
use crate::relay::Relay;
use crate::stamp::Stamp;
use crate::warm::Conversation;

/// The response header that names what was not honoured.
pub const IGNORED: HeaderName = HeaderName::from_static("x-claude-exec-ignored");

/// The request header that asks to be refused instead: `true` or `1`.
pub const STRICT: HeaderName = HeaderName::from_static("x-claude-exec-strict");

/// Answers one chat request, of whatever wire.
pub(super) async fn answer<B>(
    endpoint: OpenAi,
    request: Request<B>,
    request_id: RequestId,
    caller: Option<KeyName>,
) -> Response<Body>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let mut record = Record::new(request_id.clone(), caller.clone());
    let (head, body) = request.into_parts();
    let asked = async {
        let body = read_body(&head.headers, body, endpoint.0.body_limit).await.map_err(unread)?;
        let ChatRequest { request, include_usage } = ChatRequest::parse(&body)?;
        let model = endpoint.0.models.resolve(request.model.as_deref())?;
        let plan = plan(&request, model)?;
        let name = caller.as_ref().map(KeyName::as_str);
        let conversation = endpoint.0.keeper.as_ref().and_then(|_| Conversation::of(&request, model, name));
        if endpoint.0.strict || is_strict(&head.headers) {
            plan.ignored.refuse()?;
        }
        // The prompt is in the plan now: a long answer need not hold a long conversation twice.
        Ok((request.stream, include_usage, model, plan, conversation))
    };
    let (stream, include_usage, model, plan, conversation) = match asked.await {
        Ok(asked) => asked,
        Err(error) => return refuse(error, &mut record),
    };
    record.asked(model.name(), stream, &plan.ignored);
    let stamp = Stamp {
        id: format!("chatcmpl-{}", uuid::Uuid::new_v4().simple()),
        created: unix_now(),
        model: model.name().to_owned(),
    };
    let ignored = plan.ignored.header();
    let answering = Answering::new(&endpoint, model, plan, conversation, request_id);
    let mut response = if stream {
        let chunker: Box<dyn Envelope + Send> = Box::new(Chunker::new(&stamp, include_usage));
        let relay = Relay::new(chunker);
        match Frames::open(answering, relay, record).await {
            Ok(frames) => event_stream(keep_alive(frames, KEEP_ALIVE_INTERVAL)),
            Err(error) => error.to_response(),
        }
    } else {
        match collect(answering).await {
            Ok(whole) => {
                let body = completion(&stamp, &whole);
                record.end(&Ok(whole.done));
                respond::json(body)
            }
            Err(error) => refuse(error, &mut record),
        }
    };
    if let Some(Ok(names)) = ignored.map(|names| HeaderValue::from_str(&names)) {
        response.headers_mut().insert(IGNORED, names);
    }
    response
}

async fn collect(mut answering: Answering) -> Result<Whole, ApiError> {
    let mut collected = Collected::default();
    while let Some(step) = answering.next().await {
        if let Some(end) = collected.take(step) {
            return end;
        }
    }
    Err(failure::no_result())
}

fn refuse(error: ApiError, record: &mut Record) -> Response<Body> {
    let response = error.to_response();
    record.end(&Err(error));
    response
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
