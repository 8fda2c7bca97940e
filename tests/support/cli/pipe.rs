//! A process that speaks stream-json, driven by hand: the tests of the CLI's facts use none of our library.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

/// Longer than anything here takes, so that a hang fails one test instead of stopping the suite.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running CLI with its three pipes.
#[derive(Debug)]
pub(crate) struct Pipe {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: JoinHandle<String>,
    /// Every line read so far.
    pub(crate) seen: Vec<Value>,
    /// The same, as it was written.
    pub(crate) raw: Vec<String>,
}

/// What a process that ended has left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    /// Every line of the whole run.
    pub(crate) lines: Vec<Value>,
    pub(crate) raw: Vec<String>,
    pub(crate) stderr: String,
}

impl Pipe {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the program starts");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let mut pipe = child.stderr.take().expect("stderr is piped");
        let stderr = tokio::spawn(async move {
            let mut bytes = Vec::new();
            // A pipe that broke has told what it had to tell.
            let _ = pipe.read_to_end(&mut bytes).await;
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Self { child, stdin, stdout, stderr, seen: Vec::new(), raw: Vec::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("the process was not waited for yet")
    }

    /// Writes one line. A process that is gone does not take it, which the caller sees on stdout.
    pub(crate) async fn send(&mut self, line: &Value) {
        self.send_raw(format!("{line}\n").as_bytes()).await;
    }

    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        let _ = tokio::time::timeout(PATIENCE, stdin.write_all(bytes))
            .await
            .expect("the process reads its stdin");
        let _ = stdin.flush().await;
    }

    /// End of input.
    pub(crate) fn close(&mut self) {
        self.stdin = None;
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid().cast_signed()).expect("a pid is not 0");
        rustix::process::kill_process(pid, signal).expect("the process is ours and not reaped");
    }

    /// The next line, `None` at the end of stdout.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let line = tokio::time::timeout(PATIENCE, self.stdout.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("no line for {PATIENCE:?} after\n{}", self.transcript()));
        let line = line.expect("stdout is UTF-8")?;
        let value = serde_json::from_str(&line).unwrap_or_else(|_| Value::String(line.clone()));
        self.raw.push(line);
        self.seen.push(value.clone());
        Some(value)
    }

    /// Reads up to the first line that `wanted` accepts.
    ///
    /// # Panics
    ///
    /// When stdout ends before.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        while let Some(line) = self.next().await {
            if wanted(&line) {
                return line;
            }
        }
        panic!("stdout ended after\n{}", self.transcript());
    }

    /// The lines so far, each cut to what fits a screen.
    fn transcript(&self) -> String {
        let short = |line: &Value| line.to_string().chars().take(300).collect::<String>();
        self.seen.iter().map(short).collect::<Vec<_>>().join("\n")
    }

    /// Reads up to the next `result`.
    pub(crate) async fn result(&mut self) -> Value {
        self.until(|line| line["type"] == "result").await
    }

    /// Reads up to the answer to a control request.
    pub(crate) async fn control_response(&mut self, id: &str) -> Value {
        let of = |line: &Value| line["type"] == "control_response" && line["response"]["request_id"] == id;
        self.until(of).await
    }

    /// One turn: sends the message, returns its `result`.
    pub(crate) async fn turn(&mut self, text: &str) -> Value {
        self.send(&user(text)).await;
        self.result().await
    }

    /// Closes stdin, reads to the end and waits.
    pub(crate) async fn finish(mut self) -> Finished {
        self.close();
        while self.next().await.is_some() {}
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.expect("the process exits after its stdout").expect("the process is ours");
        let stderr = tokio::time::timeout(PATIENCE, self.stderr).await;
        let stderr = stderr.expect("stderr ends with the process").expect("the reader does not panic");
        Finished { status, lines: self.seen, raw: self.raw, stderr }
    }

    /// Waits for the exit alone: a grandchild may still hold the pipes.
    pub(crate) async fn wait(&mut self) -> ExitStatus {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        status.expect("the process exits").expect("the process is ours")
    }
}

/// A user message whose text the CLI takes as it is.
pub(crate) fn user(text: &str) -> Value {
    json!({
        "type": "user", "message": {"role": "user", "content": text},
        "parent_tool_use_id": null, "client_composed": true,
    })
}

/// A control request.
pub(crate) fn control(id: &str, request: Value) -> Value {
    json!({"type": "control_request", "request_id": id, "request": request})
}

/// The `initialize` request, with `fields` beside its subtype.
pub(crate) fn initialize(id: &str, fields: Value) -> Value {
    let mut request = fields;
    request["subtype"] = "initialize".into();
    control(id, request)
}
