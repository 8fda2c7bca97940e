//! The messages of a chat request.

use crate::content::{Block, Message, Role};
use crate::error::ApiError;
use crate::fields::IgnoredFields;
use crate::json::Json;
use crate::media;
use crate::read::{self, missing, wrong_type};
use crate::request::joined;
use crate::tool::{OpenCalls, check_name, parsed_arguments};

/// Messages in one request. The model's context is full long before; this bounds what is built from them.
pub const MAX_MESSAGES: usize = 2_048;

/// Parts in one message, bounded for the same reason.
pub const MAX_PARTS: usize = 256;

const CONTENT: &str = "required: a string or an array of parts";

/// A conversation as the core has it.
pub(super) struct Conversation {
    pub(super) system: Option<String>,
    pub(super) messages: Vec<Message>,
    /// Where the content of the last message of them stands in the request.
    pub(super) last: String,
}

/// OpenAI's roles.
#[derive(Clone, Copy, PartialEq)]
enum Speaker {
    System,
    User,
    Assistant,
    Tool,
}

/// Reads `messages`.
pub(super) fn parse(body: &Json<'_>, ignored: &mut IgnoredFields) -> Result<Conversation, ApiError> {
    let items = match body.get("messages") {
        Some(Json::Array(items)) => items,
        Some(other) => return Err(wrong_type("messages", "an array", other)),
        None => return Err(missing("messages", "required")),
    };
    if items.is_empty() {
        return Err(ApiError::invalid("messages", "must hold at least one message"));
    }
    if items.len() > MAX_MESSAGES {
        return Err(ApiError::invalid("messages", format!("at most {MAX_MESSAGES} messages")));
    }
    let mut reader =
        Reader { ignored, calls: OpenCalls::default(), system: Vec::new(), messages: Vec::new() };
    let mut last = String::new();
    let mut speaker = Speaker::System;
    for (index, item) in items.iter().enumerate() {
        let at = format!("messages[{index}]");
        let before = std::mem::replace(&mut speaker, reader.message(&at, item)?);
        reader.merge_results(before, speaker);
        if speaker != Speaker::System {
            last = format!("{at}.content");
        }
    }
    reader.calls.settled("messages")?;
    Ok(Conversation { system: joined(reader.system), messages: reader.messages, last })
}

struct Reader<'i> {
    ignored: &'i mut IgnoredFields,
    calls: OpenCalls,
    system: Vec<String>,
    messages: Vec<Message>,
}

