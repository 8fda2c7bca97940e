//! What somebody may do.

use std::fmt;
use std::str::FromStr;

/// One of three things that somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Look at sessions, at the VM, and at what is done to it.
    Read,
    /// Prompt agents, and answer their questions.
    Chat,
    /// Change the VM.
    Power,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Chat, Self::Power];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Chat => "chat",
            Self::Power => "power",
        }
    }
}

/// A set of scopes. None includes another: `power` without `read` presses a button blindly.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self(0b111);

    /// These, and one more.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | (1 << scope as u8))
    }

    /// These, and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True when `scope` is among them.
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Scope::ALL.into_iter().filter(move |scope| self.has(*scope)).map(Scope::name)
    }
}

/// Reads `read,chat,power`, in any order; blanks around a name do not matter.
impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        text.split(',').map(str::trim).try_fold(Self::NONE, |scopes, name| {
            let scope = Scope::ALL.into_iter().find(|scope| scope.name() == name).ok_or(UnknownScope)?;
            Ok(scopes.with(scope))
        })
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// The text is no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownScope;

impl fmt::Display for UnknownScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("scopes are read, chat and power, separated by commas")
    }
}

impl std::error::Error for UnknownScope {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_and_asked() {
        let scopes: Scopes = "power, read".parse().unwrap();
        assert_eq!(scopes, Scopes::NONE.with(Scope::Read).with(Scope::Power));
        assert_eq!(Scope::ALL.map(|scope| scopes.has(scope)), [true, false, true]);
        assert_eq!("read,chat,power".parse(), Ok(Scopes::ALL));
        for text in ["", "admin", "read,", "READ", "read power"] {
            assert_eq!(text.parse::<Scopes>(), Err(UnknownScope), "{text:?}");
        }
    }
}
