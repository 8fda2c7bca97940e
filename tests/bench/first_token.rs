//! What the bundled server adds to the first token over the bare CLI pipe: `tests/bench.sh first_token`.
//!
//! In pairs, each side first in turn: the CLI spawned with the very argv and stdin that the server's request makes,
//! from the spawn to the first line with text; then the server, from the request to the first chunk with text. The
//! CLI starts anew for each, which takes a hundred times as long as what is looked for, so the median of many
//! differences is what counts. The fake CLI starts in a millisecond: its row shows the difference without that noise.

#[path = "../support/mod.rs"]
mod support;

mod client;
mod server;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use claude_exec::executor;
use claude_exec_openai::chat::ChatRequest;
use claude_exec_openai::{Models, plan};

use client::{Client, body};
use server::Server;
use support::cli::Home;
use support::model_api::ModelApi;
use support::process;

const FAKE: &str = env!("CARGO_BIN_EXE_fake-claude");
const PROMPT: &str = "[[words 20]]";

/// Before each measurement, so that what ended before has ended for the kernel too.
const PAUSE: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() {
    let quick = std::env::args().any(|arg| arg == "--test");
    let (few, many) = if quick { (2, 4) } else { (100, 500) };
    println!("first token: medians, in milliseconds");
    println!("| CLI | pairs | bare pipe | server | difference, p25 | p50 | p75 |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    row("the project's fake", Path::new(FAKE), many).await;
    row("real CLI, stand-in for the model API", &support::cli::path(), few).await;
}

async fn row(name: &str, cli: &Path, pairs: usize) {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let server = Server::start(cli, home.env());
    let mut client = Client::connect(server.address).await;
    let (mut bare, mut served, mut differences) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..pairs + 2 {
        let mut times = [0.0; 2];
        for side in [pair % 2, 1 - pair % 2] {
            process::until("the one before has ended", || process::descendants(server.pid()).is_empty())
                .await;
            tokio::time::sleep(PAUSE).await;
            times[side] = match side {
                0 => bare_pipe(cli, &home).await,
                _ => through(&mut client).await,
            };
        }
        if pair >= 2 {
            bare.push(times[0]);
            served.push(times[1]);
            differences.push(times[1] - times[0]);
        }
    }
    println!(
        "| {name} | {pairs} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
        quantile(&mut bare, 0.5),
        quantile(&mut served, 0.5),
        quantile(&mut differences, 0.25),
        quantile(&mut differences, 0.5),
        quantile(&mut differences, 0.75),
    );
}

async fn through(client: &mut Client) -> f64 {
    let start = Instant::now();
    let answer = client.stream(PROMPT).await;
    assert!(answer.is_whole && answer.deltas == 20, "{} deltas", answer.deltas);
    millis(start, answer.first_text.expect("it has text"))
}

/// Spawns the CLI as the server would, and reads it as the simplest program would.
async fn bare_pipe(cli: &Path, home: &Home) -> f64 {
    let request = ChatRequest::parse(body(PROMPT).as_bytes()).expect("the request is fine").request;
    let models = Models::default();
    let model = models.resolve(request.model.as_deref()).expect("the model is known");
    let invocation = plan(&request, model).expect("the request is fine").invocation.program(cli);
    let described = invocation.to_command().expect("the invocation is fine");
    let executor::Stdin::Open(input) = &described.stdin else { panic!("a turn's stdin stays open") };
    let (input, work, env) = (input.clone(), home.work(), home.env());
    let timed = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(&described.program);
        command.args(&described.args).env_clear().envs(env).current_dir(work);
        for (name, value) in &described.env {
            command.env(name, value.as_ref().expect("nothing is removed"));
        }
        time(command, &input)
    });
    timed.await.expect("it does not panic")
}

fn time(mut command: Command, input: &[u8]) -> f64 {
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the CLI starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(input).expect("the CLI reads");
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
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
    drop(stdin);
    child.wait().expect("the child is ours");
    millis(start, first.expect("it has text"))
}

fn millis(start: Instant, end: Instant) -> f64 {
    end.duration_since(start).as_secs_f64() * 1e3
}

fn quantile(values: &mut [f64], at: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * at).round() as usize]
}
