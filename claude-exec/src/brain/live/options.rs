//! What may change from turn to turn in a running process: pure.

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::invocation::{Deadlines, Effort};

const MAX_TOKENS: &str = "CLAUDE_CODE_MAX_OUTPUT_TOKENS";
const EXTRA_BODY: &str = "CLAUDE_CODE_EXTRA_BODY";
const NO_THINKING: &str = "CLAUDE_CODE_DISABLE_THINKING";
const EFFORT: &str = "CLAUDE_CODE_EFFORT_LEVEL";

/// The options of one turn. What is not set is as the session's [`Invocation`](crate::Invocation) has it, whatever
/// the turn before had.
///
/// They travel as `apply_flag_settings` with variables of the environment, which the next request to the model reads
/// (2.1.330, each covered by a test on the real CLI). Sampling needs thinking to be off, as the conversational preset
/// has it.
#[derive(Debug, Clone, PartialEq, Default)]
#[must_use]
pub struct TurnOptions {
    max_tokens: Option<u32>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    stop: Vec<String>,
    extra_body: Map<String, Value>,
    thinking: Option<bool>,
    effort: Option<Effort>,
    deadlines: Option<Deadlines>,
}

impl TurnOptions {
    /// The session's own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bounds the answer's tokens.
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.max_tokens = Some(tokens);
        self
    }

    /// Sets the temperature, from 0 to 1.
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// Sets nucleus sampling, from 0 to 1.
    pub fn top_p(mut self, top_p: f64) -> Self {
        self.top_p = Some(top_p);
        self
    }

    /// Ends the answer where one of these texts would come.
    pub fn stop<I>(mut self, texts: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.stop = texts.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a member to the body of the request to the Messages API.
    pub fn extra_body(mut self, name: impl Into<String>, value: Value) -> Self {
        self.extra_body.insert(name.into(), value);
        self
    }

    /// Switches thinking on or off.
    pub fn thinking(mut self, on: bool) -> Self {
        self.thinking = Some(on);
        self
    }

    /// Sets how hard the model thinks.
    pub fn effort(mut self, effort: Effort) -> Self {
        self.effort = Some(effort);
        self
    }

    /// Sets the time limits. `first_byte` then means the first byte that comes in this turn.
    pub fn deadlines(mut self, deadlines: Deadlines) -> Self {
        self.deadlines = Some(deadlines);
        self
    }

    /// Refuses what no turn can have.
    #[cfg(feature = "store")]
    pub(in crate::brain) fn check(&self) -> Result<()> {
        self.to_env(&BTreeMap::new()).map(drop)
    }

    pub(super) fn get_deadlines(&self) -> Option<Deadlines> {
        self.deadlines
    }

    /// The variables as this turn needs them, all four always, on a session started with those of `base`. Empty is
    /// unset.
    pub(super) fn to_env(&self, base: &BTreeMap<String, OsString>) -> Result<BTreeMap<&'static str, String>> {
        let base = |name: &str| base.get(name).and_then(|value| value.to_str()).unwrap_or_default();
        for (field, number) in [("temperature", self.temperature), ("top_p", self.top_p)] {
            if number.is_some_and(|number| !(0.0..=1.0).contains(&number)) {
                return Err(Error::invalid(field, "must be a number from 0 to 1"));
            }
        }
        if self.stop.iter().any(|text| text.is_empty() || text.contains('\0')) {
            return Err(Error::invalid("stop", "must be texts of at least one character, without NUL"));
        }
        let mut body: Map<String, Value> = serde_json::from_str(base(EXTRA_BODY)).unwrap_or_default();
        body.extend(self.extra_body.clone());
        body.extend(self.temperature.map(|number| ("temperature".to_owned(), number.into())));
        body.extend(self.top_p.map(|number| ("top_p".to_owned(), number.into())));
        if !self.stop.is_empty() {
            body.insert("stop_sequences".to_owned(), self.stop.clone().into());
        }
        let body = if body.is_empty() { String::new() } else { Value::Object(body).to_string() };
        let thinking = self.thinking.map(|on| if on { "" } else { "1" });
        let effort = match self.effort {
            Some(effort) => effort.as_str(),
            None => base(EFFORT),
        };
        Ok(BTreeMap::from([
            (MAX_TOKENS, self.max_tokens.map_or_else(|| base(MAX_TOKENS).to_owned(), |n| n.to_string())),
            (EXTRA_BODY, body),
            (NO_THINKING, thinking.unwrap_or_else(|| base(NO_THINKING)).to_owned()),
            (EFFORT, effort.to_owned()),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(options: &TurnOptions, base: &[(&str, &str)]) -> [String; 4] {
        let base = base.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
        let mut env = options.to_env(&base).unwrap();
        [MAX_TOKENS, EXTRA_BODY, NO_THINKING, EFFORT].map(|name| env.remove(name).unwrap())
    }

    #[test]
    fn what_a_turn_does_not_set_is_as_the_session_has_it() {
        let base = [(NO_THINKING, "1"), (EXTRA_BODY, r#"{"top_k":3,"temperature":0.5}"#)];
        let none = TurnOptions::new();
        assert_eq!(env(&none, &base), ["", r#"{"top_k":3,"temperature":0.5}"#, "1", ""]);
        assert_eq!(env(&none, &[]), ["", "", "", ""]);
        let all = TurnOptions::new()
            .max_tokens(66)
            .temperature(0.25)
            .stop(["YY"])
            .thinking(true)
            .effort(Effort::Low);
        let body = r#"{"top_k":3,"temperature":0.25,"stop_sequences":["YY"]}"#;
        assert_eq!(env(&all, &base), ["66", body, "", "low"]);
    }

    #[test]
    fn what_no_model_takes_is_refused_by_name() {
        let table = [
            (TurnOptions::new().temperature(f64::NAN), "temperature"),
            (TurnOptions::new().top_p(1.5), "top_p"),
            (TurnOptions::new().stop([""]), "stop"),
            (TurnOptions::new().stop(["a\0"]), "stop"),
        ];
        for (options, field) in table {
            assert_eq!(options.to_env(&BTreeMap::new()).unwrap_err().field(), Some(field));
        }
    }
}
