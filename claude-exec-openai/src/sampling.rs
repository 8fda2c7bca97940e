//! Limits and sampling: `max_tokens`, `temperature`, `top_p`, `stop`, `reasoning_effort`.

use crate::error::ApiError;
use crate::fields::IgnoredFields;
use crate::json::Json;

/// Stop sequences in one request, as OpenAI's reference has it.
const MAX_STOPS: usize = 4;

/// What the request says about how the model samples; `None` and empty mean the model's own default.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Sampling {
    /// Output tokens at most; never 0.
    pub max_tokens: Option<u32>,
    /// 0 to 1.
    pub temperature: Option<f64>,
    /// Above 0 and below 1.
    pub top_p: Option<f64>,
    /// Up to four texts that end the answer.
    pub stop: Vec<String>,
    /// How much the model may think.
    pub reasoning_effort: Option<ReasoningEffort>,
}

/// OpenAI's words for how much a model may think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReasoningEffort {
    /// Not at all.
    None,
    /// The least there is.
    Minimal,
    /// Little.
    Low,
    /// As usual.
    Medium,
    /// Much.
    High,
    /// Very much.
    XHigh,
}

impl Sampling {
    /// Reads the fields of a request body; what cannot be honoured goes to `ignored`.
    pub(crate) fn parse(body: &Json<'_>, ignored: &mut IgnoredFields) -> Result<Self, ApiError> {
        Ok(Self {
            max_tokens: max_tokens(body)?,
            temperature: temperature(body, ignored)?,
            top_p: number(body, "top_p", 0.0, 1.0)?.filter(|&value| value < 1.0),
            stop: stop(body, ignored)?,
            reasoning_effort: reasoning_effort(body)?,
        })
    }

    /// Moves everything to `ignored`, for a model that is an agent: a limit or a temperature meant for one
    /// answer would cut or upset each of its steps.
    pub(crate) fn ignore_all(self, ignored: &mut IgnoredFields) {
        let Self { max_tokens, temperature, top_p, stop, reasoning_effort } = self;
        let given = [
            ("max_tokens", max_tokens.is_some()),
            ("temperature", temperature.is_some()),
            ("top_p", top_p.is_some()),
            ("stop", !stop.is_empty()),
            ("reasoning_effort", reasoning_effort.is_some()),
        ];
        given.iter().filter(|(_, given)| *given).for_each(|(name, _)| ignored.add(name));
    }

    /// The value of `CLAUDE_CODE_EXTRA_BODY`: members that the CLI adds to its request to the Messages API.
    ///
    /// Measured on 2.1.330: `temperature`, `top_p` and `stop_sequences` arrive there, the first two only with
    /// thinking off, as it is in the conversational preset.
    pub fn extra_body(&self) -> Option<String> {
        let mut body = serde_json::Map::new();
        if let Some(temperature) = self.temperature {
            body.insert("temperature".into(), temperature.into());
        }
        if let Some(top_p) = self.top_p {
            body.insert("top_p".into(), top_p.into());
        }
        if !self.stop.is_empty() {
            body.insert("stop_sequences".into(), self.stop.clone().into());
        }
        (!body.is_empty()).then(|| serde_json::Value::Object(body).to_string())
    }
}

fn max_tokens(body: &Json<'_>) -> Result<Option<u32>, ApiError> {
    let old = whole(body, "max_tokens")?;
    let new = whole(body, "max_completion_tokens")?;
    if old.is_some() && new.is_some() && old != new {
        return Err(ApiError::invalid("max_tokens", "differs from max_completion_tokens, its newer name"));
    }
    Ok(new.or(old))
}

/// A whole number from 1; `7.0` passes, since some languages know no other number.
fn whole(body: &Json<'_>, name: &'static str) -> Result<Option<u32>, ApiError> {
    let Some(value) = body.get(name) else { return Ok(None) };
    match value.as_number() {
        Some(number) if number >= 1.0 && number <= f64::from(u32::MAX) && number.fract() == 0.0 => {
            Ok(Some(number as u32))
        }
        Some(_) => Err(ApiError::invalid(name, "must be a whole number, at least 1")),
        None => Err(wrong_type(name, "a whole number", value)),
    }
}

/// OpenAI allows up to 2, the Messages API up to 1; 1 is both sides' default and needs no word.
fn temperature(body: &Json<'_>, ignored: &mut IgnoredFields) -> Result<Option<f64>, ApiError> {
    let given = number(body, "temperature", 0.0, 2.0)?;
    if given.is_some_and(|value| value > 1.0) {
        ignored.add("temperature");
    }
    Ok(given.filter(|&value| value < 1.0))
}

fn number(body: &Json<'_>, name: &'static str, from: f64, to: f64) -> Result<Option<f64>, ApiError> {
    let Some(value) = body.get(name) else { return Ok(None) };
    match value.as_number() {
        Some(number) if (from..=to).contains(&number) => Ok(Some(number)),
        Some(_) => Err(ApiError::invalid(name, format!("must be between {from} and {to}"))),
        None => Err(wrong_type(name, "a number", value)),
    }
}

