//! A process that keeps its session: turn after turn, without a new start.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use claude_exec::brain::live::{Live, TurnOptions};
//! use claude_exec::executor::ScriptedCli;
//! use claude_exec::{Invocation, protocol::Event};
//! use futures::StreamExt;
//!
//! let cli = ScriptedCli::echo();
//! let live = Live::start(&cli, &Invocation::conversational(""), ()).await?;
//! let (outcome, live) = live.say("How high is Musala?", &TurnOptions::new()).finish().await;
//! assert_eq!(outcome?.text, "How high is Musala?");
//! let mut turn = live.expect("the session goes on").say("And Vihren?", &TurnOptions::new().max_tokens(50));
//! while let Some(event) = turn.next().await {
//!     if let Event::Text(text) = event { print!("{}", text.text) }
//! }
//! # Ok::<(), claude_exec::Error>(())
//! # }).unwrap();
//! ```
//!
//! The types keep the order: a [`Spare`] is started and knows nothing yet, [`Spare::initialize`] makes it a
//! [`Live`] session, [`Live::say`] gives the session to a [`LiveTurn`], and [`LiveTurn::finish`] gives it back. So
//! there is one turn at a time, and no turn before its session.
//!
//! **After any doubt the process is retired and never used again**: a severed turn, a result that answers another
//! message or came after a gap, a turn that began by itself, a control request without an answer. Then `finish` gives
//! no session back; start one with [`SessionChoice::Resume`](crate::invocation::SessionChoice::Resume), and the
//! conversation goes on.
//!
//! # Cancel safety
//!
//! Dropping a [`Spare`], [`Live`] or [`LiveTurn`] ends the process with all its descendants: at once in mid-turn, else
//! by closing its stdin. To end a turn and keep the process, use [`LiveTurn::cancel`].

mod limits;
mod options;
mod session;
mod spare;
mod turn;

pub use limits::{Limits, Retirement, Vitals};
pub use options::TurnOptions;
pub use session::{Live, Past};
pub use spare::Spare;
pub(super) use spare::key;
pub use turn::LiveTurn;
