//! What the suite stands on: a stand-in for the model API, the real CLI, processes and temporary directories.
#![allow(dead_code, unused_imports)] // shared by the suite and the benchmarks; none of them uses all of it

pub(crate) mod cli;
pub(crate) mod marker;
pub(crate) mod model_api;
pub(crate) mod process;
pub(crate) mod server;
