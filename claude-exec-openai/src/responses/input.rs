//! `input`: a text, or items.

use super::context::{Context, Instruction};
use crate::content::{Block, Message, Role};
use crate::error::ApiError;
use crate::fields::IgnoredFields;
use crate::json::Json;
use crate::media;
use crate::read::{self, missing, wrong_type};
use crate::tool::{check_name, parsed_arguments};

/// Items in one request. The model's context is full long before; this bounds what is built from them.
pub const MAX_ITEMS: usize = 4_096;

/// Parts in one item, bounded for the same reason.
const MAX_PARTS: usize = 256;

/// What is new in a conversation.
#[derive(Default)]
pub(super) struct Input {
    pub(super) context: Context,
    /// Where each message of it begins in the request.
    pub(super) places: Vec<String>,
}

impl Input {
    pub(super) fn parse(body: &Json<'_>, ignored: &mut IgnoredFields) -> Result<Self, ApiError> {
        let mut input = Self::default();
        match body.get("input") {
            None => return Err(missing("input", "required: a string or an array of items")),
            Some(Json::String(text)) => {
                input.push(
                    "input",
                    Message::new(Role::User, vec![Block::Text { text: read::text("input", text)? }]),
                );
            }
            Some(Json::Array(items)) if items.len() > MAX_ITEMS => {
                return Err(ApiError::invalid("input", format!("at most {MAX_ITEMS} items")));
            }
            Some(Json::Array(items)) => {
                for (n, item) in items.iter().enumerate() {
                    input.item(&format!("input[{n}]"), item, ignored)?;
                }
            }
            Some(other) => return Err(wrong_type("input", "a string or an array of items", other)),
        }
        Ok(input)
    }

    fn push(&mut self, at: &str, message: Message) {
        self.places.push(at.to_owned());
        self.context.messages.push(message);
    }

    fn item(&mut self, at: &str, item: &Json<'_>, ignored: &mut IgnoredFields) -> Result<(), ApiError> {
        read::object(at, item)?;
        match read::optional_str(item, "type", format!("{at}.type"))? {
            None | Some("message") => self.message(at, item, ignored),
            Some("function_call") => self.call(at, item),
            Some("function_call_output") => self.output(at, item, ignored),
            // Without the model API's own signature it could not be given back to it.
            Some("reasoning") => Ok(()),
            Some("item_reference") => {
                let message = "send the item itself, or use previous_response_id";
                Err(ApiError::unsupported(format!("{at}.type"), message))
            }
            Some(_) => {
                let message = "must be message, function_call, function_call_output or reasoning";
                Err(ApiError::unsupported(format!("{at}.type"), message))
            }
        }
    }

    fn message(&mut self, at: &str, item: &Json<'_>, ignored: &mut IgnoredFields) -> Result<(), ApiError> {
        let word = read::required_str(item, "role", format!("{at}.role"))?;
        let role = match word {
            "system" | "developer" => None,
            "user" => Some(Role::User),
            "assistant" => Some(Role::Assistant),
            _ => {
                let message = "must be system, developer, user or assistant";
                return Err(ApiError::invalid(format!("{at}.role"), message));
            }
        };
        let param = format!("{at}.content");
        let content = match item.get("content") {
            None => return Err(missing(param, "required: a string or an array of parts")),
            Some(value) => parts(&param, role, value, ignored)?,
        };
        match role {
            Some(role) => self.push(at, Message::new(role, content)),
            None => {
                let at = self.context.messages.len();
                let texts = content.into_iter().filter_map(|block| match block {
                    Block::Text { text } => Some(text),
                    _ => None,
                });
                let instructions = texts.map(|text| Instruction { at, role: word.to_owned(), text });
                self.context.instructions.extend(instructions);
            }
        }
        Ok(())
    }

    /// A call belongs to the assistant's message before it, as the Messages API has it.
    fn call(&mut self, at: &str, item: &Json<'_>) -> Result<(), ApiError> {
        let id = read::required_str(item, "call_id", format!("{at}.call_id"))?;
        let param = format!("{at}.name");
        let name = read::required_str(item, "name", &*param)?;
        check_name(&param, name)?;
        let param = format!("{at}.arguments");
        let input = parsed_arguments(&param, read::required_str(item, "arguments", &*param)?)?;
        let call = Block::ToolUse { id: id.to_owned(), name: name.to_owned(), input };
        match self.context.messages.last_mut() {
            Some(last) if last.role == Role::Assistant => last.content.push(call),
            _ => self.push(at, Message::new(Role::Assistant, vec![call])),
        }
        Ok(())
    }

