//! The real CLI, without an account.
//!
//! A test that needs it carries `#[ignore = "needs the real CLI: tests/run.sh"]`, so that a plain `cargo test` says
//! what it left out; `tests/run.sh` installs the CLI and leaves out nothing.

mod home;
mod pipe;

pub(crate) use home::Home;
pub(crate) use pipe::{Finished, Pipe, control, initialize, user};

use std::path::PathBuf;

/// The version the suite is written against.
pub(crate) const VERSION: &str = "2.1.330";

/// The binary: `CLAUDE_EXEC_TEST_CLI`, or where `tests/run.sh` puts it.
///
/// # Panics
///
/// When there is none: a test that asked for it must not pass without it.
pub(crate) fn path() -> PathBuf {
    let path = match std::env::var_os("CLAUDE_EXEC_TEST_CLI") {
        Some(path) => PathBuf::from(path),
        None => {
            let home = std::env::var_os("HOME").expect("HOME is set");
            let cache = PathBuf::from(home).join(".cache/claude-exec-tests/cli").join(VERSION);
            cache.join("node_modules/@anthropic-ai").join(package()).join("claude")
        }
    };
    assert!(path.is_file(), "no CLI at {}: run tests/run.sh, or set CLAUDE_EXEC_TEST_CLI", path.display());
    path
}

/// The npm package of this platform's binary.
fn package() -> String {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        os => os,
    };
    let arch = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "x64",
    };
    let libc = if cfg!(target_env = "musl") { "-musl" } else { "" };
    format!("claude-code-{os}-{arch}{libc}")
}

/// `invocation` on the real CLI of `home`.
pub(crate) fn on(home: &Home, invocation: claude_exec::Invocation) -> claude_exec::Invocation {
    let invocation = invocation.program(path()).cwd(home.work()).model("sonnet");
    home.env().into_iter().fold(invocation, |invocation, (name, value)| invocation.env(name, value))
}
