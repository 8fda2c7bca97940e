//! What to ask, as plain data, and the command line that asks it.
//!
//! **Nothing a user wrote is ever in argv.** A prompt given as an argument is parsed as a flag when it starts
//! with `-`, is visible to every user of the machine, and fails at 128 KiB. So the prompt, the system prompt,
//! the schema and the agents travel on stdin: an `initialize` request, then one `user` message, in one-shot
//! turns too.

mod argv;
mod options;
mod preset;
mod value;

#[cfg(feature = "runtime")]
pub(crate) use argv::{Held, INITIALIZE_ID, Launch, check_content};
pub use options::{Deadlines, Effort, PermissionMode, SessionChoice};
pub use preset::SPOKEN_SYSTEM_PROMPT;
pub use value::Invocation;
