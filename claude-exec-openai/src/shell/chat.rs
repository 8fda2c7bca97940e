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
use crate::answer::{Collected, Done, Step};
use crate::chunk::Chunker;
use crate::error::ApiError;
use crate::failure;
use crate::plan::{Plan, plan};
use crate::relay::Relay;
use crate::request::ChatRequest;
use crate::response::{Stamp, completion};

/// The response header that names what was not honoured.
pub const IGNORED: HeaderName = HeaderName::from_static("x-claude-exec-ignored");

/// The request header that asks to be refused instead: `true` or `1`.
pub const STRICT: HeaderName = HeaderName::from_static("x-claude-exec-strict");

/// Text of an answer that is sent in one piece. Far beyond any model's output; an agent that writes more is to
/// be streamed.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

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
    let mut record = Record::new(request_id.clone(), caller);
    let (head, body) = request.into_parts();
    let asked = async {
        let body = read_body(&head.headers, body, endpoint.0.body_limit).await.map_err(unread)?;
        let request = ChatRequest::parse(&body)?;
        let model = endpoint.0.models.resolve(request.model.as_deref())?;
        let plan = plan(&request, model)?;
        if endpoint.0.strict || is_strict(&head.headers) {
            plan.ignored.refuse()?;
        }
        Ok((request, model, plan))
    };
    let (request, model, Plan { invocation, ignored }) = match asked.await {
        Ok(asked) => asked,
        Err(error) => return refuse(error, &mut record),
    };
    record.asked(model.name(), request.stream, &ignored);
    let stamp = Stamp {
        id: format!("chatcmpl-{}", uuid::Uuid::new_v4().simple()),
        created: unix_now(),
        model: model.name().to_owned(),
    };
    let answering = Answering::new(&endpoint, model, invocation, request_id);
    // The prompt is in the invocation now: a long answer need not hold a long conversation twice.
    let (stream, include_usage) = (request.stream, request.include_usage);
    drop(request);
    let mut response = if stream {
        let relay = Relay::new(Chunker::new(&stamp, include_usage));
        match Frames::open(answering, relay, record).await {
            Ok(frames) => event_stream(keep_alive(frames, KEEP_ALIVE_INTERVAL)),
            Err(error) => error.to_response(),
        }
    } else {
        match collect(answering).await {
            Ok((text, done)) => {
                let body = completion(&stamp, &text, done.finish_reason, done.usage);
                record.end(&Ok(done));
                respond::json(body)
            }
            Err(error) => refuse(error, &mut record),
        }
    };
    if let Some(Ok(names)) = ignored.header().map(|names| HeaderValue::from_str(&names)) {
        response.headers_mut().insert(IGNORED, names);
    }
    response
}

async fn collect(mut answering: Answering) -> Result<(String, Done), ApiError> {
    let mut collected = Collected::default();
    while let Some(step) = answering.next().await {
        match step {
            Step::Text { text, paragraph } => {
                collected.push(&text, paragraph);
                if collected.len() > MAX_ANSWER {
                    return Err(failure::too_long());
                }
            }
            Step::Void { bytes } => collected.void(bytes),
            Step::Done(mut done) => {
                let text = done.text.take().unwrap_or_else(|| collected.into_string());
                return Ok((text, done));
            }
            Step::Failed(error) => return Err(error),
            Step::Began | Step::Settled => {}
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
