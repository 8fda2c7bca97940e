//! Sessions on a T3 server: [`T3Agent`], over its HTTP orchestration contract, protocol 1.
//!
//! What is decided is decided by pure functions: [`dialect`] (which server this is), [`turn`] (is my turn done),
//! [`look`] (a thread as a session), [`begin`] and [`stop`] (what to do next), [`project`], [`ids`], [`stamp`] and
//! [`words`]. [`server`] and [`agent`] do it.
//!
//! The server answers many a mistake with success: an unknown path with a web page, a command on an archived thread
//! with 200, a turn that it will lose with 200. So nothing is believed for having been accepted; it is looked at.

mod access;
mod agent;
mod begin;
mod command;
mod dialect;
mod ids;
mod look;
mod project;
mod reply;
#[cfg(test)]
mod scene;
mod server;
mod settings;
mod stamp;
mod stop;
mod turn;
mod wire;
mod words;

pub use agent::{T3Agent, T3Probe};
pub use settings::T3Settings;