impl Reader<'_> {
    fn message(&mut self, at: &str, item: &Json<'_>) -> Result<Speaker, ApiError> {
        read::object(at, item)?;
        let speaker = match read::required_str(item, "role", format!("{at}.role"))? {
            "system" | "developer" => Speaker::System,
            "user" => Speaker::User,
            "assistant" => Speaker::Assistant,
            "tool" => Speaker::Tool,
            "function" => {
                let message = "the older form of the role `tool`; send that";
                return Err(ApiError::unsupported(format!("{at}.role"), message));
            }
            _ => {
                let message = "must be system, developer, user, assistant or tool";
                return Err(ApiError::invalid(format!("{at}.role"), message));
            }
        };
        self.unread(at, speaker, item)?;
        if speaker != Speaker::Tool {
            self.calls.settled(at)?;
        }
        let content = self.content(&format!("{at}.content"), speaker, item.get("content"))?;
        match speaker {
            Speaker::System => self.system.push(texts(&content)),
            Speaker::User => self.messages.push(Message::new(Role::User, content)),
            Speaker::Assistant => self.assistant(at, content, item)?,
            Speaker::Tool => self.result(at, content, item)?,
        }
        Ok(speaker)
    }

    /// Names the members of a message that nothing is done with.
    fn unread(&mut self, at: &str, speaker: Speaker, item: &Json<'_>) -> Result<(), ApiError> {
        for (name, value) in read::object(at, item)? {
            match (&**name, speaker) {
                ("role" | "content", _) => {}
                ("refusal" | "tool_calls", Speaker::Assistant) | ("tool_call_id", Speaker::Tool) => {}
                _ if value.is_empty() => {}
                ("tool_calls", _) | ("tool_call_id", _) => {
                    let message = "does not belong to a message of this role";
                    return Err(ApiError::invalid(format!("{at}.{name}"), message));
                }
                ("function_call", _) => {
                    let message = "the older form of `tool_calls`; send that";
                    return Err(ApiError::unsupported(format!("{at}.{name}"), message));
                }
                ("audio", _) => {
                    return Err(ApiError::unsupported(format!("{at}.{name}"), "audio is not supported"));
                }
                // The paths of one field of many messages would fill the header: it is named once.
                _ => self.ignored.add(&format!("messages.{name}")),
            }
        }
        Ok(())
    }

    fn assistant(&mut self, at: &str, mut content: Vec<Block>, item: &Json<'_>) -> Result<(), ApiError> {
        if let Some(refusal) = read::optional_str(item, "refusal", format!("{at}.refusal"))? {
            content.push(Block::Text { text: read::text(&format!("{at}.refusal"), refusal)? });
        }
        let calls = match item.get("tool_calls") {
            None => &[],
            Some(Json::Array(calls)) => calls.as_slice(),
            Some(other) => return Err(wrong_type(format!("{at}.tool_calls"), "an array", other)),
        };
        for (n, call) in calls.iter().enumerate() {
            content.push(self.call(&format!("{at}.tool_calls[{n}]"), call)?);
        }
        self.messages.push(Message::new(Role::Assistant, content));
        Ok(())
    }

    fn call(&mut self, at: &str, call: &Json<'_>) -> Result<Block, ApiError> {
        read::object(at, call)?;
        if call.get("type").is_some_and(|kind| kind.as_str() != Some("function")) {
            return Err(ApiError::unsupported(format!("{at}.type"), "only functions are supported"));
        }
        let id = read::required_str(call, "id", format!("{at}.id"))?;
        self.calls.call(&format!("{at}.id"), id)?;
        let function = call.get("function").ok_or_else(|| missing(format!("{at}.function"), "required"))?;
        let param = format!("{at}.function.name");
        let name = read::required_str(function, "name", &*param)?;
        check_name(&param, name)?;
        let param = format!("{at}.function.arguments");
        let input = parsed_arguments(&param, read::required_str(function, "arguments", &*param)?)?;
        Ok(Block::ToolUse { id: id.to_owned(), name: name.to_owned(), input })
    }

    fn result(&mut self, at: &str, content: Vec<Block>, item: &Json<'_>) -> Result<(), ApiError> {
        let param = format!("{at}.tool_call_id");
        let id = read::required_str(item, "tool_call_id", &*param)?;
        self.calls.result(&param, id)?;
        let result = Block::ToolResult { tool_use_id: id.to_owned(), content, is_error: false };
        self.messages.push(Message::new(Role::User, vec![result]));
        Ok(())
    }

    /// The Messages API wants all results of one message's calls in one message.
    fn merge_results(&mut self, before: Speaker, now: Speaker) {
        if before == Speaker::Tool
            && now == Speaker::Tool
            && let Some(more) = self.messages.pop()
            && let Some(results) = self.messages.last_mut()
        {
            results.content.extend(more.content);
        }
    }

    fn content(
        &mut self,
        at: &str,
        speaker: Speaker,
        value: Option<&Json<'_>>,
    ) -> Result<Vec<Block>, ApiError> {
        match value {
            None if speaker == Speaker::Assistant => Ok(Vec::new()),
            None => Err(missing(at, CONTENT)),
            Some(Json::String(text)) => Ok(vec![Block::Text { text: read::text(at, text)? }]),
            Some(Json::Array(items)) if items.is_empty() && speaker != Speaker::Assistant => {
                Err(ApiError::invalid(at, "must hold at least one part"))
            }
            Some(Json::Array(items)) if items.len() > MAX_PARTS => {
                Err(ApiError::invalid(at, format!("at most {MAX_PARTS} parts")))
            }
            Some(Json::Array(items)) => items
                .iter()
                .enumerate()
                .map(|(n, item)| self.part(&format!("{at}[{n}]"), speaker, item))
                .collect(),
            Some(other) => Err(wrong_type(at, "a string or an array of parts", other)),
        }
    }

    fn part(&mut self, at: &str, speaker: Speaker, item: &Json<'_>) -> Result<Block, ApiError> {
        read::object(at, item)?;
        let kind = read::required_str(item, "type", format!("{at}.type"))?;
        let attachments = matches!(speaker, Speaker::User | Speaker::Tool);
        match kind {
            "text" => part_text(at, "text", item),
            "refusal" if speaker == Speaker::Assistant => part_text(at, "refusal", item),
            "image_url" if attachments => self.image(at, item),
            "file" if speaker == Speaker::User => file(at, item),
            "image_url" | "file" => {
                let message = "does not belong to a message of this role";
                Err(ApiError::invalid(format!("{at}.type"), message))
            }
            "input_audio" => {
                let message = "audio is not supported; send text, images or PDF files";
                Err(ApiError::unsupported(format!("{at}.input_audio"), message))
            }
            _ => Err(ApiError::unsupported(format!("{at}.type"), "must be text, image_url or file")),
        }
    }

    fn image(&mut self, at: &str, item: &Json<'_>) -> Result<Block, ApiError> {
        let at = format!("{at}.image_url");
        let image = item.get("image_url").ok_or_else(|| missing(&*at, "required"))?;
        read::object(&at, image)?;
        match read::optional_str(image, "detail", format!("{at}.detail"))? {
            None | Some("auto" | "high") => {}
            Some(_) => self.ignored.add("messages.image_url.detail"),
        }
        let param = format!("{at}.url");
        let source = media::image_url(&param, read::required_str(image, "url", &*param)?)?;
        Ok(Block::Image { source })
    }
}

