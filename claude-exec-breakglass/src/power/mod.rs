//! Power verbs over ssh to a forced command: no model, no session, no log store and no stream is needed.
//!
//! # Routes (feature `http`)
//!
//! | route | scope | answer |
//! |---|---|---|
//! | `GET /api/pve/verbs` | read | `{"verbs":[…sorted],"mutating":[…sorted],"vmid":102}` |
//! | `POST /api/pve/status`, `POST /api/pve/forensics` | read | the original's object, and `vm` beside it |
//! | `GET /api/pve/status` | read | `{"vmid","observed":{…}\|null,"error":null\|"…","age_s","audit":"ok"\|"degraded","running":Operation\|null}` |
//! | `POST /api/pve/prepare` `{"verb","reason"}` | power | `{"nonce","expires_s":30,"verb","vmid","observed":{…},"phrase":null\|"102"\|"stop 102","typed":bool,"consequence":"…"}` |
//! | `POST /api/pve/commit` `{"nonce","phrase"}`, `Idempotency-Key: …`, `Prefer: wait=N` | power | 200 `Operation` that ended, 202 one that has not yet |
//! | `GET /api/pve/operations/{id}`, `Prefer: wait=N` | read | `Operation` |
//! | `POST /api/pve/{start,stop,reset,cycle}` | power, by bearer key only | the original's object: one step, for scripts |
//!
//! The original's object is `{"verb","exit_code":int|null,"stdout","stderr","rejected":bool}`, 200 for exit code 0
//! and 502 otherwise. Errors are `{"detail":"…"}`; 409 has `"code":"busy"|"changed"|"expired"|"in_flight"` beside
//! it, and for `busy` and `in_flight` the `"operation"` that is in the way.
//!
//! `observed` is `{"status":"running","qmp":"running"|"dead"|null,"uptime_s":int|null,"lock":"backup"|null,
//! "ha":"started"|null,"pid":int|null}`. `Operation` is `{"id","verb","vmid","reason","who","began","ended":…|null,
//! "state":"requested"|"audited"|"dispatched"|"ended","step":"…"|null,"outcome":"verified"|"sent_not_verified"|
//! "requested"|"refused"|"not_sent"|"unknown"|null,"detail":"…"|null,"rc":int|null,"stdout":"…","observed_after":
//! {…}|null,"recorded":bool}`.

#[cfg(feature = "http")]
mod answers;
mod asking;
mod course;
mod operations;
mod outcome;
mod reading;
#[cfg(feature = "http")]
mod routes;
mod run;
mod service;
mod simulated;
mod ssh;
mod transcript;
mod verb;

#[cfg(feature = "http")]
pub(crate) use answers::refusal;
pub use operations::{Operation, Prepared, Refusal};
pub use outcome::{Closed, Outcome, Verdict, judge};
pub use reading::{Overview, Reading};
#[cfg(feature = "http")]
pub(crate) use routes::wait;
#[cfg(feature = "http")]
pub use routes::{Route, respond};
pub use run::{Run, State};
pub use service::Power;
pub use simulated::simulated;
pub use ssh::Ssh;
pub use transcript::{Ended, Observed, Proof, Transcript};
pub use verb::{UnknownVerb, Verb};

/// The forced command for the host, a POSIX shell script; its head says how it is installed.
pub const HOST_SCRIPT: &str = include_str!("../../host/breakglass-power");
