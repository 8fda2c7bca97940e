//! The pure half, row by row and at random: `step`, `plan`, the words.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod explain;
mod policy;
mod random;
mod rows;
mod scene;
mod words;
