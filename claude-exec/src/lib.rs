//! `Invocation -> Command -> bytes -> Event`

#[cfg(feature = "runtime")]
pub mod brain;
mod error;
pub mod executor;
#[cfg(feature = "http")]
pub mod http;
pub mod invocation;
pub mod protocol;

pub use error::{Error, Result};
pub use invocation::Invocation;
