//! The phases of a server's life, and the signals that move it on.

use std::future::Future;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Where the server is in its life; it only ever moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Takes requests.
    Serving,
    /// Takes no more; what runs may go on for the grace period.
    Draining,
    /// Ends what still runs.
    Ending,
    /// Ends it without mercy: a second signal came.
    Killing,
}

/// Shows the phase and waits for the next. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Phases(watch::Receiver<Phase>);

impl Phases {
    /// Phases that another task moves on.
    pub fn new() -> (watch::Sender<Phase>, Self) {
        let (sender, receiver) = watch::channel(Phase::Serving);
        (sender, Self(receiver))
    }

    /// The phase now.
    pub fn now(&self) -> Phase {
        *self.0.borrow()
    }

    /// Waits until `phase` is reached or passed. A mover that is gone counts as the last phase.
    pub async fn reached(&mut self, phase: Phase) {
        let _ = self.0.wait_for(|now| *now >= phase).await;
    }
}

/// SIGTERM and SIGINT, listened for from the moment this is made.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// One item for each signal, without an end.
    pub fn stream(self) -> impl Stream<Item = ()> + Send {
        stream::unfold(self, |mut signals| async move {
            tokio::select! {
                _ = signals.terminate.recv() => {}
                _ = signals.interrupt.recv() => {}
            }
            Some(((), signals))
        })
    }
}

/// Moves the phases on: the first signal drains; `idle`, the grace period or a second signal ends. A signal
/// while it ends kills.
pub async fn drive(
    phases: watch::Sender<Phase>,
    signals: impl Stream<Item = ()>,
    idle: impl Future<Output = ()>,
    grace: Duration,
) {
    let mut signals = std::pin::pin!(signals);
    signals.next().await;
    tracing::info!(grace_seconds = grace.as_secs(), "draining");
    phases.send_replace(Phase::Draining);
    tokio::select! {
        () = idle => {}
        () = tokio::time::sleep(grace) => tracing::warn!("the grace period is over: ending what still runs"),
        _ = signals.next() => tracing::warn!("second signal: ending what still runs"),
    }
    phases.send_replace(Phase::Ending);
    signals.next().await;
    phases.send_replace(Phase::Killing);
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    /// The phases after 5 s and after 65 s, with this many signals at once and 10 s of grace.
    async fn settle<I>(signals: usize, idle: I) -> [Phase; 2]
    where
        I: Future<Output = ()> + Send + 'static,
    {
        let (sender, phases) = Phases::new();
        let signals = stream::iter(vec![(); signals]).chain(stream::pending());
        let driver = tokio::spawn(drive(sender, signals, idle, Duration::from_secs(10)));
        let mut seen = [Phase::Serving; 2];
        for (phase, wait) in seen.iter_mut().zip([5, 60]) {
            tokio::time::sleep(Duration::from_secs(wait)).await;
            *phase = phases.now();
        }
        driver.abort();
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn each_signal_and_the_grace_period_move_it_on() {
        use Phase::{Draining, Ending, Killing, Serving};
        assert_eq!(settle(0, pending()).await, [Serving, Serving]);
        assert_eq!(settle(1, pending()).await, [Draining, Ending]);
        assert_eq!(settle(1, ready(())).await, [Ending, Ending]);
        assert_eq!(settle(2, pending()).await, [Ending, Ending]);
        assert_eq!(settle(3, pending()).await, [Killing, Killing]);
    }

    #[tokio::test]
    async fn a_phase_that_was_passed_counts_as_reached() {
        let (sender, mut phases) = Phases::new();
        sender.send_replace(Phase::Killing);
        phases.reached(Phase::Draining).await;
        drop(sender);
        phases.reached(Phase::Killing).await;
    }
}