    /// Results of one message's calls belong to one message.
    fn output(&mut self, at: &str, item: &Json<'_>, ignored: &mut IgnoredFields) -> Result<(), ApiError> {
        let id = read::required_str(item, "call_id", format!("{at}.call_id"))?;
        let param = format!("{at}.output");
        let content = match item.get("output") {
            None => return Err(missing(param, "required: a string or an array of parts")),
            Some(value) => parts(&param, Some(Role::User), value, ignored)?,
        };
        let result = Block::ToolResult { tool_use_id: id.to_owned(), content, is_error: false };
        match self.context.messages.last_mut() {
            Some(last) if matches!(last.content.last(), Some(Block::ToolResult { .. })) => {
                last.content.push(result)
            }
            _ => self.push(at, Message::new(Role::User, vec![result])),
        }
        Ok(())
    }
}

fn parts(
    at: &str,
    role: Option<Role>,
    value: &Json<'_>,
    ignored: &mut IgnoredFields,
) -> Result<Vec<Block>, ApiError> {
    match value {
        Json::String(text) => Ok(vec![Block::Text { text: read::text(at, text)? }]),
        Json::Array(items) if items.len() > MAX_PARTS => {
            Err(ApiError::invalid(at, format!("at most {MAX_PARTS} parts")))
        }
        Json::Array(items) => items
            .iter()
            .enumerate()
            .map(|(n, item)| part(&format!("{at}[{n}]"), role, item, ignored))
            .collect(),
        other => Err(wrong_type(at, "a string or an array of parts", other)),
    }
}

fn part(
    at: &str,
    role: Option<Role>,
    item: &Json<'_>,
    ignored: &mut IgnoredFields,
) -> Result<Block, ApiError> {
    read::object(at, item)?;
    let text = |field: &str| {
        let param = format!("{at}.{field}");
        Ok(Block::Text { text: read::text(&param, read::required_str(item, field, &*param)?)? })
    };
    match (read::required_str(item, "type", format!("{at}.type"))?, role) {
        ("input_text" | "output_text" | "text", _) => text("text"),
        ("refusal", Some(Role::Assistant)) => text("refusal"),
        ("input_image", Some(Role::User)) => image(at, item, ignored),
        ("input_file", Some(Role::User)) => file(at, item),
        ("input_audio", _) => {
            let message = "audio is not supported; send text, images or PDF files";
            Err(ApiError::unsupported(format!("{at}.input_audio"), message))
        }
        ("input_image" | "input_file", _) => {
            Err(ApiError::invalid(format!("{at}.type"), "does not belong to a message of this role"))
        }
        _ => {
            let message = "must be input_text, input_image, input_file or output_text";
            Err(ApiError::unsupported(format!("{at}.type"), message))
        }
    }
}

fn image(at: &str, item: &Json<'_>, ignored: &mut IgnoredFields) -> Result<Block, ApiError> {
    no_file_id(at, item)?;
    match read::optional_str(item, "detail", format!("{at}.detail"))? {
        None | Some("auto" | "high") => {}
        Some(_) => ignored.add("input.detail"),
    }
    let param = format!("{at}.image_url");
    Ok(Block::Image { source: media::image_url(&param, read::required_str(item, "image_url", &*param)?)? })
}

fn file(at: &str, item: &Json<'_>) -> Result<Block, ApiError> {
    no_file_id(at, item)?;
    let url = format!("{at}.file_url");
    let source = match read::optional_str(item, "file_url", &*url)? {
        Some(_) if item.get("file_data").is_some() => {
            return Err(ApiError::invalid(url, "send either this or file_data: one of them would be lost"));
        }
        Some(address) => media::remote(&url, address)?,
        None => {
            let param = format!("{at}.file_data");
            media::document(&param, read::required_str(item, "file_data", &*param)?)?
        }
    };
    let param = format!("{at}.filename");
    let title = read::optional_str(item, "filename", &*param)?;
    let title = title.map(|title| read::text(&param, title)).transpose()?;
    Ok(Block::Document { source, title: title.filter(|title| !title.trim().is_empty()) })
}

fn no_file_id(at: &str, item: &Json<'_>) -> Result<(), ApiError> {
    if item.get("file_id").is_some() {
        let message = "there are no uploaded files here; send the file itself";
        return Err(ApiError::unsupported(format!("{at}.file_id"), message));
    }
    Ok(())
}
