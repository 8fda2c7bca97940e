//! Real clients as programs: a script whose cases each pass or fail, told as one line of JSON.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use std::collections::BTreeMap;
use tokio::process::Command;

use super::server::{Server, TOKEN};

/// Longer than any script takes, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(200);

/// What came of a script's cases.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    client: String,
    version: String,
    passed: Vec<String>,
    failed: BTreeMap<String, String>,
}

/// Runs a Python script of `tests/clients` against `server`; every case has to pass.
pub(crate) async fn python(script: &str, server: &Server) -> Vec<String> {
    let mut command = Command::new(installed("CLAUDE_EXEC_TEST_PYTHON"));
    command.arg(scripts().join(script)).env("PYTHONDONTWRITEBYTECODE", "1");
    run(command, server).await
}

/// Runs a JavaScript module of `tests/clients` against `server`; every case has to pass.
pub(crate) async fn node(script: &str, server: &Server) -> Vec<String> {
    // A module finds its packages beside itself or above: so it is run from beside them.
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let modules = installed("CLAUDE_EXEC_TEST_NODE_MODULES");
    std::os::unix::fs::symlink(modules, directory.path().join("node_modules")).expect("it is ours");
    for (from, to) in [("cases.mjs", "cases.mjs"), (script, "script.mjs")] {
        std::fs::copy(scripts().join(from), directory.path().join(to)).expect("the script is there");
    }
    let mut command = Command::new(installed("CLAUDE_EXEC_TEST_NODE"));
    command.arg(directory.path().join("script.mjs"));
    run(command, server).await
}

async fn run(mut command: Command, server: &Server) -> Vec<String> {
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    command
        .env("OPENAI_BASE_URL", format!("{}/v1", server.url()))
        .env("OPENAI_API_KEY", TOKEN)
        // Clients that would call home do not.
        .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        .env("LANGSMITH_TRACING", "false")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").expect("it starts");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let line = stdout.lines().last().unwrap_or_default();
    let report: Report = serde_json::from_str(line).unwrap_or_else(|_| panic!("{stdout}\n{stderr}"));
    let failed: Vec<String> = report.failed.iter().map(|(case, why)| format!("{case}: {why}")).collect();
    note(&report);
    assert!(failed.is_empty(), "{} {}\n{}", report.client, report.version, failed.join("\n"));
    report.passed
}

/// Adds a line to the table that `tests/run.sh` prints.
fn note(report: &Report) {
    let (passed, all) = (report.passed.len(), report.passed.len() + report.failed.len());
    matrix(&report.client, &report.version, &format!("{passed} of {all}"));
}

/// Adds a line to the table of clients that `tests/run.sh` prints.
pub(crate) fn matrix(client: &str, version: &str, passed: &str) {
    let Some(path) = std::env::var_os("CLAUDE_EXEC_TEST_MATRIX") else { return };
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    writeln!(file.expect("the table can be written"), "{client}\t{version}\t{passed}")
        .expect("the table can be written");
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

fn installed(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable);
    path.unwrap_or_else(|| panic!("{variable} is not set: run tests/run.sh")).into()
}
