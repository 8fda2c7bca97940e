//! The demo: answers from a script, and what to paste to see one.

use std::net::SocketAddr;
use std::time::Duration;

use claude_exec::Result;
use claude_exec::executor::{Answer, Command, Executor, Process, ScriptedCli};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};

/// What every question is answered with.
const ANSWER: &str = "Hello from the demo. No model was asked: these words come from a script, one by one, the \
                      way a model's would. Start the server without --demo, with the Claude Code CLI installed, \
                      and the same request gets a real answer.";

/// The pause before each word, so that streaming can be seen.
const PACE: Duration = Duration::from_millis(25);

/// What the demo says of itself before anything else.
pub const WARNING: &str = "\
*** DEMO: no model is asked and no agent runs; every answer comes from a script. ***
*** Its jobs are forgotten when it ends.                                         ***";

/// Answers everything with the same words.
pub struct Demo(ScriptedCli);

impl Demo {
    pub fn new() -> Self {
        Self(ScriptedCli::new(|_said| Answer::text(ANSWER)))
    }
}

impl Executor for Demo {
    fn start(&self, command: Command) -> BoxFuture<'_, Result<Process>> {
        async {
            let Process { output, control } = self.0.start(command).await?;
            let output = output
                .then(|frame| async {
                    tokio::time::sleep(PACE).await;
                    frame
                })
                .boxed();
            Ok(Process { output, control })
        }
        .boxed()
    }
}

/// A command that shows the demo at work.
pub fn curl(address: SocketAddr, token: &str) -> String {
    format!(
        "curl -sN http://{address}/v1/chat/completions -H 'Authorization: Bearer {token}' \
         -d '{{\"model\":\"sonnet\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'"
    )
}
