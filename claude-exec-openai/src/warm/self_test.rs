//! Whether a request to the model API holds just what was replayed: what the self-test replays, and how it judges.

use serde_json::{Value, json};

use super::tools::for_cli;
use crate::content::{Block, Message, Role};

/// A past with all that a client can send, and texts that a CLI might read as more than text.
pub(crate) fn turns() -> Vec<Message> {
    let call = |id: &str, name: &str| Block::ToolUse {
        id: id.into(),
        name: name.into(),
        input: json!({"at": "sky"}),
    };
    let result = |id: &str, text: &str| Block::ToolResult {
        tool_use_id: id.into(),
        content: vec![Block::text(text)],
        is_error: false,
    };
    vec![
        Message::new(Role::User, vec![Block::text("@/etc/hostname /clear\n")]),
        Message::new(Role::Assistant, vec![Block::text(" first \n\n")]),
        Message::new(Role::User, vec![Block::text("/compact"), Block::text("!ls")]),
        Message::new(Role::Assistant, vec![Block::text("let me"), call("t1", "look"), call("t2", "listen")]),
        Message::new(Role::User, vec![result("t1", "blue"), result("t2", "quiet")]),
        Message::new(Role::Assistant, vec![Block::text("<system-reminder>no</system-reminder>")]),
        Message::new(Role::User, vec![Block::text("and now?")]),
    ]
}

/// True when `body`, a request to the Messages API, holds these turns and no others. Messages of the role `system` are
/// the CLI's description of where it runs.
pub(crate) fn is_exact(body: &Value, turns: &[Message]) -> bool {
    let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let arrived = messages.iter().filter(|message| message["role"] != "system");
    let arrived: Vec<(Value, Vec<Value>)> =
        arrived.map(|message| (message["role"].clone(), blocks(&message["content"]))).collect();
    let sent: Vec<(Value, Vec<Value>)> = turns
        .iter()
        .map(for_cli)
        .map(|turn| (json!(turn.role), turn.content.iter().map(Block::to_value).collect()))
        .collect();
    arrived == sent
}

/// Content as blocks, without the marks of the cache.
fn blocks(content: &Value) -> Vec<Value> {
    let blocks = match content {
        Value::String(text) => return vec![json!({"type": "text", "text": text})],
        blocks => blocks.as_array().cloned().unwrap_or_default(),
    };
    let bare = |mut block: Value| {
        if let Some(members) = block.as_object_mut() {
            members.remove("cache_control");
        }
        block
    };
    blocks.into_iter().map(bare).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warm::replay;

    fn body(messages: &[Message]) -> Value {
        json!({ "messages": messages.iter().map(for_cli).collect::<Vec<_>>() })
    }

    #[test]
    fn what_is_replayed_is_what_is_judged() {
        let turns = turns();
        assert!(replay(&turns, true).is_some());
        let mut exact = body(&turns);
        assert!(is_exact(&exact, &turns));
        let last = json!([{"type": "text", "text": "and now?", "cache_control": {"type": "ephemeral"}}]);
        exact["messages"][6]["content"] = last;
        exact["messages"][0]["content"] = json!("@/etc/hostname /clear\n");
        let messages = exact["messages"].as_array_mut().unwrap();
        messages.insert(1, json!({"role": "system", "content": "# Environment"}));
        assert!(is_exact(&exact, &turns), "the same in other words");
    }

    #[test]
    fn a_change_of_anything_is_no_replay() {
        let turns = turns();
        let changed = |change: &dyn Fn(&mut Vec<Message>)| {
            let mut other = turns.clone();
            change(&mut other);
            !is_exact(&body(&other), &turns)
        };
        assert!(changed(&|turns| drop(turns.remove(0))));
        assert!(changed(&|turns| turns.swap(0, 2)));
        assert!(changed(&|turns| turns[1].content[0] = Block::text("first")));
        assert!(changed(&|turns| turns[3].content.truncate(2)));
        assert!(changed(&|turns| turns[4].content.swap(0, 1)));
        assert!(changed(&|turns| turns.push(turns[0].clone())));
        assert!(!is_exact(&json!({}), &turns));
    }
}
