//! The answer to a card.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use claude_exec::http::{Body, detail, json};
use http::{Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::json as object;

use super::Breakglass;
use super::sessions::{find, read, record, refused, word};
use crate::access::{Principal, Scope};
use crate::audit;
use crate::power;
use crate::session::{Session, Verdict};

/// How long the end of a verb is waited for when the request does not say: shorter than any proxy's patience.
const PATIENCE: Duration = Duration::from_secs(25);

/// How long the agent waits for it: longer than any verb takes.
const LONGEST_VERB: Duration = Duration::from_secs(600);

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
    let patience = power::wait(request.headers()).unwrap_or(PATIENCE);
    let body: DecideBody = read(request).await?;
    if body.nonce.is_some() {
        if body.decision != Decision::AllowOnce {
            return Err(detail(StatusCode::BAD_REQUEST, "a nonce belongs to `allow_once`"));
        }
        return commit(shell, caller, &session, card, &body, (key, patience)).await;
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

/// Commits the verb of a power card, by the same way as the button, and tells the agent what it has led to.
async fn commit(
    shell: &Breakglass,
    caller: &Principal,
    session: &Session,
    card: &str,
    body: &DecideBody,
    request: (Option<String>, Duration),
) -> Result<Response<Body>, Response<Body>> {
    let (key, patience) = request;
    if !caller.may(Scope::Power) {
        return Err(detail(StatusCode::FORBIDDEN, "the scope `power` is missing"));
    }
    let claim = session.claim_power(card).map_err(|error| refused(&error))?;
    let nonce = body.nonce.as_deref().unwrap_or_default();
    // Without a key of the caller's the nonce is one: it commits once.
    let key = key.unwrap_or_else(|| nonce.to_owned());
    let (power, who) = (shell.power().clone(), caller.actor());
    let committed = power.commit(&who, nonce, body.phrase.as_deref(), &key).await;
    // Refused: the card waits on.
    let operation = committed.map_err(|refusal| power::refusal(&refusal))?;
    let id = operation.id.clone();
    let telling = tokio::spawn(async move {
        let ended = power.wait(&operation.id, LONGEST_VERB).await.unwrap_or(operation);
        let outcome =
            serde_json::to_value(ended.outcome.unwrap_or(power::Outcome::Unknown)).unwrap_or_default();
        let outcome = outcome.as_str().unwrap_or("unknown");
        let is_error = !ended.outcome.is_some_and(power::Outcome::is_success);
        // The person may have prepared another verb than the agent asked for: it is told which.
        let detail = ended.detail.as_deref().unwrap_or_default();
        let text = format!("{}: {detail}\n{}", ended.verb, ended.stdout);
        if let Err(error) = claim.done(&who.who, outcome, text.trim(), is_error).await {
            tracing::warn!(%error, "what a power card has led to could not be kept");
        }
    });
    // Whoever hangs up has committed it all the same.
    let _ = tokio::time::timeout(patience, telling).await;
    let Some(operation) = shell.power().operation(&id) else {
        return Err(detail(StatusCode::NOT_FOUND, "no such operation"));
    };
    let mut answer = serde_json::to_value(&operation).unwrap_or_default();
    answer["approval"] = card.into();
    answer["decision"] = word(Verdict::AllowOnce);
    let status = if operation.ended.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(json(status, &answer))
}
