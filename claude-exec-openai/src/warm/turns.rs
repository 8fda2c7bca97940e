//! A conversation in the one form that is compared, hashed and replayed: turns that alternate, none of them empty.

use claude_exec::brain::live::Past;
use claude_exec::protocol::Content;

use super::tools::for_cli;
use crate::content::{Block, Message, Role};
use crate::prompt::blocks;

/// The CLI's own word for an answer that says nothing. It leaves out an assistant's message of just this text (2.1.330).
const NO_CONTENT: &str = "(no content)";

/// Brings messages into that form: what says nothing is left out, since the Messages API refuses it, and messages of
/// one role in a row are one, as that API reads them. The CLI would join the texts of several user messages with a
/// newline of its own; blocks of one message it leaves alone (2.1.330).
pub(crate) fn turns(messages: Vec<Message>) -> Vec<Message> {
    let mut turns: Vec<Message> = Vec::with_capacity(messages.len());
    for message in messages {
        let said = message.content.into_iter().filter(|block| !block.is_blank());
        match turns.last_mut() {
            Some(last) if last.role == message.role => last.content.extend(said),
            _ => {
                let content: Vec<Block> = said.collect();
                if !content.is_empty() {
                    turns.push(Message::new(message.role, content));
                }
            }
        }
    }
    turns
}

/// How turns come into a process that has lived through none of them.
#[derive(Debug, PartialEq)]
pub(crate) struct Replay {
    /// What goes in without asking the model.
    pub(crate) past: Vec<Past>,
    /// What the model is then asked.
    pub(crate) said: Content,
}

/// The replay of these turns; `None` where the CLI would not pass them on as they are, so that they must be packed:
/// a conversation that ends with the assistant's turn (nothing is asked) or begins with it (the Messages API may
/// refuse that), one with an assistant's turn that the CLI would leave out, and one with calls where no tools are
/// offered any more (the Messages API refuses that).
pub(crate) fn replay(turns: &[Message], offers_tools: bool) -> Option<Replay> {
    let (last, past) = turns.split_last()?;
    if last.role != Role::User || turns.first()?.role != Role::User || turns.iter().any(is_left_out) {
        return None;
    }
    if !offers_tools && turns.iter().any(Message::has_tools) {
        return None;
    }
    Some(Replay { past: past.iter().map(to_past).collect(), said: blocks(last.content.clone()) })
}

/// True for an assistant's turn that the CLI may leave out of its requests, or a part of it.
pub(crate) fn is_left_out(turn: &Message) -> bool {
    let is_mark = |block: &Block| matches!(block, Block::Text { text } if text.trim() == NO_CONTENT);
    turn.role == Role::Assistant && turn.content.iter().any(is_mark)
}

fn to_past(turn: &Message) -> Past {
    let content = blocks(for_cli(turn).content);
    match turn.role {
        Role::User => Past::User(content),
        Role::Assistant => Past::Assistant(content),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn user(texts: &[&str]) -> Message {
        Message::new(Role::User, texts.iter().map(|text| Block::text(*text)).collect())
    }

    fn assistant(texts: &[&str]) -> Message {
        Message { role: Role::Assistant, ..user(texts) }
    }

    #[test]
    fn turns_alternate_and_say_something() {
        let table = [
            (vec![user(&["a"])], vec![user(&["a"])]),
            (vec![user(&["a"]), user(&["b"])], vec![user(&["a", "b"])]),
            (vec![user(&["a", " \n"]), assistant(&[]), user(&["b"])], vec![user(&["a", "b"])]),
            (
                vec![user(&["a"]), assistant(&["x"]), assistant(&["y"])],
                vec![user(&["a"]), assistant(&["x", "y"])],
            ),
            (vec![user(&[" "]), assistant(&["x"]), user(&[" b "])], vec![assistant(&["x"]), user(&[" b "])]),
            (vec![user(&[" "])], vec![]),
        ];
        for (messages, expected) in table {
            assert_eq!(turns(messages.clone()), expected, "{messages:?}");
        }
    }

    #[test]
    fn what_the_cli_passes_on_as_it_is_can_be_replayed() {
        let replayed = replay(&[user(&["a"]), assistant(&["x"]), user(&["b", "c"])], false).unwrap();
        let past = vec![Past::User("a".into()), Past::Assistant("x".into())];
        let said =
            Content::Blocks(vec![json!({"type": "text", "text": "b"}), json!({"type": "text", "text": "c"})]);
        assert_eq!(replayed, Replay { past, said });
        assert_eq!(replay(&[user(&["a"])], false), Some(Replay { past: vec![], said: "a".into() }));
        for odd in [
            vec![],
            vec![user(&["a"]), assistant(&["x"])],
            vec![assistant(&["x"]), user(&["a"])],
            vec![user(&["a"]), assistant(&[" (no content)"]), user(&["b"])],
        ] {
            assert_eq!(replay(&odd, true), None, "{odd:?}");
        }
    }

    #[test]
    fn calls_are_replayed_by_the_clis_names_while_their_tools_are_offered() {
        let call = |name: &str| Block::ToolUse { id: "c".into(), name: name.into(), input: json!({}) };
        let result =
            Block::ToolResult { tool_use_id: "c".into(), content: vec![Block::text("r")], is_error: false };
        let turns = [
            user(&["a"]),
            Message::new(Role::Assistant, vec![call("f")]),
            Message::new(Role::User, vec![result]),
        ];
        assert_eq!(replay(&turns, false), None);
        let past = replay(&turns, true).unwrap().past;
        assert_eq!(past[1], Past::Assistant(Content::Blocks(vec![call("mcp__client__f").to_value()])));
    }
}
