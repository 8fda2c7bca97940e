//! The answer to a card.

use std::fmt;

use bytes::Bytes;
use claude_exec::http::{Body, detail, json};
use http::{Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::json as object;

use super::Breakglass;
use super::sessions::{find, read, record, refused, word};
use crate::access::{Principal, Scope};
use crate::audit;
use crate::session::{Session, Verdict};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecideBody {
    decision: Decision,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    phrase: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Decision {
    AllowOnce,
    AllowSession,
    Deny,
}

pub(super) async fn respond<B>(
    shell: &Breakglass,
    caller: &Principal,
    id: &str,
    card: &str,
    request: Request<B>,
) -> Result<Response<Body>, Response<Body>>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let session = find(shell, id)?;
    let key = super::sessions::idempotency_key(request.headers())?;
    let body: DecideBody = read(request).await?;
    if let Some(nonce) = &body.nonce {
        if body.decision != Decision::AllowOnce {
            return Err(detail(StatusCode::BAD_REQUEST, "a nonce belongs to `allow_once`"));
        }
        return commit(shell, caller, &session, card, nonce, body.phrase.as_deref(), key).await;
    }
    let verdict = match body.decision {
        Decision::AllowOnce => Verdict::AllowOnce,
        Decision::AllowSession => Verdict::AllowSession,
        Decision::Deny => Verdict::Deny,
    };
    let shown = session.card(card);
    // Before it is done: what was allowed is on record, whatever happens next.
    if let Some((tool, input)) = shown {
        let event = audit::Event::Approval {
            session: session.id().to_owned(),
            tool,
            input: shell.audit().redactor().text(&input).into_owned(),
            decision: match verdict {
                Verdict::AllowOnce => audit::Decision::Once,
                Verdict::AllowSession => audit::Decision::Session,
                _ => audit::Decision::Refused,
            },
            reason: body.reason.clone(),
        };
        record(shell, caller, event).await;
    }
    session.decide(card, verdict, &caller.actor().who, body.reason).await.map_err(|error| {
        match session.decision(card).filter(|_| error.is_conflict()) {
            Some(decided) => json(
                StatusCode::CONFLICT,
                &object!({ "detail": error.to_string(), "decision": word(decided) }),
            ),
            None => refused(&error),
        }
    })?;
    Ok(json(StatusCode::OK, &object!({ "approval": card, "decision": word(verdict) })))
}
