//! The loop that takes ready issues from a tracker and has an agent implement them. Ships disabled.
//!
//! Empty for now: the core and the OpenAI endpoint come first.
