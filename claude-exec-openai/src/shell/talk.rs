//! A turn of a conversation whose process goes on after it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use claude_exec::brain::live::{LiveTurn, TurnOptions};
use claude_exec::brain::pool::{Origin, Place};
use claude_exec::invocation::Deadlines;
use claude_exec::jobs::Slot;
use claude_exec::protocol::{Event, McpCall};
use claude_exec::{Error, Invocation, Result};
use futures::{Stream, StreamExt};
use tokio::time::{Sleep, sleep, timeout};

use crate::answer::{Done, Step};
use crate::collected::Collected;
use crate::content::{Block, Message, Role};
use crate::finish::FinishReason;
use crate::prompt::{blocks, carried};
use crate::quota::{Bill, Billed};
use crate::tool::cli_name;
use crate::warm::{Conversation, OpenCall, Parked, Replay, Sessions, Transcript, is_left_out, replay, tools};

/// How long a turn with calls may take in all, the times between its requests included: as long as a process lives.
/// Each request has its own limit.
const TOOL_TURN_LIMIT: Duration = Duration::from_secs(12 * 60 * 60);

/// Spares that are tried one after the other, when they turn out to be dead.
const SPARES_TRIED: usize = 3;

/// How long the CLI may take to make the calls of a message that has ended. It makes each as soon as it is whole.
const CALLS_LIMIT: Duration = Duration::from_secs(10);

/// The turn, its process's place in the pool, and what is known of the answer. Dropping it ends the process: what
/// becomes of its session then nobody knows.
pub(super) struct Talk {
    /// `None` once it has ended well.
    running: Option<(Billed<LiveTurn>, Place, Slot)>,
    sessions: Arc<Sessions>,
    /// What the session has come to with this turn's question; `None` when it is not what the client sent.
    transcript: Option<Transcript>,
    /// The client's tools, by the CLI's names.
    tools: Vec<String>,
    /// The time limit of this request, where that of the turn is another.
    due: Option<(Pin<Box<Sleep>>, Duration)>,
    collected: Collected,
    /// A message has ended: an answer of several is not given back as one.
    is_settled: bool,
    /// An event that was read ahead.
    first: Option<Event>,
    open: Vec<OpenCall>,
}

impl Talk {
    /// Finds the process of this conversation, or brings the conversation into a fresh one, and says the last turn.
    pub(super) async fn start(
        sessions: Arc<Sessions>,
        conversation: Conversation,
        slot: Slot,
        mut bill: Bill,
    ) -> Result<Self> {
        let Conversation { invocation, mut options, turns, opening, tools, is_echoed } = conversation;
        let limit = invocation.get_deadlines().total;
        if !tools.is_empty() {
            options = options.deadlines(parked_between(invocation.get_deadlines()));
        }
        let transcript = is_echoed.then(|| opening.with(&turns));
        let waiting = match resume(&sessions, &turns, opening, &options).await {
            Some((mut turn, place)) => {
                turn.join(std::mem::take(&mut bill));
                Some((turn, place, None))
            }
            None => go_on(&sessions, &turns, opening, &options, &mut bill).await,
        };
        let (turn, place, first, is_exact) = match waiting {
            Some((turn, place, first)) => (turn, place, first, true),
            None => {
                let replay = replay(&turns, !tools.is_empty());
                let replay = replay.filter(|replay| replay.past.is_empty() || sessions.replays());
                let is_exact = replay.is_some();
                let packed = || Replay { past: Vec::new(), said: carried(&turns) };
                let replay = replay.unwrap_or_else(packed);
                let (turn, place, first) = begin(&sessions, &invocation, replay, &options, bill).await?;
                (turn, place, first, is_exact)
            }
        };
        Ok(Self {
            running: Some((turn, place, slot)),
            sessions,
            transcript: transcript.filter(|_| is_exact),
            due: (!tools.is_empty()).then(|| (Box::pin(sleep(limit)), limit)),
            tools: tools.iter().map(|name| cli_name(name)).collect(),
            collected: Collected::default(),
            is_settled: false,
            first,
            open: Vec::new(),
        })
    }

    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let Some((turn, ..)) = &mut self.running else { return Poll::Ready(None) };
        if let Some((due, limit)) = &mut self.due
            && due.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Event::Error(Error::timed_out("the turn", *limit))));
        }
        let event = match self.first.take() {
            Some(first) => Some(first),
            None => std::task::ready!(Pin::new(turn).poll_next(cx)),
        };
        match &event {
            Some(Event::ControlRequest(request)) => {
                if let Some(call) = McpCall::read(&request.ask) {
                    self.open.push(OpenCall { request_id: request.request_id.clone(), call });
                }
            }
            // The CLI answers such a call by itself, and the client never hears of it.
            Some(Event::Tool(tool)) if !self.tools.contains(&tool.name) => self.transcript = None,
            _ => {}
        }
        Poll::Ready(event)
    }

    /// Follows the answer as the client is given it.
    pub(super) fn note(&mut self, step: &Step) {
        match step {
            // What was void may have been seen, and the CLI may keep it.
            Step::Void { .. } => self.transcript = None,
            Step::Text { .. } | Step::Call { .. } if self.is_settled => self.transcript = None,
            Step::Settled => self.is_settled = true,
            _ => {}
        }
        if self.transcript.is_some() {
            self.collected.note(step);
        }
        if self.collected.is_too_long() {
            (self.transcript, self.collected) = (None, Collected::default());
        }
    }

    /// Gives the session back, or parks the turn, if nothing about it is in doubt; else ends it. The client has not been
    /// told yet that its answer is whole, so that its next request finds what it needs.
    pub(super) async fn end(mut self, done: Done) {
        let Some(transcript) = self.transcript else { return };
        let finish = done.finish_reason;
        let answer = self.collected.finish(done).to_message();
        match finish {
            FinishReason::Stop if !answer.is_blank() && !is_left_out(&answer) => {
                self.give_back(transcript.then(&answer)).await;
            }
            FinishReason::ToolCalls => self.park(transcript.then(&answer), &answer).await,
            _ => {}
        }
    }

    async fn give_back(mut self, transcript: Transcript) {
        let Some((turn, place, slot)) = self.running.take() else { return };
        let Some(turn) = turn.into_parts().0 else { return };
        let (outcome, live) = turn.finish().await;
        if let (Ok(outcome), Some(live)) = (outcome, live)
            && outcome.is_success()
        {
            self.sessions.give_back(transcript, live, place);
        }
        drop(slot);
    }

    async fn park(mut self, transcript: Transcript, answer: &Message) {
        let ids = answer.content.iter().filter_map(|block| match block {
            Block::ToolUse { id, .. } => Some(id.clone()),
            _ => None,
        });
        let ids: Vec<String> = ids.collect();
        let arrived = async {
            while !ids
                .iter()
                .all(|id| self.open.iter().any(|open| open.call.tool_use_id.as_ref() == Some(id)))
            {
                let (turn, ..) = self.running.as_mut()?;
                if let Event::ControlRequest(request) = turn.next().await?
                    && let Some(call) = McpCall::read(&request.ask)
                {
                    self.open.push(OpenCall { request_id: request.request_id, call });
                }
            }
            Some(())
        };
        let Ok(Some(())) = timeout(CALLS_LIMIT, arrived).await else { return };
        // Each call once, in the order in which the client knows them.
        let mut open = std::mem::take(&mut self.open);
        let calls: Vec<(String, OpenCall)> = ids
            .into_iter()
            .filter_map(|id| {
                let at = open.iter().position(|open| open.call.tool_use_id.as_ref() == Some(&id))?;
                Some((id, open.swap_remove(at)))
            })
            .collect();
        if !open.is_empty() {
            return;
        }
        if let Some((turn, place, slot)) = self.running.take() {
            self.sessions.parking.park(transcript, Parked::new(turn, place, calls));
            drop(slot);
        }
    }
}

