//! Without a pool: the CLI as a shell would run it, our one-shot turn, and a live CLI's pipe without our library.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use claude_exec::executor::LocalExecutor;
use claude_exec::invocation::SessionChoice;
use claude_exec::protocol::{Content, Event, Request};
use claude_exec::{Invocation, brain};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use uuid::Uuid;

use crate::stand::{PROMPT, Sample, Stand, Way};
use crate::support::cli;

/// The size of the prompt in the original service's agent file.
const AGENT_PROMPT_BYTES: usize = 1536;

/// `claude -p` as the original service runs it for each turn.
pub(crate) struct Bare(Stand);

impl Bare {
    pub(crate) async fn new() -> Self {
        let stand = Stand::new().await;
        let agents = stand.home.config().join("agents");
        std::fs::create_dir_all(&agents).expect("the home is writable");
        let prompt = "You talk, and use no tool. ".repeat(AGENT_PROMPT_BYTES / 27);
        let text = format!("---\nname: conversational\ndescription: talks\ntools: []\n---\n{prompt}\n");
        std::fs::write(agents.join("conversational.md"), text).expect("the home is writable");
        Self(stand)
    }

    pub(crate) fn stand(&self) -> &Stand {
        &self.0
    }
}

impl Way for Bare {
    fn name(&self) -> &'static str {
        "`claude -p` for each turn, as the original"
    }

    fn ready(&mut self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }

    fn take(&mut self) -> BoxFuture<'_, Sample> {
        async {
            let mut command = Command::new(cli::path());
            command.args(["-p", "--agent", "conversational", "--model", "sonnet"]);
            command.args(["--output-format", "stream-json", "--include-partial-messages", "--verbose"]);
            command.args(["--setting-sources", "user", "--exclude-dynamic-system-prompt-sections", PROMPT]);
            command.env_clear().envs(self.0.home.env()).current_dir(self.0.home.work());
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
            let start = Instant::now();
            let mut child = command.spawn().expect("the CLI starts");
            let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
            let (first, stdout) = read(stdout).await;
            let sample = self.0.sample(first - start);
            drop(stdout);
            child.wait().expect("the child is ours");
            sample
        }
        .boxed()
    }
}

/// Reads a turn up to its result; gives when its first text was there.
async fn read(mut stdout: BufReader<ChildStdout>) -> (Instant, BufReader<ChildStdout>) {
    let reading = tokio::task::spawn_blocking(move || {
        let (mut first, mut line) = (None, String::new());
        while stdout.read_line(&mut line).expect("stdout is UTF-8") > 0 {
            if first.is_none() && line.contains(r#""text_delta""#) {
                first = Some(Instant::now());
            }
            if line.contains(r#""type":"result""#) {
                break;
            }
            line.clear();
        }
        (first.expect("it has text"), stdout)
    });
    reading.await.expect("it does not panic")
}

/// A turn of ours with a process of its own.
pub(crate) struct Cold(Stand);

impl Cold {
    pub(crate) async fn new() -> Self {
        Self(Stand::new().await)
    }
}

impl Way for Cold {
    fn name(&self) -> &'static str {
        "our turn in a process of its own"
    }

    fn ready(&mut self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }

    fn take(&mut self) -> BoxFuture<'_, Sample> {
        async {
            let invocation = self.0.on(Invocation::conversational(PROMPT));
            let start = Instant::now();
            let mut turn = brain::run(&LocalExecutor::new(), &invocation).await.expect("it starts");
            let (mut first, mut memory) = (None, 0);
            while let Some(event) = turn.next().await {
                match event {
                    Event::Text(_) => _ = first.get_or_insert_with(|| start.elapsed()),
                    Event::Finished(_) => memory = self.0.memory(),
                    _ => {}
                }
            }
            Sample { memory, ..self.0.sample(first.expect("it has text")) }
        }
        .boxed()
    }
}

/// A live CLI, spoken to by hand: what any library on top of it can at best be.
pub(crate) struct Pipe {
    stand: Stand,
    child: Child,
    stdin: ChildStdin,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Pipe {
    pub(crate) async fn new() -> Self {
        let stand = Stand::new().await;
        let invocation = stand.on(Invocation::conversational("").session(SessionChoice::New));
        let described = invocation.to_live_command().expect("the invocation is fine");
        let mut command = Command::new(&described.program);
        command.args(&described.args).env_clear().current_dir(stand.home.work());
        command.envs(described.env.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the CLI starts");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let stdout = Some(BufReader::new(child.stdout.take().expect("stdout is piped")));
        let open = Request::Initialize(invocation.get_initialize().clone());
        stdin.write_all(&open.to_line("initialize")).expect("the CLI reads");
        Self { stand, child, stdin, stdout }
    }
}

impl Way for Pipe {
    fn name(&self) -> &'static str {
        "later turn, the CLI's pipe by hand"
    }

    fn ready(&mut self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }

    fn take(&mut self) -> BoxFuture<'_, Sample> {
        async {
            let line = Content::from(PROMPT).to_line(Uuid::new_v4(), true);
            let stdout = self.stdout.take().expect("it was given back");
            let start = Instant::now();
            self.stdin.write_all(&line).expect("the CLI reads");
            let (first, stdout) = read(stdout).await;
            self.stdout = Some(stdout);
            self.stand.sample(first - start)
        }
        .boxed()
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}
