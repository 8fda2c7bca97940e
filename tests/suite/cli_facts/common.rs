//! Command lines and a process for the facts.

use serde_json::Value;

use crate::support::cli::{Finished, Home, Pipe, user};

/// stream-json both ways, with deltas.
pub(super) const STREAM: [&str; 5] = [
    "-p",
    "--input-format=stream-json",
    "--output-format=stream-json",
    "--verbose",
    "--include-partial-messages",
];
/// No tools, no settings, no servers, no commands: the leanest request there is.
pub(super) const LEAN: [&str; 4] =
    ["--tools=", "--setting-sources=", "--strict-mcp-config", "--disable-slash-commands"];
/// The tools of the CLI without anyone's settings, and leave to use them.
pub(super) const ARMED: [&str; 2] = ["--setting-sources=", "--permission-mode=bypassPermissions"];

/// A live process: [`STREAM`] and `flags`.
pub(super) fn spawn(home: &Home, flags: &[&str]) -> Pipe {
    Pipe::spawn(home.command().args(STREAM).args(flags))
}

/// A live process without tools.
pub(super) fn lean(home: &Home, flags: &[&str]) -> Pipe {
    Pipe::spawn(home.command().args(STREAM).args(LEAN).args(flags))
}

/// One turn of a process without tools, to its end.
pub(super) async fn once(home: &Home, flags: &[&str], text: &str) -> Finished {
    let mut pipe = lean(home, flags);
    pipe.send(&user(text)).await;
    pipe.finish().await
}

/// What a run that must be refused says: exit code and standard error.
pub(super) async fn refused(home: &Home, argv: &[&str]) -> (Option<i32>, String) {
    let done = Pipe::spawn(home.command().args(argv)).finish().await;
    assert!(done.lines.is_empty(), "{:?}", done.lines);
    (done.status.code(), done.stderr.trim().to_owned())
}

/// The run's `result` line.
pub(super) fn result(done: &Finished) -> &Value {
    done.lines.iter().find(|line| line["type"] == "result").expect("the run has a result")
}

/// Type, subtype and event of each line, without what comes and goes.
pub(super) fn kinds(lines: &[Value]) -> Vec<String> {
    let kind = |line: &Value| {
        let parts = ["/type", "/subtype", "/event/type"].iter();
        parts.filter_map(|path| line.pointer(path)?.as_str()).collect::<Vec<_>>().join("/")
    };
    lines.iter().map(kind).collect()
}

/// The text deltas, joined.
pub(super) fn streamed(lines: &[Value]) -> String {
    lines.iter().filter_map(|line| line["event"]["delta"]["text"].as_str()).collect()
}

/// The texts of the `assistant` lines, with the message's id.
pub(super) fn assistants(lines: &[Value]) -> Vec<(String, String)> {
    let whole = lines.iter().filter(|line| line["type"] == "assistant");
    let text = |line: &Value| {
        let blocks = line["message"]["content"].as_array().cloned().unwrap_or_default();
        blocks.iter().filter_map(|block| block["text"].as_str()).collect::<String>()
    };
    whole.map(|line| (line["message"]["id"].as_str().unwrap_or_default().to_owned(), text(line))).collect()
}
