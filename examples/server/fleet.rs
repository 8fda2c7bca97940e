//! Every process that the server runs, so that none outlives it.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use claude_exec::executor::{Command, Control, Executor, Frame, Process, Stop};
use claude_exec::{Error, Result};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, Stream};
use futures::{FutureExt, StreamExt};
use tokio::sync::watch;

/// An executor that knows what runs on it. Clones share the fleet.
#[derive(Clone)]
pub struct Fleet {
    inner: Arc<dyn Executor>,
    crew: Arc<Crew>,
}

struct Crew {
    members: Mutex<Members>,
    count: watch::Sender<usize>,
}

#[derive(Default)]
struct Members {
    next: u64,
    running: HashMap<u64, Arc<dyn Control>>,
    /// Set once everything was stopped: what starts later is stopped too.
    ended: Option<Stop>,
}

impl Fleet {
    pub fn new(inner: impl Executor + 'static) -> Self {
        let crew = Crew { members: Mutex::default(), count: watch::channel(0).0 };
        Self { inner: Arc::new(inner), crew: Arc::new(crew) }
    }

    /// How many processes run.
    pub fn len(&self) -> usize {
        *self.crew.count.borrow()
    }

    /// Stops all processes and starts no more; may be called again to be firmer.
    pub fn end(&self, how: Stop) {
        let running: Vec<_> = {
            let mut members = self.crew.members();
            members.ended = Some(how);
            members.running.values().cloned().collect()
        };
        for control in running {
            control.stop(how);
        }
    }

    /// Waits until no process runs.
    pub async fn idle(&self) {
        let _ = self.crew.count.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Crew {
    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(self: &Arc<Self>, control: &Arc<dyn Control>) -> Member {
        let mut members = self.members();
        let id = members.next;
        members.next += 1;
        members.running.insert(id, control.clone());
        self.count.send_replace(members.running.len());
        if let Some(how) = members.ended {
            control.stop(how);
        }
        Member { id, crew: self.clone() }
    }
}

impl Executor for Fleet {
    fn start(&self, command: Command) -> BoxFuture<'_, Result<Process>> {
        async move {
            if self.crew.members().ended.is_some() {
                return Err(Error::stopped());
            }
            let process = self.inner.start(command).await?;
            let member = self.crew.join(&process.control);
            let output = Followed { output: process.output, _member: member }.boxed();
            Ok(Process { output, control: process.control })
        }
        .boxed()
    }
}

/// A place in the fleet, left when the process's output is dropped.
struct Member {
    id: u64,
    crew: Arc<Crew>,
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut members = self.crew.members();
        members.running.remove(&self.id);
        self.crew.count.send_replace(members.running.len());
    }
}

struct Followed {
    output: BoxStream<'static, Result<Frame>>,
    _member: Member,
}

impl Stream for Followed {
    type Item = Result<Frame>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.output.poll_next_unpin(context)
    }
}

#[cfg(test)]
mod tests {
    use claude_exec::executor::Scripted;

    use super::*;

    #[tokio::test]
    async fn ending_stops_what_runs_and_refuses_what_comes() {
        let fleet = Fleet::new(Scripted::new().until_stopped());
        let first = fleet.start(Command::new("a")).await.unwrap();
        let second = fleet.start(Command::new("b")).await.unwrap();
        assert_eq!(fleet.len(), 2);
        fleet.end(Stop::Now);
        for process in [first, second] {
            let frames: Vec<_> = process.output.collect().await;
            assert!(matches!(&frames[..], [Ok(Frame::Exit(exit))] if exit.stopped), "{frames:?}");
        }
        fleet.idle().await;
        assert!(fleet.start(Command::new("c")).await.unwrap_err().is_stopped());
        assert_eq!(fleet.len(), 0);
    }

    #[tokio::test]
    async fn a_dropped_process_leaves_the_fleet() {
        let fleet = Fleet::new(Scripted::answer("x"));
        drop(fleet.start(Command::new("a")).await.unwrap());
        fleet.idle().await;
        assert_eq!(fleet.len(), 0);
    }
}
