//! A claim in line.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::claimed::Granted;
use super::policy::{Ticket, Want};
use super::shared::Shared;
use crate::error::{Error, Result};

/// Dropping it leaves the line; a process that was on its way stays with the pool.
pub(super) struct Waiting<'s> {
    shared: &'s Arc<Shared>,
    ticket: Ticket,
    granted: oneshot::Receiver<Result<Granted>>,
}

impl<'s> Waiting<'s> {
    pub(super) fn join(shared: &'s Arc<Shared>, want: Want) -> Result<Self> {
        let (grant, granted) = oneshot::channel();
        let ticket = shared.change(|state, now| {
            let ticket = state.policy.claim(now, want).ok_or_else(|| state.policy.refusal())?;
            state.tickets.insert(ticket, grant);
            Ok::<_, Error>(ticket)
        })?;
        Ok(Self { shared, ticket, granted })
    }

    /// `None` when the process ended in the moment in which it was granted.
    pub(super) async fn granted(mut self) -> Result<Option<Granted>> {
        (&mut self.granted).await.ok().transpose()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.granted.close();
        let granted = self.granted.try_recv();
        let _late = self.shared.change(|state, now| match granted {
            Ok(Ok(granted)) => {
                let (slot, parked) = granted.undo();
                if !state.policy.is_claimed(slot) {
                    return Some(parked); // it has ended meanwhile
                }
                state.parked.insert(slot, parked);
                state.policy.give_back(now, slot);
                None
            }
            _ => {
                state.tickets.remove(&self.ticket);
                state.policy.cancel(now, self.ticket);
                None
            }
        });
    }
}
