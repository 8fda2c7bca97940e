//! The vendor's own Python client, with the flags and the environment of ours.

use std::process::Stdio;
use std::time::Duration;

use claude_exec::invocation::SPOKEN_SYSTEM_PROMPT;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::stand::{PROMPT, Sample, Stand, Way};
use crate::support::cli;

/// A process of `sdk.py`, which takes a turn for each line and answers with its time.
pub(crate) struct Sdk {
    stand: Stand,
    _child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Sdk {
    pub(crate) async fn new() -> Self {
        let stand = Stand::new().await;
        let python = std::env::var_os("CLAUDE_EXEC_BENCH_PYTHON").expect("tests/bench.sh names a Python");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/latency/sdk.py");
        let mut child = Command::new(python)
            .arg(script)
            .env_clear()
            .envs(stand.home.env())
            .env("CLI", cli::path())
            .env("PROMPT", PROMPT)
            .env("SYSTEM_PROMPT", SPOKEN_SYSTEM_PROMPT)
            .env("CLAUDE_CODE_SIMPLE", "1")
            .env("CLAUDE_CODE_DISABLE_THINKING", "1")
            .current_dir(stand.home.work())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Python starts");
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        Self { stand, _child: child, stdin, stdout }
    }
}

impl Way for Sdk {
    fn name(&self) -> &'static str {
        "later turn, the vendor's Python client"
    }

    fn ready(&mut self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }

    fn take(&mut self) -> BoxFuture<'_, Sample> {
        async {
            self.stdin.write_all(b"\n").await.expect("it reads");
            let line = self.stdout.next_line().await.expect("it is text").expect("it goes on");
            let seconds: f64 = line.parse().unwrap_or_else(|_| panic!("{line}"));
            self.stand.sample(Duration::from_secs_f64(seconds))
        }
        .boxed()
    }
}
