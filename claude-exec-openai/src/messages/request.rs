//! The body of a request to `/v1/messages`.

use claude_exec::invocation::Effort;

use super::fields::FIELDS;
use crate::content::{Block, Message, Role, Source};
use crate::error::ApiError;
use crate::fields::{self, IgnoredFields};
use crate::json::Json;
use crate::media;
use crate::read::{self, missing, wrong_type};
use crate::request::{Request, joined};
use crate::sampling::{self, Reasoning, Sampling};
use crate::schema::{OutputFormat, Schema};
use crate::tool::{ToolChoice, ToolDefinition, check_calls, check_name, check_names};

/// Messages in one request. The model's context is full long before; this bounds what is built from them.
const MAX_MESSAGES: usize = 2_048;

/// Blocks in one message, bounded for the same reason.
const MAX_BLOCKS: usize = 256;

/// Stop sequences in one request.
const MAX_STOPS: usize = 8;

/// A request to `POST /v1/messages`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MessagesRequest {
    /// What is asked for.
    pub request: Request,
}

impl MessagesRequest {
    /// Reads a request body.
    ///
    /// # Errors
    ///
    /// 400 with the field in `param`, for anything that is malformed, contradictory, or that would have to be
    /// dropped although the answer depends on it. Never panics, whatever the bytes.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let body = &read::body(body)?;
        let mut ignored = fields::sorted(FIELDS, body)?;
        let mut reader = Reader { ignored: &mut ignored, system: Vec::new() };
        reader.instructions("system", body.get("system"))?;
        let (messages, places) = reader.messages(body)?;
        let system = joined(reader.system);
        check_calls(places.iter().map(String::as_str).zip(&messages), "messages")?;
        let (tool_choice, parallel_tool_calls) = tool_choice(body)?;
        let (effort, output) = output_config(body, &mut ignored)?;
        let mut reasoning = thinking(body)?;
        (reasoning.effort, reasoning.asked) = (effort, reasoning.asked || effort.is_some());
        let request = Request {
            model: read::model(body)?,
            system,
            messages,
            tools: tools(body)?,
            tool_choice,
            parallel_tool_calls,
            sampling: Sampling {
                max_tokens: read::whole(body, "max_tokens", "max_tokens", 1)?,
                // 1 is the default and needs no word.
                temperature: read::number(body, "temperature", "temperature", 0.0, 1.0)?
                    .filter(|&value| value < 1.0),
                top_p: sampling::top_p(body)?,
                top_k: read::whole(body, "top_k", "top_k", 1)?,
                stop: sampling::stop(body, "stop_sequences", MAX_STOPS, &mut ignored)?,
            },
            show_reasoning: reasoning.thinking,
            reasoning,
            output,
            stream: read::boolean(body, "stream", "stream")?,
            ignored,
        };
        let last = places.last().map_or_else(String::new, |at| format!("{at}.content"));
        request.check("messages", &last)?;
        Ok(Self { request })
    }
}

struct Reader<'i> {
    ignored: &'i mut IgnoredFields,
    system: Vec<String>,
}

