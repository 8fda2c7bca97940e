//! What is kept of a session beside its log.

use claude_exec::store::Store;
use claude_exec::{Error, Result};
use serde::{Deserialize, Serialize};

use super::event::Mode;

/// The store's space for sessions.
const SPACE: &str = "breakglass-sessions";

/// A session, or where one was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) mode: Mode,
    pub(super) model: Option<String>,
    pub(super) created_at: u64,
    /// When it was closed: it takes no more prompts.
    #[serde(default)]
    pub(super) closed_at: Option<u64>,
    /// When it was deleted: this is its tombstone.
    #[serde(default)]
    pub(super) deleted_at: Option<u64>,
}

impl Record {
    pub(super) async fn save(&self, store: &dyn Store) -> Result<()> {
        let bytes = serde_json::to_vec(self).map_err(|error| Error::store("saving a session", error))?;
        store.put(SPACE, &self.id, bytes.into()).await
    }

    pub(super) async fn remove(id: &str, store: &dyn Store) -> Result<()> {
        store.remove(SPACE, id).await
    }

    /// All there are. One of another version is left out, and left alone.
    pub(super) async fn all(store: &dyn Store) -> Result<Vec<Self>> {
        let (mut records, mut after) = (Vec::new(), String::new());
        loop {
            let page = store.scan(SPACE, &after).await?;
            let Some((last, _)) = page.last() else { return Ok(records) };
            after.clone_from(last);
            records.extend(page.iter().filter_map(|(_, bytes)| serde_json::from_slice::<Self>(bytes).ok()));
        }
    }
}
