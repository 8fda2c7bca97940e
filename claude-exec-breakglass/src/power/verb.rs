//! The verbs: a fixed table, on both sides of the connection.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What may be asked of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Stop, see that it is stopped, then start: a new QEMU process, the cure for a wedged one.
    Cycle,
    /// What the host knows about the VM. Changes nothing.
    Forensics,
    /// The reset button: a warm reboot that needs a QEMU that answers.
    Reset,
    /// Switches it on.
    Start,
    /// The state of the VM. Changes nothing.
    Status,
    /// Pulls the plug.
    Stop,
}

impl Verb {
    /// All of them, by name.
    pub const ALL: [Self; 6] =
        [Self::Cycle, Self::Forensics, Self::Reset, Self::Start, Self::Status, Self::Stop];

    /// Its name, as it is sent.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cycle => "cycle",
            Self::Forensics => "forensics",
            Self::Reset => "reset",
            Self::Start => "start",
            Self::Status => "status",
            Self::Stop => "stop",
        }
    }

    /// True for the verbs that change something.
    pub const fn is_mutating(self) -> bool {
        !matches!(self, Self::Status | Self::Forensics)
    }

    /// True for the verbs that a guest loses data by: they want more than a tap.
    pub const fn is_destructive(self) -> bool {
        matches!(self, Self::Cycle | Self::Reset | Self::Stop)
    }

    /// What it does to the guest, in one line for whoever is about to do it.
    pub const fn consequence(self) -> &'static str {
        match self {
            Self::Cycle => {
                "Pulls the plug, and starts a new QEMU once the old one is seen to be gone. Unsaved guest data is lost."
            }
            Self::Forensics | Self::Status => "Reads only.",
            Self::Reset => "Like the reset button. Unsaved guest data is lost. Needs a QEMU that answers.",
            Self::Start => "Switches the VM on.",
            Self::Stop => "Pulls the plug. Unsaved guest data is lost, and the VM stays off.",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads a name exactly: no other case, no blanks.
impl FromStr for Verb {
    type Err = UnknownVerb;

    fn from_str(text: &str) -> Result<Self, UnknownVerb> {
        Self::ALL.into_iter().find(|verb| verb.name() == text).ok_or(UnknownVerb)
    }
}

/// The text is no verb's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownVerb;

impl fmt::Display for UnknownVerb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a verb; there are cycle, forensics, reset, start, status and stop")
    }
}

impl std::error::Error for UnknownVerb {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact_and_sorted() {
        let names: Vec<_> = Verb::ALL.iter().map(|verb| verb.name()).collect();
        assert_eq!(names, ["cycle", "forensics", "reset", "start", "status", "stop"]);
        let mutating: Vec<_> =
            Verb::ALL.iter().filter(|verb| verb.is_mutating()).map(Verb::to_string).collect();
        assert_eq!(mutating, ["cycle", "reset", "start", "stop"]);
        for name in names {
            assert_eq!(name.parse::<Verb>().unwrap().name(), name);
        }
        for text in
            ["", "Reset", "reset ", " reset", "reset;reboot", "reset\n", "resume", "destroy", "--help"]
        {
            assert_eq!(text.parse::<Verb>(), Err(UnknownVerb), "{text:?}");
        }
    }
}
