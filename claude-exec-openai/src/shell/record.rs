//! The one log line of a request, written at its end, whatever that is.

use claude_exec::http::{KeyName, RequestId};
use tokio::time::Instant;

use super::answer_end::AnswerEnd;
use crate::answer::Done;
use crate::error::ApiError;
use crate::fields::IgnoredFields;

/// What is known of a request. Neither prompts nor answers nor tokens are ever in it.
#[derive(Debug)]
pub(super) struct Record {
    request_id: RequestId,
    key: Option<KeyName>,
    model: Option<String>,
    stream: bool,
    ignored: IgnoredFields,
    started: Instant,
    ended: bool,
    end: AnswerEnd,
}

impl Record {
    pub(super) fn new(request_id: RequestId, key: Option<KeyName>) -> Self {
        Self {
            request_id,
            key,
            model: None,
            stream: false,
            ignored: IgnoredFields::default(),
            started: Instant::now(),
            ended: false,
            end: AnswerEnd::default(),
        }
    }

    /// Notes what is asked, once it was understood.
    pub(super) fn asked(&mut self, model: &str, stream: bool, ignored: &IgnoredFields) {
        self.model = Some(model.to_owned());
        self.stream = stream;
        self.ignored = ignored.clone();
    }

    /// Where a streamed answer's end is told.
    pub(super) fn answer_end(&self) -> AnswerEnd {
        self.end.clone()
    }

    /// Writes the line.
    pub(super) fn end(&mut self, end: &Result<Done, ApiError>) {
        match end {
            Ok(done) => {
                let tokens = done.usage.map(|usage| (usage.total_input_tokens(), usage.output_tokens));
                self.write(Some(200), Some(done.finish_reason.as_str()), tokens, "answered");
            }
            Err(error) => {
                self.write(Some(error.status), Some(error.code.unwrap_or(error.kind)), None, "refused");
            }
        }
    }

    fn write(&mut self, status: Option<u16>, code: Option<&str>, tokens: Option<(u64, u64)>, message: &str) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let Some(status) = status {
            self.end.tell(status);
        }
        tracing::info!(
            request_id = %self.request_id,
            key = self.key.as_ref().map(KeyName::as_str),
            model = self.model.as_deref(),
            stream = self.stream,
            status,
            code,
            prompt_tokens = tokens.map(|(prompt, _)| prompt),
            completion_tokens = tokens.map(|(_, completion)| completion),
            ignored = self.ignored.header(),
            duration_ms = self.started.elapsed().as_millis() as u64,
            "{message}"
        );
    }
}

/// A request that ends without an end: its client has hung up.
impl Drop for Record {
    fn drop(&mut self) {
        self.write(None, None, None, "client gone");
    }
}
