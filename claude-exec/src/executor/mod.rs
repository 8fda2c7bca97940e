//! Where a command runs: the traits, a command as data, and the executors.

mod command;
#[cfg(feature = "runtime")]
mod output;
mod process;

pub use command::{Command, Stdin};
#[cfg(feature = "runtime")]
pub use output::{Output, output};
pub use process::{Control, Executor, Exit, Frame, Process, Stop};
