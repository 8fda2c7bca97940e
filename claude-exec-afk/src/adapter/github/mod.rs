//! GitHub, github.com and Enterprise Server alike: issues, and what CI says.
//!
//! The rules are those of <https://docs.github.com/en/rest>, version 2022-11-28, read from GitHub's own OpenAPI
//! description. Every request that the tests make is judged by that description; **none was ever made to the live
//! service**.
//!
//! The token needs, on the repositories of the allowlist: issues read and write, metadata and contents read, checks
//! and commit statuses read, actions read and write (to run failed jobs again), administration is not needed. What
//! GitHub does not tell, or not to this token, is unknown and holds an issue back, with the reason.

mod ci;
mod deploy;
mod service;
mod tracker;
mod wire;

pub use deploy::GitHubDeployments;
pub use service::GitHub;
