//! What was said so far in a conversation, as a hash: equal only where all of it is equal, and the caller too.

use std::fmt;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::content::{Block, Message, Role};

/// Parts these hashes from all others.
const DOMAIN: &[u8] = b"claude-exec transcript 1\n";

/// The hash of an opening and of every turn after it, each over the one before: two are equal when the same caller
/// has said and heard the same things under the same conditions.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Transcript([u8; 32]);

impl Transcript {
    /// Begins with what a conversation is opened with. Whatever is part of `opening` is told apart.
    pub(crate) fn open(opening: &impl Serialize) -> Self {
        let mut hash = Sha256::new();
        hash.update(DOMAIN);
        Self::finish(hash, opening)
    }

    /// The transcript with one more turn.
    #[must_use]
    pub(crate) fn then(self, turn: &Message) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        match turn.role {
            Role::User => Self::finish(hash, turn),
            Role::Assistant => Self::finish(hash, &echoed(turn)),
        }
    }

    /// The transcript with all of these turns.
    #[must_use]
    pub(crate) fn with(self, turns: &[Message]) -> Self {
        turns.iter().fold(self, Self::then)
    }

    fn finish(mut hash: Sha256, value: &impl Serialize) -> Self {
        // JSON of the same type is equal only when the values are.
        serde_json::to_writer(&mut hash, value).expect("strings and numbers always serialize");
        Self(hash.finalize().into())
    }
}

/// An answer as every client gives it back: some join the texts of its blocks, some keep them apart, and some write a
/// call's arguments in an order of their own.
fn echoed(turn: &Message) -> Message {
    let mut content: Vec<Block> = Vec::with_capacity(turn.content.len());
    for block in &turn.content {
        match (content.last_mut(), block) {
            (Some(Block::Text { text }), Block::Text { text: more }) => text.push_str(more),
            (_, Block::ToolUse { id, name, input }) => {
                let mut input = input.clone();
                input.sort_all_objects();
                content.push(Block::ToolUse { id: id.clone(), name: name.clone(), input });
            }
            _ => content.push(block.clone()),
        }
    }
    Message::new(turn.role, content)
}

/// Shows enough to tell two apart in a log.
impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Transcript({a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn message(role: Role, texts: &[&str]) -> Message {
        Message::new(role, texts.iter().map(|text| Block::text(*text)).collect())
    }

    fn of(opening: &str, turns: &[Message]) -> Transcript {
        Transcript::open(&opening).with(turns)
    }

    #[test]
    fn every_difference_tells_two_conversations_apart() {
        use Role::{Assistant, User};
        let call = |id: &str, name: &str, at: &str| {
            let input = json!({ "at": at });
            Message::new(Assistant, vec![Block::ToolUse { id: id.into(), name: name.into(), input }])
        };
        let all = [
            of("ana", &[]),
            of("bo", &[]),
            of("ana", &[message(User, &["hi"])]),
            of("ana", &[message(Assistant, &["hi"])]),
            of("ana", &[message(User, &["h", "i"])]),
            of("ana", &[message(User, &["hi "])]),
            of("ana", &[message(User, &["hi"]), message(Assistant, &["a"])]),
            of("ana", &[message(User, &["hi"]), message(Assistant, &["a"]), message(User, &["hi"])]),
            of("ana", &[message(User, &["hi"]), message(User, &["a"])]),
            of("ana", &[call("1", "f", "x")]),
            of("ana", &[call("2", "f", "x")]),
            of("ana", &[call("1", "g", "x")]),
            of("ana", &[call("1", "f", "y")]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[..at].iter().all(|other| other != one), "{at}");
        }
    }

    #[test]
    fn an_answer_is_the_same_in_one_piece_and_in_several() {
        let whole = of("", &[message(Role::Assistant, &["ab"])]);
        assert_eq!(whole, of("", &[message(Role::Assistant, &["a", "b"])]));
    }

    fn turn() -> impl Strategy<Value = Message> {
        let texts = prop::collection::vec("[ab]{0,2}", 0..3);
        (any::<bool>(), texts).prop_map(|(is_user, texts)| {
            let role = if is_user { Role::User } else { Role::Assistant };
            Message::new(role, texts.into_iter().map(Block::text).collect())
        })
    }

    proptest! {
        #[test]
        fn equal_transcripts_are_of_equal_conversations(
            one in prop::collection::vec(turn(), 0..4),
            other in prop::collection::vec(turn(), 0..4),
        ) {
            let same = |turn: &Message| if turn.role == Role::User { turn.clone() } else { echoed(turn) };
            let is_same = one.iter().map(same).eq(other.iter().map(same));
            prop_assert_eq!(of("k", &one) == of("k", &other), is_same);
        }
    }
}
