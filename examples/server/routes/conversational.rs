//! `POST /v1/conversational`: one spoken turn of a conversation that goes on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use claude_exec::Error;
use claude_exec::brain::{Busy, ConversationTurn, Message};
use claude_exec::http::{Body, event_stream, json, read_body, sse};
use claude_exec::protocol::Outcome;
use claude_exec_openai::quota::{Bill, Billed, Permit};
use claude_exec_openai::{AnswerEnd, ApiError, Model, from_error, from_outcome};
use futures::{Stream, StreamExt, stream};
use http::header::{ACCEPT, HeaderMap};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::speech::{self, Speech, Step};
use crate::app::App;
use crate::phase::Phase;

/// How long a turn that is interrupted may take to make room for the one that interrupts it, in tries.
const PLACE_TRIES: u32 = 100;

/// The pause between two of them.
const PLACE_PAUSE: Duration = Duration::from_millis(20);

/// The original's request, and what is newer; other fields are ignored, as it did.
#[derive(Deserialize)]
struct Said {
    session_id: String,
    message: Option<String>,
    model: Option<String>,
    /// Answer as server-sent events.
    #[serde(default)]
    stream: bool,
    /// Interrupt the turn under way; without a message that is all.
    #[serde(default)]
    interrupt: bool,
    /// Begin anew: forget what was said before; without a message that is all.
    #[serde(default)]
    forget: bool,
}

/// The original's response.
#[derive(Serialize)]
struct Reply {
    session_id: String,
    reply: String,
}

/// The longest `session_id`: room for any UUID, path or user id, and none for a document.
const MAX_SESSION_ID_BYTES: usize = 256;

/// Answers one turn.
pub async fn turn(app: &Arc<App>, caller: &str, request: Request<Incoming>) -> Response<Body> {
    answer(app, caller, request).await.unwrap_or_else(|error| error.to_response())
}

async fn answer(
    app: &Arc<App>,
    caller: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let (head, body) = request.into_parts();
    let body = read_body(&head.headers, body, app.body_limit).await.map_err(|error| {
        ApiError::new(error.status().as_u16(), "invalid_request_error", error.to_string())
    })?;
    let said = parse(&body)?;
    let conversation = conversation(caller, &said.session_id);
    let Some(message) = said.message else {
        let mut answer = serde_json::json!({ "session_id": said.session_id });
        if said.interrupt {
            let interrupted = app.brain.interrupt(&conversation).map_err(|error| refuse(&error))?;
            answer["interrupted"] = interrupted.into();
        }
        if said.forget {
            forget(app, &conversation).await?;
            answer["forgotten"] = true.into();
        }
        return Ok(json(StatusCode::OK, &answer));
    };
    let (name, model) = match app.config.models.resolve(said.model.as_deref())? {
        Model::Plain { name, cli_name } => (name, cli_name.clone()),
        _ => return Err(ApiError::invalid("model", "an agent does not hold conversations")),
    };
    let interrupts = said.interrupt.then_some(conversation.as_str());
    let (permit, bill) = admit(app, caller, name, interrupts).await?;
    if said.forget {
        if said.interrupt {
            app.brain.interrupt(&conversation).map_err(|error| refuse(&error))?;
        }
        forget(app, &conversation).await?;
    }
    let gate = app.gate.clone();
    let busy = if said.interrupt { Busy::Interrupt } else { Busy::Wait };
    let message = Message::new(message).model(model).busy(busy).after(async move { gate.enter().await });
    let limit = app.config.conversational_timeout;
    let turn = tokio::time::timeout(limit, app.brain.say(&conversation, message)).await;
    let turn = turn.unwrap_or_else(|_| Err(Error::timed_out("waiting for a place", limit)));
    let speaking = Speaking {
        turn: Billed::new(turn.map_err(|error| refuse(&error))?, bill),
        permit: Some(permit),
        ended: AnswerEnd::default(),
        speech: Speech::default(),
        app: Arc::clone(app),
        session_id: said.session_id,
    };
    if said.stream || wants_events(&head.headers) {
        let ended = speaking.ended.clone();
        let frames = speaking.open().await?;
        let mut response = event_stream(sse::keep_alive(Box::pin(frames), sse::KEEP_ALIVE_INTERVAL));
        response.extensions_mut().insert(ended);
        return Ok(response);
    }
    Ok(json(StatusCode::OK, &speaking.whole().await?))
}

