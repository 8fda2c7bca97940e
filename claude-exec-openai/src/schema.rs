//! The form that an answer must have: text, any JSON object, or JSON that fits a schema.

use std::fmt;
use std::sync::Arc;

use jsonschema::{PatternOptions, Validator};
use serde_json::{Value, json};

use crate::draft7;
use crate::effort::{self, MAX_ANSWER_DEPTH};
use crate::error::ApiError;
use crate::json::Json;

/// Bytes of one schema. OpenAI's limit is 120,000 characters of names and values.
pub const MAX_SCHEMA_BYTES: usize = 256 * 1024;

/// How deep a schema may nest, braces and brackets counted: four times the levels that OpenAI takes.
const MAX_DEPTH: usize = 40;

/// Memory of one `pattern`, compiled. The engine is linear in time; this bounds its size.
const MAX_PATTERN_BYTES: usize = 128 * 1024;

/// What the answer must be.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum OutputFormat {
    /// Text, as the model writes it.
    #[default]
    Text,
    /// One JSON object.
    JsonObject,
    /// JSON that fits a schema.
    JsonSchema(Schema),
}

/// A JSON schema that was checked: small, valid, of an object, and without references to elsewhere.
#[derive(Clone)]
pub struct Schema {
    value: Value,
    validator: Arc<Validator>,
}

impl OutputFormat {
    /// The schema that the CLI is told; `None` for text.
    pub fn schema(&self) -> Option<Schema> {
        match self {
            Self::Text => None,
            Self::JsonObject => {
                let any = json!({"type": "object", "additionalProperties": true});
                Some(Schema::compile(any).expect("the constant is a valid schema"))
            }
            Self::JsonSchema(schema) => Some(schema.clone()),
        }
    }
}

impl Schema {
    /// Checks a schema of a request; `param` is where it stands there.
    ///
    /// # Errors
    ///
    /// 400 `invalid_json_schema` for one that is too large or too deep, is no valid schema, is not of an object
    /// (the CLI asks for the answer as a tool's arguments), refers to another document, or could apply its parts
    /// without end.
    pub(crate) fn checked(param: &str, schema: &Json<'_>) -> Result<Self, ApiError> {
        let refuse = |message: String| ApiError::invalid(param, message).code("invalid_json_schema");
        if depth(schema) > MAX_DEPTH {
            return Err(refuse(format!("nests deeper than {MAX_DEPTH} levels")));
        }
        let value = schema.to_value();
        if value.to_string().len() > MAX_SCHEMA_BYTES {
            return Err(refuse(format!("is longer than {MAX_SCHEMA_BYTES} bytes")));
        }
        if value["type"] != "object" {
            return Err(refuse("its root must be of `\"type\": \"object\"`".to_owned()));
        }
        effort::check(&value).map_err(&refuse)?;
        Self::compile(value).map_err(|reason| refuse(format!("is no valid JSON schema: {reason}")))
    }

    fn compile(value: Value) -> Result<Self, String> {
        let patterns = PatternOptions::regex().size_limit(MAX_PATTERN_BYTES);
        let options = jsonschema::options().offline().with_pattern_options(patterns);
        match options.build(&value) {
            Ok(validator) => Ok(Self { value, validator: Arc::new(validator) }),
            Err(error) => Err(error.masked().to_string()),
        }
    }

    /// The schema itself.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The schema as the CLI takes it: draft 7, no keyword that its validator does not know.
    ///
    /// The CLI drops a schema that its validator refuses, without a word, and asks for text (measured on 2.1.330).
    /// What is left out here is held to all the same, when the answer has come.
    pub fn for_cli(&self) -> Value {
        draft7::reduced(&self.value)
    }

    /// True when this JSON text fits, and nests no deeper than 32 levels.
    pub fn is_met_by(&self, json: &str) -> bool {
        serde_json::from_str(json)
            .is_ok_and(|value| effort::depth(&value) <= MAX_ANSWER_DEPTH && self.validator.is_valid(&value))
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// Shows the size.
impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({} bytes)", self.value.to_string().len())
    }
}

fn depth(value: &Json<'_>) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(members) => 1 + members.iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(schema: &str) -> Result<Schema, (Option<&'static str>, Option<String>)> {
        Schema::checked("p", &Json::parse(schema.as_bytes()).unwrap())
            .map_err(|error| (error.code, error.param))
    }

    #[test]
    fn an_answer_fits_or_does_not() {
        let schema = checked(
            r##"{"type":"object","properties":{"n":{"type":"integer","minimum":1},"s":{"$ref":"#/$defs/s"}},
                "required":["n"],"additionalProperties":false,"$defs":{"s":{"type":"string","pattern":"^a+$"}}}"##,
        )
        .unwrap();
        for (answer, fits) in [
            (r#"{"n":1}"#, true),
            (r#"{"n":2,"s":"aa"}"#, true),
            (r#"{"n":0}"#, false),
            (r#"{"n":"1"}"#, false),
            (r#"{"n":1,"s":"b"}"#, false),
            (r#"{"n":1,"x":1}"#, false),
            ("{}", false),
            ("[]", false),
            ("n is 1", false),
            ("", false),
        ] {
            assert_eq!(schema.is_met_by(answer), fits, "{answer}");
        }
    }

    #[test]
    fn any_object_is_an_object() {
        let schema = OutputFormat::JsonObject.schema().unwrap();
        assert!(schema.is_met_by(r#"{"any":[1]}"#) && schema.is_met_by("{}"));
        assert!(!schema.is_met_by("[]") && !schema.is_met_by("7"));
        assert_eq!(OutputFormat::Text.schema(), None);
    }

    #[test]
    fn what_is_no_usable_schema_is_refused() {
        let nested = |levels: usize| {
            let (open, close) =
                (r#"{"type":"object","properties":{"x":"#.repeat(levels), "}}".repeat(levels));
            format!("{open}{{}}{close}")
        };
        let long = format!(r#"{{"type":"object","title":"{}"}}"#, "x".repeat(MAX_SCHEMA_BYTES));
        for schema in [
            "{}",
            "[]",
            "true",
            r#"{"type":"array","items":{}}"#,
            r#"{"type":["object","null"]}"#,
            r#"{"type":"object","properties":7}"#,
            r#"{"type":"object","properties":{"x":{"type":"strnig"}}}"#,
            r#"{"type":"object","properties":{"x":{"pattern":"("}}}"#,
            // What only a backtracking engine could do.
            r#"{"type":"object","properties":{"x":{"pattern":"(?=a)(a+)+\\1"}}}"#,
            r#"{"type":"object","properties":{"x":{"$ref":"https://example.com/schema"}}}"#,
            r#"{"type":"object","properties":{"x":{"$ref":"file:///etc/passwd"}}}"#,
            r##"{"type":"object","properties":{"x":{"$ref":"#/$defs/none"}}}"##,
            &nested(MAX_DEPTH / 2 + 1),
            &long,
        ] {
            assert_eq!(checked(schema), Err((Some("invalid_json_schema"), Some("p".into()))), "{schema:.90}");
        }
        assert!(checked(&nested(MAX_DEPTH / 2 - 1)).is_ok());
    }

    #[test]
    fn a_pattern_that_others_would_choke_on_is_nothing() {
        let schema = checked(r#"{"type":"object","properties":{"x":{"pattern":"^(a+)+$"}}}"#).unwrap();
        assert!(!schema.is_met_by(&format!(r#"{{"x":"{}b"}}"#, "a".repeat(10_000))));
    }
}
