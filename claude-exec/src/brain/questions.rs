//! Our control requests that the CLI has not answered yet.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::order::Answer;
use crate::error::Error;
use crate::protocol::ControlResponse;
use crate::time::after;

#[derive(Default)]
pub(super) struct Questions(HashMap<String, Asked>);

/// One request.
pub(super) struct Asked {
    due: Instant,
    limit: Duration,
    /// Who waits; nobody for a change of settings, which must succeed.
    answer: Option<oneshot::Sender<Answer>>,
}

impl Asked {
    pub(super) fn by(answer: oneshot::Sender<Answer>, now: Instant, limit: Duration) -> Self {
        Self { due: after(now, limit), limit, answer: Some(answer) }
    }

    pub(super) fn settings(now: Instant, limit: Duration) -> Self {
        Self { due: after(now, limit), limit, answer: None }
    }
}

impl Questions {
    pub(super) fn add(&mut self, id: String, asked: Asked) {
        self.0.insert(id, asked);
    }

    /// The next one to run out, and when.
    pub(super) fn next(&self) -> Option<(Instant, &str)> {
        self.0.iter().map(|(id, asked)| (asked.due, id.as_str())).min()
    }

    /// Takes the CLI's answer; an error when it refuses what must succeed. `None` when nobody asked.
    pub(super) fn answer(&mut self, response: &ControlResponse) -> Option<Result<(), Error>> {
        let asked = self.0.remove(&response.request_id)?;
        let answer = response.result.clone().map_err(Error::unsupported);
        Some(match asked.answer {
            Some(waiting) => {
                let _left = waiting.send(answer);
                Ok(())
            }
            None => answer.map(drop),
        })
    }

    /// Gives up on one whose time has run out.
    pub(super) fn expire(&mut self, id: &str) -> Error {
        let Some(asked) = self.0.remove(id) else { return Error::stopped() };
        let error = Error::timed_out("the CLI's answer to a control request", asked.limit);
        if let Some(waiting) = asked.answer {
            let _left = waiting.send(Err(error.clone()));
        }
        error
    }

    /// The process is gone.
    pub(super) fn fail(&mut self, error: &Error) {
        for (_, asked) in self.0.drain() {
            if let Some(waiting) = asked.answer {
                let _left = waiting.send(Err(error.clone()));
            }
        }
    }
}
