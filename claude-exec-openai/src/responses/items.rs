//! The items that a response was made from, page by page: the answer of `GET /v1/responses/{id}/input_items`.

use serde_json::{Value, json};

use super::context::Context;
use super::object::part;
use crate::content::{Block, Message, Role, Source};
use crate::error::ApiError;

/// Items on a page that asks for no other number, as OpenAI's reference has it.
const DEFAULT_LIMIT: usize = 20;

/// The most items on a page, as OpenAI's reference has it.
const MAX_LIMIT: usize = 100;

/// Which items of a list are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// How many at most, 1 to 100; default 20.
    pub limit: usize,
    /// The last one first; default `true`.
    pub descending: bool,
    /// The id of the item that the page begins after.
    pub after: Option<String>,
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: DEFAULT_LIMIT, descending: true, after: None }
    }
}

impl Page {
    /// Reads a query such as `limit=2&order=asc`. Other names are ignored: `include` names nothing that is kept here.
    ///
    /// # Errors
    ///
    /// 400 with the name in `param`, for a `limit` that is no number from 1 to 100, or an `order` that is neither `asc`
    /// nor `desc`.
    pub fn parse(query: &str) -> Result<Self, ApiError> {
        let mut page = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match (name, value) {
                ("limit", number) => {
                    let limit = number.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    page.limit = limit.ok_or_else(|| {
                        ApiError::invalid("limit", format!("must be a number from 1 to {MAX_LIMIT}"))
                    })?;
                }
                ("order", "asc") => page.descending = false,
                ("order", "desc") => page.descending = true,
                ("order", _) => return Err(ApiError::invalid("order", "must be asc or desc")),
                ("after", id) => page.after = Some(id.to_owned()),
                _ => {}
            }
        }
        Ok(page)
    }
}

/// One page of the items that the response `id` was made from, those of the responses before it included.
///
/// # Errors
///
/// 400 for an `after` that is none of their ids.
pub fn input_items(id: &str, context: &Context, page: &Page) -> Result<Vec<u8>, ApiError> {
    let mut items = items(id, context);
    if page.descending {
        items.reverse();
    }
    if let Some(after) = &page.after {
        let at = items.iter().position(|item| item["id"] == after.as_str());
        let Some(at) = at else { return Err(ApiError::invalid("after", "is no item of this response")) };
        items.drain(..=at);
    }
    let has_more = items.len() > page.limit;
    items.truncate(page.limit);
    let id_of = |item: Option<&Value>| item.map(|item| item["id"].clone());
    let (first_id, last_id) = (id_of(items.first()), id_of(items.last()));
    let list = json!({"object": "list", "data": items, "first_id": first_id, "last_id": last_id, "has_more": has_more});
    Ok(list.to_string().into_bytes())
}

/// All items in their order.
fn items(id: &str, context: &Context) -> Vec<Value> {
    let mut items = Vec::new();
    let mut instructions = context.instructions.iter().peekable();
    for at in 0..=context.messages.len() {
        while let Some(instruction) = instructions.next_if(|instruction| instruction.at <= at) {
            let content = json!([{"type": "input_text", "text": instruction.text}]);
            items.push(json!({"type": "message", "role": instruction.role, "content": content}));
        }
        if let Some(message) = context.messages.get(at) {
            push(message, &mut items);
        }
    }
    let stem = id.trim_start_matches("resp_");
    for (at, item) in items.iter_mut().enumerate() {
        let prefix = match item["type"].as_str() {
            Some("function_call") => "fc",
            Some("function_call_output") => "fco",
            _ => "msg",
        };
        item["id"] = format!("{prefix}_{stem}_in_{at}").into();
        item["status"] = "completed".into();
    }
    items
}

/// The items of one message: calls and their outputs stand for themselves, what is said between them is a message.
fn push(message: &Message, items: &mut Vec<Value>) {
    let mut said = Vec::new();
    let flush = |said: &mut Vec<Value>, items: &mut Vec<Value>| {
        if !said.is_empty() {
            let content = std::mem::take(said);
            items.push(json!({"type": "message", "role": message.role, "content": content}));
        }
    };
    for block in &message.content {
        match block {
            Block::ToolUse { id, name, input } => {
                flush(&mut said, items);
                let arguments = input.to_string();
                items.push(
                    json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments}),
                );
            }
            Block::ToolResult { tool_use_id, content, .. } => {
                flush(&mut said, items);
                let output = match content.as_slice() {
                    [Block::Text { text }] => json!(text),
                    parts => parts.iter().filter_map(input_part).collect(),
                };
                items.push(json!({"type": "function_call_output", "call_id": tool_use_id, "output": output}));
            }
            Block::Text { text } if message.role == Role::Assistant => said.push(part(text)),
            block => said.extend(input_part(block)),
        }
    }
    flush(&mut said, items);
}

