//! How much work a JSON schema can make of one answer: pure, and bounded before the schema is compiled.
//!
//! References let a schema of a few lines apply itself thousands of times to one value, or twice for each level of
//! an answer. So the work is added up as if every branch were taken: for a value, once for each schema that is
//! applied to it; for its members, the dearest of what `properties` may apply, and all of the rest.

use std::collections::HashMap;

use serde_json::Value;

/// How deep an answer may nest. People's schemas have a handful of levels.
pub(crate) const MAX_ANSWER_DEPTH: usize = 32;

/// Schemas applied along the deepest path of an answer, at most: a second of work for an answer of any length that
/// a model writes.
const MAX_EFFORT: u64 = 20_000;

/// How many schemas may lead to one another, references included, so that none exhausts the stack.
const MAX_CHAIN: usize = 400;

/// Patterns in one schema; each is compiled.
const MAX_PATTERNS: usize = 64;

/// Keywords whose schemas apply to the same value.
const SAME: &[&str] = &["allOf", "anyOf", "oneOf", "not", "if", "then", "else"];

/// Keywords whose schemas by name apply to the same value.
const SAME_NAMED: &[&str] = &["dependentSchemas", "dependencies"];

/// Keywords whose schemas all may apply to one member.
const MEMBER: &[&str] = &[
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "additionalItems",
    "unevaluatedItems",
    "contains",
];

/// Keywords of references whose targets depend on the way to them.
const DYNAMIC: &[&str] = &["$dynamicRef", "$recursiveRef"];

/// Refuses a schema that could cost too much.
pub(crate) fn check(schema: &Value) -> Result<(), String> {
    if patterns(schema) > MAX_PATTERNS {
        return Err(format!("holds more than {MAX_PATTERNS} patterns"));
    }
    let mut effort = Effort { root: schema, known: HashMap::new() };
    if effort.of(schema, MAX_ANSWER_DEPTH, 0)? > MAX_EFFORT {
        return Err("applies its parts too often; use fewer references".to_owned());
    }
    Ok(())
}

struct Effort<'s> {
    root: &'s Value,
    /// By place and depth; `None` while it is being added up.
    known: HashMap<(*const Value, usize), Option<u64>>,
}

impl<'s> Effort<'s> {
    /// The effort for a value with `depth` levels under it.
    fn of(&mut self, schema: &'s Value, depth: usize, chain: usize) -> Result<u64, String> {
        let Value::Object(members) = schema else { return Ok(1) };
        if depth == 0 {
            return Ok(1);
        }
        if chain > MAX_CHAIN {
            return Err("has too long a chain of references".to_owned());
        }
        let key = (std::ptr::from_ref(schema), depth);
        match self.known.get(&key) {
            Some(Some(known)) => return Ok(*known),
            Some(None) => return Err("refers to itself without end".to_owned()),
            None => {}
        }
        self.known.insert(key, None);
        let mut total = 1u64;
        for (name, value) in members {
            let name = name.as_str();
            let added = match name {
                "$ref" => {
                    let target = self.target(value)?;
                    self.of(target, depth, chain + 1)?
                }
                "properties" | "prefixItems" => self.each(value, depth - 1, chain)?.1,
                "patternProperties" => self.each(value, depth - 1, chain)?.0,
                // An array of them is the older form of `prefixItems`.
                "items" if value.is_array() => self.each(value, depth - 1, chain)?.1,
                "items" => self.of(value, depth - 1, chain + 1)?,
                _ if DYNAMIC.contains(&name) => return Err(format!("uses {name}")),
                _ if MEMBER.contains(&name) => self.of(value, depth - 1, chain + 1)?,
                _ if SAME_NAMED.contains(&name) => self.each(value, depth, chain)?.0,
                _ if SAME.contains(&name) && value.is_array() => self.each(value, depth, chain)?.0,
                _ if SAME.contains(&name) => self.of(value, depth, chain + 1)?,
                _ => 0,
            };
            total = total.saturating_add(added);
        }
        self.known.insert(key, Some(total));
        Ok(total)
    }

    /// The sum and the most of several schemas.
    fn each(&mut self, schemas: &'s Value, depth: usize, chain: usize) -> Result<(u64, u64), String> {
        let schemas: Vec<&'s Value> = match schemas {
            Value::Array(items) => items.iter().collect(),
            Value::Object(members) => members.values().collect(),
            _ => return Ok((0, 0)),
        };
        let (mut sum, mut most) = (0u64, 0);
        for schema in schemas {
            let one = self.of(schema, depth, chain + 1)?;
            (sum, most) = (sum.saturating_add(one), most.max(one));
        }
        Ok((sum, most))
    }

    fn target(&self, reference: &Value) -> Result<&'s Value, String> {
        let local = reference.as_str().and_then(|reference| reference.strip_prefix('#'));
        let found = local.and_then(|pointer| self.root.pointer(pointer));
        found.ok_or_else(|| "may refer to its own parts only, as in `#/$defs/name`".to_owned())
    }
}

fn patterns(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(patterns).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| {
                let own = match (name.as_str(), value) {
                    ("pattern", Value::String(_)) => 1,
                    ("patternProperties", Value::Object(named)) => named.len(),
                    _ => 0,
                };
                own + patterns(value)
            })
            .sum(),
        _ => 0,
    }
}

/// How deep a value nests.
pub(crate) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `levels` schemas, each of which applies the next one `times` times.
    fn chain(levels: usize, times: usize) -> Value {
        let mut defs = serde_json::Map::new();
        for level in 0..levels {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
            defs.insert(format!("d{level}"), json!({"allOf": vec![next; times]}));
        }
        defs.insert(format!("d{levels}"), json!({"type": "object"}));
        json!({"type": "object", "$ref": "#/$defs/d0", "$defs": defs})
    }

    #[test]
    fn what_people_write_is_no_effort() {
        let tree = json!({"type": "object", "$defs": {"node": {"type": "object", "properties": {
            "name": {"type": "string", "pattern": "^a"},
            "left": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            "right": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            "more": {"type": "array", "items": {"$ref": "#/$defs/node"}},
        }}}, "properties": {"root": {"$ref": "#/$defs/node"}}});
        let wide: serde_json::Map<String, Value> =
            (0..500).map(|n| (format!("p{n}"), json!({"type": "object", "properties": {"x": {}}}))).collect();
        for schema in [tree, json!({"type": "object", "properties": wide}), chain(100, 1), chain(10, 2)] {
            assert_eq!(check(&schema), Ok(()));
        }
    }

    #[test]
    fn what_could_take_for_ever_is_refused() {
        let twice_a_level =
            json!({"type": "object", "properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}});
        let by_patterns =
            json!({"type": "object", "patternProperties": {"a": {"$ref": "#"}, "": {"$ref": "#"}}});
        let patterns: serde_json::Map<String, Value> =
            (0..=MAX_PATTERNS).map(|n| (format!("p{n}"), json!({"pattern": "a"}))).collect();
        for schema in [
            chain(40, 2),
            chain(5_000, 1),
            twice_a_level,
            by_patterns,
            json!({"allOf": [{"$ref": "#"}]}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
            json!({"$ref": "https://example.com/x"}),
            json!({"$ref": "#/$defs/none"}),
            json!({"$dynamicRef": "#x"}),
            json!({"properties": patterns}),
        ] {
            assert!(check(&schema).is_err(), "{:.90}", schema.to_string());
        }
    }
}
