//! Lines of stream-json, in the envelope and the key order of the real ones.

use std::io::Write;
use std::process::exit;

use serde_json::Value;

/// Written to the pipe when it holds this much, or when someone is to see it.
const BUFFER: usize = 64 * 1024;

pub(crate) struct Out {
    buffer: Vec<u8>,
    end_of_line: &'static [u8],
    pub(crate) session: String,
    lines: u64,
    messages: u64,
}

impl Out {
    pub(crate) fn new(session: &str) -> Self {
        let buffer = Vec::with_capacity(BUFFER + 1024);
        Self { buffer, end_of_line: b"\n", session: session.to_owned(), lines: 0, messages: 0 }
    }

    pub(crate) fn crlf(&mut self) {
        self.end_of_line = b"\r\n";
    }

    pub(crate) fn line(&mut self, line: impl AsRef<[u8]>) {
        self.buffer.extend_from_slice(line.as_ref());
        self.buffer.extend_from_slice(self.end_of_line);
        if self.buffer.len() >= BUFFER {
            self.flush();
        }
    }

    /// A reader that left ends the process, as it ends the real one.
    pub(crate) fn flush(&mut self) {
        let mut stdout = std::io::stdout().lock();
        if stdout.write_all(&self.buffer).and_then(|()| stdout.flush()).is_err() {
            exit(1);
        }
        self.buffer.clear();
    }

    /// Not random, so that a transcript can be compared.
    pub(crate) fn uuid(&mut self) -> String {
        self.lines += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.lines)
    }

    pub(crate) fn message_id(&mut self) -> String {
        self.messages += 1;
        format!("msg_{:06}", self.messages)
    }

    /// A `system` line; `fields` begin with a comma.
    pub(crate) fn system(&mut self, subtype: &str, fields: &str) {
        let uuid = self.uuid();
        let session = self.session.clone();
        self.line(format!(
            "{{\"type\":\"system\",\"subtype\":\"{subtype}\"{fields},\"session_id\":\"{session}\",\"uuid\":\"{uuid}\"}}"
        ));
    }

    /// A `stream_event` line around `event`.
    pub(crate) fn event(&mut self, event: &str, message: &str, parent: Option<&str>) {
        let uuid = self.uuid();
        let parent = parent.map_or("null".to_owned(), |parent| format!("\"{parent}\""));
        let session = &self.session;
        let line = format!(
            "{{\"type\":\"stream_event\",\"event\":{event},\"session_id\":\"{session}\",\"parent_tool_use_id\":{parent},\
             \"uuid\":\"{uuid}\",\"api_message_id\":\"{message}\"}}"
        );
        self.line(line);
    }

    /// An `assistant` line; `content` is the array, or whatever is to stand in its place.
    pub(crate) fn assistant(&mut self, content: &str, message: &str, model: &str, parent: Option<&str>) {
        let uuid = self.uuid();
        let parent = parent.map_or("null".to_owned(), |parent| format!("\"{parent}\""));
        let session = &self.session;
        let line = format!(
            "{{\"type\":\"assistant\",\"message\":{{\"id\":\"{message}\",\"type\":\"message\",\"role\":\"assistant\",\
             \"model\":\"{model}\",\"content\":{content},\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{USAGE},\
             \"context_management\":null}},\"parent_tool_use_id\":{parent},\"session_id\":\"{session}\",\"uuid\":\"{uuid}\",\
             \"timestamp\":\"2026-01-01T00:00:00.000Z\",\"request_id\":\"req_{}\"}}",
            message.trim_start_matches("msg_"),
        );
        self.line(line);
    }

    /// A `user` line of the CLI's own; `rest` begins with a comma.
    pub(crate) fn user(&mut self, content: &str, rest: &str) {
        let uuid = self.uuid();
        let session = &self.session;
        let line = format!(
            "{{\"type\":\"user\",\"message\":{{\"role\":\"user\",\"content\":{content}}},\"parent_tool_use_id\":null,\
             \"session_id\":\"{session}\",\"uuid\":\"{uuid}\",\"timestamp\":\"2026-01-01T00:00:00.000Z\"{rest}}}"
        );
        self.line(line);
    }

    /// The answer to a control request of the host.
    pub(crate) fn control_success(&mut self, id: &str, response: &Value) {
        let id = quoted(id);
        self.line(format!(
            "{{\"type\":\"control_response\",\"response\":{{\"subtype\":\"success\",\"request_id\":{id},\"response\":{response}}}}}"
        ));
        self.flush();
    }

    pub(crate) fn control_error(&mut self, id: &str, error: &str) {
        let (id, error) = (quoted(id), quoted(error));
        self.line(format!(
            "{{\"type\":\"control_response\",\"response\":{{\"subtype\":\"error\",\"request_id\":{id},\"error\":{error},\
             \"error_code\":\"unsupported_request\"}}}}"
        ));
        self.flush();
    }
}

const USAGE: &str =
    r#"{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}"#;

pub(crate) fn message_start(message: &str, model: &str) -> String {
    format!(
        "{{\"type\":\"message_start\",\"message\":{{\"id\":\"{message}\",\"type\":\"message\",\"role\":\"assistant\",\
         \"model\":\"{model}\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{USAGE}}}}}"
    )
}

pub(crate) fn block_start(index: usize, block: &str) -> String {
    format!("{{\"type\":\"content_block_start\",\"index\":{index},\"content_block\":{block}}}")
}

pub(crate) fn delta(index: usize, kind: &str, field: &str, text: &str) -> String {
    let text = quoted(text);
    format!(
        "{{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{{\"type\":\"{kind}\",\"{field}\":{text}}}}}"
    )
}

pub(crate) fn block_stop(index: usize) -> String {
    format!("{{\"type\":\"content_block_stop\",\"index\":{index}}}")
}

pub(crate) fn message_delta(stop: Option<&str>, output_tokens: u64) -> String {
    let stop = stop.map_or("null".to_owned(), quoted);
    format!(
        "{{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":{stop},\"stop_sequence\":null}},\"usage\":{{\
         \"input_tokens\":10,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":{output_tokens}}}}}"
    )
}

pub(crate) fn text_block(text: &str) -> String {
    format!("{{\"type\":\"text\",\"text\":{}}}", quoted(text))
}

/// As a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
