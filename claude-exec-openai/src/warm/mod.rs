//! Stateless on the wire, warm inside: which process goes on with which conversation.
//!
//! A request carries its whole conversation. When the process that gave its last answer still waits, only the new
//! turn is said to it; otherwise the earlier turns are written into a fresh process as what they are, and the model
//! API receives the same roles and texts that the client sent.
//!
//! **No text of one conversation can reach another.** A process is found by a [`Transcript`]: a hash over the caller's
//! key name, the model, the system prompt, all that its process was opened with, and every turn so far. Who finds it
//! takes it out, so one request alone has it. It comes back only after a turn that ended well, whose answer was sent
//! whole and never started over; after a hang-up, an error, or any other doubt it ends.
//!
//! # The client's tools
//!
//! The tools of a request are an MCP server in this process. When the model calls them, the client is told, and the
//! turn is parked: its process waits for the results, and holds no slot meanwhile. The request that brings them finds
//! the turn by its transcript, which holds the ids of the calls; they are answered, and the same turn goes on. A client
//! that does not come back in time, a restart of the server, the same results once more, results together with other
//! words, pictures in them, very long ones: then the whole conversation is replayed, calls and results as what they are.
//!
//! # Odd conversations
//!
//! | the client sends | the model API gets |
//! |---|---|
//! | several messages of one role in a row | one message with all their blocks, as that API reads them anyway |
//! | a message that says nothing | nothing |
//! | pictures and documents in earlier turns | the same blocks |
//! | instructions in the middle (`system`, `developer`) | a part of the system prompt, so a change of them is another conversation |
//! | a last message of the assistant's, or a first one | the packing of [`carried`](crate::carried) |
//! | an answer of just `(no content)` | the same: the CLI would leave it out |
//!
//! Replay is not documented by the CLI. With a version that this crate was not tested with, everything that would be
//! replayed is packed until a self-test has passed.

mod conversation;
mod index;
mod parking;
#[cfg(feature = "self-test")]
pub(crate) mod self_test;
mod sessions;
pub(crate) mod tools;
mod transcript;
mod turns;

pub(crate) use conversation::Conversation;
pub(crate) use parking::{OpenCall, Parked, Parking};
pub(crate) use sessions::Sessions;
pub(crate) use transcript::Transcript;
pub(crate) use turns::{Replay, is_left_out, replay};
