//! Sessions that the server owns and phones attach to, and VM power verbs that work when the model is down.

pub mod agent;
pub mod approvals;
pub mod attach;
pub mod log;
pub mod session;
