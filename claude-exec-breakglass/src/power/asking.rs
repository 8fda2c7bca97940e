//! One command, heard while it runs, to whatever end it comes.

use std::time::Duration;

use claude_exec::executor::{Command, Executor, Frame, Stop, Tail};
use futures::StreamExt;

use super::Closed;

/// What is kept of ssh's own words.
const STDERR_BYTES: usize = 4096;

/// Runs `command` and hands over its standard output as it comes.
///
/// At the limit ssh is ended. What it has set going on the host is not: the forced command sees to that.
///
/// # Cancel safety
///
/// Dropping the future ends ssh, and what was sent with it goes on.
pub(super) async fn ask(
    executor: &dyn Executor,
    command: Command,
    limit: Duration,
    mut heard: impl FnMut(&[u8]),
) -> Closed {
    let mut process = match executor.start(command).await {
        Ok(process) => process,
        Err(error) => return Closed::NotStarted(error.to_string()),
    };
    let mut stderr = Tail::new(STDERR_BYTES);
    let deadline = tokio::time::sleep(limit);
    let mut deadline = std::pin::pin!(deadline);
    loop {
        let frame = tokio::select! {
            biased;
            frame = process.output.next() => frame,
            () = &mut deadline => {
                process.control.stop(Stop::Now);
                return Closed::TimedOut;
            }
        };
        match frame {
            Some(Ok(Frame::Stdout(bytes))) => heard(&bytes),
            Some(Ok(Frame::Stderr(bytes))) => stderr.push(&bytes),
            Some(Ok(Frame::Exit(exit))) => return Closed::Exit(exit.code, stderr.to_text()),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Closed::Lost(error.to_string()),
            None => return Closed::Lost("its output ended without an exit".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use claude_exec::Error;
    use claude_exec::executor::{Scripted, executor_fn};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_said_before_the_end_is_heard_whatever_the_end() {
        let exit = |code, stderr: &str| Closed::Exit(Some(code), stderr.to_owned());
        let table = [
            (Scripted::new().stdout("abc").exit(0), "abc", exit(0, "")),
            (Scripted::new().stdout("a").stderr("why").exit(255), "a", exit(255, "why")),
            (Scripted::new().stdout("a").until_stopped(), "a", Closed::TimedOut),
        ];
        for (script, said, closed) in table {
            let mut heard = Vec::new();
            let limit = Duration::from_secs(9);
            let got = ask(&script, Command::new("ssh"), limit, |bytes| heard.extend_from_slice(bytes)).await;
            assert_eq!((String::from_utf8(heard).unwrap().as_str(), got), (said, closed));
        }
        let none = executor_fn(|_| Err(Error::spawn("ssh", std::io::ErrorKind::NotFound.into())));
        let got = ask(&none, Command::new("ssh"), Duration::from_secs(9), |_| {}).await;
        assert!(matches!(got, Closed::NotStarted(why) if why.contains("ssh")));
    }
}
