//! A CLI that lives and remembers, without the CLI: for tests of programs that embed this crate.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures::future::{self, BoxFuture};
use futures::stream::{self, StreamExt};
use futures::{FutureExt, Stream};
use serde_json::{Value, json};

use super::{Command, Control, Executor, Exit, Frame, Process, Stop};
use crate::error::Result;

/// An executor whose processes speak stream-json as the CLI does, turn after turn: they keep sessions (in memory,
/// over processes), take `initialize`, interrupts, settings and a replayed past, and refuse what the CLI refuses.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use claude_exec::{Invocation, brain, executor::{Answer, ScriptedCli}};
///
/// let cli = ScriptedCli::new(|said| Answer::text(&format!("{} before", said.history.len())));
/// let turn = brain::run(&cli, &Invocation::conversational("hi")).await?;
/// assert_eq!(turn.outcome().await?.text, "0 before");
/// # Ok::<(), claude_exec::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct ScriptedCli {
    shared: Arc<Shared>,
}

struct Shared {
    answer: Box<dyn Fn(&Said) -> Answer + Send + Sync>,
    sessions: Mutex<HashMap<String, Vec<(String, String)>>>,
    starts: Mutex<Vec<Command>>,
    lives: Mutex<Vec<Weak<Mutex<Life>>>>,
}

/// A user message, as the answering closure sees it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Said {
    /// The session's id.
    pub session_id: String,
    /// Its text; the text blocks joined.
    pub text: String,
    /// Its content as it came: a string or blocks.
    pub content: Value,
    /// What was said before in this session: role and text.
    pub history: Vec<(String, String)>,
    /// The system prompt that the process was opened with.
    pub system_prompt: Option<String>,
    /// The variables that settings have changed.
    pub env: HashMap<String, String>,
}

/// What answered control requests lead to.
#[derive(Clone)]
struct Then(Arc<Continuation>);

type Continuation = dyn Fn(&[Value]) -> Answer + Send + Sync;

impl fmt::Debug for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Then")
    }
}

/// What the scripted CLI does in answer to a message.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Answer {
    steps: VecDeque<Step>,
    text: String,
    failure: Option<u16>,
}

#[derive(Debug, Clone)]
enum Step {
    Line(Value),
    /// Control requests, by their `request`; goes on when all are answered, with what the answers lead to.
    Ask(Vec<Value>, Option<Then>),
    Hang,
    Exit(i32),
}

impl Answer {
    /// An answer in words, one delta each.
    pub fn text(text: &str) -> Self {
        Self::default().then_text(text)
    }

    /// Says more.
    pub fn then_text(mut self, text: &str) -> Self {
        for word in text.split_inclusive(' ') {
            let delta = json!({"type": "text_delta", "text": word});
            let event = json!({"type": "content_block_delta", "index": 0, "delta": delta});
            self.steps.push_back(Step::Line(
                json!({"type": "stream_event", "event": event, "parent_tool_use_id": null}),
            ));
        }
        self.text += text;
        self
    }

    /// Sends a control request such as `{"subtype":"can_use_tool",…}`, and waits for its answer.
    pub fn ask(mut self, request: Value) -> Self {
        self.steps.push_back(Step::Ask(vec![request], None));
        self
    }

    /// As [`ask`](Self::ask), and goes on with what `then` makes of the answer: the `response` of its control response.
    pub fn ask_then(self, request: Value, then: impl Fn(&Value) -> Answer + Send + Sync + 'static) -> Self {
        self.ask_all(vec![request], move |replies| then(&replies[0]))
    }

    /// Sends control requests at once, waits for all answers, and goes on with what `then` makes of them, in the order
    /// of the requests.
    pub fn ask_all(
        mut self,
        requests: Vec<Value>,
        then: impl Fn(&[Value]) -> Answer + Send + Sync + 'static,
    ) -> Self {
        self.steps.push_back(Step::Ask(requests, Some(Then(Arc::new(then)))));
        self
    }

