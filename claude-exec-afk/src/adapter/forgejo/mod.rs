//! Forgejo and Gitea: issues, and what CI says by commit statuses.
//!
//! The rules are read from the swagger descriptions of Forgejo 17 and Gitea 1.23, which judge every request that the
//! tests make, and where these are silent from what is known of the code; **none was ever made to a live server**.
//!
//! What differs from GitHub, and bites: a filter on a label that does not exist is dropped, so that every open issue
//! comes back; pages have at most fifty entries, whatever was asked for; a timeline's count is the page's; a label is
//! taken off by its id; closing is refused while a dependency is open; only a repository's administrator may ask what
//! others may do in it. Failed jobs cannot be run again through this API, so a red commit goes to the agent at once.
//!
//! The token needs the scopes `write:issue`, `read:user` and `read:repository`, its account the right to write, and,
//! to know whom to trust, to administer each repository.

mod ci;
mod service;
mod tracker;
mod wire;

pub use service::Forgejo;