impl Reader<'_> {
    /// `system`, or a message of that role.
    fn instructions(&mut self, at: &str, value: Option<&Json<'_>>) -> Result<(), ApiError> {
        match value {
            None => Ok(()),
            Some(Json::String(text)) => {
                self.system.push(read::text(at, text)?);
                Ok(())
            }
            Some(Json::Array(blocks)) if blocks.len() <= MAX_BLOCKS => {
                for (n, block) in blocks.iter().enumerate() {
                    let at = format!("{at}[{n}]");
                    read::object(&at, block)?;
                    match read::required_str(block, "type", format!("{at}.type"))? {
                        "text" => self.system.push(text(&at, block)?),
                        _ => return Err(ApiError::unsupported(format!("{at}.type"), "must be text")),
                    }
                }
                Ok(())
            }
            Some(Json::Array(_)) => Err(ApiError::invalid(at, format!("at most {MAX_BLOCKS} blocks"))),
            Some(other) => Err(wrong_type(at, "a string or an array of text blocks", other)),
        }
    }

    fn messages(&mut self, body: &Json<'_>) -> Result<(Vec<Message>, Vec<String>), ApiError> {
        let items = match body.get("messages") {
            Some(Json::Array(items)) => items,
            Some(other) => return Err(wrong_type("messages", "an array", other)),
            None => return Err(missing("messages", "required")),
        };
        if items.len() > MAX_MESSAGES {
            return Err(ApiError::invalid("messages", format!("at most {MAX_MESSAGES} messages")));
        }
        let (mut messages, mut places) = (Vec::new(), Vec::new());
        for (index, item) in items.iter().enumerate() {
            let at = format!("messages[{index}]");
            read::object(&at, item)?;
            let param = format!("{at}.content");
            let role = match read::required_str(item, "role", format!("{at}.role"))? {
                "user" => Role::User,
                "assistant" => Role::Assistant,
                "system" => {
                    self.instructions(&param, item.get("content"))?;
                    continue;
                }
                _ => return Err(ApiError::invalid(format!("{at}.role"), "must be user or assistant")),
            };
            let value = item.get("content").ok_or_else(|| missing(&*param, "required"))?;
            messages.push(Message::new(role, self.content(&param, role, value)?));
            places.push(at);
        }
        Ok((messages, places))
    }

    fn content(&mut self, at: &str, role: Role, value: &Json<'_>) -> Result<Vec<Block>, ApiError> {
        match value {
            Json::String(text) => Ok(vec![Block::Text { text: read::text(at, text)? }]),
            Json::Array(items) if items.len() > MAX_BLOCKS => {
                Err(ApiError::invalid(at, format!("at most {MAX_BLOCKS} blocks")))
            }
            Json::Array(items) => {
                let mut blocks = Vec::with_capacity(items.len());
                for (n, item) in items.iter().enumerate() {
                    blocks.extend(self.block(&format!("{at}[{n}]"), role, item)?);
                }
                Ok(blocks)
            }
            other => Err(wrong_type(at, "a string or an array of blocks", other)),
        }
    }

    /// One block; none for thinking, which without the model API's own signature could not be given back to it.
    fn block(&mut self, at: &str, role: Role, item: &Json<'_>) -> Result<Option<Block>, ApiError> {
        read::object(at, item)?;
        let kind = read::required_str(item, "type", format!("{at}.type"))?;
        Ok(Some(match (kind, role) {
            ("text", _) => Block::Text { text: text(at, item)? },
            ("thinking" | "redacted_thinking", Role::Assistant) => return Ok(None),
            ("image", Role::User) => Block::Image { source: self.source(at, item, false)? },
            ("document", Role::User) => self.document(at, item)?,
            ("tool_use", Role::Assistant) => tool_use(at, item)?,
            ("tool_result", Role::User) => self.tool_result(at, item)?,
            ("thinking" | "redacted_thinking" | "image" | "document" | "tool_use" | "tool_result", _) => {
                let message = "does not belong to a message of this role";
                return Err(ApiError::invalid(format!("{at}.type"), message));
            }
            _ => {
                let message = "must be text, image, document, tool_use, tool_result or thinking";
                return Err(ApiError::unsupported(format!("{at}.type"), message));
            }
        }))
    }

    fn document(&mut self, at: &str, item: &Json<'_>) -> Result<Block, ApiError> {
        for (name, value) in read::object(at, item)? {
            if !["type", "source", "title", "cache_control"].contains(&&**name) && !value.is_empty() {
                self.ignored.add(&format!("messages.document.{name}"));
            }
        }
        let param = format!("{at}.title");
        let title = read::optional_str(item, "title", &*param)?;
        let title = title.map(|title| read::text(&param, title)).transpose()?;
        let title = title.filter(|title| !title.trim().is_empty());
        Ok(Block::Document { source: self.source(at, item, true)?, title })
    }

    fn source(&mut self, at: &str, item: &Json<'_>, document: bool) -> Result<Source, ApiError> {
        let at = format!("{at}.source");
        let source = item.get("source").ok_or_else(|| missing(&*at, "required"))?;
        read::object(&at, source)?;
        let param = format!("{at}.data");
        match (read::required_str(source, "type", format!("{at}.type"))?, document) {
            ("base64", false) => media::image(&param, read::required_str(source, "data", &*param)?),
            ("base64", true) => media::document(&param, read::required_str(source, "data", &*param)?),
            ("url", _) => {
                let param = format!("{at}.url");
                media::remote(&param, read::required_str(source, "url", &*param)?)
            }
            ("text", true) => {
                let data = read::text(&param, read::required_str(source, "data", &*param)?)?;
                Ok(Source::Text { media_type: "text/plain".to_owned(), data })
            }
            _ => {
                Err(ApiError::unsupported(format!("{at}.type"), "must be base64 or url; text for documents"))
            }
        }
    }

    fn tool_result(&mut self, at: &str, item: &Json<'_>) -> Result<Block, ApiError> {
        let id = read::required_str(item, "tool_use_id", format!("{at}.tool_use_id"))?.to_owned();
        let param = format!("{at}.content");
        let content = match item.get("content") {
            None => Vec::new(),
            Some(value) => self.content(&param, Role::User, value)?,
        };
        if content.iter().any(|block| matches!(block, Block::ToolResult { .. })) {
            return Err(ApiError::invalid(param, "a result must not hold another one"));
        }
        let is_error = read::boolean(item, "is_error", &format!("{at}.is_error"))?;
        Ok(Block::ToolResult { tool_use_id: id, content, is_error })
    }
}

