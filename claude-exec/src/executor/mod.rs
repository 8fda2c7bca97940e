//! Where a command runs: the traits, a command as data, and the executors.

mod command;

//mod conformance;
#[cfg(feature = "local")]
mod local;
mod process;
mod rewrite;
mod scripted;
mod tail;

pub use command::{Command, Stdin};

//pub use conformance::conformance;
#[cfg(feature = "local")]
pub use local::{DEFAULT_GRACE, LocalExecutor};
pub use process::{Control, Executor, Exit, Frame, Process, Stop};
pub use rewrite::{Rewrite, ssh, wrapper};
pub use scripted::{ExecutorFn, Scripted, ScriptedHandle, executor_fn};
pub use tail::Tail;
