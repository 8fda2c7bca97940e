//! Where a command runs: the traits, a command as data, and the executors.

mod command;
mod process;

pub use command::{Command, Stdin};
pub use process::{Control, Executor, Exit, Frame, Process, Stop};