/// Takes the request. Where it interrupts the turn that has its key's place, that one makes room first.
async fn admit(
    app: &App,
    caller: &str,
    model: &str,
    interrupts: Option<&str>,
) -> Result<(Permit, Bill), ApiError> {
    let mut admitted = app.ledger.admit(caller, model).await;
    let is_full = |admitted: &Result<_, ApiError>| {
        admitted.as_ref().is_err_and(|error| error.code == Some("rate_limit_exceeded"))
    };
    let interrupts = interrupts.filter(|_| is_full(&admitted));
    let interrupted = interrupts.map(|session| app.brain.interrupt(session).unwrap_or_default());
    if interrupted == Some(true) {
        for _ in 0..PLACE_TRIES {
            tokio::time::sleep(PLACE_PAUSE).await;
            admitted = app.ledger.admit(caller, model).await;
            if !is_full(&admitted) {
                break;
            }
        }
    }
    admitted
}

fn parse(body: &[u8]) -> Result<Said, ApiError> {
    let said: Said = serde_json::from_slice(body)
        .map_err(|error| ApiError::new(400, "invalid_request_error", format!("request body: {error}")))?;
    match &said.message {
        Some(message) if message.trim().is_empty() => Err(ApiError::invalid("message", "must not be empty")),
        None if !said.interrupt && !said.forget => Err(ApiError::invalid("message", "is missing")),
        _ if said.session_id.is_empty() || said.session_id.len() > MAX_SESSION_ID_BYTES => {
            let limit = format!("must have 1 to {MAX_SESSION_ID_BYTES} bytes");
            Err(ApiError::invalid("session_id", limit))
        }
        _ => Ok(said),
    }
}

/// The conversation that this caller calls so: two callers never share one, whatever ids they choose.
fn conversation(caller: &str, session_id: &str) -> String {
    // The length parts a name from one that begins with it.
    format!("{}:{caller}:{session_id}", caller.len())
}

/// Waits for the turn under way, as a next turn would.
async fn forget(app: &Arc<App>, conversation: &str) -> Result<(), ApiError> {
    let limit = app.config.conversational_timeout;
    let forgotten = tokio::time::timeout(limit, app.brain.forget(conversation)).await;
    let forgotten =
        forgotten.unwrap_or_else(|_| Err(Error::timed_out("waiting for the turn under way", limit)));
    forgotten.map_err(|error| refuse(&error))
}

fn wants_events(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with("text/event-stream"))
}

/// A turn on its way to its caller. Dropping it, as when the caller hangs up, interrupts it.
struct Speaking {
    turn: Billed<ConversationTurn>,
    /// Its place among the requests of its key, until its last word.
    permit: Option<Permit>,
    ended: AnswerEnd,
    speech: Speech,
    app: Arc<App>,
    session_id: String,
}

impl Speaking {
    /// The next thing to send, or the turn's end.
    async fn next(&mut self) -> Result<Bytes, Result<Reply, ApiError>> {
        while let Some(event) = self.turn.next().await {
            match self.speech.take(event) {
                Step::Quiet => {}
                Step::Frame(frame) => return Ok(frame),
                Step::Ended(end) => return Err(self.end(end)),
            }
        }
        Err(self.end(Err(Error::stopped())))
    }

    fn end(&mut self, end: Result<Box<Outcome>, Error>) -> Result<Reply, ApiError> {
        // Before the caller knows: its next request may come at once.
        self.permit = None;
        let end = match end {
            Ok(outcome) => reply(&self.session_id, *outcome),
            Err(error) if error.is_stopped() && self.app.phases.now() < Phase::Ending => Err(interrupted()),
            Err(error) => Err(refuse(&error)),
        };
        self.ended.tell(end.as_ref().map_or_else(|error| error.status, |_| 200));
        end
    }

