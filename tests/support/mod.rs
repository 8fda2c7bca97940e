//! What the suite stands on: a stand-in for the model API, the real CLI, processes and temporary directories.
#![allow(dead_code, unused_imports)] // shared by the suite and the benchmarks; none of them uses all of it

pub(crate) mod cli;
pub(crate) mod client;
pub(crate) mod forge;
pub(crate) mod marker;
pub(crate) mod model_api;
pub(crate) mod process;
pub(crate) mod proxmox;
pub(crate) mod server;
pub(crate) mod sshd;

/// Says in the report of `tests/run.sh` what a test that passes had to leave out on this machine, and why.
pub(crate) fn left_out(what: &str) {
    use std::io::Write;
    let Some(path) = std::env::var_os("CLAUDE_EXEC_TEST_LEFT_OUT") else { return };
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    writeln!(file.expect("the report can be written"), "{what}").expect("the report can be written");
}
