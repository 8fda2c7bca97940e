//! A JSON schema of any draft, reduced to what the CLI's validator takes: pure.
//!
//! That is draft 7 in Ajv's strict mode, with patterns compiled as JavaScript's with the flag `u`. What the tables
//! here pass on was tried on 2.1.330.

use serde_json::{Map, Value};

/// Keywords whose value is passed on as it is.
const PLAIN: &[&str] = &[
    "$comment",
    "$id",
    "$ref",
    "const",
    "contentEncoding",
    "contentMediaType",
    "default",
    "deprecated",
    "description",
    "enum",
    "examples",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "readOnly",
    "required",
    "title",
    "type",
    "uniqueItems",
    "writeOnly",
];

/// Keywords whose value is a schema.
const SCHEMA: &[&str] =
    &["additionalItems", "additionalProperties", "contains", "else", "if", "not", "propertyNames", "then"];

/// Keywords whose value is an array of schemas.
const SCHEMAS: &[&str] = &["allOf", "anyOf", "oneOf"];

/// Keywords whose value has schemas by name.
const NAMED: &[&str] = &["$defs", "definitions", "properties"];

/// What is left of a schema.
pub(crate) fn reduced(schema: &Value) -> Value {
    let Value::Object(members) = schema else { return schema.clone() };
    let mut left = Map::new();
    for (name, value) in members {
        let value = match name.as_str() {
            name if PLAIN.contains(&name) => value.clone(),
            name if SCHEMA.contains(&name) => reduced(value),
            name if SCHEMAS.contains(&name) => all(value),
            name if NAMED.contains(&name) => by_name(value),
            "patternProperties" => by_pattern(value),
            "exclusiveMinimum" | "exclusiveMaximum" if value.is_number() => value.clone(),
            "pattern" if value.as_str().is_some_and(is_javascripts) => value.clone(),
            // What `prefixItems` is now was an array of `items` in draft 7.
            "prefixItems" => {
                left.insert("items".to_owned(), all(value));
                if let Some(rest) = members.get("items") {
                    left.insert("additionalItems".to_owned(), reduced(rest));
                }
                continue;
            }
            "items" if members.contains_key("prefixItems") => continue,
            "items" => all(value),
            _ => continue,
        };
        left.insert(name.clone(), value);
    }
    Value::Object(left)
}

/// A schema, or an array of them.
fn all(schemas: &Value) -> Value {
    match schemas {
        Value::Array(items) => items.iter().map(reduced).collect(),
        one => reduced(one),
    }
}

fn by_name(schemas: &Value) -> Value {
    match schemas {
        Value::Object(members) => {
            members.iter().map(|(name, schema)| (name.clone(), reduced(schema))).collect()
        }
        other => other.clone(),
    }
}

fn by_pattern(schemas: &Value) -> Value {
    match by_name(schemas) {
        Value::Object(members) => {
            members.into_iter().filter(|(pattern, _)| is_javascripts(pattern)).collect()
        }
        other => other,
    }
}

/// True for a pattern that means the same in JavaScript with the flag `u`, as far as its looks tell: no group but
/// `(?:`, no escape but the common ones, none of Rust's classes within classes.
fn is_javascripts(pattern: &str) -> bool {
    let mut rest = pattern;
    while let Some(at) = rest.find(['\\', '(', '[']) {
        let (sign, after) = (rest.as_bytes()[at], &rest[at + 1..]);
        rest = match sign {
            b'(' if after.starts_with('?') && !after.starts_with("?:") => return false,
            b'[' if after.starts_with('[') || after.starts_with("^[") => return false,
            b'\\' => match after.strip_prefix(|c: char| r"dDsSwWbBtnrvf^$\.*+?()[]{}|/".contains(c)) {
                // An escaped sign is not looked at again.
                Some(after) => after,
                None => return false,
            },
            _ => after,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_cli_takes_is_left_alone() {
        let schema = json!({
            "type": "object", "title": "T", "description": "d", "required": ["a"], "additionalProperties": false,
            "$defs": {"i": {"type": "integer", "minimum": 1, "exclusiveMaximum": 5}},
            "properties": {
                "a": {"$ref": "#/$defs/i"},
                "b": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}], "default": null},
                "c": {"type": "array", "items": {"enum": ["x", 1]}},
                "d": {"type": "string", "pattern": r"^[a-z]+\.(?:\d|x)\\$"},
                // Names of the caller's, not keywords.
                "unevaluatedItems": {"const": {"unknown": 1}},
            },
        });
        assert_eq!(reduced(&schema), schema);
    }

    #[test]
    fn what_the_cli_does_not_know_is_left_out() {
        let newest = "https://json-schema.org/draft/2020-12/schema";
        for (given, left) in [
            (json!({"$schema": newest, "type": "object"}), json!({"type": "object"})),
            (json!({"discriminator": {"propertyName": "k"}, "oneOf": [{"x-a": 1}]}), json!({"oneOf": [{}]})),
            (
                json!({"prefixItems": [{"example": 1}], "items": false}),
                json!({"items": [{}], "additionalItems": false}),
            ),
            (json!({"minimum": 1, "exclusiveMinimum": true}), json!({"minimum": 1})),
            (json!({"unevaluatedProperties": false, "dependentRequired": {}, "minContains": 1}), json!({})),
            (
                json!({"properties": {"a": {"$anchor": "x"}, "b": true}}),
                json!({"properties": {"a": {}, "b": true}}),
            ),
            (
                json!({"patternProperties": {"^a": {"strict": 1}, "(?i)b": {}}}),
                json!({"patternProperties": {"^a": {}}}),
            ),
            (json!({"pattern": "(?i)a"}), json!({})),
            (json!({"pattern": r"a\-b"}), json!({})),
            (json!({"pattern": r"\pL"}), json!({})),
            (json!({"pattern": "[[a-z]--b]"}), json!({})),
            (json!({"pattern": r"a\"}), json!({})),
        ] {
            assert_eq!(reduced(&given), left);
        }
    }
}
