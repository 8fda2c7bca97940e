//! The phases of a server's life, and the signals that move it on.

use std::future::Future;
use std::time::Duration;

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

    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Moves the phases on: the first signal drains; `idle`, the grace period or a second signal ends. A signal
/// while it ends kills.
pub async fn drive<I, N, F>(phases: watch::Sender<Phase>, mut signal: N, idle: I, grace: Duration)
where
    I: Future<Output = ()>,
    N: FnMut() -> F,
    F: Future<Output = ()>,
{
    signal().await;
    tracing::info!(grace_seconds = grace.as_secs(), "draining");
    phases.send_replace(Phase::Draining);
    tokio::select! {
        () = idle => {}
        () = tokio::time::sleep(grace) => tracing::warn!("the grace period is over: ending what still runs"),
        () = signal() => tracing::warn!("second signal: ending what still runs"),
    }
    phases.send_replace(Phase::Ending);
    signal().await;
    phases.send_replace(Phase::Killing);
    std::future::pending::<()>().await;
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::sync::Semaphore;

    use super::*;

    /// Runs `drive` with this many signals coming at once, and gives the phase it settles in after a minute.
    async fn settle<I>(signals: usize, idle: I) -> Phase
    where
        I: Future<Output = ()> + Send + 'static,
    {
        let (sender, phases) = Phases::new();
        let sent = std::sync::Arc::new(Semaphore::new(signals));
        let signal = move || {
            let sent = sent.clone();
            async move { sent.acquire().await.unwrap().forget() }
        };
        let driver = tokio::spawn(drive(sender, signal, idle, Duration::from_secs(10)));
        tokio::time::sleep(Duration::from_secs(5)).await;
        let early = phases.now();
        tokio::time::sleep(Duration::from_secs(60)).await;
        driver.abort();
        if early != phases.now() { assert_eq!(early, Phase::Draining) }
        phases.now()
    }

    #[tokio::test(start_paused = true)]
    async fn each_signal_and_the_grace_period_move_it_on() {
        assert_eq!(settle(0, pending()).await, Phase::Serving);
        assert_eq!(settle(1, pending()).await, Phase::Ending);
        assert_eq!(settle(1, ready(())).await, Phase::Ending);
        assert_eq!(settle(3, pending()).await, Phase::Killing);
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
