//! `Invocation -> Command -> bytes -> Event`

mod error;
pub mod executor;
#[cfg(feature = "jobs")]
pub mod jobs;
pub mod protocol;
#[cfg(feature = "store")]
pub mod store;

pub use error::{Error, Result};