/// What is said as OpenAI writes it; `None` for calls and results, which are no parts.
fn input_part(block: &Block) -> Option<Value> {
    Some(match block {
        Block::Text { text } | Block::Document { source: Source::Text { data: text, .. }, .. } => {
            json!({"type": "input_text", "text": text})
        }
        Block::Image { source } => {
            json!({"type": "input_image", "image_url": url(source), "detail": "auto"})
        }
        Block::Document { source, title } => {
            let name = if matches!(source, Source::Url { .. }) { "file_url" } else { "file_data" };
            let mut file = json!({"type": "input_file", name: url(source)});
            if let Some(title) = title {
                file["filename"] = title.as_str().into();
            }
            file
        }
        Block::ToolUse { .. } | Block::ToolResult { .. } => return None,
    })
}

fn url(source: &Source) -> String {
    match source {
        Source::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
        Source::Url { url } => url.clone(),
        Source::Text { data, .. } => data.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::responses::ResponsesRequest;

    fn context() -> Context {
        let body = r#"{"input":[
            {"role":"developer","content":"be terse"},
            {"role":"user","content":[{"type":"input_text","text":"look"},
                {"type":"input_image","image_url":"https://x/y.png"},
                {"type":"input_file","file_data":"JVBERi0x","filename":"a.pdf"}]},
            {"role":"assistant","content":"I see"},
            {"type":"function_call","call_id":"c1","name":"f","arguments":"{\"b\":1}"},
            {"type":"function_call_output","call_id":"c1","output":"one"},
            {"role":"system","content":"now be kind"},
            {"role":"user","content":"so?"}]}"#;
        let (request, instructions) =
            ResponsesRequest::parse(body.as_bytes()).unwrap().after(Context::default()).unwrap();
        assert_eq!(request.system.as_deref(), Some("be terse\n\nnow be kind"));
        Context { messages: request.messages, instructions }
    }

    fn page(query: &str) -> Value {
        let page = Page::parse(query).unwrap();
        serde_json::from_slice(&input_items("resp_1", &context(), &page).unwrap()).unwrap()
    }

    #[test]
    fn items_come_back_as_they_were_sent() {
        let list = page("order=asc");
        let text = |text: &str| json!([{"type": "input_text", "text": text}]);
        let looked = json!([{"type": "input_text", "text": "look"},
            {"type": "input_image", "image_url": "https://x/y.png", "detail": "auto"},
            {"type": "input_file", "file_data": "data:application/pdf;base64,JVBERi0x", "filename": "a.pdf"}]);
        let said = json!([{"type": "output_text", "text": "I see", "annotations": [], "logprobs": []}]);
        let message = |id: &str, role: &str, content: Value| json!({"id": id, "type": "message", "status": "completed", "role": role, "content": content});
        let expected = json!([
            message("msg_1_in_0", "developer", text("be terse")),
            message("msg_1_in_1", "user", looked),
            message("msg_1_in_2", "assistant", said),
            {"id": "fc_1_in_3", "type": "function_call", "status": "completed", "call_id": "c1", "name": "f",
                "arguments": "{\"b\":1}"},
            {"id": "fco_1_in_4", "type": "function_call_output", "status": "completed", "call_id": "c1",
                "output": "one"},
            message("msg_1_in_5", "system", text("now be kind")),
            message("msg_1_in_6", "user", text("so?")),
        ]);
        assert_eq!(list["data"], expected);
        assert_eq!(
            (&list["first_id"], &list["last_id"], &list["has_more"]),
            (&json!("msg_1_in_0"), &json!("msg_1_in_6"), &json!(false))
        );
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let mut query = "limit=3".to_owned();
        let mut ids = Vec::new();
        loop {
            let list = page(&query);
            let data = list["data"].as_array().unwrap();
            ids.extend(data.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            assert!(data.len() == 3 || list["has_more"] == false);
            if list["has_more"] == false {
                break;
            }
            query = format!("limit=3&after={}", list["last_id"].as_str().unwrap());
        }
        let number = |id: &String| id.rsplit('_').next().unwrap().parse::<usize>().unwrap();
        assert_eq!(ids.iter().map(number).collect::<Vec<_>>(), [6, 5, 4, 3, 2, 1, 0]);
        let none = page("after=msg_1_in_0");
        assert_eq!(
            (&none["data"], &none["first_id"], &none["has_more"]),
            (&json!([]), &Value::Null, &json!(false))
        );
    }

    #[test]
    fn a_query_is_read_or_refused_by_name() {
        assert_eq!(Page::parse("").unwrap(), Page::default());
        assert_eq!(Page::parse("include[]=x&more&order=desc").unwrap(), Page::default());
        for (query, param) in [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=", "limit"),
            ("limit=a", "limit"),
            ("order=up", "order"),
        ] {
            assert_eq!(Page::parse(query).unwrap_err().param.as_deref(), Some(param), "{query}");
        }
        let unknown = Page { after: Some("msg_2".into()), ..Page::default() };
        assert_eq!(input_items("resp_1", &context(), &unknown).unwrap_err().param.as_deref(), Some("after"));
    }
}