/// The limits of a turn that may be parked.
fn parked_between(mut deadlines: Deadlines) -> Deadlines {
    deadlines.total = TOOL_TURN_LIMIT;
    deadlines.answer = TOOL_TURN_LIMIT;
    deadlines
}

/// The parked turn that these results are for, going on with them.
async fn resume(
    sessions: &Sessions,
    turns: &[Message],
    opening: Transcript,
    options: &TurnOptions,
) -> Option<(Billed<LiveTurn>, Place)> {
    let (last, past) = turns.split_last().filter(|(last, _)| last.has_tools())?;
    let parked = sessions.parking.take(&opening.with(past))?;
    let results = tools::results(last, &parked.ids())?;
    let resumed = parked.resume(results, options).await;
    resumed.inspect_err(|error| tracing::info!(%error, "a parked turn does not go on; it is replayed")).ok()
}

/// The session that has come to where this conversation's last turn begins, with that turn said to it, and the turn's
/// first event. A process that had died by then, which nobody had seen yet, is not missed.
async fn go_on(
    sessions: &Sessions,
    turns: &[Message],
    opening: Transcript,
    options: &TurnOptions,
    bill: &mut Bill,
) -> Option<(Billed<LiveTurn>, Place, Option<Event>)> {
    let (last, past) = turns.split_last()?;
    if last.role != Role::User || past.is_empty() {
        return None;
    }
    let (live, place) = sessions.take(&opening.with(past))?.into_parts();
    let turn = live.say(blocks(last.content.clone()), options);
    heard(turn, bill).await.map(|(turn, first)| (turn, place, first))
}

/// A turn with its first event; `None` when its process had died by then: the bill is for another one.
async fn heard(turn: LiveTurn, bill: &mut Bill) -> Option<(Billed<LiveTurn>, Option<Event>)> {
    let mut turn = Billed::new(turn, std::mem::take(bill));
    match turn.next().await {
        Some(Event::Error(error)) if is_death(&error) => {
            *bill = turn.into_parts().1;
            None
        }
        first => Some((turn, first)),
    }
}

/// A fresh process that was told this, and the turn's first event where that was waited for: a spare may have died
/// by then, and nobody had seen it yet.
async fn begin(
    sessions: &Sessions,
    invocation: &Invocation,
    Replay { past, said }: Replay,
    options: &TurnOptions,
    mut bill: Bill,
) -> Result<(Billed<LiveTurn>, Place, Option<Event>)> {
    let mut tries = SPARES_TRIED;
    loop {
        let claimed = sessions.pool.claim(invocation).await?;
        let may_be_dead = claimed.origin() == Origin::Spare && tries > 0;
        tries -= usize::from(may_be_dead);
        let (live, place) = claimed.into_parts();
        let live = match past.is_empty() {
            true => live,
            false => match live.replay(past.clone()).await {
                Err(error) if may_be_dead && is_death(&error) => continue,
                replayed => replayed?,
            },
        };
        let turn = live.say(said.clone(), options);
        if !may_be_dead {
            return Ok((Billed::new(turn, bill), place, None));
        }
        if let Some((turn, first)) = heard(turn, &mut bill).await {
            return Ok((turn, place, first));
        }
    }
}

/// The process ended by itself.
fn is_death(error: &Error) -> bool {
    error.exit().is_some_and(|exit| !exit.stopped)
}

impl Drop for Talk {
    fn drop(&mut self) {
        if let Some((turn, place, slot)) = self.running.take() {
            // The slot is free when the process is gone.
            turn.leave((place, slot));
        }
    }
}
