//! What the loop needs of the world, as object-safe traits.
//!
//! | trait | what stands behind it |
//! |---|---|
//! | [`Tracker`] | issues, labels, comments: GitHub, Forgejo, Gitea |
//! | [`Agent`] | sessions that do the work: the CLI in a worktree, or T3 |
//! | [`Remote`] | the git remote: what a run has pushed |
//! | [`Ci`] | what CI says about a commit |
//! | [`Deploy`] | what is deployed |
//! | [`Bell`] | a person's phone: Slack, ntfy, a webhook |
//! | [`Lock`] | who has an issue, across deployments: a git ref |
//!
//! # The contract of them all
//!
//! 1. **A look never guesses.** What could not be read whole is [`Seen::Unknown`], with the reason; `Absent` and
//!    an empty list mean that the service said so. A partial page is a failed look. A 404 that may mean "no
//!    access" is unknown unless the service tells the two apart.
//! 2. **A change can be repeated.** It is made at least once, perhaps by two at a time, and a repetition changes
//!    nothing; what was already so is success (a label that is there, one that is not, a closed issue).
//! 3. **Errors say whether trying again is of use**: [`Error::is_transient`] with
//!    [`retry_after`](crate::Error::retry_after) where the service said so, or [`Error::is_refused`].
//! 4. Every call ends within a minute of its own accord. Dropping the future is fine at any time; what was begun
//!    may then be done or not.
//! 5. No secret appears in an error, a reason, a log line or the environment of an agent.
//! 6. One adapter serves all repositories; calls for different repositories may come at the same time.
//!
//! [`Seen::Unknown`]: crate::Seen::Unknown
//! [`Error::is_transient`]: crate::Error::is_transient
//! [`Error::is_refused`]: crate::Error::is_refused

mod agent;
mod bell;
mod ci;
mod deploy;
mod lock;
mod remote;
mod tracker;

pub use agent::{Accepted, Agent, Permit, Start, Task, Turn};
pub use bell::{Bell, Notice, NoticeKind, Receipt};
pub use ci::Ci;
pub use deploy::Deploy;
pub use lock::{Lock, Taken, takeover_after};
pub use remote::{Remote, Work};
pub use tracker::{IssueText, LabelChange, Listing, Tracker};
