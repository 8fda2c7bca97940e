//! What one admitted request holds: its place, and the bill of its turn.

use std::fmt;
use std::sync::Arc;

use super::ledger::{Books, Ledger};
use super::{Figures, Spent};

/// A request's place among those of its key; dropping it gives it back.
#[must_use = "dropping it gives the place back"]
pub struct Permit {
    books: Arc<Books>,
    key: String,
}

impl Permit {
    pub(super) fn new(ledger: &Ledger, key: &str) -> Self {
        Self { books: ledger.0.clone(), key: key.to_owned() }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.books.release(&self.key);
    }
}

/// The bill of one turn.
///
/// Dropped before it has [begun](Self::begin), the request is not counted; dropped after that without having been
/// [paid](Self::pay), the turn is one of unknown cost.
#[must_use = "dropping it counts the turn as one of unknown cost"]
pub struct Bill {
    of: Option<Of>,
    state: State,
}

struct Of {
    books: Arc<Books>,
    key: String,
    model: String,
    admitted: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Begun,
    Paid,
}

impl Bill {
    pub(super) fn new(ledger: &Ledger, key: &str, model: &str, admitted: u64) -> Self {
        let of = Of { books: ledger.0.clone(), key: key.to_owned(), model: model.to_owned(), admitted };
        Self { of: Some(of), state: State::Waiting }
    }

    /// A bill that nobody gets: nothing is counted.
    pub fn nobodys() -> Self {
        Self { of: None, state: State::Waiting }
    }

    /// True when it matters what the turn costs, and that is not known yet.
    pub fn is_open(&self) -> bool {
        self.of.is_some() && self.state == State::Begun
    }

    /// True when the CLI has told what the turn cost.
    pub fn is_paid(&self) -> bool {
        self.state == State::Paid
    }

    /// Says that the turn has a process: from here on it may cost something.
    pub fn begin(&mut self) {
        if self.state == State::Waiting {
            self.state = State::Begun;
            self.change(|of| of.books.begun(&of.key, &of.model));
        }
    }

    /// Charges what the turn has cost. More may follow, from a CLI that tells several results.
    pub fn pay(&mut self, spent: &Spent) {
        let before = std::mem::replace(&mut self.state, State::Paid);
        self.change(|of| {
            of.books.change(&of.key, &of.model, |account, now| {
                if before != State::Paid {
                    account.close(&of.model);
                }
                account.spend(&of.model, spent, now)
            });
        });
    }

    /// Takes over the bill of an earlier request whose turn this one goes on with: its cost comes in this one's.
    pub fn join(&mut self, mut earlier: Self) {
        self.begin();
        if std::mem::replace(&mut earlier.state, State::Paid) != State::Paid {
            earlier.change(|of| {
                of.books.change(&of.key, &of.model, |account, _| {
                    account.close(&of.model);
                    Figures::default()
                });
            });
        }
    }

    fn change(&self, change: impl FnOnce(&Of)) {
        if let Some(of) = &self.of {
            change(of);
        }
    }
}

impl Default for Bill {
    fn default() -> Self {
        Self::nobodys()
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        match self.state {
            State::Waiting => self.change(|of| {
                of.books.refund(&of.key, &of.model, of.admitted);
            }),
            State::Begun => self.pay(&Spent::default()),
            State::Paid => {}
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.key).finish()
    }
}

impl fmt::Debug for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = self.of.as_ref().map(|of| (&of.key, &of.model));
        f.debug_struct("Bill").field("of", &of).field("state", &self.state).finish()
    }
}