fn file(at: &str, item: &Json<'_>) -> Result<Block, ApiError> {
    let at = format!("{at}.file");
    let file = item.get("file").ok_or_else(|| missing(&*at, "required"))?;
    read::object(&at, file)?;
    if file.get("file_id").is_some() {
        let message = "there are no uploaded files here; send the file as file_data";
        return Err(ApiError::unsupported(format!("{at}.file_id"), message));
    }
    let param = format!("{at}.file_data");
    let source = media::document(&param, read::required_str(file, "file_data", &*param)?)?;
    let param = format!("{at}.filename");
    let title = read::optional_str(file, "filename", &*param)?;
    let title = title.map(|title| read::text(&param, title)).transpose()?;
    Ok(Block::Document { source, title: title.filter(|title| !title.trim().is_empty()) })
}

fn part_text(at: &str, field: &str, item: &Json<'_>) -> Result<Block, ApiError> {
    let param = format!("{at}.{field}");
    Ok(Block::Text { text: read::text(&param, read::required_str(item, field, &*param)?)? })
}

/// The texts of a content as one, a blank line between parts.
fn texts(content: &[Block]) -> String {
    let texts = content.iter().filter_map(|block| match block {
        Block::Text { text } => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chat::ChatRequest;
    use crate::content::Source;

    fn read(messages: &str) -> Result<ChatRequest, Option<String>> {
        ChatRequest::parse(format!("{{\"messages\":{messages}}}").as_bytes()).map_err(|error| error.param)
    }

    fn said(role: Role, parts: &[&str]) -> Message {
        Message::new(role, parts.iter().map(|part| Block::text(*part)).collect())
    }

    #[test]
    fn every_shape_of_text_is_read() {
        let messages = r#"[
            {"role":"developer","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
            {"role":"user","content":"","name":"ann"},
            {"role":"assistant","content":null,"refusal":"no","tool_calls":[],"audio":null},
            {"role":"assistant"},
            {"role":"system","content":" "},
            {"role":"assistant","content":[{"type":"refusal","refusal":"r"}],"annotations":[]},
            {"role":"system","content":"c"},
            {"role":"user","content":"q","name":"bob"}]"#;
        let request = read(messages).unwrap().request;
        let expected = vec![
            said(Role::User, &[""]),
            said(Role::Assistant, &["no"]),
            said(Role::Assistant, &[]),
            said(Role::Assistant, &["r"]),
            said(Role::User, &["q"]),
        ];
        assert_eq!(request.messages, expected);
        assert_eq!(request.system.as_deref(), Some("a\n\nb\n\nc"));
        assert_eq!(request.ignored.names(), ["messages.name"]);
    }

    #[test]
    fn pictures_and_files_are_blocks() {
        let messages = r#"[{"role":"user","content":[
            {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAA=","detail":"low"}},
            {"type":"image_url","image_url":{"url":"https://example.com/x.png"}},
            {"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0x"}},
            {"type":"text","text":"what?"}]}]"#;
        let request = read(messages).unwrap().request;
        let base64 = |media_type: &str, data: &str| Source::Base64 {
            media_type: media_type.into(),
            data: data.into(),
        };
        let expected = vec![
            Block::Image { source: base64("image/png", "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAA=") },
            Block::Image { source: Source::Url { url: "https://example.com/x.png".into() } },
            Block::Document { source: base64("application/pdf", "JVBERi0x"), title: Some("a.pdf".into()) },
            Block::text("what?"),
        ];
        assert_eq!(request.messages, [Message::new(Role::User, expected)]);
        assert_eq!(request.ignored.names(), ["messages.image_url.detail"]);
    }

    #[test]
    fn calls_and_their_results_are_read() {
        let messages = r#"[{"role":"user","content":"hi"},
            {"role":"assistant","content":"let me see","tool_calls":[
                {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},
                {"id":"c2","type":"function","function":{"name":"g","arguments":""}}]},
            {"role":"tool","tool_call_id":"c2","content":"two"},
            {"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"one"}]},
            {"role":"user","content":"so?"}]"#;
        let request = read(messages).unwrap().request;
        let call = |id: &str, name: &str, input| Block::ToolUse { id: id.into(), name: name.into(), input };
        let result = |id: &str, text: &str| Block::ToolResult {
            tool_use_id: id.into(),
            content: vec![Block::text(text)],
            is_error: false,
        };
        let called =
            vec![Block::text("let me see"), call("c1", "f", json!({"a": 1})), call("c2", "g", json!({}))];
        let expected = [
            said(Role::User, &["hi"]),
            Message::new(Role::Assistant, called),
            Message::new(Role::User, vec![result("c2", "two"), result("c1", "one")]),
            said(Role::User, &["so?"]),
        ];
        assert_eq!(request.messages, expected);
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name() {
        let many = format!("[{}{{}}]", "{},".repeat(MAX_MESSAGES));
        let called = r#"{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}"#;
        let result = r#"{"role":"tool","tool_call_id":"c","content":"x"}"#;
        let image = |url: &str| {
            format!(r#"[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"{url}"}}}}]}}]"#)
        };
        let images = {
            let one = r#"{"type":"image_url","image_url":{"url":"https://x/y"}}"#;
            format!(r#"[{{"role":"user","content":[{}{one}]}}]"#, format!("{one},").repeat(media::MAX_IMAGES))
        };
        for (messages, param) in [
            ("null", "messages"),
            ("{}", "messages"),
            ("[]", "messages"),
            (many.as_str(), "messages"),
            ("[7]", "messages[0]"),
            (r#"[{"content":"x"}]"#, "messages[0].role"),
            (r#"[{"role":7,"content":"x"}]"#, "messages[0].role"),
            (r#"[{"role":"robot","content":"x"}]"#, "messages[0].role"),
            (r#"[{"role":"function","content":"x"}]"#, "messages[0].role"),
            (r#"[{"role":"user"}]"#, "messages[0].content"),
            (r#"[{"role":"user","content":null}]"#, "messages[0].content"),
            (r#"[{"role":"user","content":[]}]"#, "messages[0].content"),
            (r#"[{"role":"user","content":5}]"#, "messages[0].content"),
            (r#"[{"role":"user","content":["x"]}]"#, "messages[0].content[0]"),
            (r#"[{"role":"user","content":[{}]}]"#, "messages[0].content[0].type"),
            (r#"[{"role":"user","content":[{"type":"text"}]}]"#, "messages[0].content[0].text"),
            (r#"[{"role":"user","content":[{"type":"text","text":1}]}]"#, "messages[0].content[0].text"),
            (r#"[{"role":"user","content":[{"type":"video"}]}]"#, "messages[0].content[0].type"),
            (r#"[{"role":"user","content":[{"type":"input_audio"}]}]"#, "messages[0].content[0].input_audio"),
            (
                r#"[{"role":"user","content":[{"type":"refusal","refusal":"x"}]}]"#,
                "messages[0].content[0].type",
            ),
            (r#"[{"role":"user","content":[{"type":"image_url"}]}]"#, "messages[0].content[0].image_url"),
            (
                r#"[{"role":"user","content":[{"type":"image_url","image_url":"https://x/y"}]}]"#,
                "messages[0].content[0].image_url",
            ),
            (&image("file:///etc/passwd"), "messages[0].content[0].image_url.url"),
            (&image("data:image/png;base64,AAAA"), "messages[0].content[0].image_url.url"),
            (&images, "messages"),
            (
                r#"[{"role":"user","content":[{"type":"file","file":{"file_id":"f"}}]}]"#,
                "messages[0].content[0].file.file_id",
            ),
            (
                r#"[{"role":"user","content":[{"type":"file","file":{"file_data":"AAAA"}}]}]"#,
                "messages[0].content[0].file.file_data",
            ),
            (
                r#"[{"role":"assistant","content":[{"type":"image_url","image_url":{"url":"https://x/y"}}]}]"#,
                "messages[0].content[0].type",
            ),
            (r#"[{"role":"assistant","function_call":{"name":"f"}}]"#, "messages[0].function_call"),
            (r#"[{"role":"assistant","audio":{"id":"a"}}]"#, "messages[0].audio"),
            (r#"[{"role":"assistant","refusal":1}]"#, "messages[0].refusal"),
            (r#"[{"role":"user","content":"x","tool_calls":[{}]}]"#, "messages[0].tool_calls"),
            (r#"[{"role":"assistant","tool_calls":[{}]}]"#, "messages[0].tool_calls[0].id"),
            (&format!("[{called}]"), "messages"),
            (&format!(r#"[{called},{{"role":"user","content":"x"}}]"#), "messages[1]"),
            (&format!("[{result}]"), "messages[0].tool_call_id"),
            (&format!("[{called},{result},{result}]"), "messages[2].tool_call_id"),
            (
                &called
                    .replace("\"{}\"", "\"[]\"")
                    .replace("{\"role\"", "[{\"role\"")
                    .replace("}}]}", "}}]}]"),
                "messages[0].tool_calls[0].function.arguments",
            ),
            // A conversation in which no user says anything.
            (r#"[{"role":"system","content":"s"}]"#, "messages"),
            (r#"[{"role":"assistant","content":"a"}]"#, "messages"),
            (r#"[{"role":"system","content":"s"},{"role":"user","content":" \n"}]"#, "messages[1].content"),
            (
                r#"[{"role":"user","content":"a"},{"role":"assistant"},{"role":"user","content":""}]"#,
                "messages[2].content",
            ),
            (
                r#"[{"role":"user","content":"a"},{"role":"assistant","content":"b\u0000"}]"#,
                "messages[1].content",
            ),
        ] {
            assert_eq!(read(messages).err(), Some(Some(param.into())), "{messages:.90}");
        }
    }
}
