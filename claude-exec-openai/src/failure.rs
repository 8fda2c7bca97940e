//! The one table from what went wrong in a turn to OpenAI's error.

use claude_exec::protocol::{Failure, Outcome};

use crate::error::ApiError;

/// Seconds to wait for a place in the queue: a turn of talk takes a few.
const QUEUE_RETRY_AFTER: u64 = 2;

/// Seconds to wait when the model API is overloaded or gives no time of its own.
const UPSTREAM_RETRY_AFTER: u64 = 10;

/// The longest `retry-after` that the official clients obey; beyond it they retry at once, in vain.
const LONGEST_OBEYED: u64 = 60;

const SERVER: &str = "server_error";
const LIMIT: &str = "rate_limit_error";

/// Maps a failed turn; `None` for one that an agent's turn limit cut, which is an answer of finish `length`.
///
/// | what happened | status | `code` |
/// |---|---|---|
/// | model API 400 and other 4xx | 400 | none, with the API's words |
/// | 401, 403: **our** credential, not the caller's | 502 | `upstream_auth` |
/// | 402, or the budget is spent | 429 | `insufficient_quota` |
/// | 404 | 404 | `model_not_found` |
/// | 413, or the prompt is too long | 400 | `context_length_exceeded` |
/// | 429 | 429 | `rate_limit_exceeded` |
/// | 503, 529 | 503 | `overloaded` |
/// | 408, 504 | 504 | `upstream_timeout` |
/// | other 5xx, no connection | 502 | `upstream_error` |
/// | interrupted | 503 | `interrupted` |
/// | the CLI's other failures | 502 | `execution_failed` |
pub fn from_outcome(outcome: &Outcome) -> Option<ApiError> {
    from_failure(outcome.failure()?, &outcome.error_message())
}

/// Maps what kept a turn from a result of its own.
///
/// | what happened | status | `code` |
/// |---|---|---|
/// | the queue is full, or its wait too long | 429 | `queue_full` |
/// | a time limit | 504 | `timeout` |
/// | the CLI could not be started | 502 | `spawn_failed` |
/// | the CLI ended without a result | 502 | `execution_failed` |
/// | stopped, as by a shutdown | 503 | `interrupted` |
/// | a text that cannot be sent | 400 | `invalid_value` |
/// | anything else | 500 | `internal_error` |
///
/// A full queue is 429 and not 503: every OpenAI client knows 429 as "later", waits as `retry-after` says and
/// raises its `RateLimitError`, while a 503 is reported as a broken server.
///
/// stderr, paths and host names stay in the server's log.
pub fn from_error(error: &claude_exec::Error) -> ApiError {
    if error.is_queue_full() {
        queue_full()
    } else if error.is_timeout() {
        ApiError::new(504, SERVER, format!("time limit: {error}")).code("timeout").final_answer()
    } else if error.is_stopped() || error.exit().is_some_and(|exit| exit.stopped) {
        stopped()
    } else if error.is_spawn() {
        ApiError::new(502, SERVER, "the server cannot start claude").code("spawn_failed").final_answer()
    } else if let Some(exit) = error.exit() {
        ApiError::new(502, SERVER, format!("claude ended without a result ({exit})")).code("execution_failed")
    } else if let Some("prompt" | "system_prompt" | "append_system_prompt") = error.field() {
        ApiError::invalid("messages", error.to_string()).code("invalid_value")
    } else {
        ApiError::new(500, SERVER, "internal error; the server's log has more").code("internal_error")
    }
}

fn from_failure(failure: Failure, words: &str) -> Option<ApiError> {
    Some(match failure {
        Failure::Api(Some(status)) => from_upstream(status, words),
        Failure::Api(None) => upstream_error("the model API could not be reached"),
        Failure::PromptTooLong => context_length(),
        Failure::MaxTurns => return None,
        Failure::MaxBudget => quota("the budget of this model is spent"),
        Failure::StructuredOutput => invalid_output(),
        Failure::Interrupted => stopped(),
        Failure::UnknownSession | Failure::Execution => {
            ApiError::new(502, SERVER, format!("the turn failed: {words}")).code("execution_failed")
        }
        // The enum grows with the CLI.
        _ => ApiError::new(502, SERVER, format!("the turn failed: {words}")).code("execution_failed"),
    })
}

