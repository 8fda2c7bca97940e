//! What people and agents read: the checklist, the prompts, the notices. Pure: from a row to a text.

mod checklist;
mod notice;
mod prompt;

#[cfg(feature = "http")]
pub(crate) use checklist::phases;
pub use checklist::{checklist, marker};
pub use notice::notice;
pub use prompt::{continue_prompt, fix_prompt, preamble, start_prompt};

/// The trailer by which a commit says which run made it.
pub const TRAILER: &str = "AFK-Run";
