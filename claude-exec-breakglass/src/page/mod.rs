//! The page for the phone, embedded: its files, joined, hashed and compressed once, and what is answered for them.
//!
//! The files in `page/` run as they lie there, from any static server. Here the modules are joined into one script,
//! without comments and idle space, and what never changes gets its hash as a part of its name. No tool is needed to
//! build it, and the tests run what is shipped.
//!
//! The page needs no credential and holds no secret; what it asks for under `/api` does. See `page/vendor` for the one
//! part that is not ours.

mod asset;
mod files;
mod join;
mod squeeze;

pub use asset::{Asset, respond};
pub use files::assets;
