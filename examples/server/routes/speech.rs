//! A conversational turn as server-sent events: pure.
//!
//! | event | data | what |
//! |---|---|---|
//! | `delta` | `{"text"}` | more of the reply |
//! | `replace` | `{"text"}` | the reply so far is this: the model has started over |
//! | `done` | `{"session_id", "reply"}` | the whole reply, as it comes without streaming |
//! | `error` | `{"error"}` | what failed, in OpenAI's shape |

use bytes::Bytes;
use claude_exec::http::sse;
use claude_exec::protocol::{Event, Outcome};
use claude_exec_openai::ApiError;
use serde_json::{Value, json};

/// The reply as it grows.
#[derive(Debug, Default)]
pub struct Speech {
    said: String,
}

/// What an event of the turn means for its reader.
#[derive(Debug)]
pub enum Step {
    /// Nothing to show.
    Quiet,
    /// Something to send on.
    Frame(Bytes),
    /// The turn's last word.
    Ended(Result<Box<Outcome>, claude_exec::Error>),
}

impl Speech {
    /// Takes the next event.
    pub fn take(&mut self, event: Event) -> Step {
        match event {
            Event::Text(text) if text.parent.is_none() => {
                self.said += &text.text;
                Step::Frame(frame("delta", &json!({ "text": text.text }).to_string()))
            }
            Event::Restarted(void) if void.parent.is_none() => {
                let kept = self.said.len().saturating_sub(void.text_bytes);
                self.said = String::from_utf8_lossy(&self.said.as_bytes()[..kept]).into_owned();
                Step::Frame(frame("replace", &json!({ "text": self.said }).to_string()))
            }
            Event::Finished(outcome) => Step::Ended(Ok(outcome)),
            Event::Error(error) => Step::Ended(Err(error)),
            Event::Cancelled => Step::Ended(Err(claude_exec::Error::stopped())),
            _ => Step::Quiet,
        }
    }
}

/// The last event.
pub fn last(end: &Result<Value, ApiError>) -> Bytes {
    match end {
        Ok(reply) => frame("done", &reply.to_string()),
        Err(error) => frame("error", &String::from_utf8_lossy(&error.to_json())),
    }
}

fn frame(name: &str, data: &str) -> Bytes {
    sse::Event::data(data).name(name).to_bytes()
}

#[cfg(test)]
mod tests {
    use claude_exec::protocol::Translator;

    use super::*;

    fn frames(lines: &str) -> Vec<String> {
        let (mut translator, mut speech) = (Translator::new(), Speech::default());
        translator.push(lines.as_bytes());
        let mut frames = Vec::new();
        while let Some(event) = translator.poll_event() {
            match speech.take(event) {
                Step::Quiet => {}
                Step::Frame(frame) => frames.push(String::from_utf8(frame.to_vec()).unwrap()),
                Step::Ended(end) => frames.push(format!("ended {}", end.is_ok())),
            }
        }
        frames
    }

    #[test]
    fn a_reader_can_follow_a_model_that_starts_over() {
        let line = |event: &str| format!("{{\"type\":\"stream_event\",\"event\":{event}}}\n");
        let delta = |text: &str| {
            line(&format!(
                "{{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}"
            ))
        };
        let start =
            |id: &str| line(&format!("{{\"type\":\"message_start\",\"message\":{{\"id\":\"{id}\"}}}}"));
        let result = "{\"type\":\"result\",\"subtype\":\"success\",\"result\":\"ok\"}\n";
        let lines = [&start("a"), &delta("wo"), &delta("rd"), &start("b"), &delta("ok"), result];
        let expected = [
            "event: delta\ndata: {\"text\":\"wo\"}\n\n",
            "event: delta\ndata: {\"text\":\"rd\"}\n\n",
            "event: replace\ndata: {\"text\":\"\"}\n\n",
            "event: delta\ndata: {\"text\":\"ok\"}\n\n",
            "ended true",
        ];
        assert_eq!(frames(&lines.concat()), expected);
    }

    #[test]
    fn the_last_event_says_how_it_ended() {
        let done = last(&Ok(json!({"session_id": "a", "reply": "b"})));
        assert_eq!(done, "event: done\ndata: {\"session_id\":\"a\",\"reply\":\"b\"}\n\n");
        let error = String::from_utf8(last(&Err(ApiError::invalid("message", "x"))).to_vec()).unwrap();
        assert!(error.starts_with("event: error\ndata: {\"error\":{"), "{error}");
    }
}
