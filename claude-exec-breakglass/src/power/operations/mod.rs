//! What is prepared, what runs and what was done: a pure table, with the time passed in.
//!
//! | file | what it holds |
//! |---|---|
//! | `prepared` | a verb that was shown, and waits for its commit |
//! | `operation` | a verb that was committed |
//! | `refusal` | why a verb goes nowhere |
//! | `table` | all of them: one at a time, each once, not too many |

mod operation;
mod prepared;
mod refusal;
mod table;
#[cfg(test)]
mod tests;

pub use operation::Operation;
pub(super) use prepared::Commit;
pub use prepared::Prepared;
pub use refusal::Refusal;
pub(super) use table::{Claim, Now, Operations};
