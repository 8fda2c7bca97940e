//! What is going to happen to an issue of the simulated world.

/// The story of one issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Plot {
    /// Tested, pushed, green, deployed.
    Lands,
    /// CI is red once by chance and green when the same jobs run again.
    Flaky,
    /// CI is red, the agent fixes it with its next commit.
    FixedForward,
    /// CI is red after every fix, each time in another way.
    NeverFixed,
    /// The fix fails in the same way as what it fixes.
    SameFailure,
    /// The turn that should fix it pushes nothing.
    GivesUpFixing,
    /// The agent ends its turns without a push.
    NeverPushes,
    /// The first turn ends half-way; the next one finishes.
    NeedsTwoTurns,
    /// The agent asks a question.
    Asks,
    /// The agent goes silent.
    Stalls,
    /// The session never appears.
    NeverStarts,
    /// The agent spends without end.
    Spends,
    /// CI never says anything.
    CiSilent,
    /// CI waits for a person's approval.
    CiBlocked,
    /// Green, and the deployment never comes.
    DeployStuck,
    /// Green, and the deployment fails; the agent fixes that.
    DeployFails,
}

impl Plot {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Lands,
        Self::Flaky,
        Self::FixedForward,
        Self::NeverFixed,
        Self::SameFailure,
        Self::GivesUpFixing,
        Self::NeverPushes,
        Self::NeedsTwoTurns,
        Self::Asks,
        Self::Stalls,
        Self::NeverStarts,
        Self::Spends,
        Self::CiSilent,
        Self::CiBlocked,
        Self::DeployStuck,
        Self::DeployFails,
    ];

    /// A title such an issue could have.
    pub fn title(self) -> &'static str {
        match self {
            Self::Lands => "Show the total under the invoice",
            Self::Flaky => "Cache the list of currencies",
            Self::FixedForward => "Round amounts half to even",
            Self::NeverFixed => "Upgrade the PDF renderer",
            Self::SameFailure => "Make the import resumable",
            Self::GivesUpFixing => "Drop support for the old token format",
            Self::NeverPushes => "Find out why the nightly export is slow",
            Self::NeedsTwoTurns => "Translate the onboarding pages",
            Self::Asks => "Use the new logo everywhere",
            Self::Stalls => "Shrink the integration tests",
            Self::NeverStarts => "Rename the billing module",
            Self::Spends => "Rewrite the scheduler",
            Self::CiSilent => "Move the docs to their own folder",
            Self::CiBlocked => "Add a workflow for nightly builds",
            Self::DeployStuck => "Log the request id everywhere",
            Self::DeployFails => "Read the port from the environment",
        }
    }
}
