//! The messages of a chat request: roles, and content as text.

use std::fmt;

use crate::error::ApiError;
use crate::fields::IgnoredFields;
use crate::json::Json;
use crate::sampling::wrong_type;

/// Messages in one request. The model's context is full long before; this bounds what is built from them.
pub const MAX_MESSAGES: usize = 2_048;

/// Parts in one message, bounded for the same reason.
pub const MAX_PARTS: usize = 256;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// Instructions: `system`, or `developer` as newer clients call it.
    System,
    /// The person.
    User,
    /// The model, earlier.
    Assistant,
}

/// One message: a role and the texts of its parts, in order.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// One text for a string content, one per part for an array; empty for an assistant's `null`.
    pub parts: Vec<String>,
}

impl Message {
    /// True when nothing is said.
    pub fn is_blank(&self) -> bool {
        self.parts.iter().all(|part| part.trim().is_empty())
    }

    /// The texts as one. Parts stand apart by a blank line, since none of them ends the other's sentence.
    pub fn text(&self) -> String {
        self.parts.join("\n\n")
    }
}

/// Shows the role and sizes: texts are prompts.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<usize> = self.parts.iter().map(String::len).collect();
        f.debug_struct("Message").field("role", &self.role).field("part_bytes", &sizes).finish()
    }
}

/// Reads `messages`.
pub(crate) fn parse(body: &Json<'_>, ignored: &mut IgnoredFields) -> Result<Vec<Message>, ApiError> {
    let items = match body.get("messages") {
        Some(Json::Array(items)) => items,
        Some(other) => return Err(wrong_type("messages", "an array", other)),
        None => return Err(ApiError::invalid("messages", "required").code("missing_required_parameter")),
    };
    if items.is_empty() {
        return Err(ApiError::invalid("messages", "must hold at least one message"));
    }
    if items.len() > MAX_MESSAGES {
        return Err(ApiError::invalid("messages", format!("at most {MAX_MESSAGES} messages")));
    }
    items.iter().enumerate().map(|(index, item)| message(index, item, ignored)).collect()
}

fn message(index: usize, item: &Json<'_>, ignored: &mut IgnoredFields) -> Result<Message, ApiError> {
    let at = |field: &str| format!("messages[{index}].{field}");
    let Json::Object(members) = item else {
        return Err(wrong_type(format!("messages[{index}]"), "an object", item));
    };
    let role = match item.get("role") {
        None => return Err(ApiError::invalid(at("role"), "required").code("missing_required_parameter")),
        Some(value) => match value.as_str() {
            Some("system" | "developer") => Role::System,
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("tool" | "function") => {
                return Err(ApiError::unsupported(at("role"), "client-side tools are not supported yet"));
            }
            Some(_) => {
                return Err(ApiError::invalid(at("role"), "must be system, developer, user or assistant"));
            }
            None => return Err(wrong_type(at("role"), "a string", value)),
        },
    };
    for (name, value) in members {
        match &**name {
            "role" | "content" => {}
            // An assistant's refusal is what it said; it is read with the content.
            "refusal" if role == Role::Assistant => {}
            _ if value.is_empty() => {}
            "tool_calls" | "function_call" | "tool_call_id" => {
                return Err(ApiError::unsupported(at(name), "client-side tools are not supported yet"));
            }
            "audio" => return Err(ApiError::unsupported(at(name), "audio is not supported")),
            // The paths of one field of many messages would fill the header: it is named once.
            _ => ignored.add(&format!("messages.{name}")),
        }
    }
    let mut parts = content(index, role, item.get("content"))?;
    if let (Role::Assistant, Some(refusal)) = (role, item.get("refusal")) {
        let text = refusal.as_str().ok_or_else(|| wrong_type(at("refusal"), "a string", refusal))?;
        parts.push(text.to_owned());
    }
    Ok(Message { role, parts })
}

fn content(index: usize, role: Role, value: Option<&Json<'_>>) -> Result<Vec<String>, ApiError> {
    let at = format!("messages[{index}].content");
    match value {
        None if role == Role::Assistant => Ok(Vec::new()),
        None => Err(ApiError::invalid(at, "required: a string or an array of parts")
            .code("missing_required_parameter")),
        Some(Json::String(text)) => Ok(vec![text.clone().into_owned()]),
        Some(Json::Array(items)) if items.is_empty() && role != Role::Assistant => {
            Err(ApiError::invalid(at, "must hold at least one part"))
        }
        Some(Json::Array(items)) if items.len() > MAX_PARTS => {
            Err(ApiError::invalid(at, format!("at most {MAX_PARTS} parts")))
        }
        Some(Json::Array(items)) => {
            items.iter().enumerate().map(|(n, item)| part(&format!("{at}[{n}]"), role, item)).collect()
        }
        Some(other) => Err(wrong_type(at, "a string or an array of parts", other)),
    }
}

