//! Sessions that the server owns and phones attach to, and VM power verbs that work when the model is down.
//!
//! ```text
//! verb   -> prepare -> commit -> audit (fsync) -> ssh, a forced command -> what it proved -> audit (fsync)
//! prompt -> session -> event log -> cursor -> SSE
//! ```
//!
//! | module | what it holds | needs |
//! |---|---|---|
//! | [`power`] | `status`, `forensics`, `start`, `stop`, `reset`, `cycle`, each a pure state machine | an executor with ssh |
//! | [`audit`] | the hash-chained record of who did what, from where | a directory |
//! | [`redact`] | one place where secrets are taken out, before audit, log and stream | nothing |
//! | `access` (feature `http`) | who may: host, identity, scope, origin | nothing |
//! | [`log`] | the event log: bounded, durable before it is shown | a log store |
//! | [`session`] | sessions, their turns, and the cards that wait for a person | a log, an agent |
//! | [`agent`] | the CLI as the agent: a live process per session, its ssh, its prompt | an executor |
//! | [`approvals`] | what runs by itself and what is asked for | nothing |
//! | [`attach`] | the event stream of a cursor | a session |
//! | `page` (feature `http`) | the page for the phone, embedded | nothing |
//! | `shell` (feature `http`) | all of it, mounted | all of it |
//!
//! `power`, `audit`, `redact` and `access` know nothing of sessions, logs and streams, nor of a model: the power
//! verbs work with all of those down.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `http` (default) | `access`, `page`, the routes, and `shell` |

#[cfg(feature = "http")]
pub mod access;
pub mod agent;
pub mod approvals;
pub mod attach;
pub mod audit;
pub mod log;
#[cfg(feature = "http")]
pub mod page;
pub mod power;
pub mod redact;
pub mod session;
#[cfg(feature = "http")]
pub mod shell;
