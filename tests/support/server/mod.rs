//! The bundled server as a process of its own, and a client that sees every byte of it.
//!
//! `cargo build --examples` makes the binary; `cargo test` and `cargo nextest run` without a filter do so too.

pub(crate) mod client;
mod repository;
mod running;
mod site;

pub(crate) use client::{Reply, Sse, Streamed, body_of, content_of, open_as, open_at};
pub(crate) use repository::{AGENT, AGENT_PROMPT, NOTE, Repository};
pub(crate) use running::{Server, TOKEN};
pub(crate) use site::Site;
