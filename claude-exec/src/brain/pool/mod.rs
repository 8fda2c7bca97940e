//! Warm processes under bounds: spares started before anybody asks, sessions that keep theirs between turns.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use claude_exec::brain::live::TurnOptions;
//! use claude_exec::brain::pool::{Origin, Pool};
//! use claude_exec::executor::ScriptedCli;
//! use claude_exec::{Invocation, invocation::SessionChoice};
//!
//! let pool = Pool::builder(ScriptedCli::echo()).processes(6).build()?;
//! let new = Invocation::conversational("").session(SessionChoice::New);
//! let claimed = pool.claim(&new).await?;
//! assert_eq!(claimed.origin(), Origin::Cold);
//! let id = claimed.session_id().expect("a kept session has an id").clone();
//!
//! let (live, place) = claimed.into_parts();
//! let (outcome, live) = live.say("How high is Musala?", &TurnOptions::new()).finish().await;
//! assert_eq!(outcome?.text, "How high is Musala?");
//! place.give_back(live.expect("the session goes on"));
//!
//! let again = pool.claim(&new.session(SessionChoice::Resume(id))).await?;
//! assert_eq!(again.origin(), Origin::Live);
//! # Ok::<(), claude_exec::Error>(())
//! # }).unwrap();
//! ```
//!
//! A process is kept by its launch flags, since they cannot be changed later; what a session is opened with comes
//! when it is claimed. The pool learns which flags are asked for: those of two new sessions within some minutes are
//! worth a spare, and the spare is started once the turn that took the last one has had its time. Whatever is not
//! there is started, and counted as such.
//!
//! All processes count against one bound of their number and one of their memory. When there is no room, the one that
//! nobody has wanted for longest ends, and its conversation is resumed with its next turn.
//!
//! **What was said in a session stays in its process**: a spare has never had a turn, and a process that has had one
//! is granted only for its own session.

mod claimed;
mod demand;
mod keeper;
mod key;
mod limits;
mod policy;
#[expect(clippy::module_inception, reason = "the type that the module is named after")]
mod pool;
mod shared;
mod stats;
mod waiting;

pub use claimed::{Claimed, Place};
pub use pool::{Pool, PoolBuilder};
pub use stats::{Claims, Eviction, Evictions, Origin, PoolStats, StartTimes};
