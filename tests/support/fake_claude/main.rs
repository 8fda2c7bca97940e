//! A fake `claude`: the stream-json mode of the real CLI 2.1.330 without a model, and every way of misbehaving.
//!
//! It refuses what the real one refuses (`args`), answers control requests and keeps sessions as the real one does,
//! and plays a script (grammar: `script`) for each user message: the markers in the message's own text, else section
//! n of `FAKE_CLAUDE` for turn n, else a short answer. `FAKE_CLAUDE` may also be the path of a recording (`.jsonl`).
//! `FAKE_CLAUDE_START` is played before stdin is read. `FAKE_CLAUDE_VERSION` is what `--version` prints.
//!
//! Weaker than the real one: no model, no tools that run, no MCP, SIGINT is not turned into a `result`.

#[path = "../marker.rs"]
mod marker;

mod args;
mod aside;
mod blocks;
mod host;
mod input;
mod lines;
mod misbehave;
mod reply;
mod script;
mod session;
mod turn;

use std::process::exit;

use args::Args;
use host::Host;
use input::{Incoming, Input};
use script::Script;

pub(crate) const DEFAULT_VERSION: &str = "2.1.330 (Claude Code)";

fn main() {
    misbehave::end_on_sigterm();
    let argv: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    if argv.get(1).is_some_and(|arg| arg == misbehave::SLEEPER) {
        misbehave::sleep_for_long(argv.get(2).is_some_and(|arg| arg == "detached"));
    }
    if argv.iter().skip(1).any(|arg| arg == "--version" || arg == "-v") {
        println!("{}", version());
        return;
    }
    let args = match Args::parse(&argv[1..]) {
        Ok(args) => args,
        Err(message) => fail(&message),
    };
    let session = match session::open(&args) {
        Ok(session) => session,
        Err(refusal) => {
            if args.streams_output() {
                print!("{}", refusal.line.unwrap_or_default());
            }
            fail(&refusal.message)
        }
    };
    let start = Script::start();
    let mut host = Host::new(args, session, argv);
    host.begin(&start);
    if !host.args.streams_input() {
        exit(host.one_shot());
    }
    exit(serve(&mut host));
}

/// Reads messages until stdin ends; a message that comes in mid-turn waits, and all that waited are one turn, as
/// with the real one. The exit code is 1 when the last result was an error.
fn serve(host: &mut Host) -> i32 {
    let mut input = Input::start();
    let mut after_a_turn = false;
    loop {
        match input.next() {
            Incoming::End => return host.exit_code(),
            Incoming::User(mut user) => {
                if after_a_turn {
                    user.join(input.waiting_users());
                }
                host.turn(&user, &mut input);
                // With nothing waiting, the next message is alone again.
                after_a_turn = input.has_waiting_user();
            }
            other => host.between_turns(other),
        }
    }
}

fn version() -> String {
    std::env::var("FAKE_CLAUDE_VERSION").unwrap_or_else(|_| DEFAULT_VERSION.to_owned())
}

fn fail(message: &str) -> ! {
    eprintln!("{message}");
    exit(1)
}
