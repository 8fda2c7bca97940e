//! `POST /v1/conversational`: one spoken turn of a conversation that goes on.

use claude_exec::http::{Body, json, read_body};
use claude_exec::invocation::Deadlines;
use claude_exec::jobs::Slot;
use claude_exec::protocol::Outcome;
use claude_exec::{Error, Invocation, brain};
use claude_exec_openai::{ApiError, Model, from_error, from_outcome};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};

use crate::app::App;

/// The original's request; other fields are ignored, as it did.
#[derive(Deserialize)]
struct Said {
    session_id: String,
    message: String,
    model: Option<String>,
}

/// The original's response.
#[derive(Serialize)]
struct Reply {
    session_id: String,
    reply: String,
}

/// Answers one turn.
pub async fn turn(app: &App, request: Request<Incoming>) -> Response<Body> {
    match answer(app, request).await {
        Ok(reply) => json(StatusCode::OK, &reply),
        Err(error) => error.to_response(),
    }
}

async fn answer(app: &App, request: Request<Incoming>) -> Result<Reply, ApiError> {
    let (head, body) = request.into_parts();
    let body = read_body(&head.headers, body, app.body_limit).await.map_err(|error| {
        ApiError::new(error.status().as_u16(), "invalid_request_error", error.to_string())
    })?;
    let said = parse(&body)?;
    let model = match app.config.models.resolve(said.model.as_deref())? {
        Model::Plain { cli_name, .. } => cli_name.clone(),
        _ => return Err(ApiError::invalid("model", "an agent does not hold conversations")),
    };
    let limit = app.config.conversational_timeout;
    let invocation = Invocation::conversational(said.message)
        .program(app.config.claude.clone())
        .model(model)
        .deadlines(Deadlines::within(limit));
    // The seat first: turns that wait for their own conversation take no slot from others.
    let places = async {
        let seat = app.conversations.open(&said.session_id).await?;
        Ok::<(brain::Seat, Slot), Error>((seat, app.gate.enter().await?))
    };
    let (seat, slot) = tokio::time::timeout(limit, places)
        .await
        .unwrap_or_else(|_| Err(Error::timed_out("waiting for a place", limit)))
        .map_err(refuse)?;
    let turn = seat.say(&app.fleet, invocation, slot).await.map_err(refuse)?;
    let outcome = turn.outcome().await.map_err(refuse)?;
    app.metrics.spent(outcome.total_cost_usd.unwrap_or_default());
    reply(said.session_id, outcome)
}

fn parse(body: &[u8]) -> Result<Said, ApiError> {
    let said: Said = serde_json::from_slice(body)
        .map_err(|error| ApiError::new(400, "invalid_request_error", format!("request body: {error}")))?;
    if said.message.trim().is_empty() {
        return Err(ApiError::invalid("message", "must not be empty"));
    }
    Ok(said)
}

fn reply(session_id: String, outcome: Outcome) -> Result<Reply, ApiError> {
    match from_outcome(&outcome) {
        None => Ok(Reply { session_id, reply: outcome.text }),
        // The crate's table speaks of chat requests.
        Some(error) if error.param.as_deref() == Some("messages") => Err(error.param("message")),
        Some(error) => Err(error),
    }
}

/// The log has what the caller is not told.
fn refuse(error: Error) -> ApiError {
    tracing::warn!(%error, "conversational turn failed");
    match error.field() {
        Some("session_id") => ApiError::invalid("session_id", error.to_string()),
        Some("prompt") => ApiError::invalid("message", error.to_string()),
        _ => from_error(&error),
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
            (r#"{"session_id":"a","message":" \n"}"#, Some("must not be empty")),
            (r#"{"session_id":"a"}"#, Some("missing field `message`")),
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
}
