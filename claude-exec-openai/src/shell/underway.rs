//! A running turn, of a process of its own or of one that keeps its conversation.

use std::pin::Pin;
use std::task::{Context, Poll};

use claude_exec::brain::Turn;
use claude_exec::protocol::Event;
use futures::Stream;

use super::talk::Talk;
use crate::quota::Billed;

/// A stream of the turn's events. Dropping it before its end stops the process.
pub(super) enum Underway {
    /// In a process of its own.
    Once(Billed<Turn>),
    /// Of a conversation.
    Talk(Box<Talk>),
}

impl Stream for Underway {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        match self.get_mut() {
            Self::Once(turn) => Pin::new(turn).poll_next(cx),
            Self::Talk(talk) => talk.poll_event(cx),
        }
    }
}
