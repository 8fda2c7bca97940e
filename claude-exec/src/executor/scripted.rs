//! An executor that plays a script: for tests of programs that embed this crate, and for demonstrations.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use bytes::Bytes;
use futures::future::{self, BoxFuture};
use futures::stream::{self, StreamExt};
use futures::{FutureExt, Stream};

use super::{Command, Control, Executor, Exit, Frame, Process, Stop};
use crate::error::Result;

/// Makes an executor of a closure.
///
/// ```
/// use claude_exec::executor::{Scripted, executor_fn};
/// let executor = executor_fn(|_command| Ok(Scripted::answer("Hello.").into_process()));
/// ```
pub fn executor_fn<F>(start: F) -> ExecutorFn<F>
where
    F: Fn(Command) -> Result<Process> + Send + Sync,
{
    ExecutorFn(start)
}

/// What [`executor_fn`] makes.
#[derive(Clone)]
pub struct ExecutorFn<F>(F);

impl<F> fmt::Debug for ExecutorFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecutorFn").finish_non_exhaustive()
    }
}

impl<F> Executor for ExecutorFn<F>
where
    F: Fn(Command) -> Result<Process> + Send + Sync,
{
    fn start(&self, command: Command) -> BoxFuture<'_, Result<Process>> {
        future::ready((self.0)(command)).boxed()
    }
}

/// Turns of the reader's runtime between a stop and the exit: no process ends at once.
const LINGER: u32 = 5;

/// What a scripted process says, in order.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Scripted {
    steps: VecDeque<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Frame(Frame),
    Pause(u32),
    UntilStopped,
}

impl Scripted {
    /// A process that says nothing and ends with code 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// A process that answers `text` in one turn, word by word, the way the CLI does.
    pub fn answer(text: &str) -> Self {
        let line = |value: serde_json::Value| format!("{value}\n");
        let event = |event: serde_json::Value| {
            line(serde_json::json!({"type": "stream_event", "event": event, "parent_tool_use_id": null}))
        };
        let id = "00000000-0000-4000-8000-000000000000";
        let mut script = Self::new()
            .stdout(line(serde_json::json!({"type": "system", "subtype": "init", "session_id": id,
                "model": "scripted", "tools": [], "claude_code_version": "0.0.0", "cwd": "/",
                "permissionMode": "default"})))
            .stdout(event(serde_json::json!({"type": "message_start", "message": {"id": "msg_scripted"}})))
            .stdout(event(serde_json::json!({"type": "content_block_start", "index": 0,
                "content_block": {"type": "text", "text": ""}})));
        for word in text.split_inclusive(' ') {
            script = script.stdout(event(serde_json::json!({"type": "content_block_delta", "index": 0,
                "delta": {"type": "text_delta", "text": word}})));
        }
        let words = text.split_whitespace().count();
        script
            .stdout(event(serde_json::json!({"type": "content_block_stop", "index": 0})))
            .stdout(event(serde_json::json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})))
            .stdout(event(serde_json::json!({"type": "message_stop"})))
            .stdout(line(serde_json::json!({"type": "result", "subtype": "success", "is_error": false,
                "result": text, "stop_reason": "end_turn", "num_turns": 1,
                "total_cost_usd": 0.0, "usage": {"input_tokens": 1, "output_tokens": words}})))
    }

    /// The line that answers `initialize`, from a CLI that knows these agents.
    pub fn knows<'n>(agents: impl IntoIterator<Item = &'n str>) -> String {
        let agents: Vec<_> = agents.into_iter().map(|name| serde_json::json!({"name": name})).collect();
        let response = serde_json::json!({"subtype": "success", "request_id": "initialize",
            "response": {"commands": [], "agents": agents}});
        format!("{}\n", serde_json::json!({"type": "control_response", "response": response}))
    }

    /// Adds bytes on stdout.
    pub fn stdout(self, bytes: impl Into<Bytes>) -> Self {
        self.step(Step::Frame(Frame::Stdout(bytes.into())))
    }

    /// Adds bytes on stderr.
    pub fn stderr(self, bytes: impl Into<Bytes>) -> Self {
        self.step(Step::Frame(Frame::Stderr(bytes.into())))
    }

    /// Lets the reader's runtime do other things `turns` times: an order without a clock.
    pub fn pause(self, turns: u32) -> Self {
        self.step(Step::Pause(turns))
    }

    /// Says nothing more until it is stopped.
    pub fn until_stopped(self) -> Self {
        self.step(Step::UntilStopped)
    }

    /// Ends with `code`. Default is 0 after the last step.
    pub fn exit(self, code: i32) -> Self {
        self.step(Step::Frame(Frame::Exit(Exit::from_code(code))))
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }

    /// The process that plays this script.
    pub fn into_process(self) -> Process {
        self.into_process_with_handle().0
    }

    /// The process that plays this script, and a handle that saw what was written to it and whether it was
    /// stopped.
    pub fn into_process_with_handle(self) -> (Process, ScriptedHandle) {
        let handle = ScriptedHandle { shared: Arc::default() };
        let output = handle.clone().play(self.steps).boxed();
        (Process { output, control: Arc::new(handle.clone()) }, handle)
    }
}

