//! `Invocation -> Command -> bytes -> Event`

mod error;
pub mod executor;
pub mod invocation;
pub mod protocol;

pub use error::{Error, Result};
pub use invocation::Invocation;
