//! The page in real Chromium, from the very files that the crate serves: `tests/clients/browser`, which says what is
//! tested in which file of `cases/`. The server under it is a stand-in that misbehaves on command; `real.mjs` then
//! walks through the page on the bundled server.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use claude_exec_breakglass::page::{assets, respond};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::support::left_out;
use crate::support::server::{Server, TOKEN};

/// Fewer would mean that a file of cases was lost on the way.
const CASES_AT_LEAST: usize = 130;

/// The browser, and where its driver is installed; `None` where there is none, which is then in the report.
fn browser() -> Option<(PathBuf, PathBuf)> {
    let home = PathBuf::from(std::env::var_os("HOME").expect("HOME is set"));
    let chromium = std::env::var_os("CLAUDE_EXEC_TEST_CHROMIUM")
        .map_or_else(|| "/usr/bin/chromium".into(), PathBuf::from);
    let driver = std::env::var_os("CLAUDE_EXEC_TEST_BROWSER")
        .map_or_else(|| home.join(".cache/claude-exec-tests/browser"), PathBuf::from);
    if chromium.exists() && driver.join("node_modules/playwright-core").exists() {
        return Some((chromium, driver));
    }
    left_out(
        "the browser suite of the breakglass page: no Chromium, or no playwright-core (tests/run.sh installs both)",
    );
    None
}

/// Writes the page's files, and the headers that the crate sends with each.
fn write_page(directory: &Path) {
    let index: Vec<Value> = assets()
        .iter()
        .enumerate()
        .map(|(number, asset)| {
            let accepts =
                HeaderMap::from_iter([(http::header::ACCEPT_ENCODING, "gzip".parse().expect("it is ASCII"))]);
            let response = respond(&Method::GET, asset.path(), &accepts).expect("it is served");
            let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                json!([name.as_str(), value.to_str().expect("it is ASCII")])
            };
            let headers: Vec<Value> = response.headers().iter().map(header).collect();
            let compressed = response.headers().contains_key(http::header::CONTENT_ENCODING);
            let (file, body) =
                (format!("{number}.bin"), if compressed { asset.gzip() } else { asset.body() });
            std::fs::write(directory.join(&file), body).expect("the directory can be written");
            json!({ "path": asset.path(), "file": file, "headers": headers })
        })
        .collect();
    std::fs::write(directory.join("assets.json"), Value::from(index).to_string()).expect("the same");
}

/// Runs a script of the suite.
fn script(name: &str, arguments: &[&str]) -> Option<Output> {
    let (chromium, driver) = browser()?;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/browser");
    let output = Command::new("node")
        .arg(directory.join(name))
        .args(arguments)
        .env("CLAUDE_EXEC_TEST_CHROMIUM", chromium)
        .env("CLAUDE_EXEC_TEST_BROWSER", driver)
        .output();
    Some(output.expect("node starts"))
}

/// What a script said of its cases; all of them passed, and there were at least so many.
fn all_passed(output: &Output, at_least: usize) {
    let told = String::from_utf8_lossy(&output.stdout);
    let cases: Vec<Value> = told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let named = |case: &Value| format!("{}: {}", case["case"], case["detail"]);
    let failed: Vec<String> = cases.iter().filter(|case| case["ok"] != true).map(named).collect();
    for case in cases.iter().filter(|case| case["detail"].is_string()) {
        println!("{}", named(case));
    }
    println!("{} of {} cases passed", cases.len() - failed.len(), cases.len());
    assert!(
        failed.is_empty() && output.status.success() && cases.len() >= at_least,
        "{} cases, {} failed\n{}\n{}",
        cases.len(),
        failed.len(),
        failed.join("\n"),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "needs Chromium: tests/run.sh"]
fn the_page_in_chromium() {
    let page = tempfile::tempdir().expect("a temporary directory");
    write_page(page.path());
    let directory = page.path().to_str().expect("it is UTF-8");
    if let Some(output) = script("run.mjs", &["--page", directory]) {
        all_passed(&output, CASES_AT_LEAST);
    }
}

#[test]
#[ignore = "needs Chromium: tests/run.sh"]
fn the_page_on_the_real_server() {
    let mut command = Command::new(Server::binary());
    command.args(["--role", "breakglass", "--demo", "--listen", "127.0.0.1:0"]);
    command.env("API_BEARER_TOKEN", TOKEN).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = command.spawn().expect("the server starts");
    let mut line = String::new();
    let mut stdout = BufReader::new(server.stdout.take().expect("stdout is piped"));
    stdout.read_line(&mut line).expect("it says where it listens");
    let url = line.trim().strip_prefix("listening on ").map(str::to_owned);
    let output = url.as_deref().and_then(|url| script("real.mjs", &[url, TOKEN]));
    server.kill().expect("it ran to this moment");
    server.wait().expect("it is our child");
    assert!(url.is_some(), "{line}");
    if let Some(output) = output {
        all_passed(&output, 7);
    }
}
