//! Sessions: owned by the server, attached to by whoever comes.
//!
//! A prompt begins a turn, which runs apart from every client and writes what happens to the session's
//! [log](crate::log); readers follow the log. What the agent wants to run is judged, and what is not read-only
//! waits on a card for a person.
//!
//! | file | what it holds |
//! |---|---|
//! | [`event`] | what happens in a session |
//! | `transcript` | what the CLI says, as such events (pure) |
//! | `story` | where a session is, by its events (pure) |
//! | `snapshot` | a session in one event (pure) |
//! | [`agent`](crate::agent) | the seam to the CLI |
//! | `core`, `turn`, `cards` | one session: its state, its turns, its questions |
//! | [`sessions`](Sessions) | all of them: made, listed, put away |

mod cards;
mod core;
pub mod event;
mod limits;
mod power;
mod record;
mod sessions;
mod snapshot;
mod story;
mod text;
mod transcript;
mod turn;

pub use self::core::{Session, Summary};
pub use cards::PowerClaim;
pub use event::{Event, Mode, Verdict};
pub use limits::{Limits, MAX_NAME_CHARS, MAX_PROMPT_CHARS, MAX_REASON_CHARS};
pub use power::PowerLook;
pub use sessions::{Found, Sessions, SessionsBuilder};
pub use turn::{Begun, Prompt};
