//! Where a command runs: the traits, a command as data, and the executors.

mod command;
#[cfg(feature = "test-util")]
mod conformance;
#[cfg(feature = "local")]
mod local;
#[cfg(feature = "runtime")]
mod output;
mod process;
mod rewrite;
mod scripted;
mod scripted_cli;
mod tail;

pub use command::{Command, Stdin};
#[cfg(feature = "test-util")]
pub use conformance::conformance;
#[cfg(feature = "local")]
pub use local::LocalExecutor;
#[cfg(feature = "jobs")]
pub(crate) use output::output_unless;
#[cfg(feature = "runtime")]
pub use output::{Output, output};
pub use process::{Control, Executor, Exit, Frame, Process, Stop};
pub use rewrite::{Rewrite, ssh, wrapper};
pub use scripted::{ExecutorFn, Scripted, ScriptedHandle, executor_fn};
pub use scripted_cli::{Answer, Said, ScriptedCli};
pub use tail::Tail;
