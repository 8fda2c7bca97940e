//! The writer of a child's stdin: a task of its own, so that a child that does not read blocks nothing else.

use std::io;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::{mpsc, oneshot, watch};

/// Writes waiting for the child to read; the next `write` waits.
const WAITING_WRITES: usize = 16;

type Write = (Bytes, oneshot::Sender<io::Result<()>>);

/// The sending side.
#[derive(Debug)]
pub(super) struct Writer {
    writes: mpsc::Sender<Write>,
    closed: watch::Sender<bool>,
}

impl Writer {
    /// Starts writing `first` to `stdin`, when there is one; `open` keeps it open for more. The task ends by
    /// itself when the pipe breaks or is closed; abort the handle when the child is gone.
    pub(super) fn start(
        stdin: Option<ChildStdin>,
        first: Bytes,
        open: bool,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (writes, waiting) = mpsc::channel(WAITING_WRITES);
        let (closed, closing) = watch::channel(!open);
        let task = tokio::spawn(async move {
            if let Some(stdin) = stdin {
                // A broken pipe is no error of ours: the child has said, or will say, why it ended.
                let _broken = run(stdin, first, waiting, closing).await;
            }
        });
        (Self { writes, closed }, task)
    }

    pub(super) async fn write(&self, data: Bytes) -> io::Result<()> {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        if *self.closed.borrow() {
            return Err(broken());
        }
        let (done, written) = oneshot::channel();
        self.writes.send((data, done)).await.map_err(|_| broken())?;
        written.await.map_err(|_| broken())?
    }

    pub(super) fn close(&self) {
        self.closed.send_replace(true);
    }
}

async fn run(
    mut stdin: ChildStdin,
    first: Bytes,
    mut waiting: mpsc::Receiver<Write>,
    mut closing: watch::Receiver<bool>,
) -> io::Result<()> {
    stdin.write_all(&first).await?;
    loop {
        let next = tokio::select! {
            biased;
            next = waiting.recv() => next,
            _ = closing.wait_for(|closed| *closed), if !waiting.is_closed() => {
                waiting.close(); // what was queued before still goes out
                continue;
            }
        };
        let Some((data, done)) = next else { return Ok(()) };
        let written = stdin.write_all(&data).await;
        let broken = written.is_err();
        let _left = done.send(written);
        if broken {
            return Ok(());
        }
    }
}
