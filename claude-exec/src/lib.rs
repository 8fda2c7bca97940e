//! `Invocation -> Command -> bytes -> Event`

mod error;
pub mod executor;
pub mod protocol;

pub use error::{Error, Result};