/// Maps the model API's status; `words` are its own, which never hold more than the caller's request.
pub(crate) fn from_upstream(status: u16, words: &str) -> ApiError {
    match status {
        401 | 403 => upstream_auth(),
        402 => quota("the account behind this server is out of credit"),
        404 => ApiError::new(404, "invalid_request_error", "the model API does not know this model")
            .code("model_not_found")
            .param("model"),
        413 => context_length(),
        429 => ApiError::new(429, LIMIT, "the model API's rate limit is reached")
            .code("rate_limit_exceeded")
            .retry_after(UPSTREAM_RETRY_AFTER),
        408 | 504 => ApiError::new(504, SERVER, "the model API took too long").code("upstream_timeout"),
        503 | 529 => ApiError::new(503, SERVER, "the model API is overloaded")
            .code("overloaded")
            .retry_after(UPSTREAM_RETRY_AFTER),
        500.. => upstream_error(&format!("the model API failed with status {status}")),
        _ if is_too_long(words) => context_length(),
        _ => ApiError::new(400, "invalid_request_error", words),
    }
}

/// Maps what kept a request from getting a slot: nothing of it was started, so waiting too long for one is a
/// full queue to its caller, and no time limit of its turn.
#[cfg(feature = "http")]
pub(crate) fn from_queue(error: &claude_exec::Error) -> ApiError {
    if error.is_timeout() || error.is_queue_full() { queue_full() } else { from_error(error) }
}

fn queue_full() -> ApiError {
    ApiError::new(429, LIMIT, "the server is at its limit of running and waiting requests")
        .code("queue_full")
        .retry_after(QUEUE_RETRY_AFTER)
}

/// The credential of the server itself was refused: never the caller's 401, which would make it doubt its key.
pub(crate) fn upstream_auth() -> ApiError {
    let message = "the model API refused this server's own credential; its operator must renew it";
    ApiError::new(502, SERVER, message).code("upstream_auth").final_answer()
}

/// The answer was started over after some of it had been sent, and the new one does not go on from there.
pub(crate) fn restarted() -> ApiError {
    let message = "the model's answer broke off and was started over differently; what came so far is void";
    ApiError::new(502, SERVER, message).code("answer_restarted")
}

/// The model did not give what the request's `response_format` asks for.
pub(crate) fn invalid_output() -> ApiError {
    ApiError::new(502, SERVER, "the model gave no JSON that fits the schema").code("invalid_output")
}

/// The CLI has not taken the schema over: it would ask the model for text.
pub(crate) fn schema_dropped() -> ApiError {
    ApiError::new(400, "invalid_request_error", "the CLI does not take this JSON schema; simplify it")
        .code("invalid_json_schema")
}

/// The answer is longer than one object may be.
pub(crate) fn too_long() -> ApiError {
    ApiError::new(502, SERVER, "the answer is too long for one piece; stream it")
        .code("answer_too_long")
        .final_answer()
}

/// The turn ended without a word about how.
pub(crate) fn no_result() -> ApiError {
    ApiError::new(502, SERVER, "claude ended without a result").code("execution_failed")
}

fn upstream_error(message: &str) -> ApiError {
    ApiError::new(502, SERVER, message).code("upstream_error")
}

fn context_length() -> ApiError {
    ApiError::invalid("messages", "the conversation is longer than the model's context")
        .code("context_length_exceeded")
}

fn quota(message: &str) -> ApiError {
    ApiError::new(429, "insufficient_quota", message).code("insufficient_quota").final_answer()
}

/// The turn was ended by the server, as at a shutdown.
pub(crate) fn stopped() -> ApiError {
    ApiError::new(503, SERVER, "the turn was stopped before its end").code("interrupted")
}

/// The code of a turn that its caller cancelled by another request.
pub(crate) const CANCELLED: &str = "cancelled";

/// The turn's caller cancelled it.
#[cfg(feature = "http")]
pub(crate) fn cancelled() -> ApiError {
    ApiError::new(409, "invalid_request_error", "the response was cancelled").code(CANCELLED).final_answer()
}

fn is_too_long(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    words.contains("prompt is too long") || words.contains("exceed context limit")
}

/// Tells a rate-limited caller when the account's limit resets; any other error is left alone.
pub(crate) fn with_reset(mut error: ApiError, resets_at: Option<u64>, now: u64) -> ApiError {
    if let (Some("rate_limit_exceeded"), Some(resets_at)) = (error.code, resets_at) {
        error = worth_a_retry(error, resets_at.saturating_sub(now));
    }
    error
}

