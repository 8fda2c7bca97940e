//! What every store owes, as one test that any implementation can be put through.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;

use super::{Batch, SCAN_LIMIT, Store, Written};

/// Puts an empty store through its contract; the caller checks what only it can: durability.
///
/// # Panics
///
/// At the first thing that is not as the contract says.
#[expect(clippy::unwrap_used, reason = "a test that is exported")]
pub async fn conformance(store: Arc<dyn Store>) {
    let value = |text: &'static str| Bytes::from_static(text.as_bytes());

    assert_eq!(store.get("a", "k").await.unwrap(), None, "a space that was never written is empty");
    assert_eq!(store.scan("a", "").await.unwrap(), Vec::new());

    store.put("a", "k", value("1")).await.unwrap();
    store.put("a", "k", value("2")).await.unwrap();
    store.put("b", "k", value("other")).await.unwrap();
    assert_eq!(store.get("a", "k").await.unwrap(), Some(value("2")), "the last put wins");
    assert_eq!(store.get("b", "k").await.unwrap(), Some(value("other")), "spaces are apart");

    assert_eq!(store.put_new("a", "k", value("3")).await.unwrap(), Written::Refused);
    let stale = Batch::new().expect("a", "k", value("1")).put("a", "k", value("4")).remove("b", "k");
    assert_eq!(store.write(stale).await.unwrap(), Written::Refused);
    assert_eq!(store.get("b", "k").await.unwrap(), Some(value("other")), "a refused batch changes nothing");
    let fresh = Batch::new().expect("a", "k", value("2")).put("a", "k", value("")).remove("b", "k");
    assert_eq!(store.write(fresh).await.unwrap(), Written::Applied);
    assert_eq!(store.get("a", "k").await.unwrap(), Some(value("")), "an empty value is a value");
    assert_eq!(store.get("b", "k").await.unwrap(), None);

    store.remove("a", "k").await.unwrap();
    store.remove("a", "k").await.unwrap();
    assert_eq!(store.get("a", "k").await.unwrap(), None, "removing twice is fine");

    let order = Batch::new().put("a", "x", value("1")).remove("a", "x").put("a", "x", value("2"));
    assert_eq!(store.write(order).await.unwrap(), Written::Applied);
    assert_eq!(store.get("a", "x").await.unwrap(), Some(value("2")), "changes of a batch keep their order");

    let claims = (0..8).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.put_new("claim", "one", Bytes::from(vec![writer])).await.unwrap() })
    });
    let won = join_all(claims).await.into_iter().filter(|claim| *claim.as_ref().unwrap() == Written::Applied);
    assert_eq!(won.count(), 1, "exactly one of several claims wins");

    let keys = (0..SCAN_LIMIT + 3).map(|n| format!("{n:04}"));
    let all = keys.clone().rev().fold(Batch::new(), |batch, key| batch.put("many", key, value("v")));
    assert_eq!(store.write(all).await.unwrap(), Written::Applied);
    let first = store.scan("many", "").await.unwrap();
    assert_eq!(first.len(), SCAN_LIMIT, "a page is bounded");
    let second = store.scan("many", &first.last().unwrap().0).await.unwrap();
    let third = store.scan("many", &second.last().unwrap().0).await.unwrap();
    assert_eq!(third, Vec::new(), "an empty page is the end");
    let seen: Vec<_> = first.into_iter().chain(second).map(|(key, _)| key).collect();
    assert_eq!(seen, keys.collect::<Vec<_>>(), "in order, each once");
}

#[cfg(test)]
mod tests {
    use super::super::{Embedded, Memory};
    use super::*;

    #[tokio::test]
    async fn memory_conforms() {
        conformance(Arc::new(Memory::new())).await;
    }

    #[tokio::test]
    async fn embedded_conforms() {
        let dir = tempfile::tempdir().unwrap();
        conformance(Arc::new(Embedded::open(dir.path().join("state")).await.unwrap())).await;
    }

    #[tokio::test]
    async fn embedded_keeps_what_was_written_when_it_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let store = Embedded::open(&path).await.unwrap();
        store.put("a", "k", Bytes::from_static(b"v")).await.unwrap();
        drop(store);
        let store = Embedded::open(&path).await.unwrap();
        assert_eq!(store.get("a", "k").await.unwrap(), Some(Bytes::from_static(b"v")));
    }

    #[tokio::test]
    async fn a_file_that_is_held_names_itself_and_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let _held = Embedded::open(&path).await.unwrap();
        let message = Embedded::open(&path).await.unwrap_err().to_string();
        assert!(message.contains(path.to_str().unwrap()), "{message}");
        assert!(message.contains("held by another process; stop that server"), "{message}");
    }

    #[tokio::test]
    async fn a_file_that_is_no_store_names_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        std::fs::write(&path, "not a database, but longer than any header of one ".repeat(100)).unwrap();
        let message = Embedded::open(&path).await.unwrap_err().to_string();
        assert!(message.contains(path.to_str().unwrap()), "{message}");
    }
}
