//! `Invocation -> Command -> bytes -> Event`

mod error;
pub mod executor;
#[cfg(feature = "http")]
pub mod http;
pub mod protocol;

pub use error::{Error, Result};
