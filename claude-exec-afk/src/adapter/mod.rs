//! What stands behind the ports.

#[cfg(feature = "brain")]
pub mod brain;
