//! A turn of a conversation whose process goes on after it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use claude_exec::Result;
use claude_exec::brain::live::{Live, LiveTurn, Past};
use claude_exec::brain::pool::{Claimed, Place};
use claude_exec::jobs::Slot;
use claude_exec::protocol::{Content, Event};
use futures::Stream;

use crate::answer::{Done, Step};
use crate::content::{Block, Message, Role};
use crate::finish::FinishReason;
use crate::prompt::{blocks, carried};
use crate::warm::{Conversation, Replay, Sessions, Transcript, is_left_out, replay};

/// The turn, its process's place in the pool, and what is known of the answer. Dropping it ends the process: what
/// becomes of its session then nobody knows.
pub(super) struct Talk {
    /// `None` once it has ended well.
    running: Option<(LiveTurn, Place, Slot)>,
    sessions: Arc<Sessions>,
    /// What the session has come to with this turn's question; `None` when it is not what the client sent.
    transcript: Option<Transcript>,
    said: String,
}

impl Talk {
    /// Finds the process of this conversation, or brings the conversation into a fresh one, and says the last turn.
    pub(super) async fn start(
        sessions: Arc<Sessions>,
        conversation: Conversation,
        slot: Slot,
    ) -> Result<Self> {
        let Conversation { invocation, options, turns, opening, is_echoed } = conversation;
        let (claimed, way) = match find(&sessions, &turns, opening) {
            Some((claimed, said)) => (claimed, Way::Replay(Replay { past: Vec::new(), said })),
            None => (sessions.pool.claim(&invocation).await?, way(&sessions, &turns)),
        };
        let (live, place) = claimed.into_parts();
        let (live, said, is_exact) = match way {
            Way::Replay(Replay { past, said }) => (replayed(live, past).await?, said, true),
            Way::Packed(said) => (live, said, false),
        };
        let transcript = (is_exact && is_echoed).then(|| opening.with(&turns));
        let turn = live.say(said, &options);
        Ok(Self { running: Some((turn, place, slot)), sessions, transcript, said: String::new() })
    }

    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        match &mut self.running {
            Some((turn, ..)) => Pin::new(turn).poll_next(cx),
            None => Poll::Ready(None),
        }
    }

    /// Follows the answer as the client is given it.
    pub(super) fn note(&mut self, step: &Step) {
        match step {
            Step::Text { text, paragraph: false } => self.said.push_str(text),
            // What was void may have been seen, and the CLI may keep it.
            Step::Void { .. } | Step::Text { .. } => self.transcript = None,
            _ => {}
        }
    }

    /// Gives the session back, if nothing about it is in doubt; else ends it. The client has not been told yet that
    /// its answer is whole, so that its next request finds the session.
    pub(super) async fn end(mut self, done: Done) {
        let transcript = self.transcript.filter(|_| done.finish_reason == FinishReason::Stop);
        let said = done.text.unwrap_or_else(|| std::mem::take(&mut self.said));
        let answer = Message::new(Role::Assistant, vec![Block::text(said)]);
        let Some(transcript) = transcript.filter(|_| !answer.is_blank() && !is_left_out(&answer)) else {
            return;
        };
        let Some((turn, place, slot)) = self.running.take() else { return };
        let (outcome, live) = turn.finish().await;
        if let (Ok(outcome), Some(live)) = (outcome, live)
            && outcome.is_success()
        {
            self.sessions.give_back(transcript.then(&answer), live, place);
        }
        drop(slot);
    }
}

/// The session that has come to where this conversation's last turn begins, and that turn.
fn find(sessions: &Sessions, turns: &[Message], opening: Transcript) -> Option<(Claimed, Content)> {
    let (last, past) = turns.split_last()?;
    if last.role != Role::User || past.is_empty() {
        return None;
    }
    let claimed = sessions.take(&opening.with(past))?;
    Some((claimed, blocks(last.content.clone())))
}

/// How a conversation comes into a fresh process.
enum Way {
    Replay(Replay),
    /// As one message.
    Packed(Content),
}

fn way(sessions: &Sessions, turns: &[Message]) -> Way {
    match replay(turns) {
        Some(replay) if replay.past.is_empty() || sessions.replays() => Way::Replay(replay),
        _ => Way::Packed(carried(turns)),
    }
}

async fn replayed(live: Live, past: Vec<Past>) -> Result<Live> {
    if past.is_empty() { Ok(live) } else { live.replay(past).await }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let Some((turn, place, slot)) = self.running.take() else { return };
        turn.handle().stop();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        // The slot is free when the process is gone.
        runtime.spawn(async move {
            let _ended = turn.finish().await;
            drop((place, slot));
        });
    }
}
