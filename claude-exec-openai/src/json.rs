//! The strict first look at a body: one bounded tree that borrows from the bytes.
//!
//! serde's derive would answer a wrong type with a position and a Rust name. A tree read by hand answers with
//! the caller's own `param`, sees duplicate keys at every depth, and decodes every string, so that a lone
//! surrogate is found before anything is started.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

/// Values in one body, at most. `[0,0,…]` costs 2 bytes a value on the wire and 32 in memory: this bounds the
/// tree to a few megabytes, and is fifty times what a 2,000-message conversation needs.
pub(crate) const MAX_VALUES: usize = 200_000;

/// A JSON value, strings borrowed where they hold no escape. Objects keep their order.
#[derive(Clone, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    String(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// Reads one whole JSON text.
    ///
    /// # Errors
    ///
    /// Anything RFC 8259 refuses, and also a duplicate key, a lone surrogate, a number beyond `f64`, nesting
    /// beyond 128 (`serde_json`'s limit) and more than [`MAX_VALUES`] values.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, serde_json::Error> {
        let left = Cell::new(MAX_VALUES);
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let value = Node(&left).deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(value) => value.as_f64(),
            _ => None,
        }
    }

    /// The member of an object; `None` for a missing one, for `null` and for what is no object.
    pub(crate) fn get(&self, key: &str) -> Option<&Json<'a>> {
        match self {
            Self::Object(members) => members
                .iter()
                .find_map(|(name, value)| (name == key && *value != Json::Null).then_some(value)),
            _ => None,
        }
    }

    /// True for `null`, `[]` and `{}`.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Array(items) => items.is_empty(),
            Self::Object(members) => members.is_empty(),
            _ => false,
        }
    }

    /// The same as a value of its own, for what is passed on as it is. Its depth is bounded by the parser's.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => Value::Number(number.clone()),
            Self::String(text) => Value::String(text.clone().into_owned()),
            Self::Array(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Self::Object(members) => {
                members.iter().map(|(name, value)| (name.clone().into_owned(), value.to_value())).collect()
            }
        }
    }

    /// What it is, with its article, for a message about what it should have been.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

/// Shows the kind alone: a body is a prompt.
impl fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

/// One value, taken out of what is left of the budget.
#[derive(Clone, Copy)]
struct Node<'b>(&'b Cell<usize>);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Json<'de>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        let left = self.0.get().checked_sub(1).ok_or_else(|| de::Error::custom("too many values"))?;
        self.0.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json<'de>, E> {
        Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json<'de>, A::Error> {
        let mut object = Vec::new();
        while let Some(key) = members.next_key_seed(Key)? {
            object.push((key, members.next_value_seed(self)?));
        }
        // Sorted, not pairwise: a hostile object may have as many keys as there is budget.
        let mut keys: Vec<&str> = object.iter().map(|(key, _)| &**key).collect();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(de::Error::custom("duplicate key in an object"));
        }
        Ok(Json::Object(object))
    }
}

/// The key of a member, borrowed where it can be.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string key")
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &str) -> String {
        Json::parse(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_tree_keeps_order_and_decodes_escapes() {
        let tree = Json::parse(r#" {"b":[1,-2.5,true,null],"a\u0041":"\ud83d\ude00"} "#.as_bytes()).unwrap();
        let expected = Json::Object(vec![
            (
                "b".into(),
                Json::Array(vec![
                    Json::Number(1.into()),
                    Json::Number(Number::from_f64(-2.5).unwrap()),
                    Json::Bool(true),
                    Json::Null,
                ]),
            ),
            ("aA".into(), Json::String("😀".into())),
        ]);
        assert!(tree == expected);
        assert_eq!(tree.to_value(), serde_json::json!({"b": [1, -2.5, true, null], "aA": "😀"}));
    }

    #[test]
    fn what_is_ambiguous_or_unbounded_is_refused() {
        let deep = "[".repeat(100_000);
        let wide = format!("[{}0]", "0,".repeat(MAX_VALUES));
        for (body, word) in [
            (r#"{"a":1,"a":2}"#, "duplicate key"),
            (r#"{"x":[{"a":1,"b":2,"\u0061":3}]}"#, "duplicate key"),
            (r#"{"a":"\ud800"}"#, "hex escape"),
            (r#"{"\udc00":1}"#, "surrogate"),
            (r#"{"a":NaN}"#, "expected"),
            (r#"{"a":1e999}"#, "out of range"),
            ("{} {}", "trailing"),
            ("", "EOF"),
            (&deep, "recursion limit"),
            (&wide, "too many values"),
        ] {
            let message = refusal(body);
            assert!(message.contains(word), "{message} for {:.20}", body);
        }
        assert!(Json::parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn debug_shows_no_text() {
        assert_eq!(format!("{:?}", Json::String("secret".into())), "a string");
    }
}
