//! What people and agents read: the checklist, the prompts, the notices.

/// The trailer by which a commit says which run made it.
pub const TRAILER: &str = "AFK-Run";
