//! What becomes of a request's fields: honoured, accepted, ignored and named, or refused. Each wire has its table.
//!
//! What is not honoured is never dropped silently: at its default value it changes nothing and passes; otherwise
//! the answer names it in `x-claude-exec-ignored`, or it is refused where the answer would not be what was asked
//! for.

use crate::error::ApiError;
use crate::json::Json;

/// What becomes of a field whose value is not `null`.
#[derive(Clone, Copy)]
pub(crate) enum Rule {
    /// Read and obeyed.
    Honoured,
    /// Accepted whatever its value: it asks for nothing that could be seen in the answer.
    Accepted,
    /// Passes at its default, is named in the answer otherwise.
    Ignored(fn(&Json<'_>) -> bool),
    /// Passes at its default, is refused with the reason otherwise.
    Refused(fn(&Json<'_>) -> bool, &'static str),
}

/// Every field that a wire's reference knows, and the few that its clients send besides.
pub(crate) type Table = [(&'static str, Rule)];

/// Sorts all fields of a body; the names of those that are ignored.
pub(crate) fn sorted(table: &Table, body: &Json<'_>) -> Result<IgnoredFields, ApiError> {
    let mut ignored = IgnoredFields::default();
    let Json::Object(members) = body else { return Ok(ignored) };
    for (name, value) in members {
        if *value != Json::Null && is_ignored(table, name, value)? {
            ignored.add(name);
        }
    }
    Ok(ignored)
}

/// Sorts a field that is not `null`: `Ok(true)` when the answer must name it as ignored.
///
/// A field that the table does not know is ignored and named: OpenAI adds fields all the time, and a client
/// that sends one must not break.
pub(crate) fn is_ignored(table: &Table, name: &str, value: &Json<'_>) -> Result<bool, ApiError> {
    use Rule::{Accepted, Honoured, Ignored, Refused};
    let rule = table.iter().find_map(|(known, rule)| (*known == name).then_some(*rule));
    match rule {
        Some(Honoured | Accepted) => Ok(false),
        Some(Ignored(is_default)) => Ok(!is_default(value)),
        Some(Refused(is_default, _)) if is_default(value) => Ok(false),
        Some(Refused(_, reason)) => Err(ApiError::unsupported(name, reason)),
        None => Ok(true),
    }
}

pub(crate) fn never(_: &Json<'_>) -> bool {
    false
}

pub(crate) fn zero(value: &Json<'_>) -> bool {
    value.as_number() == Some(0.0)
}

pub(crate) fn one(value: &Json<'_>) -> bool {
    value.as_number() == Some(1.0)
}

pub(crate) fn no(value: &Json<'_>) -> bool {
    value.as_bool() == Some(false)
}

pub(crate) fn one_of(value: &Json<'_>, words: &[&str]) -> bool {
    value.as_str().is_some_and(|word| words.contains(&word))
}

pub(crate) fn empty(value: &Json<'_>) -> bool {
    value.is_empty()
}

/// The names of the fields that a request asked for in vain, bounded and fit for a header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IgnoredFields {
    names: Vec<String>,
}

/// Names kept; a body may have as many unknown fields as it likes.
const MAX_NAMES: usize = 32;

/// The longest name shown as it is.
const MAX_NAME: usize = 64;

impl IgnoredFields {
    /// Adds a name once. One that no header could carry becomes `(other)`.
    pub(crate) fn add(&mut self, name: &str) {
        let fits = !name.is_empty()
            && name.len() <= MAX_NAME
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte));
        let name = if fits { name } else { "(other)" };
        if self.names.len() < MAX_NAMES && !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
    }

    /// The names in the order of the request.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// True when everything asked for is honoured.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The value of `x-claude-exec-ignored`: names with commas between, visible ASCII.
    pub fn header(&self) -> Option<String> {
        (!self.is_empty()).then(|| self.names.join(","))
    }

    /// What `strict` makes of it: an error that names the first field.
    ///
    /// # Errors
    ///
    /// 400 `unsupported_parameter` when anything is ignored.
    pub fn refuse(&self) -> Result<(), ApiError> {
        match self.names.first() {
            Some(name) => {
                let message = format!("not honoured, and the request is strict: {}", self.names.join(", "));
                Err(ApiError::unsupported(name, message))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_fit_a_header() {
        let mut ignored = IgnoredFields::default();
        for name in ["seed", "a\r\nb: c", "жар", "seed", "", &"x".repeat(65)] {
            ignored.add(name);
        }
        assert_eq!(ignored.header().as_deref(), Some("seed,(other)"));
        (0..100).for_each(|n| ignored.add(&format!("field_{n}")));
        assert_eq!(ignored.names().len(), MAX_NAMES);
        assert_eq!(ignored.refuse().unwrap_err().param.as_deref(), Some("seed"));
        assert_eq!(IgnoredFields::default().refuse(), Ok(()));
    }
}
