//! Responses that are kept, so that a later request can go on from them: durable, bounded, each its owner's alone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use claude_exec::Result;
use claude_exec::store::{Batch, Store};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use crate::content::Message;
use crate::responses::Context;

/// The store's space for responses, by their id.
const SPACE: &str = "openai_responses";

/// The store's space for their order, by the time of their making: what is evicted first, and how large it is.
const INDEX: &str = "openai_responses_index";

/// Bytes of one response with its conversation. Larger ones are answered and not kept.
const MAX_ENTRY: usize = 8 * 1024 * 1024;

/// Responses kept; the oldest make room.
const MAX_ENTRIES: usize = 10_000;

/// Bytes of all of them; the oldest make room.
const MAX_BYTES: usize = 512 * 1024 * 1024;

/// How long one is kept, as OpenAI keeps them: 30 days.
const TTL_SECONDS: u64 = 30 * 24 * 60 * 60;

/// Keeps responses in a store.
pub(super) struct KeptResponses {
    store: Arc<dyn Store>,
    /// What is there; `None` until it has been read, and after a write whose outcome is not known.
    index: Mutex<Option<Index>>,
}

/// Sizes by place in time.
type Index = BTreeMap<String, usize>;

/// What is kept of a response.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    /// The name of the key it was made with.
    pub(super) owner: Option<String>,
    /// Seconds since the Unix epoch.
    pub(super) created: u64,
    /// What it was made from.
    pub(super) context: Context,
    /// The answer, where there is one.
    pub(super) answer: Option<Message>,
    /// The response object.
    pub(super) response: Box<RawValue>,
}

impl Kept {
    /// The whole conversation, for one that goes on.
    pub(super) fn conversation(self) -> Context {
        let mut context = self.context;
        context.messages.extend(self.answer);
        context
    }
}

impl KeptResponses {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, index: Mutex::new(None) }
    }

    /// Keeps a response; `false` for one that is too large.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it kept or not kept.
    pub(super) async fn put(&self, id: &str, kept: &Kept) -> Result<bool> {
        let Ok(value) = serde_json::to_vec(kept) else { return Ok(false) };
        if value.len() > MAX_ENTRY {
            return Ok(false);
        }
        let mut guard = self.index.lock().await;
        let mut index = match guard.take() {
            Some(index) => index,
            None => self.load().await?,
        };
        let place = place(kept.created, id);
        let size = value.len();
        let mut batch = Batch::new().put(INDEX, place.as_str(), Bytes::from(size.to_string())).put(
            SPACE,
            id,
            Bytes::from(value),
        );
        index.insert(place, size);
        for (old, old_id) in evicted(&mut index, kept.created) {
            batch = batch.remove(INDEX, old).remove(SPACE, old_id);
        }
        let _ = self.store.write(batch).await?;
        *guard = Some(index);
        Ok(true)
    }

    /// Finds a response of this owner's.
    pub(super) async fn get(&self, id: &str, owner: Option<&str>, now: u64) -> Result<Option<Kept>> {
        let Some(value) = self.store.get(SPACE, id).await? else { return Ok(None) };
        // One that a newer version wrote is not found, rather than misread.
        let kept = serde_json::from_slice::<Kept>(&value).ok();
        Ok(kept.filter(|kept| kept.owner.as_deref() == owner && !is_old(kept.created, now)))
    }

    /// Forgets a response of this owner's; `false` when there is none.
    pub(super) async fn remove(&self, id: &str, owner: Option<&str>, now: u64) -> Result<bool> {
        let Some(kept) = self.get(id, owner, now).await? else { return Ok(false) };
        let mut guard = self.index.lock().await;
        let index = guard.take();
        let place = place(kept.created, id);
        let _ = self.store.write(Batch::new().remove(INDEX, place.as_str()).remove(SPACE, id)).await?;
        *guard = index.map(|mut index| {
            index.remove(&place);
            index
        });
        Ok(true)
    }

    async fn load(&self) -> Result<Index> {
        let mut index = Index::new();
        let mut after = String::new();
        loop {
            let page = self.store.scan(INDEX, &after).await?;
            let Some((last, _)) = page.last() else { return Ok(index) };
            after = last.clone();
            for (place, size) in page {
                let size = std::str::from_utf8(&size).ok().and_then(|size| size.parse().ok());
                index.insert(place, size.unwrap_or(MAX_ENTRY));
            }
        }
    }
}

