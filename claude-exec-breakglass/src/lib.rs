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
//!
//! `power`, `audit`, `redact` and `access` know nothing of sessions, logs and streams, nor of a model: the power
//! verbs work with all of those down.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `http` (default) | `access`, and the routes |

#[cfg(feature = "http")]
pub mod access;
pub mod audit;
pub mod power;
pub mod redact;
