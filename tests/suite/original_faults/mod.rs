//! The faults of the Python service that this project began from, each as a test by its own number: S for the
//! supervision of processes, C for correctness, X for security. Over the fake CLI, which misbehaves on command.
//!
//! Rows that are proved elsewhere:
//!
//! | row | where |
//! | --- | --- |
//! | S1, S4, S10, C25 on the real CLI with real tools | `suite::processes` |
//! | S6 stalled readers | `suite::stalled` |
//! | S9, on the real CLI | `suite::processes`, `suite::openai_python` |
//! | S11 detached tasks | does not arise: a tokio task runs whether it is referenced or not |
//! | S13, X1 on the real CLI | `suite::verbatim` |
//! | C6 conversations | `suite::conversational`, `claude_exec::brain::Brain` |
//! | C7 a failed first turn | `suite::conversational` |
//! | C24 each git step's limit, git-crypt | `claude_exec::jobs`; the rest of it here |
//! | C27 the place in the queue | `suite::execute`; keep-alive while queued: `claude-exec-openai/tests/shell.rs` |
//! | C28 usage, models, errors in OpenAI's shape | `suite::openai_python` |
//!
//! Rows of other parts: C9 to C22, X9 (unattended issues), C23 (settings read and never used: also those of unattended
//! issues), X12 (images), X8 and X13 (the operator's choice of permissions, and what a job's record shows).
//!
//! The console's rows are tests by their names as well, in [`CONSOLE`]'s files; those of its page are cases of the
//! browser suite. S6 to S9, S11, C1 to C5, C24, C27, C28, X9, X12 and X13 do not touch it: it has no completion to
//! hide a failure in, no clone, no queue, no image and no job.

mod correctness;
mod security;
mod supervision;

use serde_json::Value;

use crate::support::server::{AGENT, Reply, Server, Site, body_of};

/// Where the console's rows are tests.
const CONSOLE: [&str; 11] = [
    include_str!("../breakglass/faults.rs"),
    include_str!("../breakglass/contract.rs"),
    include_str!("../power/doors.rs"),
    include_str!("../power/outcomes.rs"),
    include_str!("../../../claude-exec-breakglass/tests/access.rs"),
    include_str!("../../../claude-exec-breakglass/tests/power.rs"),
    include_str!("../../../claude-exec-breakglass/tests/sessions.rs"),
    include_str!("../../clients/browser/cases/first.mjs"),
    include_str!("../../clients/browser/cases/keyboard.mjs"),
    include_str!("../../clients/browser/cases/power.mjs"),
    include_str!("../../clients/browser/cases/sessions.mjs"),
];

/// The rows of the list that touch the console.
const CONSOLE_ROWS: [&str; 33] = [
    "s1", "s2", "s3", "s4", "s5", "s10", "s12", "s13", "s14", "s15", "c6", "c7", "c8", "c23", "c25", "c26",
    "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x10", "x11", "u1", "u2", "u3", "u4", "u5", "u6", "u7",
];

#[test]
fn every_row_that_touches_the_console_is_a_test_by_its_name() {
    let named = |text: &str, row: &str| {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_ascii_lowercase);
        words.into_iter().any(|word| word == row)
    };
    let names: Vec<&str> = CONSOLE
        .iter()
        .flat_map(|source| source.lines())
        .filter(|line| {
            let line = line.trim_start();
            line.contains("fn ") && line.contains('(')
                || line.starts_with("name: '")
                || line.starts_with("['")
        })
        .collect();
    let missing: Vec<&str> =
        CONSOLE_ROWS.into_iter().filter(|row| !names.iter().any(|name| named(name, row))).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

async fn scene() -> (Site, Server) {
    // A conversation's process waits for the next turn no longer than a test does for it to be gone.
    let site = Site::fake().repository().env("POOL_IDLE_SECONDS", "1").env("POOL_SPARES", "0");
    let server = site.start().await;
    (site, server)
}

/// What the fake CLI says of how it was started.
fn report(reply: &Reply) -> Value {
    serde_json::from_str(&reply.answer()).expect("a report is JSON")
}

/// A streamed answer, put together; the fake's report comes through it as well.
async fn streamed(server: &Server, model: &str, text: &str) -> String {
    let mut stream = server.open("/v1/chat/completions", &body_of(model, text, true)).await;
    assert_eq!(stream.status, 200);
    let events = stream.rest().await;
    let (last, chunks) = events.split_last().expect("an end");
    assert_eq!(last.data, "[DONE]", "{last:?}");
    chunks.iter().map(|chunk| crate::support::server::content_of(&chunk.json())).collect()
}

/// The arguments in a report, without the program's name.
fn argv(report: &Value) -> Vec<String> {
    let argv = report["argv"].as_array().expect("a list");
    argv.iter().skip(1).map(|arg| arg.as_str().expect("text").to_owned()).collect()
}

/// A job's text, once it has ended well.
async fn job(server: &Server, prompt: &str) -> String {
    let job = server.ended(&server.execute(prompt).await).await;
    assert_eq!(job["status"], "completed", "{job}");
    job["result"].as_str().expect("a text").to_owned()
}

/// The same prompt by every way in: chat, streamed chat, an agent behind chat, conversation, job.
async fn everywhere(server: &Server, prompt: &str) -> Vec<String> {
    vec![
        server.chat(prompt).await.answer(),
        streamed(server, "sonnet", prompt).await,
        server.post("/v1/chat/completions", &body_of(AGENT, prompt, false)).await.answer(),
        server.say("everywhere", prompt).await.reply(),
        job(server, prompt).await,
    ]
}
