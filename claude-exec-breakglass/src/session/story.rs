//! What a log tells of its session: pure, event by event.

use std::collections::BTreeSet;

use super::event::Event;

/// Where a session is, by its log.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Story {
    /// The last turn's number; 0 before the first.
    pub(super) turns: u64,
    /// The turn that has begun and not ended.
    pub(super) open: Option<u64>,
    /// The cards that wait, by name.
    pub(super) cards: BTreeSet<String>,
    /// The number of the last card.
    pub(super) last_card: u64,
    /// What the session has cost so far.
    pub(super) cost_usd: f64,
    /// When something last happened.
    pub(super) active_at: u64,
}

impl Story {
    pub(super) fn of<'e>(events: impl IntoIterator<Item = &'e Event>) -> Self {
        let mut story = Self::default();
        events.into_iter().for_each(|event| story.take(event));
        story
    }

    pub(super) fn take(&mut self, event: &Event) {
        let (at, turn) = place(event);
        self.active_at = self.active_at.max(at);
        if let Some(turn) = turn {
            // What came before may have been trimmed.
            if turn > self.turns {
                self.turns = turn;
                self.open = Some(turn);
            }
        }
        match event {
            Event::TurnEnd(end) if self.open == Some(end.turn) => {
                self.open = None;
                self.cards.clear();
            }
            Event::Approval(approval) => {
                self.cards.insert(approval.approval.clone());
                let number = approval.approval.strip_prefix('a').and_then(|number| number.parse().ok());
                self.last_card = self.last_card.max(number.unwrap_or_default());
            }
            Event::Decision(decision) => {
                if let Some(card) = &decision.approval {
                    self.cards.remove(card);
                }
            }
            Event::Result(result) => self.cost_usd += result.cost_usd.unwrap_or_default(),
            _ => {}
        }
    }
}

/// When an event happened, and in which turn.
pub(super) fn place(event: &Event) -> (u64, Option<u64>) {
    match event {
        Event::User(e) => (e.at, Some(e.turn)),
        Event::Session(e) => (e.at, Some(e.turn)),
        Event::Delta(e) | Event::Thinking(e) => (e.at, Some(e.turn)),
        Event::Retract(e) => (e.at, Some(e.turn)),
        Event::Tool(e) => (e.at, Some(e.turn)),
        Event::ToolResult(e) => (e.at, Some(e.turn)),
        Event::Approval(e) => (e.at, Some(e.turn)),
        Event::Decision(e) => (e.at, Some(e.turn)),
        Event::Power(e) => (e.at, Some(e.turn)),
        Event::Retry(e) => (e.at, Some(e.turn)),
        Event::Result(e) => (e.at, Some(e.turn)),
        Event::Error(e) => (e.at, Some(e.turn)),
        Event::Cancelled(e) => (e.at, Some(e.turn)),
        Event::TurnEnd(e) => (e.at, Some(e.turn)),
        Event::Mode(e) => (e.at, None),
        Event::Model(e) => (e.at, None),
        Event::Renamed(e) => (e.at, None),
        Event::Closed(e) => (e.at, None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Approval, Asked, Decision, Ended, Piece, TurnEnd, User, Verdict};
    use super::*;

    fn user(turn: u64) -> Event {
        Event::User(User { at: turn * 10, turn, text: "x".into(), by: "me".into(), key: None })
    }

    fn card(name: &str) -> Event {
        let what = Asked::Power { verb: "cycle".into(), reason: "x".into() };
        Event::Approval(Approval { at: 12, turn: 1, approval: name.into(), expires_at: 99, what })
    }

    fn end(turn: u64) -> Event {
        Event::TurnEnd(TurnEnd { at: turn * 10 + 5, turn, state: Ended::Done, ms: 5 })
    }

    #[test]
    fn a_turn_is_open_from_its_prompt_to_its_end() {
        let mut story = Story::of(&[user(1)]);
        assert_eq!((story.turns, story.open), (1, Some(1)));
        story.take(&card("a1"));
        story.take(&card("a2"));
        story.take(&Event::Decision(Decision {
            at: 13,
            turn: 1,
            approval: Some("a1".into()),
            tool_id: None,
            decision: Verdict::Deny,
            by: "me".into(),
            reason: None,
            rule: None,
        }));
        assert_eq!((story.cards.len(), story.last_card), (1, 2));
        story.take(&end(1));
        assert_eq!((story.turns, story.open, story.cards.len(), story.active_at), (1, None, 0, 15));
    }

    #[test]
    fn a_turn_whose_beginning_was_trimmed_is_open_all_the_same() {
        let piece = Event::Delta(Piece { at: 1, turn: 7, block: 3, text: "x".into() });
        assert_eq!(Story::of(std::slice::from_ref(&piece)).open, Some(7));
        assert_eq!(Story::of(&[piece, end(7)]).open, None);
        assert_eq!(Story::of(&[end(7)]).open, None);
    }
}
