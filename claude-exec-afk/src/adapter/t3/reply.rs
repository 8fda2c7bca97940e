//! What an answer means that the client has let through: no redirect, no 401, no 429 and no 5xx.

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};

/// What the service is called in errors.
pub(super) const WHAT: &str = "T3";

/// An answer as it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reply<'a> {
    pub(super) status: u16,
    pub(super) content_type: &'a str,
    pub(super) body: &'a [u8],
}

/// What came of a look at one thread.
pub(super) fn found<'a>(reply: &Reply<'a>) -> Result<Option<&'a [u8]>> {
    match reply.status {
        // Archived, deleted, or never there.
        404 if tagged(reply, "thread_not_found") => Ok(None),
        _ => json(reply).map(Some),
    }
}

/// The JSON of an answer that is one; what failed otherwise, and what to do about it.
pub(super) fn json<'a>(reply: &Reply<'a>) -> Result<&'a [u8]> {
    match reply.status {
        200 if is_json(reply.content_type) => Ok(reply.body),
        // Every build with its web client answers any path that it does not know with the page.
        200 => Err(refused(format!(
            "the answer is {} and not JSON: is AFK_T3_URL the root of a T3 server of 0.0.27 or later?",
            shown(reply.content_type)
        ))),
        400 if tagged(reply, "invalid_command") => Err(refused(
            "400 invalid_command: the project's directory is not there, or is none, on the T3 machine: see AFK_T3_ROOT",
        )),
        403 => Err(refused(format!(
            "403 {}: the token needs the scopes orchestration:read and orchestration:operate",
            reason(reply)
        ))),
        426 => Err(Error::unsupported(
            "T3 answers 426: it speaks a later orchestration protocol; run one that speaks protocol 1, such as 0.0.33, \
             or choose another AFK_AGENT",
        )),
        status => Err(refused(format!("{status} {}", reason(reply)))),
    }
}

/// Reads JSON as protocol 1 has it. A failure to is nothing known, never something decided.
pub(super) fn decode<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| {
        // Only where: the rest of the message may quote what was said.
        let place = format!("line {} column {}", error.line(), error.column());
        Error::unavailable(WHAT, format_args!("the answer is not as protocol 1 has it ({place})"), None)
    })
}

fn refused(reason: impl std::fmt::Display) -> Error {
    Error::refused(WHAT, reason)
}

/// The `reason` or `requiredScope` of a tagged error; nothing else of a body is ever shown.
fn reason(reply: &Reply<'_>) -> String {
    if reply.body.is_empty() {
        return "with an empty body".into();
    }
    if !is_json(reply.content_type) {
        return format!("with {}", shown(reply.content_type));
    }
    let body: Value = serde_json::from_slice(reply.body).unwrap_or_default();
    let word = ["reason", "requiredScope", "code"].into_iter().find_map(|key| body[key].as_str());
    word.map_or_else(|| "without a reason".into(), |word| word.chars().take(80).collect())
}

fn tagged(reply: &Reply<'_>, reason: &str) -> bool {
    is_json(reply.content_type)
        && serde_json::from_slice::<Value>(reply.body).is_ok_and(|body| body["reason"] == reason)
}

fn is_json(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn shown(content_type: &str) -> String {
    match content_type.trim() {
        "" => "without a content type".into(),
        kind => kind.chars().take(60).collect::<String>().escape_debug().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = "application/json; charset=utf-8";

    fn reply<'a>(status: u16, content_type: &'a str, body: &'a str) -> Reply<'a> {
        Reply { status, content_type, body: body.as_bytes() }
    }

    #[test]
    fn every_answer_means_something() {
        let missing = r#"{"_tag":"EnvironmentResourceNotFoundError","code":"not_found","reason":"thread_not_found","traceId":"1"}"#;
        let scope = r#"{"_tag":"EnvironmentScopeRequiredError","code":"insufficient_scope","requiredScope":"orchestration:operate","traceId":"1"}"#;
        let root = r#"{"_tag":"EnvironmentRequestInvalidError","code":"invalid_request","reason":"invalid_command","traceId":"1"}"#;
        for (status, kind, sent, says) in [
            (200, "text/html", "<html>secret</html>", "AFK_T3_URL"),
            (200, "", "", "without a content type"),
            (400, "", "", "400 with an empty body"),
            (400, JSON, root, "AFK_T3_ROOT"),
            (403, JSON, scope, "orchestration:operate"),
            (404, "", "", "404"),
            (404, "text/html", "thread_not_found", "404 with text/html"),
            (415, "text/plain", "secret", "415"),
        ] {
            let error = found(&reply(status, kind, sent)).unwrap_err();
            assert!(error.is_refused() && error.to_string().contains(says), "{status} {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert!(json(&reply(426, JSON, "{}")).is_err_and(|error| error.is_unsupported()));
        assert_eq!(found(&reply(404, JSON, missing)).unwrap(), None);
        assert!(json(&reply(404, JSON, missing)).is_err());
        assert_eq!(json(&reply(200, "Application/JSON", "{}")).unwrap(), b"{}");
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_quoted() {
        let error = decode::<super::super::wire::Accepted>(br#"{"sequence":"hush"}"#).unwrap_err();
        assert!(error.is_transient() && !error.to_string().contains("hush"), "{error}");
    }
}
