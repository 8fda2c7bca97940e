//! `Invocation -> Command -> bytes -> Event`

mod error;
pub mod executor;
pub mod protocol;
#[cfg(feature = "store")]
pub mod store;

pub use error::{Error, Result};