fn text(at: &str, item: &Json<'_>) -> Result<String, ApiError> {
    let param = format!("{at}.text");
    read::text(&param, read::required_str(item, "text", &*param)?)
}

fn tool_use(at: &str, item: &Json<'_>) -> Result<Block, ApiError> {
    let id = read::required_str(item, "id", format!("{at}.id"))?.to_owned();
    let param = format!("{at}.name");
    let name = read::required_str(item, "name", &*param)?;
    check_name(&param, name)?;
    match item.get("input") {
        Some(input @ Json::Object(_)) => {
            Ok(Block::ToolUse { id, name: name.to_owned(), input: input.to_value() })
        }
        Some(other) => Err(wrong_type(format!("{at}.input"), "an object", other)),
        None => Err(missing(format!("{at}.input"), "required")),
    }
}

fn tools(body: &Json<'_>) -> Result<Vec<ToolDefinition>, ApiError> {
    let items = match body.get("tools") {
        None => return Ok(Vec::new()),
        Some(Json::Array(items)) => items,
        Some(other) => return Err(wrong_type("tools", "an array", other)),
    };
    let read = |(n, item): (usize, &Json<'_>)| {
        let at = format!("tools[{n}]");
        read::object(&at, item)?;
        if item.get("type").is_some_and(|kind| kind.as_str() != Some("custom")) {
            let message = "only tools of the client are supported";
            return Err(ApiError::unsupported(format!("{at}.type"), message));
        }
        ToolDefinition::checked(
            &at,
            read::required_str(item, "name", format!("{at}.name"))?,
            read::optional_str(item, "description", format!("{at}.description"))?,
            item.get("input_schema").map(Json::to_value),
        )
    };
    let tools = items.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    check_names(&tools)?;
    Ok(tools)
}

fn tool_choice(body: &Json<'_>) -> Result<(ToolChoice, bool), ApiError> {
    const AT: &str = "tool_choice";
    let Some(choice) = body.get(AT) else { return Ok((ToolChoice::Auto, true)) };
    read::object(AT, choice)?;
    let found = match read::required_str(choice, "type", "tool_choice.type")? {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Function(read::required_str(choice, "name", "tool_choice.name")?.to_owned()),
        _ => return Err(ApiError::invalid("tool_choice.type", "must be auto, any, tool or none")),
    };
    let serial = "disable_parallel_tool_use";
    Ok((found, !read::boolean(choice, serial, "tool_choice.disable_parallel_tool_use")?))
}