    async fn whole(mut self) -> Result<Reply, ApiError> {
        loop {
            if let Err(end) = self.next().await {
                return end;
            }
        }
    }

    /// Holds the answer's status back until there is something to say, so that what fails before has its own.
    async fn open(mut self) -> Result<impl Stream<Item = Bytes> + Send, ApiError> {
        let first = match self.next().await {
            Ok(frame) => (frame, Some(self)),
            Err(end) => (last(&Ok(end?)), None),
        };
        let rest = |speaking: Option<Self>| async {
            let mut speaking = speaking?;
            Some(match speaking.next().await {
                Ok(frame) => (frame, Some(speaking)),
                Err(end) => (last(&end), None),
            })
        };
        Ok(stream::iter([first.0]).chain(stream::unfold(first.1, rest)))
    }
}

fn last(end: &Result<Reply, ApiError>) -> Bytes {
    let end = end.as_ref().map(|reply| serde_json::to_value(reply).unwrap_or(Value::Null));
    speech::last(&end.map_err(Clone::clone))
}

fn reply(session_id: &str, outcome: Outcome) -> Result<Reply, ApiError> {
    match from_outcome(&outcome) {
        None => Ok(Reply { session_id: session_id.to_owned(), reply: outcome.text }),
        // The crate's table speaks of chat requests.
        Some(error) if error.param.as_deref() == Some("messages") => Err(error.param("message")),
        Some(error) => Err(error),
    }
}

fn interrupted() -> ApiError {
    ApiError::new(409, "invalid_request_error", "the turn was interrupted").code("interrupted")
}

/// The log has what the caller is not told.
fn refuse(error: &Error) -> ApiError {
    tracing::warn!(%error, "conversational turn failed");
    match error.field() {
        Some("session_id") => ApiError::invalid("session_id", error.to_string()),
        Some("prompt") => ApiError::invalid("message", error.to_string()),
        _ if error.is_conflict() => {
            ApiError::new(409, "invalid_request_error", error.to_string()).code("conflict")
        }
        _ => from_error(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_request_is_taken() {
        let table = [
            (r#"{"session_id":"a","message":"hi"}"#, None),
            (r#"{"session_id":"a","message":"hi","model":null,"more":1}"#, None),
            (r#"{"session_id":"a","message":"hi","stream":true,"interrupt":true}"#, None),
            (r#"{"session_id":"a","interrupt":true}"#, None),
            (r#"{"session_id":"a","forget":true}"#, None),
            (r#"{"session_id":"","message":"hi"}"#, Some("must have 1 to 256 bytes")),
            (r#"{"session_id":"a","message":" \n"}"#, Some("must not be empty")),
            (r#"{"session_id":"a"}"#, Some("is missing")),
            (r#"{"message":"hi"}"#, Some("missing field `session_id`")),
            (r#"{"session_id":7,"message":"hi"}"#, Some("invalid type")),
            ("[]", Some("request body:")),
            ("", Some("request body:")),
        ];
        for (body, refused) in table {
            let error = parse(body.as_bytes()).err();
            assert_eq!(error.is_some(), refused.is_some(), "{body}");
            if let (Some(error), Some(words)) = (error, refused) {
                assert!(error.status == 400 && error.message.contains(words), "{body}: {error}");
            }
        }
    }

    #[test]
    fn callers_do_not_share_a_conversation() {
        let all = [("ana", "x"), ("bo", "x"), ("", "x"), ("ana", "y"), ("an", "a:x"), ("a", "na:x")];
        let all = all.map(|(caller, id)| conversation(caller, id));
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one), "{one}");
        }
    }

    #[test]
    fn an_event_stream_is_asked_for_by_its_type() {
        let table = [
            ("text/event-stream", true),
            ("application/json, text/event-stream;q=0.9", true),
            ("*/*", false),
            ("application/json", false),
        ];
        for (accept, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            assert_eq!(wants_events(&headers), expected, "{accept}");
        }
        assert!(!wants_events(&HeaderMap::new()));
    }
}
