//! What a process can do to its parent.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The hidden argument of a child that only sleeps.
pub(crate) const SLEEPER: &str = "fake-claude-sleeper";

/// Exits 143 at SIGTERM, as the real one does.
#[expect(unsafe_code, reason = "no safe wrapper sets a signal's disposition; the handler only calls _exit")]
pub(crate) fn end_on_sigterm() {
    extern "C" fn end(_: libc::c_int) {
        // SAFETY: `_exit` is async-signal-safe.
        unsafe { libc::_exit(143) }
    }
    // SAFETY: the handler above touches no state.
    unsafe { libc::signal(libc::SIGTERM, end as *const () as libc::sighandler_t) };
}

#[expect(unsafe_code, reason = "no safe wrapper sets a signal's disposition")]
pub(crate) fn ignore_sigterm() {
    // SAFETY: SIG_IGN has no handler to run.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
}

#[expect(unsafe_code, reason = "closing a descriptor that the standard library owns")]
pub(crate) fn close_stdout() {
    // SAFETY: every later write is checked, and nothing is opened in its place.
    unsafe { libc::close(1) };
}

/// A child that outlives this process: with its pipes, or in a session of its own without them.
pub(crate) fn spawn_sleeper(detached: bool) {
    let Ok(own) = std::env::current_exe() else { return };
    let mut command = Command::new(own);
    command.arg(SLEEPER);
    if detached {
        command.arg("detached").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    } else {
        command.stdin(Stdio::null());
    }
    match command.spawn() {
        Ok(child) if detached => wait_for_own_session(child.id()),
        _ => {}
    }
}

/// Ten minutes: longer than any test, and no process is left for ever.
#[expect(unsafe_code, reason = "setsid touches no memory")]
pub(crate) fn sleep_for_long(detached: bool) -> ! {
    if detached {
        // SAFETY: no memory is involved.
        unsafe { libc::setsid() };
    }
    std::thread::sleep(Duration::from_secs(600));
    std::process::exit(0)
}

/// The child has left this process's session before anything else happens, so a test may rely on it.
#[expect(unsafe_code, reason = "getsid touches no memory")]
fn wait_for_own_session(child: u32) {
    let child = child.cast_signed();
    for _ in 0..1000 {
        // SAFETY: no memory is involved.
        if unsafe { libc::getsid(child) } == child {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Blocks while nobody reads.
pub(crate) fn stderr(bytes: usize) {
    let line = [b'e'; 99];
    let mut pipe = std::io::stderr().lock();
    let mut left = bytes;
    while left > 0 {
        let part = left.min(100);
        // A reader that left is a fact to survive.
        let _ = pipe.write_all(&line[..part - 1]);
        let _ = pipe.write_all(b"\n");
        left -= part;
    }
}
