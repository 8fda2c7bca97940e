//! The operator's verbs.

use clap::Subcommand;

/// Looks at the loop, or tells it what it may do.
///
/// Uses the ledger in STATE_DIR when there is one that no server holds, and otherwise asks the server at --listen, with
/// the first key of API_BEARER_TOKEN.
#[derive(Debug, Clone, Subcommand)]
pub enum AfkCommand {
    /// What runs, what waits for a person, what was spent.
    Status,
    /// Which gate holds an issue, and why.
    Explain {
        /// The issue, as owner/name#7.
        issue: String,
    },
    /// Nothing new, no further turn; what runs is watched and its deadlines rest.
    Pause,
    /// Nothing new; what runs is finished.
    Drain,
    /// Every session is stopped, and nothing is begun.
    Halt,
    /// Everything again; with an issue: try that one again, which made the loop fail.
    Resume {
        /// The issue, as owner/name#7.
        issue: Option<String>,
    },
    /// A person has seen that this issue waits: its bell rings no more.
    Ack {
        /// The issue, as owner/name#7.
        issue: String,
    },
    /// What the next tick would claim, and why nothing else: reads the trackers, writes nothing.
    Simulate,
}