    /// Says nothing more until it is interrupted or stopped.
    pub fn hang(mut self) -> Self {
        self.steps.push_back(Step::Hang);
        self
    }

    /// The process ends in mid-turn.
    pub fn exit(mut self, code: i32) -> Self {
        self.steps.push_back(Step::Exit(code));
        self
    }

    /// Fails, as the model API's refusal with this status does.
    pub fn fail(mut self, status: u16) -> Self {
        self.failure = Some(status);
        self
    }

    /// Writes a line of stream-json.
    pub fn line(mut self, line: Value) -> Self {
        self.steps.push_back(Step::Line(line));
        self
    }
}

impl ScriptedCli {
    /// A CLI that answers with what `answer` makes of each message.
    pub fn new(answer: impl Fn(&Said) -> Answer + Send + Sync + 'static) -> Self {
        let shared = Shared {
            answer: Box::new(answer),
            sessions: Mutex::default(),
            starts: Mutex::default(),
            lives: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A CLI that says what it was told.
    pub fn echo() -> Self {
        Self::new(|said| Answer::text(&said.text))
    }

    /// The commands started so far, in order.
    pub fn starts(&self) -> Vec<Command> {
        lock(&self.shared.starts).clone()
    }

    /// Kills every process, as SIGKILL does.
    pub fn kill_all(&self) {
        for life in std::mem::take(&mut *lock(&self.shared.lives)) {
            if let Some(life) = life.upgrade() {
                Handle(life).tell(|life| life.killed = true);
            }
        }
    }

    /// Loses all sessions, as when their files are removed.
    pub fn lose_sessions(&self) {
        lock(&self.shared.sessions).clear();
    }

    /// What was said in a session: role and text.
    pub fn history(&self, session_id: &str) -> Option<Vec<(String, String)>> {
        lock(&self.shared.sessions).get(session_id).cloned()
    }
}

impl fmt::Debug for ScriptedCli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedCli").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Executor for ScriptedCli {
    fn start(&self, command: Command) -> BoxFuture<'_, Result<Process>> {
        lock(&self.shared.starts).push(command.clone());
        let flag = |name: &str| {
            command.args.iter().find_map(|arg| arg.to_str()?.strip_prefix(name)?.strip_prefix('='))
        };
        let mut life = Life::new(Arc::clone(&self.shared));
        life.agent = flag("--agent").map(str::to_owned);
        let sessions = lock(&self.shared.sessions);
        match (flag("--resume"), flag("--session-id")) {
            (Some(id), _) if !sessions.contains_key(id) => life.refuse_resume(id),
            (_, Some(id)) if sessions.contains_key(id) => life.refuse_id(id),
            (Some(id), _) | (None, Some(id)) => life.session_id = id.to_owned(),
            (None, None) => life.session_id = uuid::Uuid::new_v4().hyphenated().to_string(),
        }
        drop(sessions);
        if let super::Stdin::Open(first) | super::Stdin::Once(first) = &command.stdin {
            life.read(first);
        }
        life.stdin_closed = !matches!(command.stdin, super::Stdin::Open(_));
        let life = Arc::new(Mutex::new(life));
        let mut lives = lock(&self.shared.lives);
        lives.retain(|life| life.strong_count() > 0);
        lives.push(Arc::downgrade(&life));
        drop(lives);
        let output = play(Arc::clone(&life)).boxed();
        future::ready(Ok(Process { output, control: Arc::new(Handle(life)) })).boxed()
    }
}

/// One process.
struct Life {
    shared: Arc<Shared>,
    session_id: String,
    agent: Option<String>,
    system_prompt: Option<String>,
    env: HashMap<String, String>,
    input: Vec<u8>,
    seen: HashSet<String>,
    queued: VecDeque<Value>,
    turn: Option<Turn>,
    output: VecDeque<Frame>,
    results: u64,
    asks: u64,
    stdin_closed: bool,
    stopped: bool,
    killed: bool,
    ended: bool,
    waker: Option<Waker>,
}