/// Every start plays the script anew, and knows the agent that the command names.
impl Executor for Scripted {
    fn start(&self, command: Command) -> BoxFuture<'_, Result<Process>> {
        let mut script = self.clone();
        let agent = command.args.iter().find_map(|arg| arg.to_str()?.strip_prefix("--agent="));
        if let Some(agent) = agent {
            let known = Frame::Stdout(Bytes::from(Self::knows([agent])));
            script.steps.push_front(Step::Frame(known));
        }
        future::ready(Ok(script.into_process())).boxed()
    }
}

/// What became of a scripted process.
#[derive(Debug, Clone)]
pub struct ScriptedHandle {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    written: Vec<u8>,
    stdin_closed: bool,
    stops: Vec<Stop>,
    dropped: bool,
    waker: Option<Waker>,
}

impl ScriptedHandle {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything written to stdin after the command's own bytes.
    pub fn written(&self) -> Vec<u8> {
        self.shared().written.clone()
    }

    /// True when stdin was closed.
    pub fn is_stdin_closed(&self) -> bool {
        self.shared().stdin_closed
    }

    /// True when it was stopped, or dropped before its end.
    pub fn is_stopped(&self) -> bool {
        let shared = self.shared();
        !shared.stops.is_empty() || shared.dropped
    }

    /// How it was stopped, in order.
    pub fn stops(&self) -> Vec<Stop> {
        self.shared().stops.clone()
    }

    /// True when its output was read to the end or dropped: nothing of it runs.
    pub fn is_gone(&self) -> bool {
        self.shared().dropped
    }

    fn play(self, mut steps: VecDeque<Step>) -> impl Stream<Item = Result<Frame>> + Send + 'static {
        let playing = Playing(self);
        let mut ended = false;
        let mut linger = LINGER;
        stream::poll_fn(move |context| {
            if ended {
                return Poll::Ready(None);
            }
            let stopped = !playing.0.shared().stops.is_empty();
            if stopped && linger > 0 {
                linger -= 1;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if stopped {
                ended = true;
                let exit = Exit { signal: Some(15), stopped: true, ..Exit::default() };
                return Poll::Ready(Some(Ok(Frame::Exit(exit))));
            }
            let frame = match steps.front_mut() {
                Some(Step::Pause(turns)) if *turns > 0 => {
                    *turns -= 1;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Step::Pause(_)) => {
                    steps.pop_front();
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Step::UntilStopped) => {
                    playing.0.shared().waker = Some(context.waker().clone());
                    return Poll::Pending;
                }
                Some(Step::Frame(frame)) => {
                    let frame = frame.clone();
                    steps.pop_front();
                    frame
                }
                None => Frame::Exit(Exit::from_code(0)),
            };
            ended = matches!(frame, Frame::Exit(_));
            Poll::Ready(Some(Ok(frame)))
        })
    }
}

impl Control for ScriptedHandle {
    fn write(&self, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        let mut shared = self.shared();
        let written = if shared.stdin_closed || shared.dropped {
            Err(io::ErrorKind::BrokenPipe.into())
        } else {
            shared.written.extend_from_slice(&data);
            Ok(())
        };
        future::ready(written).boxed()
    }

    fn close_stdin(&self) {
        self.shared().stdin_closed = true;
    }

    fn stop(&self, how: Stop) {
        let waker = {
            let mut shared = self.shared();
            shared.stops.push(how);
            shared.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Notes the drop of the output stream: a dropped process is a stopped one.
struct Playing(ScriptedHandle);

impl Drop for Playing {
    fn drop(&mut self) {
        self.0.shared().dropped = true;
    }
}