/// The Messages API refuses a stop sequence of nothing but white space: such a one is named as ignored.
fn stop(body: &Json<'_>, ignored: &mut IgnoredFields) -> Result<Vec<String>, ApiError> {
    let Some(value) = body.get("stop") else { return Ok(Vec::new()) };
    let items = match value {
        Json::String(_) => std::slice::from_ref(value),
        Json::Array(items) if items.len() <= MAX_STOPS => items.as_slice(),
        Json::Array(_) => {
            return Err(ApiError::invalid("stop", format!("at most {MAX_STOPS} stop sequences")));
        }
        other => return Err(wrong_type("stop", "a string or an array of strings", other)),
    };
    let mut stops = Vec::with_capacity(items.len());
    for item in items {
        match item.as_str() {
            None => return Err(wrong_type("stop", "a string or an array of strings", item)),
            Some("") => return Err(ApiError::invalid("stop", "a stop sequence must not be empty")),
            Some(text) if text.trim().is_empty() => ignored.add("stop"),
            Some(text) => stops.push(text.to_owned()),
        }
    }
    Ok(stops)
}

fn reasoning_effort(body: &Json<'_>) -> Result<Option<ReasoningEffort>, ApiError> {
    const NAME: &str = "reasoning_effort";
    let Some(value) = body.get(NAME) else { return Ok(None) };
    match value.as_str() {
        Some("none") => Ok(Some(ReasoningEffort::None)),
        Some("minimal") => Ok(Some(ReasoningEffort::Minimal)),
        Some("low") => Ok(Some(ReasoningEffort::Low)),
        Some("medium") => Ok(Some(ReasoningEffort::Medium)),
        Some("high") => Ok(Some(ReasoningEffort::High)),
        Some("xhigh") => Ok(Some(ReasoningEffort::XHigh)),
        Some(_) => Err(ApiError::invalid(NAME, "must be none, minimal, low, medium, high or xhigh")),
        None => Err(wrong_type(NAME, "a string", value)),
    }
}

/// The refusal of a value of the wrong type.
pub(crate) fn wrong_type(param: impl Into<String>, expected: &str, found: &Json<'_>) -> ApiError {
    ApiError::invalid(param, format!("must be {expected}, not {}", found.kind())).code("invalid_type")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<(Sampling, Vec<String>), Option<String>> {
        let mut ignored = IgnoredFields::default();
        let sampling = Sampling::parse(&Json::parse(body.as_bytes()).unwrap(), &mut ignored);
        sampling.map(|sampling| (sampling, ignored.names().to_vec())).map_err(|error| error.param)
    }

    #[test]
    fn defaults_of_common_clients_say_nothing() {
        let body = r#"{"temperature":1,"top_p":1,"max_tokens":null,"stop":null,"reasoning_effort":null}"#;
        assert_eq!(parse(body), Ok((Sampling::default(), vec![])));
        assert_eq!(Sampling::default().extra_body(), None);
    }

    #[test]
    fn what_is_given_is_kept() {
        let body = r#"{"temperature":0.2,"top_p":0.5,"max_tokens":7.0,"max_completion_tokens":7,
            "stop":["X","\n","Y"],"reasoning_effort":"high"}"#;
        let expected = Sampling {
            max_tokens: Some(7),
            temperature: Some(0.2),
            top_p: Some(0.5),
            stop: vec!["X".into(), "Y".into()],
            reasoning_effort: Some(ReasoningEffort::High),
        };
        assert_eq!(parse(body), Ok((expected.clone(), vec!["stop".into()])));
        let extra = r#"{"stop_sequences":["X","Y"],"temperature":0.2,"top_p":0.5}"#;
        assert_eq!(expected.extra_body().as_deref(), Some(extra));
        let mut ignored = IgnoredFields::default();
        expected.ignore_all(&mut ignored);
        let all = "max_tokens,temperature,top_p,stop,reasoning_effort";
        assert_eq!(ignored.header().as_deref(), Some(all));
    }

    #[test]
    fn a_temperature_that_only_openai_knows_is_named() {
        assert_eq!(parse(r#"{"temperature":1.5}"#), Ok((Sampling::default(), vec!["temperature".into()])));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (body, param) in [
            (r#"{"max_tokens":0}"#, "max_tokens"),
            (r#"{"max_tokens":-1}"#, "max_tokens"),
            (r#"{"max_tokens":1.5}"#, "max_tokens"),
            (r#"{"max_tokens":"5"}"#, "max_tokens"),
            (r#"{"max_tokens":1e300}"#, "max_tokens"),
            (r#"{"max_completion_tokens":true}"#, "max_completion_tokens"),
            (r#"{"max_tokens":1,"max_completion_tokens":2}"#, "max_tokens"),
            (r#"{"temperature":-0.1}"#, "temperature"),
            (r#"{"temperature":2.1}"#, "temperature"),
            (r#"{"temperature":"0.5"}"#, "temperature"),
            (r#"{"top_p":[]}"#, "top_p"),
            (r#"{"top_p":7}"#, "top_p"),
            (r#"{"stop":""}"#, "stop"),
            (r#"{"stop":[1]}"#, "stop"),
            (r#"{"stop":["a","b","c","d","e"]}"#, "stop"),
            (r#"{"stop":{}}"#, "stop"),
            (r#"{"reasoning_effort":"lots"}"#, "reasoning_effort"),
            (r#"{"reasoning_effort":3}"#, "reasoning_effort"),
        ] {
            assert_eq!(parse(body), Err(Some(param.into())), "{body}");
        }
    }
}
