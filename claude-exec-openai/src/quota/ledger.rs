//! The accounts of all keys, kept in a store.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use claude_exec::store::Store;
use claude_exec::{Error, Result};
use serde_json::Value;

use super::bill::{Bill, Permit};
use super::{Account, Counted, Figures, KeyLimits, usage_json};
use crate::error::ApiError;

/// The store's space for what keys have used, by the key's name.
const SPACE: &str = "openai_usage";

/// The accounts of a server's keys. Clones share them.
///
/// Bounded by the keys it was opened with and the models that are asked for; a server takes only those that are
/// configured.
#[derive(Clone)]
pub struct Ledger(pub(super) Arc<Books>);

/// Seconds since the Unix epoch.
type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

pub(super) struct Books {
    store: Arc<dyn Store>,
    clock: Clock,
    pages: BTreeMap<String, Page>,
}

/// One key's.
struct Page {
    state: Mutex<State>,
    /// The last change that is in the store. Held while it is written, so that an older state never follows a newer.
    written: tokio::sync::Mutex<u64>,
}

#[derive(Default)]
struct State {
    account: Account,
    totals: Totals,
    /// Counts the changes.
    change: u64,
}

/// What one key has used since the server started: for metrics, whose counters go back to zero with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Totals {
    /// By model.
    pub models: BTreeMap<String, Figures>,
    /// Requests refused, by [`Refusal::reason`](super::Refusal::reason), or `store` when it could not be written.
    pub refused: BTreeMap<&'static str, u64>,
}

impl Ledger {
    /// Opens the accounts of these keys, with what the store remembers of them.
    ///
    /// # Errors
    ///
    /// When the store cannot be read, or holds what this version cannot: an account is never begun anew instead.
    pub async fn open(
        store: Arc<dyn Store>,
        keys: impl IntoIterator<Item = (String, KeyLimits)>,
    ) -> Result<Self> {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self::open_by(store, keys, now).await
    }

    /// As [`open`](Self::open), by another clock, which tells the seconds since the Unix epoch.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn open_by(
        store: Arc<dyn Store>,
        keys: impl IntoIterator<Item = (String, KeyLimits)>,
        clock: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<Self> {
        let mut pages = BTreeMap::new();
        for (name, limits) in keys {
            let counted = match store.get(SPACE, &name).await? {
                None => Counted::default(),
                Some(value) => serde_json::from_slice(&value).map_err(|error| {
                    Error::store("reading what keys have used", format!("{name}: {error}"))
                })?,
            };
            let account = Account::new(limits, counted, clock());
            let state = Mutex::new(State { account, ..State::default() });
            pages.insert(name, Page { state, written: tokio::sync::Mutex::new(0) });
        }
        Ok(Self(Arc::new(Books { store, clock: Arc::new(clock), pages })))
    }

    /// Takes a request of `key` for a turn on `model`, or refuses it. Where its key has a limit over the day, it is in
    /// the store by then.
    ///
    /// # Errors
    ///
    /// [`Refusal::to_error`](super::Refusal::to_error), 503 `usage_not_recorded` when the store cannot be written, and
    /// 403 for a key that the ledger does not know.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the place back and counts nothing.
    pub async fn admit(&self, key: &str, model: &str) -> Result<(Permit, Bill), ApiError> {
        let now = self.0.now();
        let change = self.0.take(key, model, now)?;
        let admitted = (Permit::new(self, key), Bill::new(self, key, model, now));
        if let Some(change) = change
            && let Err(error) = self.0.write(key, change).await
        {
            tracing::error!(%error, key, "what a key uses cannot be recorded: its requests are refused");
            self.0.refused(key, "store");
            return Err(not_recorded());
        }
        Ok(admitted)
    }

    /// The body of `GET /v1/usage` for this key; `None` for one that the ledger does not know.
    pub fn usage(&self, key: &str) -> Option<Value> {
        let now = self.0.now();
        self.0.state(key).map(|mut state| usage_json(key, &mut state.account, now))
    }

    /// Its limits; `None` for a key that the ledger does not know.
    pub fn limits(&self, key: &str) -> Option<KeyLimits> {
        self.0.state(key).map(|state| state.account.limits().clone())
    }

