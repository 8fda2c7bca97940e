//! Where things survive a restart: a small object-safe trait, an embedded file, and memory.
//!
//! A [`Store`] keeps bytes under a key in a named space. Nothing here assumes that the process that wrote is
//! the one that reads; whoever must not lose a race says what it expects to find ([`Batch::expect`]), and the
//! store itself decides. [`Embedded`] is one file of one process; a networked engine fits behind the same
//! three methods.

mod batch;
#[cfg(any(test, feature = "test-util"))]
mod conformance;
mod contract;
mod embedded;
mod file;
mod memory;

pub use batch::{Batch, Written};
#[cfg(any(test, feature = "test-util"))]
pub use conformance::conformance;
pub use contract::{Entry, SCAN_LIMIT, Store};
pub use embedded::Embedded;
pub use memory::Memory;
