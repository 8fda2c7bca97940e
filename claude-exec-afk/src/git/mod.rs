//! The git remote, over git itself: the lock as a ref, and what a run has pushed.
//!
//! Works with every host that speaks git, with whatever credentials git has (a credential helper, an ssh key):
//! none pass through here. `git` 2.24 or later is needed for atomic pushes with leases.

mod address;
mod lock;
mod mirror;
mod remote;

#[cfg(feature = "brain")]
pub(crate) use address::Address;
pub use lock::GitLock;
pub use mirror::Mirrors;
pub use remote::GitRemote;