fn thinking(body: &Json<'_>) -> Result<Reasoning, ApiError> {
    let Some(value) = body.get("thinking") else { return Ok(Reasoning::default()) };
    read::object("thinking", value)?;
    let on = Reasoning { asked: true, thinking: true, ..Reasoning::default() };
    match read::required_str(value, "type", "thinking.type")? {
        "disabled" => Ok(Reasoning { thinking: false, ..on }),
        "adaptive" => Ok(on),
        "enabled" => {
            let param = "thinking.budget_tokens";
            let budget_tokens = read::whole(value, "budget_tokens", param, 1024)?;
            Ok(Reasoning { budget_tokens, ..on })
        }
        _ => Err(ApiError::invalid("thinking.type", "must be enabled, adaptive or disabled")),
    }
}

/// `output_config`: how hard the model tries, and what the answer must be.
fn output_config(
    body: &Json<'_>,
    ignored: &mut IgnoredFields,
) -> Result<(Option<Effort>, OutputFormat), ApiError> {
    let Some(config) = body.get("output_config") else { return Ok((None, OutputFormat::Text)) };
    for (name, value) in read::object("output_config", config)? {
        if !["effort", "format"].contains(&&**name) && !value.is_empty() {
            ignored.add(&format!("output_config.{name}"));
        }
    }
    let effort = match read::optional_str(config, "effort", "output_config.effort")? {
        None => None,
        Some("low") => Some(Effort::Low),
        Some("medium") => Some(Effort::Medium),
        Some("high") => Some(Effort::High),
        Some("xhigh") => Some(Effort::XHigh),
        Some("max") => Some(Effort::Max),
        Some(_) => {
            return Err(ApiError::invalid("output_config.effort", "must be low, medium, high, xhigh or max"));
        }
    };
    let Some(format) = config.get("format") else { return Ok((effort, OutputFormat::Text)) };
    read::object("output_config.format", format)?;
    match read::required_str(format, "type", "output_config.format.type")? {
        "json_schema" => {
            let param = "output_config.format.schema";
            let schema = format.get("schema").ok_or_else(|| missing(param, "required"))?;
            Ok((effort, OutputFormat::JsonSchema(Schema::checked(param, schema)?)))
        }
        _ => Err(ApiError::invalid("output_config.format.type", "must be json_schema")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(fields: &str) -> Result<Request, Option<String>> {
        let hi = r#""messages":[{"role":"user","content":"hi"}]"#;
        let body = if fields.contains("\"messages\"") {
            format!("{{{fields}}}")
        } else {
            format!("{{{hi},{fields}}}")
        };
        MessagesRequest::parse(body.as_bytes()).map(|asked| asked.request).map_err(|error| error.param)
    }

    #[test]
    fn blocks_are_read_as_they_are() {
        let fields = r#""system":[{"type":"text","text":"be kind","cache_control":{"type":"ephemeral"}}],"messages":[
            {"role":"user","content":[{"type":"text","text":"look"},
                {"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAA="}},
                {"type":"document","title":"t","citations":{"enabled":true},
                    "source":{"type":"text","media_type":"text/plain","data":"plain"}}]},
            {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},
                {"type":"tool_use","id":"t1","name":"f","input":{"a":1}}]},
            {"role":"system","content":"and terse"},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","is_error":true,
                "content":[{"type":"text","text":"bad"}]},{"type":"text","text":"so?"}]}]"#;
        let request = read(fields).unwrap();
        let image = Source::Base64 {
            media_type: "image/png".into(),
            data: "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAA=".into(),
        };
        let plain = Source::Text { media_type: "text/plain".into(), data: "plain".into() };
        let looked = vec![
            Block::text("look"),
            Block::Image { source: image },
            Block::Document { source: plain, title: Some("t".into()) },
        ];
        let call = Block::ToolUse { id: "t1".into(), name: "f".into(), input: json!({"a": 1}) };
        let result =
            Block::ToolResult { tool_use_id: "t1".into(), content: vec![Block::text("bad")], is_error: true };
        let expected = [
            Message::new(Role::User, looked),
            Message::new(Role::Assistant, vec![call]),
            Message::new(Role::User, vec![result, Block::text("so?")]),
        ];
        assert_eq!(request.messages, expected);
        assert_eq!(request.system.as_deref(), Some("be kind\n\nand terse"));
        assert_eq!(request.ignored.names(), ["messages.document.citations"]);
    }

    #[test]
    fn limits_thinking_and_form_are_read() {
        let fields = r#""model":"sonnet","max_tokens":9,"temperature":0.5,"top_k":3,"stop_sequences":["X"],"stream":true,
            "thinking":{"type":"enabled","budget_tokens":2000},"metadata":{"user_id":"u"},"service_tier":"auto",
            "output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type":"object"}}},
            "tools":[{"name":"f","description":"d","input_schema":{"type":"object"}}],
            "tool_choice":{"type":"any","disable_parallel_tool_use":true}"#;
        let request = read(fields).unwrap();
        let expected = Sampling {
            max_tokens: Some(9),
            temperature: Some(0.5),
            top_k: Some(3),
            stop: vec!["X".into()],
            ..Sampling::default()
        };
        assert_eq!(request.sampling, expected);
        let thinking =
            Reasoning { asked: true, thinking: true, budget_tokens: Some(2000), effort: Some(Effort::Low) };
        assert_eq!((request.reasoning, request.show_reasoning), (thinking, true));
        assert_eq!((request.tool_choice, request.parallel_tool_calls), (ToolChoice::Required, false));
        assert!(matches!(request.output, OutputFormat::JsonSchema(_)) && request.stream);
        assert!(request.ignored.is_empty() && request.tools.len() == 1);
    }

    #[test]
    fn a_refusal_names_its_field() {
        for (fields, param) in [
            (r#""messages":[]"#, "messages"),
            (r#""messages":{}"#, "messages"),
            (r#""messages":[7]"#, "messages[0]"),
            (r#""messages":[{"role":"tool","content":"x"}]"#, "messages[0].role"),
            (r#""messages":[{"role":"user"}]"#, "messages[0].content"),
            (r#""messages":[{"role":"user","content":""}]"#, "messages[0].content"),
            (r#""messages":[{"role":"user","content":[]}]"#, "messages[0].content"),
            (r#""messages":[{"role":"user","content":[{"type":"audio"}]}]"#, "messages[0].content[0].type"),
            (
                r#""messages":[{"role":"user","content":[{"type":"tool_use"}]}]"#,
                "messages[0].content[0].type",
            ),
            (
                r#""messages":[{"role":"user","content":[{"type":"image","source":{"type":"file","file_id":"f"}}]}]"#,
                "messages[0].content[0].source.type",
            ),
            (
                r#""messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t"}]}]"#,
                "messages[0]",
            ),
            (
                r#""messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]}]"#,
                "messages",
            ),
            (r#""system":7"#, "system"),
            (r#""system":[{"type":"image"}]"#, "system[0].type"),
            (r#""max_tokens":0"#, "max_tokens"),
            (r#""temperature":1.5"#, "temperature"),
            (r#""stop_sequences":[""]"#, "stop_sequences"),
            (r#""thinking":{"type":"lots"}"#, "thinking.type"),
            (r#""thinking":{"type":"enabled","budget_tokens":1}"#, "thinking.budget_tokens"),
            (r#""output_config":{"effort":"lots"}"#, "output_config.effort"),
            (
                r#""output_config":{"format":{"type":"json_schema","schema":{}}}"#,
                "output_config.format.schema",
            ),
            (r#""tools":[{"type":"web_search_20250305","name":"web_search"}]"#, "tools[0].type"),
            (r#""tools":[{"name":"a b"}]"#, "tools[0].name"),
            (r#""tool_choice":{"type":"tool","name":"f"}"#, "tool_choice"),
            (r#""mcp_servers":[{}]"#, "mcp_servers"),
            (r#""container":"c""#, "container"),
        ] {
            assert_eq!(read(fields).err(), Some(Some(param.into())), "{fields}");
        }
    }
}
