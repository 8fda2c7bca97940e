//! Turns whose model waits for the client's tools.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use claude_exec::brain::live::{LiveTurn, TurnOptions};
use claude_exec::brain::pool::Place;
use claude_exec::protocol::McpCall;
use claude_exec::{Error, Result};
use tokio::time::{Instant, sleep_until};

use super::index::Index;
use super::tools::Given;
use super::transcript::Transcript;
use crate::quota::Billed;

/// A call that the CLI waits for.
#[derive(Debug)]
pub(crate) struct OpenCall {
    /// The id of the control request that it came in.
    pub(crate) request_id: String,
    pub(crate) call: McpCall,
}

/// A turn that waits. Dropping it ends its process; the conversation goes on by a replay.
#[derive(Debug)]
pub(crate) struct Parked {
    turn: Billed<LiveTurn>,
    place: Place,
    calls: Vec<(String, OpenCall)>,
}

impl Parked {
    /// A turn that waits for the calls with these ids, in the order in which the client was told of them.
    pub(crate) fn new(turn: Billed<LiveTurn>, place: Place, calls: Vec<(String, OpenCall)>) -> Self {
        Self { turn, place, calls }
    }

    /// The ids of the calls, in order.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.calls.iter().map(|(id, _)| id.clone()).collect()
    }

    /// Lets the turn go on with these results, one for each call, and with other options.
    ///
    /// # Errors
    ///
    /// When the process has ended, or does not take them in time; it is ended.
    pub(crate) async fn resume(
        self,
        results: Vec<Given>,
        options: &TurnOptions,
    ) -> Result<(Billed<LiveTurn>, Place)> {
        let Self { mut turn, place, calls } = self;
        if calls.len() != results.len() {
            return Err(Error::failed("answering calls", "there are not as many results"));
        }
        let live = turn.get_mut().ok_or_else(Error::stopped)?;
        live.change(options).await?;
        let handle = live.handle();
        // One after the other: the model is given them in the order in which they come.
        for ((_, OpenCall { request_id, call }), Given { content, is_error }) in
            calls.into_iter().zip(results)
        {
            handle.reply(&request_id, &call.reply(content, is_error)).await?;
        }
        Ok((turn, place))
    }
}

/// All that wait: few, and not for long, since each holds a process.
#[derive(Debug)]
pub(crate) struct Parking {
    lot: Mutex<Lot>,
    limit: Duration,
}

#[derive(Debug)]
struct Lot {
    index: Index<Parked>,
    is_swept: bool,
}

impl Parking {
    /// A place for at most `most` turns, each for at most `limit`.
    pub(crate) fn new(most: usize, limit: Duration) -> Arc<Self> {
        Arc::new(Self { lot: Mutex::new(Lot { index: Index::new(most), is_swept: false }), limit })
    }

    /// Parks a turn whose conversation has come to this transcript. The oldest one gives way where there is no room.
    pub(crate) fn park(self: &Arc<Self>, transcript: Transcript, parked: Parked) {
        let mut lot = self.lot();
        let left = lot.index.insert(Instant::now(), transcript, self.limit, parked);
        if !std::mem::replace(&mut lot.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
        drop(lot);
        drop(left);
    }

    /// Takes the turn that has come to this transcript. It is nobody else's then.
    pub(crate) fn take(&self, transcript: &Transcript) -> Option<Parked> {
        self.lot().index.take(Instant::now(), transcript)
    }

    /// Ends all of them.
    pub(crate) fn clear(&self) {
        let left = self.lot().index.clear();
        drop(left);
    }

    fn lot(&self) -> MutexGuard<'_, Lot> {
        self.lot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends what has waited too long, until nothing waits.
async fn sweep(parking: Weak<Parking>) {
    loop {
        let Some(parking) = parking.upgrade() else { return };
        let (left, next) = {
            let mut lot = parking.lot();
            let left = lot.index.expire(Instant::now());
            let next = lot.index.next_expiry();
            lot.is_swept = next.is_some();
            (left, next)
        };
        drop(left);
        drop(parking);
        let Some(next) = next else { return };
        sleep_until(next).await;
    }
}
