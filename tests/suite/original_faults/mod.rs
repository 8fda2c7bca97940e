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
//! Rows of other parts: C9 to C22, X9 (unattended issues), C23 (settings read and never used: those of the console
//! and of unattended issues), X2, X3, X10, X11 (the console), X12 (images), X8 and X13 (the operator's choice of
//! permissions, and what a job's record shows).

mod correctness;
mod security;
mod supervision;

use serde_json::Value;

use crate::support::server::{AGENT, Reply, Server, Site, body_of};

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