    /// What each key has used since the server started.
    pub fn totals(&self) -> Vec<(String, Totals)> {
        let of = |(name, page): (&String, &Page)| (name.clone(), page.state().totals.clone());
        self.0.pages.iter().map(of).collect()
    }

    /// Writes what is not in the store yet: the last thing a server does.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub async fn flush(&self) -> Result<()> {
        for (name, page) in &self.0.pages {
            let change = page.state().change;
            self.0.write(name, change).await?;
        }
        Ok(())
    }
}

impl Books {
    pub(super) fn now(&self) -> u64 {
        (self.clock)()
    }

    fn state(&self, key: &str) -> Option<MutexGuard<'_, State>> {
        self.pages.get(key).map(Page::state)
    }

    /// Takes a request into its account: the change to be written first, where there is one.
    fn take(&self, key: &str, model: &str, now: u64) -> Result<Option<u64>, ApiError> {
        let Some(mut state) = self.state(key) else {
            let message = "this key has no account here";
            return Err(ApiError::new(403, "invalid_request_error", message).code("unknown_key"));
        };
        if let Err(refusal) = state.account.admit(model, now) {
            drop(state);
            self.refused(key, refusal.reason());
            return Err(refusal.to_error());
        }
        state.change += 1;
        Ok(state.account.limits().is_daily().then_some(state.change))
    }

    fn refused(&self, key: &str, reason: &'static str) {
        if let Some(mut state) = self.state(key) {
            *state.totals.refused.entry(reason).or_default() += 1;
        }
    }

    /// Changes an account; what `change` tells was added is added to the totals too. It is written soon.
    pub(super) fn change(
        self: &Arc<Self>,
        key: &str,
        model: &str,
        change: impl FnOnce(&mut Account, u64) -> Figures,
    ) {
        let now = self.now();
        let Some(mut state) = self.state(key) else { return };
        let added = change(&mut state.account, now);
        *state.totals.models.entry(model.to_owned()).or_default() += added;
        state.change += 1;
        let change = state.change;
        drop(state);
        // Without a runtime it is written with the next change.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (books, key) = (Arc::clone(self), key.to_owned());
        runtime.spawn(async move {
            if let Err(error) = books.write(&key, change).await {
                tracing::error!(%error, key, "what a key has used is not recorded yet");
            }
        });
    }

    /// Notes for the metrics that a request got a process: only what will not be taken back.
    pub(super) fn begun(&self, key: &str, model: &str) {
        if let Some(mut state) = self.state(key) {
            state.totals.models.entry(model.to_owned()).or_default().requests += 1;
        }
    }

    /// Forgets a request that never got a process.
    pub(super) fn refund(&self, key: &str, model: &str, admitted: u64) {
        let now = self.now();
        let Some(mut state) = self.state(key) else { return };
        state.account.refund(model, admitted, now);
        // It is written with the next change: until then too much is counted.
        state.change += 1;
    }

    /// Gives a place back, which is nothing to be written.
    pub(super) fn release(&self, key: &str) {
        if let Some(mut state) = self.state(key) {
            state.account.release();
        }
    }

    /// Sees to it that this change is in the store. Changes that wait for each other are written together.
    async fn write(&self, key: &str, change: u64) -> Result<()> {
        let Some(page) = self.pages.get(key) else { return Ok(()) };
        let mut written = page.written.lock().await;
        if *written >= change {
            return Ok(());
        }
        let (value, newest) = {
            let mut state = page.state();
            let newest = state.change;
            (serde_json::to_vec(state.account.counted(self.now())), newest)
        };
        let value = value.map_err(|error| Error::store("writing what keys have used", error))?;
        self.store.put(SPACE, key, Bytes::from(value)).await?;
        *written = newest;
        Ok(())
    }
}

impl Page {
    fn state(&self) -> MutexGuard<'_, State> {
        // Changes are made of steps that do not panic, so a poisoned one is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_recorded() -> ApiError {
    let message = "this server cannot record what keys use, so it takes no request of one with limits over the day; its \
                   operator must see to the disk of its state directory";
    ApiError::new(503, "server_error", message).code("usage_not_recorded")
}

/// Shows names.
impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ledger").field(&self.0.pages.keys().collect::<Vec<_>>()).finish()
    }
}
