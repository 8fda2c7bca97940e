//! What the real CLI does, as far as our code relies on it: each test is one fact, driven by hand over plain pipes.
//!
//! When a new version breaks one of these, the code that relies on it is what to look at; the library is not needed
//! to see it.

mod argv;
mod common;
mod control;
mod environment;
mod events;
mod failures;
mod initialize;
mod permissions;
mod processes;
mod prompts;
mod sessions;
