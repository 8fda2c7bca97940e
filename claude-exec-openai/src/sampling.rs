//! Limits, sampling and thinking, as every wire asks for them.

use claude_exec::invocation::Effort;

use crate::error::ApiError;
use crate::fields::IgnoredFields;
use crate::json::Json;
use crate::read::wrong_type;

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
    /// The likeliest so many tokens only; never 0.
    pub top_k: Option<u32>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
}

/// How much the model may think. The default is the preset's: a plain model not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Reasoning {
    /// The request says something about it.
    pub asked: bool,
    /// It thinks before it answers. Temperature and its like cannot be honoured beside it.
    pub thinking: bool,
    /// Tokens of thinking at most; `None` leaves that to the model.
    pub budget_tokens: Option<u32>,
    /// How hard it tries.
    pub effort: Option<Effort>,
}

impl Reasoning {
    /// Reads OpenAI's word. `minimal` is no thinking and little effort.
    pub(crate) fn of_effort(param: &str, value: &Json<'_>) -> Result<Self, ApiError> {
        let (thinking, effort) = match value.as_str() {
            Some("none") => (false, None),
            Some("minimal") => (false, Some(Effort::Low)),
            Some("low") => (true, Some(Effort::Low)),
            Some("medium") => (true, Some(Effort::Medium)),
            Some("high") => (true, Some(Effort::High)),
            Some("xhigh") => (true, Some(Effort::XHigh)),
            Some(_) => {
                return Err(ApiError::invalid(param, "must be none, minimal, low, medium, high or xhigh"));
            }
            None => return Err(wrong_type(param, "a string", value)),
        };
        Ok(Self { asked: true, thinking, budget_tokens: None, effort })
    }
}

impl Sampling {
    /// Moves everything to `ignored`, for a model that is an agent: a limit or a temperature meant for one
    /// answer would cut or upset each of its steps.
    pub(crate) fn ignore_all(&self, ignored: &mut IgnoredFields) {
        let Self { max_tokens, temperature, top_p, top_k, stop } = self;
        let given = [
            ("max_tokens", max_tokens.is_some()),
            ("temperature", temperature.is_some()),
            ("top_p", top_p.is_some()),
            ("top_k", top_k.is_some()),
            ("stop", !stop.is_empty()),
        ];
        given.iter().filter(|(_, given)| *given).for_each(|(name, _)| ignored.add(name));
    }

    /// The same without what the model API refuses beside thinking, which moves to `ignored`.
    pub(crate) fn beside_thinking(&self, ignored: &mut IgnoredFields) -> Self {
        let Self { temperature, top_p, top_k, .. } = self;
        let given =
            [("temperature", temperature.is_some()), ("top_p", top_p.is_some()), ("top_k", top_k.is_some())];
        given.iter().filter(|(_, given)| *given).for_each(|(name, _)| ignored.add(name));
        Self { temperature: None, top_p: None, top_k: None, ..self.clone() }
    }

    /// The value of `CLAUDE_CODE_EXTRA_BODY`: members that the CLI adds to its request to the Messages API.
    ///
    /// Measured on 2.1.330: `temperature`, `top_p`, `top_k` and `stop_sequences` arrive there, the first three
    /// only with thinking off, as it is in the conversational preset.
    pub fn extra_body(&self) -> Option<String> {
        let mut body = serde_json::Map::new();
        if let Some(temperature) = self.temperature {
            body.insert("temperature".into(), temperature.into());
        }
        if let Some(top_p) = self.top_p {
            body.insert("top_p".into(), top_p.into());
        }
        if let Some(top_k) = self.top_k {
            body.insert("top_k".into(), top_k.into());
        }
        if !self.stop.is_empty() {
            body.insert("stop_sequences".into(), self.stop.clone().into());
        }
        (!body.is_empty()).then(|| serde_json::Value::Object(body).to_string())
    }
}

/// OpenAI allows up to 2, the Messages API up to 1; 1 is both sides' default and needs no word.
pub(crate) fn temperature(body: &Json<'_>, ignored: &mut IgnoredFields) -> Result<Option<f64>, ApiError> {
    let given = crate::read::number(body, "temperature", "temperature", 0.0, 2.0)?;
    if given.is_some_and(|value| value > 1.0) {
        ignored.add("temperature");
    }
    Ok(given.filter(|&value| value < 1.0))
}

/// 1 is the default and needs no word.
pub(crate) fn top_p(body: &Json<'_>) -> Result<Option<f64>, ApiError> {
    Ok(crate::read::number(body, "top_p", "top_p", 0.0, 1.0)?.filter(|&value| value < 1.0))
}

/// The Messages API refuses a stop sequence of nothing but white space: such a one is named as ignored.
pub(crate) fn stop(
    body: &Json<'_>,
    name: &str,
    most: usize,
    ignored: &mut IgnoredFields,
) -> Result<Vec<String>, ApiError> {
    let Some(value) = body.get(name) else { return Ok(Vec::new()) };
    let items = match value {
        Json::String(_) => std::slice::from_ref(value),
        Json::Array(items) if items.len() <= most => items.as_slice(),
        Json::Array(_) => return Err(ApiError::invalid(name, format!("at most {most} stop sequences"))),
        other => return Err(wrong_type(name, "a string or an array of strings", other)),
    };
    let mut stops = Vec::with_capacity(items.len());
    for item in items {
        match item.as_str() {
            None => return Err(wrong_type(name, "a string or an array of strings", item)),
            Some("") => return Err(ApiError::invalid(name, "a stop sequence must not be empty")),
            Some(text) if text.contains('\0') => return Err(ApiError::invalid(name, "must not contain NUL")),
            Some(text) if text.trim().is_empty() => ignored.add(name),
            Some(text) => stops.push(text.to_owned()),
        }
    }
    Ok(stops)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_goes_into_the_extra_body() {
        let sampling = Sampling {
            max_tokens: Some(7),
            temperature: Some(0.2),
            top_p: Some(0.5),
            top_k: Some(5),
            stop: vec!["X".into(), "Y".into()],
        };
        let extra = r#"{"temperature":0.2,"top_p":0.5,"top_k":5,"stop_sequences":["X","Y"]}"#;
        assert_eq!(sampling.extra_body().as_deref(), Some(extra));
        assert_eq!(Sampling::default().extra_body(), None);
        let mut ignored = IgnoredFields::default();
        sampling.ignore_all(&mut ignored);
        assert_eq!(ignored.header().as_deref(), Some("max_tokens,temperature,top_p,top_k,stop"));
    }

    #[test]
    fn thinking_takes_temperature_and_its_like() {
        let sampling = Sampling {
            max_tokens: Some(7),
            temperature: Some(0.2),
            stop: vec!["X".into()],
            ..Default::default()
        };
        let mut ignored = IgnoredFields::default();
        let left = sampling.beside_thinking(&mut ignored);
        assert_eq!(left, Sampling { temperature: None, ..sampling });
        assert_eq!(ignored.names(), ["temperature"]);
    }
}
