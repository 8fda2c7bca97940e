//! `Invocation -> Command -> bytes -> Event`
//!
//! Turns the Claude Code CLI (`claude -p`, stream-json) into something programs can rely on. The left half, what
//! to ask as data, and the right half, what was said as events, are pure: no clock, no socket, no runtime. Only
//! an [`Executor`](executor::Executor) touches the world.
//!
//! ```no_run
//! use claude_exec::{Invocation, brain, executor::LocalExecutor, protocol::Event};
//! use futures::StreamExt;
//!
//! # async fn example() -> claude_exec::Result<()> {
//! let invocation = Invocation::conversational("How high is Musala?").model("haiku");
//! let mut turn = brain::run(&LocalExecutor::new(), &invocation).await?;
//! while let Some(event) = turn.next().await {
//!     match event {
//!         Event::Text(text) => print!("{}", text.text),
//!         Event::Error(error) => eprintln!("{error}"),
//!         _ => {}
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`invocation`] | what to ask: presets as plain values, and the argv that asks it |
//! | [`protocol`] | the CLI's language, both directions, without I/O |
//! | [`executor`] | where a command runs: here, over ssh, under a wrapper, from a script |
//! | [`cli`] | which version of the CLI is there, and whether it may be used |
//! | `brain` | a turn with its time limits; a live session; warm processes; conversations that go on |
//! | `jobs` | a bounded queue, a checkout per job, a durable registry |
//! | `store` | where things survive a restart |
//! | `http` | what every HTTP shell shares |
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `runtime` | `brain`: turns with time limits, live sessions and their pool, on tokio |
//! | `local` (default) | the executor that spawns on this machine (Unix) |
//! | `store` | the embedded durable store, and conversations kept in it |
//! | `jobs` | `jobs` |
//! | `http` | `http` |
//! | `test-util` | conformance tests for executors and stores of your own |
//!
//! Without default features neither tokio nor hyper is in the tree.
//!
//! # Cancel safety
//!
//! Dropping is the supported way to cancel. A dropped turn, process or future of this crate ends with no process
//! of its own alive, descendants that called `setsid` included, and with every slot, seat and directory given
//! back. Where a drop loses something, the item says so under this heading.
//!
//! # Stability
//!
//! Types that mirror the CLI's protocol are `#[non_exhaustive]`: it grows with every version. The wording of
//! errors may change in any release. Behaviour of the CLI that its vendor does not document is covered by a test
//! on the real one, of the version [`cli::TESTED`].

#[cfg(feature = "runtime")]
pub mod brain;
pub mod cli;
mod error;
pub mod executor;
#[cfg(feature = "http")]
pub mod http;
pub mod invocation;
#[cfg(feature = "jobs")]
pub mod jobs;
mod money;
pub mod protocol;
#[cfg(feature = "store")]
pub mod store;
mod text;
#[cfg(feature = "runtime")]
mod time;
#[cfg(any(feature = "http", feature = "jobs"))]
mod timestamp;

pub use error::{Error, Result};
pub use invocation::Invocation;
pub use money::Usd;
#[cfg(any(feature = "http", feature = "jobs"))]
pub use timestamp::{NotATimestamp, Timestamp};

/// The README's example has to compile.
#[cfg(all(doctest, feature = "local", feature = "store"))]
#[doc = include_str!("../../README.md")]
struct Readme;
