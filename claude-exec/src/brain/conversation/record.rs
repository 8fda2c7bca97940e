//! What is kept of a conversation, and of what was said in it.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::exchange::Exchange;
use super::message::Message;
use crate::error::{Error, Result};
use crate::protocol::SessionId;
use crate::store::{Batch, Store, Written};

/// The store's space for conversations.
const SPACE: &str = "conversations";

/// The store's space for what was said.
const TURNS: &str = "conversation_turns";

/// Turns whose words are kept: what a person scrolls back through.
const MAX_TURNS: u64 = 1000;

/// A conversation. Every field but the first is newer than the first version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) session_id: SessionId,
    /// The brain that ran the last turn. A live process of another is behind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) owner: String,
    /// Turns whose words were kept.
    #[serde(default)]
    pub(super) turns: u64,
    #[serde(flatten)]
    pub(super) choices: Choices,
}

/// What was chosen for the conversation; the rest is as its brain has it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Choices {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cwd: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) system_prompt: Option<String>,
}

/// A record as it stands in the store.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) record: Record,
    bytes: Bytes,
}

impl Choices {
    pub(super) fn of(message: &Message) -> Self {
        Self {
            cwd: message.cwd.clone(),
            model: message.model.clone(),
            system_prompt: message.system_prompt.clone(),
        }
    }

    /// Takes what `message` may change, and refuses what it may not.
    pub(super) fn with(mut self, message: &Message) -> Result<Self> {
        if message.system_prompt.is_some() && message.system_prompt != self.system_prompt {
            return Err(Error::conflict(
                "this conversation has another system prompt; forget it to begin anew, or use another id",
            ));
        }
        if message.cwd.is_some() && message.cwd != self.cwd {
            return Err(Error::conflict(
                "this conversation runs in another directory; forget it to begin anew, or use another id",
            ));
        }
        self.model = message.model.clone().or(self.model);
        Ok(self)
    }
}

impl Record {
    fn to_bytes(&self) -> Result<Bytes> {
        let bytes = serde_json::to_vec(self).map_err(|error| Error::store("saving a conversation", error))?;
        Ok(Bytes::from(bytes))
    }
}

/// The conversations of a store.
#[derive(Clone)]
pub(super) struct Records(pub(super) Arc<dyn Store>);

impl Records {
    pub(super) async fn load(&self, id: &str) -> Result<Option<Stored>> {
        let Some(bytes) = self.0.get(SPACE, id).await? else { return Ok(None) };
        let record = serde_json::from_slice(&bytes).map_err(|error| {
            Error::store("reading a conversation", format!("{error}; forget the conversation to begin anew"))
        })?;
        Ok(Some(Stored { record, bytes }))
    }

    /// Saves a record in the place of `before`, unless another was first.
    pub(super) async fn save(&self, id: &str, before: Option<&Stored>, record: Record) -> Result<Stored> {
        self.apply(id, before, record, Batch::new()).await
    }

    /// Saves what was said in a turn with it.
    pub(super) async fn add(
        &self,
        id: &str,
        before: &Stored,
        mut record: Record,
        exchange: &Exchange,
    ) -> Result<Stored> {
        let value = serde_json::to_vec(exchange).map_err(|error| Error::store("saving a turn", error))?;
        let mut batch = Batch::new().put(TURNS, key(id, record.turns), value);
        if let Some(old) = record.turns.checked_sub(MAX_TURNS) {
            batch = batch.remove(TURNS, key(id, old));
        }
        record.turns += 1;
        self.apply(id, Some(before), record, batch).await
    }

    async fn apply(&self, id: &str, before: Option<&Stored>, record: Record, batch: Batch) -> Result<Stored> {
        let bytes = record.to_bytes()?;
        let batch = match before {
            Some(before) => batch.expect(SPACE, id, before.bytes.clone()),
            None => batch.expect_absent(SPACE, id),
        };
        match self.0.write(batch.put(SPACE, id, bytes.clone())).await? {
            Written::Applied => Ok(Stored { record, bytes }),
            Written::Refused => Err(Error::conflict("another server has gone on with this conversation")),
        }
    }

    /// Takes back the session of a first turn that failed, and leaves what was said in one before it.
    pub(super) async fn undo(&self, id: &str, stored: &Stored) -> Result<()> {
        if stored.record.turns == 0 {
            return self.remove(id).await;
        }
        let session_id = SessionId::from(uuid::Uuid::new_v4()); // which the CLI does not have
        let record = Record { session_id, ..stored.record.clone() };
        self.save(id, Some(stored), record).await.map(drop)
    }

