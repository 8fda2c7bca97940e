//! The loop over HTTP: a status page, the operator's verbs, and webhooks that wake it.
//!
//! | route | who | what |
//! |---|---|---|
//! | `GET /health` | anyone | that the process answers |
//! | `GET /afk` | a key, or its text as a Basic password | the status page: no script, refreshes itself |
//! | `GET /afk/status` | the same | the same as JSON |
//! | `GET /afk/explain?issue=owner/name%237` | the same | which gate holds an issue, and why |
//! | `POST /afk/mode` `{"mode":"halt"}` | a bearer key | pause, drain, halt or run |
//! | `POST /afk/forgive`, `/afk/acknowledge` `{"issue":"owner/name#7"}` | a bearer key | try again; stop ringing |
//! | `POST /afk/webhook` | a signature | wakes a tick, and that is all |
//!
//! What changes something takes a bearer key alone: a browser sends a remembered Basic password with a request that
//! another site made it send.

mod access;
mod page;
mod routes;
mod webhook;

pub use routes::Shell;
