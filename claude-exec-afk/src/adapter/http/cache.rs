//! Answers that a service may say are still right.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use reqwest::Url;

/// Answers that are kept: a few for each issue that is watched, one for each repository.
const ENTRIES: usize = 4096;
/// Bytes of them: five pages of GitHub's largest issues.
const BYTES: usize = 32 * 1024 * 1024;

/// Etags are for one token (T11), so that is part of the key.
pub(super) type Key = ([u8; 32], Url);

#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) etag: HeaderValue,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) next: Option<Url>,
}

/// The answers, those that were not used for the longest time forgotten first.
#[derive(Debug, Default)]
pub(super) struct Cache {
    kept: HashMap<Key, (Kept, u64)>,
    bytes: usize,
    uses: u64,
}

impl Cache {
    pub(super) fn get(&mut self, key: &Key) -> Option<Kept> {
        self.uses += 1;
        let (kept, used) = self.kept.get_mut(key)?;
        *used = self.uses;
        Some(kept.clone())
    }

    pub(super) fn keep(&mut self, key: Key, kept: Kept) {
        self.forget(&key);
        if kept.body.len() > BYTES {
            return;
        }
        self.uses += 1;
        self.bytes += kept.body.len();
        self.kept.insert(key, (kept, self.uses));
        while self.bytes > BYTES || self.kept.len() > ENTRIES {
            let oldest = self.kept.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { return };
            self.forget(&oldest);
        }
    }

    pub(super) fn forget(&mut self, key: &Key) {
        if let Some((kept, _)) = self.kept.remove(key) {
            self.bytes -= kept.body.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        ([0; 32], format!("https://api.example/{number}").parse().unwrap())
    }

    fn kept(bytes: usize) -> Kept {
        Kept {
            etag: HeaderValue::from_static("\"1\""),
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: vec![0; bytes].into(),
            next: None,
        }
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let mut cache = Cache::default();
        for number in 0..ENTRIES + 10 {
            cache.keep(key(number), kept(1));
            assert!(cache.get(&key(0)).is_some(), "used all the time");
        }
        assert_eq!((cache.kept.len(), cache.bytes), (ENTRIES, ENTRIES));
        assert!(cache.get(&key(1)).is_none());
        cache.keep(key(0), kept(BYTES));
        assert_eq!((cache.kept.len(), cache.bytes), (1, BYTES));
        cache.keep(key(0), kept(BYTES + 1));
        assert_eq!((cache.kept.len(), cache.bytes), (0, 0));
    }
}