fn part(at: &str, role: Role, item: &Json<'_>) -> Result<String, ApiError> {
    if !matches!(item, Json::Object(_)) {
        return Err(wrong_type(at, "an object", item));
    }
    let text = |field: &str| match item.get(field) {
        Some(Json::String(text)) => Ok(text.clone().into_owned()),
        Some(other) => Err(wrong_type(format!("{at}.{field}"), "a string", other)),
        None => {
            Err(ApiError::invalid(format!("{at}.{field}"), "required").code("missing_required_parameter"))
        }
    };
    match item.get("type").map(|kind| (kind, kind.as_str())) {
        Some((_, Some("text"))) => text("text"),
        Some((_, Some("refusal"))) if role == Role::Assistant => text("refusal"),
        Some((_, Some(kind @ ("image_url" | "input_audio" | "file")))) => {
            Err(ApiError::unsupported(format!("{at}.{kind}"), "only text parts are supported yet"))
        }
        Some((_, Some(_))) => {
            Err(ApiError::unsupported(format!("{at}.type"), "only text parts are supported yet"))
        }
        Some((other, None)) => Err(wrong_type(format!("{at}.type"), "a string", other)),
        None => Err(ApiError::invalid(format!("{at}.type"), "required").code("missing_required_parameter")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(messages: &str) -> Result<(Vec<Message>, Vec<String>), Option<String>> {
        let body = format!("{{\"messages\":{messages}}}");
        let mut ignored = IgnoredFields::default();
        let messages = parse(&Json::parse(body.as_bytes()).unwrap(), &mut ignored);
        messages.map(|messages| (messages, ignored.names().to_vec())).map_err(|error| error.param)
    }

    fn said(role: Role, parts: &[&str]) -> Message {
        Message { role, parts: parts.iter().map(|part| (*part).to_owned()).collect() }
    }

    #[test]
    fn every_shape_of_text_is_read() {
        let messages = r#"[
            {"role":"developer","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
            {"role":"user","content":"","name":"ann"},
            {"role":"assistant","content":null,"refusal":"no","tool_calls":[],"audio":null},
            {"role":"assistant"},
            {"role":"assistant","content":[{"type":"refusal","refusal":"r"}],"annotations":[]},
            {"role":"user","content":"q","name":"bob"}]"#;
        let expected = vec![
            said(Role::System, &["a", "b"]),
            said(Role::User, &[""]),
            said(Role::Assistant, &["no"]),
            said(Role::Assistant, &[]),
            said(Role::Assistant, &["r"]),
            said(Role::User, &["q"]),
        ];
        assert_eq!(read(messages), Ok((expected, vec!["messages.name".into()])));
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name() {
        let many = format!("[{}{{}}]", "{},".repeat(MAX_MESSAGES));
        for (messages, param) in [
            ("null", "messages"),
            ("{}", "messages"),
            ("[]", "messages"),
            (many.as_str(), "messages"),
            ("[7]", "messages[0]"),
            (r#"[{"content":"x"}]"#, "messages[0].role"),
            (r#"[{"role":7,"content":"x"}]"#, "messages[0].role"),
            (r#"[{"role":"robot","content":"x"}]"#, "messages[0].role"),
            (r#"[{"role":"tool","content":"x","tool_call_id":"c"}]"#, "messages[0].role"),
            (r#"[{"role":"function","content":"x"}]"#, "messages[0].role"),
            (r#"[{"role":"user"}]"#, "messages[0].content"),
            (r#"[{"role":"user","content":null}]"#, "messages[0].content"),
            (r#"[{"role":"user","content":[]}]"#, "messages[0].content"),
            (r#"[{"role":"user","content":5}]"#, "messages[0].content"),
            (r#"[{"role":"user","content":["x"]}]"#, "messages[0].content[0]"),
            (r#"[{"role":"user","content":[{}]}]"#, "messages[0].content[0].type"),
            (r#"[{"role":"user","content":[{"type":"text"}]}]"#, "messages[0].content[0].text"),
            (r#"[{"role":"user","content":[{"type":"text","text":5}]}]"#, "messages[0].content[0].text"),
            (
                r#"[{"role":"user","content":"a"},{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"data:"}}]}]"#,
                "messages[1].content[1].image_url",
            ),
            (r#"[{"role":"user","content":[{"type":"input_audio"}]}]"#, "messages[0].content[0].input_audio"),
            (r#"[{"role":"user","content":[{"type":"file"}]}]"#, "messages[0].content[0].file"),
            (r#"[{"role":"user","content":[{"type":"refusal"}]}]"#, "messages[0].content[0].type"),
            (r#"[{"role":"assistant","tool_calls":[{}]}]"#, "messages[0].tool_calls"),
            (r#"[{"role":"assistant","function_call":{"name":"f"}}]"#, "messages[0].function_call"),
            (r#"[{"role":"assistant","audio":{"id":"a"}}]"#, "messages[0].audio"),
            (r#"[{"role":"assistant","refusal":1}]"#, "messages[0].refusal"),
        ] {
            assert_eq!(read(messages), Err(Some(param.into())), "{messages:.60}");
        }
    }

    #[test]
    fn debug_shows_no_text() {
        let shown = format!("{:?}", said(Role::User, &["secret"]));
        assert_eq!(shown, "Message { role: User, part_bytes: [6] }");
    }
}
