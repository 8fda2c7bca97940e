//! Threads for the tests of what is decided on them, as the server writes them.

use serde_json::{Value, json};

use super::ids;
use super::stop::Found;
use super::wire::{Row, Thread};
use crate::names::RunId;

pub(super) fn run() -> RunId {
    "octo.site.7.home.1".parse().unwrap()
}

/// A thread of this run, with what `parts` says of it.
pub(super) fn thread(parts: Value) -> Found {
    Found::Thread(Box::new(bare(parts)))
}

pub(super) fn bare(parts: Value) -> Thread {
    let mut thread = json!({
        "id": ids::thread(&run()), "archivedAt": null, "deletedAt": null, "latestTurn": null, "session": null,
        "messages": [], "activities": [], "checkpoints": []
    });
    for (key, value) in parts.as_object().unwrap() {
        thread[key] = match key.as_str() {
            "session" => session(value),
            _ => value.clone(),
        };
    }
    serde_json::from_value(thread).unwrap()
}

/// The same, archived, with this session.
pub(super) fn archived(of: Value) -> Found {
    let at = "2026-11-24T09:30:00.000Z";
    let row =
        json!({"id": ids::thread(&run()), "archivedAt": at, "deletedAt": null, "session": session(&of)});
    Found::Archived(serde_json::from_value::<Row>(row).unwrap())
}

fn session(parts: &Value) -> Value {
    let Some(parts) = parts.as_object() else { return Value::Null };
    let mut session =
        json!({"activeTurnId": null, "lastError": null, "updatedAt": "2026-11-24T09:00:09.000Z"});
    for (key, value) in parts {
        session[key] = value.clone();
    }
    session
}

/// The message that is a turn of the run.
pub(super) fn said(turn: u32, at: &str) -> Value {
    json!({"id": ids::message(&run(), turn), "role": "user", "text": "do", "turnId": null, "createdAt": at})
}

pub(super) fn answered(turn: &str, text: &str, at: &str) -> Value {
    json!({"id": format!("assistant:{turn}-{at}"), "role": "assistant", "text": text, "turnId": turn, "createdAt": at})
}

pub(super) fn activity(kind: &str, turn: Option<&str>, payload: Value, at: &str) -> Value {
    json!({"id": format!("{kind}-{at}"), "kind": kind, "payload": payload, "turnId": turn, "createdAt": at})
}
