//! Who may depend on whom, and on which compiler.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

const SHELLS: [&str; 3] = ["claude-exec-openai", "claude-exec-breakglass", "claude-exec-afk"];

fn cargo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.expect("cargo built this test");
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

fn metadata() -> Value {
    serde_json::from_str(&cargo(&["metadata", "--format-version=1", "--locked"])).expect("metadata is JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What is built into our crates: the closure of normal and build dependencies, without what only tests need.
fn built_in(metadata: &Value) -> BTreeSet<&str> {
    let nodes = metadata["resolve"]["nodes"].as_array().expect("the graph is resolved");
    let nodes: BTreeMap<&str, &Value> = nodes.iter().map(|node| (text(&node["id"]), node)).collect();
    let members = metadata["workspace_members"].as_array().expect("a workspace has members");
    let mut todo: Vec<&str> =
        members.iter().map(text).filter(|id| !id.contains("claude-exec-workspace")).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = todo.pop() {
        if !seen.insert(id) {
            continue;
        }
        for dependency in nodes[id]["deps"].as_array().expect("a list") {
            let kinds = dependency["dep_kinds"].as_array().expect("a list");
            if kinds.iter().any(|kind| kind["kind"] != "dev") {
                todo.push(text(&dependency["pkg"]));
            }
        }
    }
    seen
}

/// `1.88`, `1.88.0` and `1.9` in the order of compilers.
fn version(text: &str) -> (u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().expect("a rust-version is numbers"));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Stands for a build with the oldest compiler, which not every machine has.
#[test]
fn no_dependency_needs_a_newer_compiler_than_we_promise() {
    let metadata = metadata();
    let built_in = built_in(&metadata);
    let packages = metadata["packages"].as_array().expect("a list");
    let ours =
        packages.iter().find(|package| package["name"] == "claude-exec").expect("the core is a member");
    let promised = version(text(&ours["rust_version"]));
    let newer: Vec<String> = packages
        .iter()
        .filter(|package| built_in.contains(text(&package["id"])))
        .filter(|package| version(package["rust_version"].as_str().unwrap_or("0.0")) > promised)
        .map(|package| format!("{} needs {}", text(&package["name"]), text(&package["rust_version"])))
        .collect();
    assert_eq!(newer, Vec::<String>::new(), "promised: {promised:?}");
}

#[test]
fn the_core_without_features_has_neither_tokio_nor_hyper() {
    let tree = cargo(&[
        "tree",
        "--locked",
        "--package=claude-exec",
        "--no-default-features",
        "--edges=normal",
        "--prefix=none",
        "--format={p}",
    ]);
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("claude-exec") && names.contains("serde_json"), "{names:?}");
    for name in ["tokio", "hyper", "hyper-util", "http", "axum", "rustix"] {
        assert!(!names.contains(name), "{name} is in {names:?}");
    }
}

#[test]
fn the_optional_crates_never_depend_on_each_other_nor_the_core_on_them() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().expect("a list") {
        let name = text(&package["name"]);
        if name != "claude-exec" && !SHELLS.contains(&name) {
            continue;
        }
        let dependencies =
            package["dependencies"].as_array().expect("a list").iter().map(|d| text(&d["name"]));
        let forbidden: Vec<&str> = dependencies.filter(|dependency| SHELLS.contains(dependency)).collect();
        assert_eq!(forbidden, Vec::<&str>::new(), "{name}");
    }
}
