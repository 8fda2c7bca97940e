//! What arrives on stdin, read by a thread of its own so that a control request is seen in mid-turn.

use std::collections::{HashSet, VecDeque};
use std::io::BufRead;
use std::process::exit;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::time::Duration;

use serde_json::{Value, json};

/// One line of stdin.
#[derive(Debug)]
pub(crate) enum Incoming {
    User(User),
    /// A prior answer, appended to the history.
    Assistant(Value),
    Control {
        id: String,
        request: Value,
    },
    Response(Value),
    End,
}

/// A user message, or several that waited and became one.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) raw: Value,
    pub(crate) text: String,
    pub(crate) uuids: Vec<String>,
}

impl User {
    pub(crate) fn plain(text: &str) -> Self {
        Self { raw: json!({"text": text}), text: text.to_owned(), uuids: Vec::new() }
    }

    /// Appends those that waited, a line each.
    pub(crate) fn join(&mut self, others: Vec<Self>) {
        for other in others {
            self.text = format!("{}\n{}", self.text, other.text);
            self.uuids.extend(other.uuids);
        }
    }

    /// Whether the model is to answer.
    pub(crate) fn queries(&self) -> bool {
        self.raw["shouldQuery"] != Value::Bool(false)
    }
}

pub(crate) struct Input {
    lines: Receiver<Incoming>,
    waiting: VecDeque<Incoming>,
    seen: HashSet<String>,
}

impl Input {
    pub(crate) fn start() -> Self {
        // As many as anyone would write ahead; the pipe holds back the rest.
        let (sender, lines) = sync_channel(64);
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().split(b'\n') {
                let Ok(line) = line else { break };
                if let Some(incoming) = parse(&line)
                    && sender.send(incoming).is_err()
                {
                    return;
                }
            }
            // The other side ends only with the process.
            let _ = sender.send(Incoming::End);
        });
        Self { lines, waiting: VecDeque::new(), seen: HashSet::new() }
    }

    /// The next message, with those first that waited.
    pub(crate) fn next(&mut self) -> Incoming {
        loop {
            let incoming = match self.waiting.pop_front() {
                Some(incoming) => incoming,
                None => self.lines.recv().unwrap_or(Incoming::End),
            };
            // A message seen before is dropped without a word, as the real one does.
            if let Incoming::User(user) = &incoming
                && !user.uuids.iter().all(|uuid| self.seen.insert(uuid.clone()))
            {
                continue;
            }
            return incoming;
        }
    }

    /// A control request or response, within `time`; a user message waits for its turn.
    pub(crate) fn control(&mut self, time: Duration) -> Option<Incoming> {
        let incoming = match self.lines.try_recv() {
            Ok(incoming) => incoming,
            Err(TryRecvError::Empty) if !time.is_zero() => match self.lines.recv_timeout(time) {
                Ok(incoming) => incoming,
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => {
                    std::thread::sleep(time);
                    return None;
                }
            },
            Err(TryRecvError::Disconnected) if !time.is_zero() => {
                std::thread::sleep(time);
                return None;
            }
            Err(_) => return None,
        };
        match incoming {
            Incoming::Control { .. } | Incoming::Response(_) => Some(incoming),
            other => {
                self.waiting.push_back(other);
                None
            }
        }
    }

    pub(crate) fn has_waiting_user(&mut self) -> bool {
        while let Ok(incoming) = self.lines.try_recv() {
            self.waiting.push_back(incoming);
        }
        self.waiting.iter().any(|incoming| matches!(incoming, Incoming::User(_)))
    }

    /// Takes the user messages that wait in a row.
    pub(crate) fn waiting_users(&mut self) -> Vec<User> {
        let mut users = Vec::new();
        while let Some(Incoming::User(_)) = self.waiting.front() {
            if let Some(Incoming::User(user)) = self.waiting.pop_front()
                && user.uuids.iter().all(|uuid| self.seen.insert(uuid.clone()))
            {
                users.push(user);
            }
        }
        users
    }
}

/// A line, `None` when the real one ignores it.
fn parse(line: &[u8]) -> Option<Incoming> {
    let text = String::from_utf8_lossy(line);
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let length = text.chars().count();
    let value: Value = match serde_json::from_str(text) {
        Ok(Value::Null) => {
            die(&format!("Error parsing streaming input line (type=unknown, {length} chars): TypeError"))
        }
        Ok(value) => value,
        Err(_) => {
            die(&format!("Error parsing streaming input line (type=unknown, {length} chars): SyntaxError"))
        }
    };
    match value["type"].as_str()? {
        "user" => {
            let role = value["message"]["role"].as_str().unwrap_or("undefined");
            if role != "user" {
                die(&format!("Error: Expected message role 'user', got '{role}'"));
            }
            let text = text_of(&value["message"]["content"]);
            let uuids = value["uuid"].as_str().map(str::to_owned).into_iter().collect();
            Some(Incoming::User(User { raw: value, text, uuids }))
        }
        "assistant" => Some(Incoming::Assistant(value["message"].clone())),
        "control_request" => {
            let id = value["request_id"].as_str().unwrap_or_default().to_owned();
            Some(Incoming::Control { id, request: value["request"].clone() })
        }
        "control_response" => Some(Incoming::Response(value["response"].clone())),
        _ => None,
    }
}

pub(crate) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks.iter().filter_map(|block| block["text"].as_str()).collect(),
        _ => String::new(),
    }
}

fn die(message: &str) -> ! {
    eprintln!("{message}");
    exit(1)
}
