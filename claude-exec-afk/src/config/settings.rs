//! Settings as text, each taken once; one that nobody takes is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::money::Usd;

/// What every name of ours begins with.
const PREFIX: &str = "AFK_";
/// The longest label that GitHub takes.
const LABEL_LIMIT: usize = 50;
/// The longest time that can be set: a year.
const SECONDS_LIMIT: u64 = 365 * 86_400;

/// The settings that begin with `AFK_`, from the environment or a map.
///
/// Each part of the program takes what it knows; [`finish`](Self::finish) then refuses what is left, since a
/// misspelt `AFK_KILL_SWITCH` must not pass for one that is not set.
///
/// ```
/// use claude_exec_afk::config::{Config, Settings};
/// # fn main() -> claude_exec_afk::Result<()> {
/// let mut settings = Settings::new([("AFK_ALLOWLIST", "octo/site"), ("AFK_KILL_SWITCH", "off")]);
/// let config = Config::take(&mut settings)?;
/// settings.finish()?;
/// assert!(config.is_enabled());
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// The entries whose name begins with `AFK_`; others are not ours.
    pub fn new<N: Into<String>, V: Into<String>>(entries: impl IntoIterator<Item = (N, V)>) -> Self {
        let entries = entries.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self(entries.filter(|(name, _)| name.starts_with(PREFIX)).collect())
    }

    /// Those of this process.
    ///
    /// # Errors
    ///
    /// When one of ours is not UTF-8.
    pub fn from_env() -> Result<Self> {
        let mut entries = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            let value = value.into_string().map_err(|_| refuse("AFK_*", format!("{name} is not UTF-8")))?;
            entries.insert(name.to_owned(), value);
        }
        Ok(Self(entries))
    }

    /// Takes one as it is, trimmed; blank is not set.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// Takes one that can be read from text into `setting`, when it is set.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn parse<T>(&mut self, name: &'static str, setting: &mut T) -> Result<()>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let Some(text) = self.text(name) else { return Ok(()) };
        *setting = text.parse().map_err(|error: T::Err| refuse(name, error.to_string()))?;
        Ok(())
    }

    /// Refuses what nobody took.
    ///
    /// # Errors
    ///
    /// Names the first setting that is left.
    pub fn finish(self) -> Result<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => {
                Err(refuse("AFK_*", format!("{name} is no setting of this program; check its spelling")))
            }
        }
    }

    pub(super) fn list<T>(&mut self, name: &'static str, setting: &mut BTreeSet<T>) -> Result<()>
    where
        T: FromStr<Err = Error> + Ord,
    {
        let Some(text) = self.text(name) else { return Ok(()) };
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        *setting = entries
            .map(|entry| entry.parse().map_err(|error: Error| refuse(name, error.to_string())))
            .collect::<Result<_>>()?;
        Ok(())
    }

    /// Takes a switch: `1`, `true`, `yes`, `on` or `0`, `false`, `no`, `off`; an empty one is refused, since it
    /// says neither.
    ///
    /// # Errors
    ///
    /// When it is none of these.
    pub fn switch(&mut self, name: &'static str, setting: &mut bool) -> Result<()> {
        let Some(text) = self.0.remove(name) else { return Ok(()) };
        *setting = match text.trim().to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => true,
            "0" | "false" | "no" | "off" => false,
            _ => return Err(refuse(name, format!("`{}` is neither true nor false", text.escape_debug()))),
        };
        Ok(())
    }

    pub(super) fn label(&mut self, name: &'static str, setting: &mut String) -> Result<()> {
        let Some(text) = self.text(name) else { return Ok(()) };
        let fits = text.chars().count() <= LABEL_LIMIT && !text.chars().any(|c| c == ',' || c.is_control());
        if !fits {
            return Err(refuse(name, format!("a label has at most {LABEL_LIMIT} characters and no comma")));
        }
        *setting = text;
        Ok(())
    }

    pub(super) fn word(&mut self, name: &'static str, setting: &mut String) -> Result<()> {
        let Some(text) = self.text(name) else { return Ok(()) };
        let fits = text.len() <= LABEL_LIMIT && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !fits {
            return Err(refuse(name, "must be made of letters, digits and `-`"));
        }
        *setting = text;
        Ok(())
    }

    pub(super) fn amount(&mut self, name: &'static str, setting: &mut Usd) -> Result<()> {
        self.parse(name, setting)
    }

    /// Takes a whole number.
    ///
    /// # Errors
    ///
    /// When it is none, or not in `range`.
    pub fn count(&mut self, name: &'static str, range: RangeInclusive<u32>, setting: &mut u32) -> Result<()> {
        let Some(text) = self.text(name) else { return Ok(()) };
        *setting = text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
            refuse(name, format!("`{text}` is no whole number from {} to {}", range.start(), range.end()))
        })?;
        Ok(())
    }

    /// Takes a time in whole seconds.
    ///
    /// # Errors
    ///
    /// When it is no whole number, less than `least` or more than a year.
    pub fn seconds(&mut self, name: &'static str, least: u64, setting: &mut Duration) -> Result<()> {
        let Some(text) = self.text(name) else { return Ok(()) };
        let seconds = text.parse().ok().filter(|seconds| (least..=SECONDS_LIMIT).contains(seconds));
        *setting = seconds.map(Duration::from_secs).ok_or_else(|| {
            refuse(name, format!("`{text}` is no whole number of seconds from {least} to {SECONDS_LIMIT}"))
        })?;
        Ok(())
    }
}

pub(super) fn refuse(name: &'static str, reason: impl Into<String>) -> Error {
    Error::invalid(name, reason)
}

/// Shows names only: values may be secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
