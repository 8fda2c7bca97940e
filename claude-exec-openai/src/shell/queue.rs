//! From a plan to a running turn: the queue, then a process.

use std::sync::Arc;
use std::time::Duration;

use claude_exec::brain;
use claude_exec::jobs::{Slot, Workspace, Workspaces};
use claude_exec::{Error, Invocation, Result};
use tokio::time::timeout;

use super::builder::{OpenAi, Shared};
use super::talk::Talk;
use super::underway::Underway;
use crate::error::ApiError;
use crate::failure;
use crate::models;
use crate::quota::{Bill, Billed};
use crate::warm::{Conversation, Sessions};

/// How long preparing a checkout may take in all, as for jobs; each step has a limit of its own.
const CHECKOUT_LIMIT: Duration = Duration::from_secs(900);

/// What is to be run.
pub(super) enum Wanted {
    /// A turn in a process of its own.
    Once(Box<Invocation>, models::Workspace),
    /// A turn of a conversation whose process may be there already.
    Talk(Arc<Sessions>, Box<Conversation>),
}

/// Waits for a slot and starts the turn.
pub(super) async fn start(endpoint: OpenAi, wanted: Wanted, bill: Bill) -> Result<Underway, ApiError> {
    let shared = &endpoint.0;
    let slot = timeout(shared.queue_limit, shared.gate.enter()).await;
    let slot = slot.unwrap_or_else(|_| Err(Error::timed_out("waiting for a slot", shared.queue_limit)));
    let slot = slot.map_err(|error| failure::from_queue(&error))?;
    match wanted {
        Wanted::Talk(sessions, mut conversation) => {
            conversation.invocation = prepared(shared, conversation.invocation);
            Talk::start(sessions, *conversation, slot, bill).await.map(|talk| Underway::Talk(Box::new(talk)))
        }
        Wanted::Once(invocation, workspace) => once(shared, *invocation, workspace, slot, bill).await,
    }
    .map_err(|error| {
        tracing::warn!(%error, "a turn could not be started");
        failure::from_error(&error)
    })
}

fn prepared(shared: &Shared, invocation: Invocation) -> Invocation {
    match &shared.prepare {
        Some(prepare) => prepare(invocation),
        None => invocation,
    }
}

async fn once(
    shared: &Shared,
    invocation: Invocation,
    workspace: models::Workspace,
    slot: Slot,
    bill: Bill,
) -> Result<Underway> {
    let mut invocation = prepared(shared, invocation);
    let workspace = match (workspace, &shared.workspaces) {
        (models::Workspace::Job, Some(workspaces)) => {
            let checkout = timeout(CHECKOUT_LIMIT, checkout(workspaces)).await;
            let checkout =
                checkout.unwrap_or_else(|_| Err(Error::timed_out("preparing a checkout", CHECKOUT_LIMIT)))?;
            invocation = invocation.cwd(checkout.path());
            Some(checkout)
        }
        _ => None,
    };
    // In this order: the checkout is gone before the next one gets the slot.
    let turn = brain::run_holding(&*shared.executor, &invocation, (workspace, slot)).await?;
    Ok(Underway::Once(Billed::new(turn, bill)))
}

async fn checkout(workspaces: &Workspaces) -> Result<Workspace> {
    let name = uuid::Uuid::new_v4().simple().to_string();
    if workspaces.has_base() { workspaces.checkout(&name).await } else { workspaces.scratch(&name).await }
}
