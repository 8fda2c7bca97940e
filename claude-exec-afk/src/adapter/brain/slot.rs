//! What this process does for a run: a turn that is being begun, or one that runs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use claude_exec::brain::{Turn, TurnHandle};
use claude_exec::protocol::{Event, Failure, Outcome, SessionId};
use futures::StreamExt;
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::evidence::Proofs;
use super::pulse::{Pulse, quiet};
use super::record::Records;
use crate::adapter::held::held;
use crate::names::{Digest, RunId};
use crate::run::Evidence;
use crate::seen::Seen;

/// How long a turn may take to be gone after it was told to: the core's own ladder takes 20 s at most.
const END_LIMIT: Duration = Duration::from_secs(40);
/// The wait between two tries to write down how a turn ended; nothing else can be done while the disk is full.
const WRITE_AGAIN: Duration = Duration::from_secs(2);

/// A run's place in this process.
pub(super) struct Slot {
    /// One turn is begun at a time.
    pub(super) begin: tokio::sync::Mutex<()>,
    /// The run was stopped.
    pub(super) stopped: watch::Sender<bool>,
    /// The turn that runs, and the task that follows it.
    turn: Mutex<Option<(Arc<Running>, AbortHandle)>>,
}

/// A running turn.
pub(super) struct Running {
    pub(super) number: u32,
    pub(super) handle: TurnHandle,
    started: Instant,
    watched: Mutex<Watched>,
    ended: watch::Sender<bool>,
}

struct Watched {
    pulse: Pulse,
    proofs: Proofs,
    asking: bool,
}

/// Why a turn did not begin.
pub(super) enum NotBegun {
    /// The CLI does not have the session.
    UnknownSession,
    Failed(String),
}

impl Slot {
    pub(super) fn new() -> Self {
        Self {
            begin: tokio::sync::Mutex::new(()),
            stopped: watch::Sender::new(false),
            turn: Mutex::default(),
        }
    }

    /// Resolves when the run is stopped.
    pub(super) async fn until_stopped(&self) {
        // The sender is here, so it is never gone.
        let mut stopped = self.stopped.subscribe();
        let _stopped = stopped.wait_for(|stopped| *stopped).await;
    }

    pub(super) fn running(&self) -> Option<Arc<Running>> {
        held(&self.turn).as_ref().map(|(running, _)| Arc::clone(running))
    }

    /// Follows `turn` in a task of its own; the receiver is told when it has begun, or why it did not.
    pub(super) fn follow(
        self: &Arc<Self>,
        turn: Turn,
        number: u32,
        (run, records): (RunId, Records),
        evidence: Evidence,
    ) -> oneshot::Receiver<Result<(), NotBegun>> {
        let watched = Watched { pulse: Pulse::default(), proofs: Proofs::new(evidence), asking: false };
        let running = Arc::new(Running {
            number,
            handle: turn.handle(),
            started: Instant::now(),
            watched: Mutex::new(watched),
            ended: watch::Sender::new(false),
        });
        let (begun, has_begun) = oneshot::channel();
        // Held until the task is in it, so that one that ends at once finds itself there.
        let mut place = held(&self.turn);
        let (slot, shared) = (Arc::clone(self), Arc::clone(&running));
        let task = tokio::spawn(async move {
            shared.follow(turn, &run, &records, begun).await;
            *held(&slot.turn) = None;
            shared.ended.send_replace(true);
        });
        *place = Some((running, task.abort_handle()));
        drop(place);
        has_begun
    }

    /// Drops a running turn, which ends its process.
    pub(super) fn abort(&self) {
        if let Some((_, task)) = &*held(&self.turn) {
            task.abort();
        }
    }
}

impl Running {
    /// Waits until nothing of the turn runs any more; false when that takes too long.
    pub(super) async fn is_gone(&self) -> bool {
        tokio::time::timeout(END_LIMIT, self.until_gone()).await.is_ok()
    }

    /// Waits until nothing of the turn runs any more.
    pub(super) async fn until_gone(&self) {
        // The sender is here, so it is never gone.
        let mut ended = self.ended.subscribe();
        let _ended = ended.wait_for(|ended| *ended).await;
    }

    /// How long there has been no sign of life, and whether it waits for an answer.
    pub(super) async fn look(&self, work: &Seen<Digest>) -> (Duration, bool) {
        let cpu = self.handle.cpu_time().await;
        let at = self.started.elapsed();
        let mut watched = held(&self.watched);
        watched.pulse.look(work, cpu, at);
        (quiet(&watched.pulse.signs(at)), watched.asking)
    }

    pub(super) fn evidence(&self) -> Evidence {
        held(&self.watched).proofs.evidence.clone()
    }

    async fn follow(
        &self,
        mut turn: Turn,
        run: &RunId,
        records: &Records,
        begun: oneshot::Sender<Result<(), NotBegun>>,
    ) {
        let mut begun = Some(begun);
        let mut outcome: Option<Box<Outcome>> = None;
        let mut failure = "it ended without a word".to_owned();
        while let Some(event) = turn.next().await {
            if self.hear(&event) {
                let evidence = self.evidence();
                write(records, run, |record| record.evidence = evidence.clone()).await;
            }
            match event {
                Event::Session(session) => {
                    if let Some(begun) = begun.take() {
                        write(records, run, |record| {
                            record.turns = self.number;
                            // Some versions go on under another id after a resume.
                            if let Ok(id) = SessionId::parse(session.session_id.as_str()) {
                                record.session = id;
                            }
                        })
                        .await;
                        let _left = begun.send(Ok(()));
                    }
                }
                Event::Finished(finished) => outcome = Some(finished),
                Event::Error(error) => failure = error.to_string(),
                Event::Cancelled => failure = "it was stopped".to_owned(),
                _ => {}
            }
        }
        let Some(begun) = begun.take() else {
            if let Some(outcome) = outcome.as_ref().filter(|outcome| !outcome.is_success()) {
                failure = outcome.error_message();
            }
            if outcome.as_ref().is_none_or(|outcome| !outcome.is_success()) {
                tracing::warn!(%run, turn = self.number, failure, "a turn of the agent failed");
            }
            return write(records, run, |record| record.end(outcome.as_deref())).await;
        };
        // The model was never asked: it has cost nothing.
        write(records, run, |record| record.open = false).await;
        let unknown =
            outcome.as_ref().is_some_and(|outcome| outcome.failure() == Some(Failure::UnknownSession))
                || failure.contains("No conversation found");
        let why = match outcome {
            _ if unknown => NotBegun::UnknownSession,
            Some(outcome) => NotBegun::Failed(outcome.error_message()),
            None => NotBegun::Failed(failure),
        };
        let _left = begun.send(Err(why));
    }

    /// Notes an event; true when it has proved something, which must survive this process.
    fn hear(&self, event: &Event) -> bool {
        let at = self.started.elapsed();
        let mut watched = held(&self.watched);
        watched.pulse.hear(event, at);
        match event {
            // Nobody is there to answer.
            Event::ControlRequest(_) => watched.asking = true,
            Event::ControlCancel(_) => watched.asking = false,
            _ => {}
        }
        watched.proofs.hear(event)
    }
}

/// Changes the record, as often as it takes.
async fn write(records: &Records, run: &RunId, change: impl Fn(&mut super::record::Record)) {
    while let Err(error) = records.change(run, &change).await {
        tracing::error!(%run, %error, "how the agent's turn went cannot be written down");
        tokio::time::sleep(WRITE_AGAIN).await;
    }
}
