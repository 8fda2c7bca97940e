//! `Invocation -> Command -> bytes -> Event`

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
pub mod protocol;
#[cfg(feature = "store")]
pub mod store;

pub use error::{Error, Result};
pub use invocation::Invocation;
