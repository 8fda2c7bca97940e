//! The OpenAPI document is true: schemathesis, which makes requests of it, finds no answer that it does not tell, and
//! what it does not name is said nowhere.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::support::client;
use crate::support::server::{Site, TOKEN};

/// Longer than it takes, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(400);

const DOCUMENT: &str = include_str!("../../examples/server/openapi.json");

fn below(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// How many operations the document has.
fn operations() -> usize {
    let document: Value = serde_json::from_str(DOCUMENT).expect("it is JSON");
    let paths = document["paths"].as_object().expect("paths").values();
    let named = paths.filter_map(Value::as_object).flat_map(|item| item.keys());
    named.filter(|name| *name != "parameters").count()
}

#[tokio::test]
#[ignore = "needs the Python clients: tests/run.sh"]
async fn schemathesis_finds_no_answer_that_is_not_documented() {
    // A turn over the fake CLI costs nothing, and answers whatever it is asked.
    let site = Site::fake();
    let server = site.start().await;
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let python = std::env::var_os("CLAUDE_EXEC_TEST_PYTHON");
    let run = Command::new(python.expect("CLAUDE_EXEC_TEST_PYTHON is not set: run tests/run.sh"))
        .args(["-m", "schemathesis.cli", "--no-color", "--config-file"])
        .arg(below("tests/clients/schemathesis/schemathesis.toml"))
        .args(["run", &format!("{}/openapi.json", server.url())])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy")
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, run).await.expect("it ends").expect("it starts");
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{errors}\n{}", site.log());
    let after = |mark: &str| told.lines().find_map(|line| Some(line.split_once(mark)?.1.trim().to_owned()));
    let (version, tested) =
        (after("Schemathesis v").expect("its version"), after("Tested:").expect("a count"));
    // All but the one that gave it the document.
    assert_eq!(tested, (operations() - 1).to_string(), "every operation was tried:\n{told}");
    client::matrix("schemathesis", &version, &format!("{tested} of {tested}"));
}

/// Rows of a table in markdown that begins with this head: the names in backticks, and what becomes of them.
fn rows<'t>(text: &'t str, head: &str) -> Vec<(Vec<&'t str>, &'t str)> {
    let lines = text.lines().map(|line| line.strip_prefix("//! ").unwrap_or(line));
    let rows = lines.skip_while(|line| *line != head).skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split(" | ");
        let names = cells.next().unwrap_or_default().split('`').skip(1).step_by(2).collect();
        (names, cells.next().unwrap_or_default().trim())
    })
    .collect()
}

#[test]
fn the_readme_and_the_document_know_every_field_of_the_crate() {
    const HEAD: &str = "| field | what becomes of it |";
    // Which the crate's own test holds to the code.
    let crates = rows(include_str!("../../claude-exec-openai/src/lib.rs"), HEAD);
    let readme = rows(include_str!("../../README.md"), HEAD);
    let document: Value = serde_json::from_str(DOCUMENT).expect("it is JSON");
    let schemas = ["ChatRequest", "ResponsesRequest", "MessagesRequest"];
    let schemas = schemas.map(|name| &document["components"]["schemas"][name]["properties"]);
    assert!(!crates.is_empty() && schemas.iter().all(|schema| schema.is_object()));
    for (names, what) in &crates {
        let word = match *what {
            _ if what.contains("otherwise named") => "named",
            _ if what.contains("otherwise refused") => "refused",
            what => what.split([':', ';', ',', ' ']).next().unwrap_or_default(),
        };
        for name in names {
            let told = readme.iter().filter(|(names, _)| names.contains(name));
            let told: Vec<&str> = told.map(|(_, what)| *what).collect();
            assert!(told.iter().any(|what| what.starts_with(word)), "README on {name}: {told:?}, not {word}");
            let known = schemas.iter().filter_map(|schema| schema.get(*name)).collect::<Vec<_>>();
            assert!(!known.is_empty(), "the document does not know {name}");
            let begins = match word {
                "accepted" => "Accepted",
                "named" => "Ignored, and named",
                _ => continue,
            };
            let described = known.iter().filter_map(|schema| schema["description"].as_str());
            assert!(described.clone().any(|text| text.starts_with(begins)), "{name}: {known:?}");
        }
    }
}