/// Says in how many seconds a retry makes sense, or that it is not worth the wait.
pub(crate) fn worth_a_retry(error: ApiError, seconds: u64) -> ApiError {
    let error = error.retry_after(seconds.max(1));
    if seconds > LONGEST_OBEYED { error.final_answer() } else { error }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use claude_exec::Error;
    use claude_exec::executor::Exit;

    use super::*;

    type Row = (u16, Option<&'static str>, Option<u64>, Option<bool>);

    fn row(error: &ApiError) -> Row {
        (error.status, error.code, error.retry_after, error.should_retry)
    }

    #[test]
    fn each_failure_has_one_true_status() {
        let table: [(Failure, Row); 20] = [
            (Failure::Api(Some(400)), (400, None, None, None)),
            (Failure::Api(Some(422)), (400, None, None, None)),
            (Failure::Api(Some(401)), (502, Some("upstream_auth"), None, Some(false))),
            (Failure::Api(Some(403)), (502, Some("upstream_auth"), None, Some(false))),
            (Failure::Api(Some(402)), (429, Some("insufficient_quota"), None, Some(false))),
            (Failure::Api(Some(404)), (404, Some("model_not_found"), None, None)),
            (Failure::Api(Some(413)), (400, Some("context_length_exceeded"), None, None)),
            (Failure::Api(Some(429)), (429, Some("rate_limit_exceeded"), Some(10), None)),
            (Failure::Api(Some(500)), (502, Some("upstream_error"), None, None)),
            (Failure::Api(Some(502)), (502, Some("upstream_error"), None, None)),
            (Failure::Api(Some(503)), (503, Some("overloaded"), Some(10), None)),
            (Failure::Api(Some(529)), (503, Some("overloaded"), Some(10), None)),
            (Failure::Api(Some(504)), (504, Some("upstream_timeout"), None, None)),
            (Failure::Api(None), (502, Some("upstream_error"), None, None)),
            (Failure::PromptTooLong, (400, Some("context_length_exceeded"), None, None)),
            (Failure::MaxBudget, (429, Some("insufficient_quota"), None, Some(false))),
            (Failure::StructuredOutput, (502, Some("invalid_output"), None, None)),
            (Failure::Interrupted, (503, Some("interrupted"), None, None)),
            (Failure::UnknownSession, (502, Some("execution_failed"), None, None)),
            (Failure::Execution, (502, Some("execution_failed"), None, None)),
        ];
        for (failure, expected) in table {
            assert_eq!(row(&from_failure(failure, "words").unwrap()), expected, "{failure:?}");
        }
        assert_eq!(from_failure(Failure::MaxTurns, ""), None);
        let error =
            from_failure(Failure::Api(Some(400)), "input length and `max_tokens` exceed context limit");
        assert_eq!(error.unwrap().code, Some("context_length_exceeded"));
    }

    #[test]
    fn each_error_has_one_true_status_and_tells_no_secret() {
        let spawn = Error::spawn("/opt/hidden/claude", io::Error::from(io::ErrorKind::NotFound));
        let mut ended = Exit::default();
        ended.stopped = true;
        let table: [(Error, Row); 9] = [
            (Error::exited(ended, "hidden"), (503, Some("interrupted"), None, None)),
            (Error::queue_full(8), (429, Some("queue_full"), Some(2), None)),
            (Error::timed_out("turn", Duration::from_secs(120)), (504, Some("timeout"), None, Some(false))),
            (Error::stopped(), (503, Some("interrupted"), None, None)),
            (spawn, (502, Some("spawn_failed"), None, Some(false))),
            (Error::exited(Exit::from_code(1), "hidden"), (502, Some("execution_failed"), None, None)),
            (Error::invalid("prompt", "must not contain NUL"), (400, Some("invalid_value"), None, None)),
            (Error::invalid("cwd", "hidden"), (500, Some("internal_error"), None, None)),
            (Error::failed("git clone", "hidden"), (500, Some("internal_error"), None, None)),
        ];
        for (error, expected) in table {
            let answer = from_error(&error);
            assert_eq!(row(&answer), expected, "{error}");
            assert!(!answer.message.contains("hidden"), "{answer}");
        }
    }

    #[test]
    fn a_reset_that_is_far_away_is_not_worth_a_retry() {
        let limited = || from_upstream(429, "");
        let table = [(None, (Some(10), None)), (Some(1_030), (Some(30), None)), (Some(900), (Some(1), None))];
        for (resets_at, expected) in table {
            let error = with_reset(limited(), resets_at, 1_000);
            assert_eq!((error.retry_after, error.should_retry), expected);
        }
        let far = with_reset(limited(), Some(9_000), 1_000);
        assert_eq!((far.retry_after, far.should_retry), (Some(8_000), Some(false)));
        assert_eq!(with_reset(upstream_auth(), Some(9_000), 1_000), upstream_auth());
    }
}
