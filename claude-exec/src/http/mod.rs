//! What every HTTP shell shares: a bearer keyring, SSE framing, bounded bodies, error shapes, request ids.
//!
//! All of it is written over the types of `http` and `http-body`, so it mounts in raw hyper, in axum and in
//! anything else that speaks them; no server is named here.
//!
//! The order a shell owes its callers: [`RequestId::of`], then [`Keyring::authenticate`], and only then
//! [`read_body`]. Whoever holds no token learns nothing and costs nothing.

mod body;
mod key;
mod key_file;
mod keyring;
mod reading;
mod request_id;
mod respond;
pub mod sse;

pub use body::Body;
pub use key::{Key, KeyName};
pub use key_file::{KeyLine, read_key_file};
pub use keyring::{AuthError, Keyring, KeyringBuilder, MIN_SECRET_BYTES};
pub use reading::{BodyError, BodyLimit, read_body};
pub use request_id::{REQUEST_ID, RequestId};
pub use respond::{detail, event_stream, json, unauthorized, validation, with_json};