    /// What was said, oldest first.
    pub(super) async fn exchanges(&self, id: &str) -> Result<Vec<Exchange>> {
        let mut exchanges = Vec::new();
        for (_, value) in self.turns(id).await? {
            // One of another version is one we do not have.
            exchanges.extend(serde_json::from_slice::<Exchange>(&value));
        }
        Ok(exchanges)
    }

    /// Removes the conversation and all that was said in it.
    pub(super) async fn remove(&self, id: &str) -> Result<()> {
        let mut batch = Batch::new().remove(SPACE, id);
        for (key, _) in self.turns(id).await? {
            batch = batch.remove(TURNS, key);
        }
        let _always = self.0.write(batch).await?;
        Ok(())
    }

    async fn turns(&self, id: &str) -> Result<Vec<(String, Bytes)>> {
        let prefix = prefix(id);
        let (mut found, mut after) = (Vec::new(), prefix.clone());
        loop {
            let page = self.0.scan(TURNS, &after).await?;
            let Some((last, _)) = page.last() else { return Ok(found) };
            after.clone_from(last);
            let ours = page.into_iter().filter(|(key, _)| key.starts_with(&prefix));
            found.extend(ours);
            if !after.starts_with(&prefix) {
                return Ok(found);
            }
        }
    }
}

/// The keys of a conversation's turns begin so. The length parts it from ids that begin with this one.
fn prefix(id: &str) -> String {
    format!("{:03}:{id}:", id.len())
}

/// They sort as they came.
fn key(id: &str, turn: u64) -> String {
    format!("{}{turn:012}", prefix(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;

    const SESSION: &str = "6f1c1e0a-3a52-4b57-9d7b-0b1f4c2d3e4f";

    fn exchange(text: &str) -> Exchange {
        let outcome = crate::protocol::Outcome {
            text: text.to_owned(),
            subtype: "success".to_owned(),
            ..Default::default()
        };
        Exchange::new(&text.into(), "", &Ok(Box::new(outcome)))
    }

    fn record() -> Record {
        let session_id = SessionId::parse(SESSION).unwrap();
        Record { session_id, owner: "me".to_owned(), turns: 0, choices: Choices::default() }
    }

    #[test]
    fn a_record_of_the_first_version_is_read() {
        let old = format!("{{\"session_id\":\"{SESSION}\"}}");
        let read: Record = serde_json::from_str(&old).unwrap();
        assert_eq!(read, Record { owner: String::new(), ..record() });
        let new = Record { choices: Choices::of(&Message::new("x").model("opus").cwd("/w")), ..record() };
        assert_eq!(serde_json::from_slice::<Record>(&new.to_bytes().unwrap()).unwrap(), new);
    }

    #[test]
    fn what_a_session_cannot_change_is_refused() {
        let choices = Choices::default().with(&Message::new("x").model("opus")).unwrap();
        let choices = choices.with(&Message::new("x")).unwrap();
        assert_eq!(choices.model.as_deref(), Some("opus"));
        for message in [Message::new("x").system_prompt("other"), Message::new("x").cwd("/other")] {
            assert!(choices.clone().with(&message).unwrap_err().is_conflict());
        }
    }

    #[tokio::test]
    async fn the_history_is_in_order_bounded_and_each_conversations_own() {
        let records = Records(Arc::new(Memory::new()));
        for id in ["a", "a:", "b"] {
            let mut stored = records.save(id, None, record()).await.unwrap();
            for turn in 0..3 {
                let before = stored.record.clone();
                stored = records.add(id, &stored, before, &exchange(&format!("{id}{turn}"))).await.unwrap();
            }
        }
        let said = |exchanges: Vec<Exchange>| exchanges.into_iter().map(|e| e.said).collect::<Vec<_>>();
        assert_eq!(said(records.exchanges("a").await.unwrap()), ["a0", "a1", "a2"]);
        records.remove("a").await.unwrap();
        assert!(
            records.exchanges("a").await.unwrap().is_empty() && records.load("a").await.unwrap().is_none()
        );
        assert_eq!(said(records.exchanges("a:").await.unwrap()), ["a:0", "a:1", "a:2"]);

        let mut stored = records.load("b").await.unwrap().unwrap();
        stored.record.turns = MAX_TURNS + 1;
        let after = records.add("b", &stored, stored.record.clone(), &exchange("last")).await.unwrap();
        assert_eq!(said(records.exchanges("b").await.unwrap()), ["b0", "b2", "last"]);
        let late = records.add("b", &stored, after.record, &exchange("late")).await;
        assert!(late.unwrap_err().is_conflict(), "another was first");
    }
}
