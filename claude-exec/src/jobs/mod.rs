//! What is queued: a bounded gate, a checkout per job, and a durable registry of what became of each.
//!
//! A job is submitted to the [`Registry`], waits at the [`Gate`], and is run by a [`Runner`].

mod agent;
mod base;
mod cancel;
mod checkout;
mod config;
mod gate;
mod git;
mod instance;
mod life;
mod live;
mod log;
mod record;
mod registry;
mod report;
mod request;
mod runner;
mod shelf;
mod sink;
mod tree;
mod workspace;
mod workspaces;

pub use crate::timestamp::{NotATimestamp, Timestamp};
pub use agent::{AgentRunner, Place, RESULT_LIMIT};
pub use cancel::Cancelled;
pub use config::{DEFAULT_MAX_JOBS, DEFAULT_TTL, RegistryConfig};
pub use gate::{Gate, GateStatus, Moves, Slot, Waiting};
pub use log::{EVENT_BYTES, Followed, JobEvent, JobEvents, LOG_BYTES, LOG_EVENTS};
pub use record::{JobId, JobRecord, JobStatus, JobSummary};
pub use registry::{KEY_LIMIT, Registry, Submitted};
pub use report::{Ending, JobReport};
pub use request::{JobRequest, METADATA_LIMIT, PROMPT_LIMIT, TIMEOUT_LIMIT};
pub use runner::{Job, Runner};
pub use sink::EventSink;
pub use workspace::Workspace;
pub use workspaces::{Workspaces, WorkspacesConfig};