struct Turn {
    id: String,
    user: String,
    answer: Answer,
    waits_for: Option<Waiting>,
}

/// Control requests that are not all answered.
struct Waiting {
    /// Their ids, with the answers that have come.
    asked: Vec<(String, Option<Value>)>,
    then: Option<Then>,
}

impl Life {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            session_id: String::new(),
            agent: None,
            system_prompt: None,
            env: HashMap::new(),
            input: Vec::new(),
            seen: HashSet::new(),
            queued: VecDeque::new(),
            turn: None,
            output: VecDeque::new(),
            results: 0,
            asks: 0,
            stdin_closed: false,
            stopped: false,
            killed: false,
            ended: false,
            waker: None,
        }
    }

    fn say(&mut self, line: &Value) {
        self.output.push_back(Frame::Stdout(Bytes::from(format!("{line}\n"))));
    }

    fn end(&mut self, code: i32) {
        self.output.push_back(Frame::Exit(Exit::from_code(code)));
    }

    fn refuse_resume(&mut self, id: &str) {
        let error = format!("No conversation found with session ID: {id}");
        self.say(&json!({"type": "result", "subtype": "error_during_execution", "is_error": true,
            "num_turns": 0, "errors": [error], "session_id": id}));
        self.output.push_back(Frame::Stderr(Bytes::from(error)));
        self.end(1);
    }

    fn refuse_id(&mut self, id: &str) {
        let error = format!("Error: Session ID {id} is already in use.\n");
        self.output.push_back(Frame::Stderr(Bytes::from(error)));
        self.end(1);
    }

    fn read(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        while let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            match serde_json::from_slice::<Value>(&line) {
                Ok(line) => self.hear(line),
                Err(_) => {
                    let error = Bytes::from_static(b"Error parsing streaming input line\n");
                    self.output.push_back(Frame::Stderr(error));
                    self.end(1);
                }
            }
        }
        self.go_on();
    }

    fn hear(&mut self, line: Value) {
        match line["type"].as_str().unwrap_or_default() {
            "user" => {
                let id = line["uuid"].as_str().unwrap_or_default().to_owned();
                // One that was seen is dropped without a word, as the CLI does it.
                if id.is_empty() || self.seen.insert(id) {
                    self.queued.push_back(line);
                }
            }
            "assistant" => {
                let text = text_of(&line["message"]["content"]);
                self.remember("assistant", text);
            }
            "control_request" => self.control(&line),
            "control_response" => {
                let id = line["response"]["request_id"].as_str();
                let Some(turn) = &mut self.turn else { return };
                let Some(waiting) = &mut turn.waits_for else { return };
                for (_, reply) in waiting.asked.iter_mut().filter(|(asked, _)| Some(asked.as_str()) == id) {
                    reply.get_or_insert_with(|| line["response"]["response"].clone());
                }
                if waiting.asked.iter().any(|(_, reply)| reply.is_none()) {
                    return;
                }
                if let Some(Waiting { asked, then: Some(Then(then)) }) = turn.waits_for.take() {
                    let replies: Vec<Value> = asked.into_iter().filter_map(|(_, reply)| reply).collect();
                    let Answer { steps, text, failure } = then(&replies);
                    turn.answer.steps =
                        steps.into_iter().chain(std::mem::take(&mut turn.answer.steps)).collect();
                    turn.answer.text += &text;
                    turn.answer.failure = failure.or(turn.answer.failure);
                }
            }
            _ => {}
        }
    }

    fn control(&mut self, line: &Value) {
        let (id, request) = (&line["request_id"], &line["request"]);
        let mut response = json!({"subtype": "success", "request_id": id, "response": {}});
        match request["subtype"].as_str().unwrap_or_default() {
            "initialize" => {
                if let Value::Array(parts) = &request["systemPrompt"] {
                    let parts: Vec<_> = parts.iter().filter_map(Value::as_str).collect();
                    self.system_prompt.get_or_insert(parts.join("\n\n"));
                }
                let agents: Vec<_> = self.agent.iter().map(|name| json!({"name": name})).collect();
                response["response"] = json!({"commands": [], "agents": agents});
            }
            "interrupt" => {
                let cancelled: Vec<Value> =
                    self.queued.drain(..).map(|message| message["uuid"].clone()).collect();
                response["response"] = json!({"still_queued": [], "cancelled": cancelled});
                self.say(&json!({"type": "control_response", "response": response}));
                if let Some(turn) = self.turn.take() {
                    self.remember("user", turn.user);
                    self.remember("user", "[Request interrupted by user]".to_owned());
                    self.result(
                        &turn.id,
                        json!({"subtype": "error_during_execution", "is_error": true,
                        "terminal_reason": "aborted_streaming", "num_turns": 1}),
                    );
                }
                return;
            }
            "apply_flag_settings" => {
                for (name, value) in request["settings"]["env"].as_object().into_iter().flatten() {
                    self.env.insert(name.clone(), value.as_str().unwrap_or_default().to_owned());
                }
            }
            "set_permission_mode" | "set_model" | "set_max_thinking_tokens" => {}
            other => {
                let error = format!("Unsupported control request subtype: {other}");
                response = json!({"subtype": "error", "request_id": id, "error": error});
            }
        }
        self.say(&json!({"type": "control_response", "response": response}));
    }

    fn remember(&mut self, role: &str, text: String) {
        let mut sessions = lock(&self.shared.sessions);
        sessions.entry(self.session_id.clone()).or_default().push((role.to_owned(), text));
    }

    fn result(&mut self, id: &str, mut result: Value) {
        result["type"] = "result".into();
        result["session_id"] = self.session_id.as_str().into();
        result["result_index"] = self.results.into();
        result["user_message_uuids"] = json!([id]);
        result["model_usage_since_last_result"] = json!({}); // nobody was asked, nothing was paid
        self.results += 1;
        self.say(&result);
    }

    /// Begins the next turn, and plays the one under way as far as it goes.
    fn go_on(&mut self) {
        while !self.ended {
            if self.turn.is_none() {
                let Some(message) = self.queued.pop_front() else { return };
                self.begin(&message);
                continue;
            }
            let Some(turn) = &mut self.turn else { return };
            if turn.waits_for.is_some() {
                return;
            }
            match turn.answer.steps.pop_front() {
                Some(Step::Line(line)) => self.say(&line),
                Some(Step::Ask(requests, then)) => {
                    let ids = (self.asks..).map(|number| format!("ask-{number}"));
                    let requests: Vec<(String, Value)> = ids.zip(requests).collect();
                    self.asks += requests.len() as u64;
                    let asked = requests.iter().map(|(id, _)| (id.clone(), None)).collect();
                    turn.waits_for = Some(Waiting { asked, then });
                    for (id, request) in requests {
                        self.say(&json!({"type": "control_request", "request_id": id, "request": request}));
                    }
                }
                Some(Step::Hang) => {
                    turn.answer.steps.push_front(Step::Hang);
                    return;
                }
                Some(Step::Exit(code)) => {
                    let user = std::mem::take(&mut turn.user);
                    self.remember("user", user);
                    self.turn = None;
                    return self.end(code);
                }
                None => self.finish(),
            }
        }
    }

    fn begin(&mut self, message: &Value) {
        let id = message["uuid"].as_str().unwrap_or_default().to_owned();
        let content = message["message"]["content"].clone();
        let text = text_of(&content);
        self.say(&json!({"type": "system", "subtype": "init", "session_id": self.session_id,
            "model": "scripted", "tools": [], "claude_code_version": "0.0.0", "cwd": "/",
            "permissionMode": "default", "user_message_uuids": [id]}));
        if message["shouldQuery"] == false {
            self.remember("user", text);
            return self.result(
                &id,
                json!({"subtype": "success", "is_error": false, "num_turns": 0,
                "result": ""}),
            );
        }
        let history = lock(&self.shared.sessions).get(&self.session_id).cloned().unwrap_or_default();
        let said = Said {
            session_id: self.session_id.clone(),
            text: text.clone(),
            content,
            history,
            system_prompt: self.system_prompt.clone(),
            env: self.env.clone(),
        };
        let answer = (self.shared.answer)(&said);
        let number = self.results;
        for event in [
            json!({"type": "message_start", "message": {"id": format!("msg_{number}")}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ] {
            self.say(&json!({"type": "stream_event", "event": event, "parent_tool_use_id": null}));
        }
        self.turn = Some(Turn { id, user: text, answer, waits_for: None });
    }

    fn finish(&mut self) {
        let Some(turn) = self.turn.take() else { return };
        for event in [
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
            json!({"type": "message_stop"}),
        ] {
            self.say(&json!({"type": "stream_event", "event": event, "parent_tool_use_id": null}));
        }
        self.remember("user", turn.user);
        if let Some(status) = turn.answer.failure {
            // The CLI calls that a success, and says so on top.
            let text = format!("API Error: {status}");
            let result = json!({"subtype": "success", "is_error": true, "result": text,
                "api_error_status": status, "terminal_reason": "api_error", "num_turns": 1});
            return self.result(&turn.id, result);
        }
        self.remember("assistant", turn.answer.text.clone());
        let words = turn.answer.text.split_whitespace().count();
        self.result(
            &turn.id,
            json!({"subtype": "success", "is_error": false, "result": turn.answer.text,
            "stop_reason": "end_turn", "num_turns": 1, "total_cost_usd": 0.0,
            "usage": {"input_tokens": 1, "output_tokens": words}}),
        );
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.killed {
            self.ended = true;
            let exit = Exit { signal: Some(9), ..Exit::default() };
            return Poll::Ready(Some(Ok(Frame::Exit(exit))));
        }
        if self.stopped {
            self.ended = true;
            let exit = Exit { signal: Some(15), stopped: true, ..Exit::default() };
            return Poll::Ready(Some(Ok(Frame::Exit(exit))));
        }
        let idle = self.turn.is_none() && self.queued.is_empty();
        let next = self.output.pop_front();
        let next = next.or((self.stdin_closed && idle).then(|| Frame::Exit(Exit::from_code(0))));
        let Some(frame) = next else {
            self.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        self.ended = matches!(frame, Frame::Exit(_));
        Poll::Ready(Some(Ok(frame)))
    }
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        blocks => {
            let blocks = blocks.as_array().map(Vec::as_slice).unwrap_or_default();
            let texts: Vec<_> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
            texts.join("\n")
        }
    }
}

fn play(life: Arc<Mutex<Life>>) -> impl Stream<Item = Result<Frame>> + Send + 'static {
    let playing = Playing(life);
    stream::poll_fn(move |context| lock(&playing.0).poll(context))
}

/// A dropped process is a stopped one.
struct Playing(Arc<Mutex<Life>>);

impl Drop for Playing {
    fn drop(&mut self) {
        lock(&self.0).ended = true;
    }
}

struct Handle(Arc<Mutex<Life>>);

impl Handle {
    fn tell<T>(&self, tell: impl FnOnce(&mut Life) -> T) -> T {
        let (told, waker) = {
            let mut life = lock(&self.0);
            (tell(&mut life), life.waker.take())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        told
    }
}

impl Control for Handle {
    fn write(&self, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        let written = self.tell(|life| {
            if life.stdin_closed || life.ended || life.stopped || life.killed {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            life.read(&data);
            Ok(())
        });
        future::ready(written).boxed()
    }

    fn close_stdin(&self) {
        self.tell(|life| life.stdin_closed = true);
    }

    fn stop(&self, _how: Stop) {
        self.tell(|life| life.stopped = true);
    }
}