/// Sorts by time, and names the response.
fn place(created: u64, id: &str) -> String {
    format!("{created:020}-{id}")
}

fn is_old(created: u64, now: u64) -> bool {
    now.saturating_sub(created) > TTL_SECONDS
}

/// Takes what is too old, and then the oldest, until the rest is within its bounds; places with ids.
fn evicted(index: &mut Index, now: u64) -> Vec<(String, String)> {
    let mut bytes: usize = index.values().sum();
    let mut evicted = Vec::new();
    while let Some((place, size)) = index.first_key_value() {
        let (created, id) = place.split_once('-').unwrap_or(("", place));
        let old = created.parse().is_ok_and(|created| is_old(created, now));
        if !old && bytes <= MAX_BYTES && index.len() <= MAX_ENTRIES {
            break;
        }
        bytes -= size;
        evicted.push((place.clone(), id.to_owned()));
        index.pop_first();
    }
    evicted
}

impl fmt::Debug for KeptResponses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptResponses")
    }
}

/// Shows sizes.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("owner", &self.owner)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use claude_exec::store::Memory;

    use super::*;
    use crate::content::{Block, Role};

    fn said(text: &str) -> Context {
        Context { messages: vec![Message::new(Role::User, vec![Block::text(text)])], ..Context::default() }
    }

    fn kept(owner: Option<&str>, created: u64) -> Kept {
        Kept {
            owner: owner.map(str::to_owned),
            created,
            context: said("hi"),
            answer: None,
            response: RawValue::from_string("{\"b\":1,\"a\":2}".to_owned()).unwrap(),
        }
    }

    #[tokio::test]
    async fn a_response_is_its_owners_and_outlives_a_restart() {
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        let responses = KeptResponses::new(store.clone());
        assert!(responses.put("resp_1", &kept(Some("ann"), 7)).await.unwrap());
        let responses = KeptResponses::new(store);
        let found = responses.get("resp_1", Some("ann"), 8).await.unwrap().unwrap();
        assert_eq!((found.response.get(), found.context), ("{\"b\":1,\"a\":2}", said("hi")));
        for (id, owner) in [("resp_1", Some("bob")), ("resp_1", None), ("resp_2", Some("ann"))] {
            assert!(responses.get(id, owner, 8).await.unwrap().is_none());
            assert!(!responses.remove(id, owner, 8).await.unwrap());
        }
        assert!(responses.get("resp_1", Some("ann"), 8 + TTL_SECONDS).await.unwrap().is_none());
        assert!(responses.remove("resp_1", Some("ann"), 8).await.unwrap());
        assert!(!responses.remove("resp_1", Some("ann"), 8).await.unwrap());
    }

    #[tokio::test]
    async fn one_that_is_too_large_is_not_kept() {
        let responses = KeptResponses::new(Arc::new(Memory::default()));
        let mut large = kept(None, 7);
        large.context = said(&"x".repeat(MAX_ENTRY));
        assert!(!responses.put("resp_1", &large).await.unwrap());
        assert!(responses.get("resp_1", None, 7).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn old_ones_make_room() {
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        let responses = KeptResponses::new(store.clone());
        for (id, created) in [("resp_1", 1), ("resp_2", 2), ("resp_3", TTL_SECONDS + 2)] {
            assert!(responses.put(id, &kept(None, created)).await.unwrap());
        }
        assert!(store.get(SPACE, "resp_1").await.unwrap().is_none());
        assert_eq!(store.scan(INDEX, "").await.unwrap().len(), 2);
    }

    #[test]
    fn the_oldest_go_first_and_only_as_many_as_must() {
        let mut index: Index = (0..MAX_ENTRIES as u64 + 2).map(|at| (place(at, "id"), 1)).collect();
        let gone: Vec<String> = evicted(&mut index, 0).into_iter().map(|(place, _)| place).collect();
        assert_eq!((gone, index.len()), (vec![place(0, "id"), place(1, "id")], MAX_ENTRIES));
        let mut index: Index = (0..3).map(|at| (place(at, "a-b"), MAX_BYTES / 2)).collect();
        assert_eq!(evicted(&mut index, 0), [(place(0, "a-b"), "a-b".to_owned())]);
    }
}
