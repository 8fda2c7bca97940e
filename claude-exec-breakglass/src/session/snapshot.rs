//! A session in one event, for a reader who has lost some: pure.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::event::{Event, Piece};
use crate::log::{EventId, Window};

/// The largest snapshot. What is older is read page by page.
const SNAPSHOT_BYTES: usize = 256 * 1024;

/// The newest events of a log that fit, oldest first, as `{"id","event","data"}`; the pieces of one block are
/// joined. Cards that wait are always among them.
pub(super) fn entries(window: &Window) -> (Vec<Value>, bool) {
    let mut joined: Vec<(EventId, Event)> = Vec::new();
    for entry in window.entries() {
        let Some(event) = Event::of(entry) else { continue };
        match (joined.last_mut(), &event) {
            (Some((id, Event::Delta(open))), Event::Delta(more))
            | (Some((id, Event::Thinking(open))), Event::Thinking(more))
                if goes_on(open, more) =>
            {
                open.text.push_str(&more.text);
                *id = entry.id();
            }
            _ => joined.push((entry.id(), event)),
        }
    }
    let waiting: HashSet<String> = {
        let story = super::story::Story::of(joined.iter().map(|(_, event)| event));
        story.cards.into_iter().collect()
    };
    let is_waiting =
        |event: &Event| matches!(event, Event::Approval(approval) if waiting.contains(&approval.approval));
    let mut left = SNAPSHOT_BYTES;
    let mut entries = Vec::new();
    let mut full = false;
    for (id, event) in joined.iter().rev() {
        let data = event.data();
        full |= data.len() > left;
        if full && !is_waiting(event) {
            continue;
        }
        left = left.saturating_sub(data.len());
        let data: Value = serde_json::from_str(&data).unwrap_or_default();
        entries.push(json!({"id": id.to_string(), "event": event.name(), "data": data}));
    }
    entries.reverse();
    (entries, full || window.is_trimmed())
}

fn goes_on(open: &Piece, more: &Piece) -> bool {
    open.turn == more.turn && open.block == more.block
}

#[cfg(test)]
mod tests {
    use super::super::event::{Approval, Asked, Piece};
    use super::*;
    use crate::log::{Bounds, Entry};

    fn window(events: &[Event]) -> Window {
        let mut window = Window::new(Bounds { events: usize::MAX, bytes: usize::MAX });
        for (seq, event) in (1..).zip(events) {
            window.push(Entry::new(EventId::new(1, seq), event.name(), &event.data()));
        }
        window
    }

    fn piece(block: u64, text: &str) -> Event {
        Event::Delta(Piece { at: 1, turn: 1, block, text: text.into() })
    }

    #[test]
    fn pieces_of_a_block_are_joined_under_the_last_ones_id() {
        let (entries, trimmed) = entries(&window(&[piece(0, "a"), piece(0, "b"), piece(1, "c")]));
        let data = |block, text| json!({"at": 1, "turn": 1, "block": block, "text": text});
        assert_eq!(
            entries,
            [
                json!({"id": "1-2", "event": "delta", "data": data(0, "ab")}),
                json!({"id": "1-3", "event": "delta", "data": data(1, "c")}),
            ]
        );
        assert!(!trimmed);
    }

    #[test]
    fn it_is_bounded_and_a_card_that_waits_is_in_it_all_the_same() {
        let what = Asked::Power { verb: "cycle".into(), reason: "x".into() };
        let card = Approval { at: 1, turn: 1, approval: "a1".into(), expires_at: 9, what };
        let mut events = vec![Event::Approval(card)];
        events.extend((0..100).map(|block| piece(block, &"x".repeat(10_000))));
        let (entries, trimmed) = entries(&window(&events));
        assert_eq!(entries[0]["data"]["approval"], "a1");
        assert_eq!(entries.last().unwrap()["id"], "1-101");
        assert!(trimmed && json!(entries).to_string().len() < SNAPSHOT_BYTES + 20_000);
    }
}
